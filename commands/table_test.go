package commands

import (
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	var out strings.Builder
	table := newTable("ID", "NOTE", "TERM")
	table.row("café", "", "1")
	table.row("b", "a\ttab, a\nline, an \x1b[2Jescape | a bar", "")
	if err := table.write(&out); err != nil {
		t.Fatal(err)
	}
	want := "ID    NOTE                                  TERM\n" +
		"café  -                                     1\n" +
		"b     a tab, a line, an  [2Jescape | a bar  -\n"
	if out.String() != want {
		t.Errorf("got\n%swant\n%s", out.String(), want)
	}
}
