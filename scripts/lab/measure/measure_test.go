package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const source = `// Package p is measured.
package p

// f has seven decisions; a default is none.
func f(a, b bool, c chan int) {
	for a && b || a {
		if a { // 1
			continue
		}
	}
	switch {
	case a:
	default:
	}
	select {
	case <-c:
	default:
	}
	for range 3 {
	}
}

type small struct{ a, b int }

type large struct {
	a, b, c, d, e, f, g, h, i, j, k, l, m, n, o int

	p string
}

var text = ` + "`two\nlines`" + `
`

func TestFigures(t *testing.T) {
	got, err := figures("p.go", []byte(source))
	if err != nil {
		t.Fatal(err)
	}
	want := file{name: "p.go", lines: 32, codeLines: 25, decisions: 7, largeTypes: 1, functions: []int{17}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(file{})); d != "" {
		t.Error(d)
	}
	if _, err := figures("bad.go", []byte("no go")); err == nil {
		t.Error("a file that is no Go has no error")
	}
}

func TestQuantile(t *testing.T) {
	ten := []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}
	for _, tt := range []struct {
		sorted  []int
		p, want int
	}{{nil, 50, 0}, {[]int{7}, 50, 7}, {ten, 50, 5}, {ten, 90, 9}, {ten, 100, 10}} {
		if got := quantile(tt.sorted, tt.p); got != tt.want {
			t.Errorf("%d %% of %v is %d, want %d", tt.p, tt.sorted, got, tt.want)
		}
	}
}

// A folder's row has its own files, the row of all below it the sum.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(&out, ".", []string{"."}); err != nil {
		t.Fatal(err)
	}
	if rows := strings.Split(strings.TrimSpace(out.String()), "\n"); len(rows) != 4 || !strings.Contains(rows[3], "total") {
		t.Errorf("got\n%s", &out)
	}
	if err := run(&out, ".", []string{"nothing"}); err == nil {
		t.Error("a folder that does not exist has no error")
	}
}
