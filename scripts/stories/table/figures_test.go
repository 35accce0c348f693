package main

import (
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

func TestFigures(t *testing.T) {
	lines := `{"Action":"run","Test":"TestWrite01_Killed"}
{"Action":"run","Test":"TestWrite01_Killed/n=3"}
{"Action":"output","Test":"TestWrite01_Killed/n=3","Output":"    write01_test.go:12: figure: write pause 43 ms\n"}
{"Action":"output","Test":"TestWrite01_Killed/n=3","Output":"    write01_test.go:12: figure: write pause 7 ms\n"}
{"Action":"output","Test":"TestWrite01_Killed/n=3","Output":"    write01_test.go:13: figure: two writable 0 ms\n"}
{"Action":"output","Test":"TestWrite01_Killed/n=3","Output":"    write01_test.go:14: no figure: write pause 9 ms\n"}
{"Action":"pass","Test":"TestWrite01_Killed/n=3","Elapsed":1}
{"Action":"pass","Test":"TestWrite01_Killed","Elapsed":1}
`
	file := filepath.Join(t.TempDir(), "a.json")
	if err := os.WriteFile(file, []byte(lines), 0o644); err != nil {
		t.Fatal(err)
	}
	all, err := read(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[measured][]float64{
		{"Write01 Killed", "write pause"}:  {7, 43},
		{"Write01 Killed", "two writable"}: {0},
	}
	if got := figures(all); !reflect.DeepEqual(got, want) {
		t.Errorf("%v, not %v", got, want)
	}
}
