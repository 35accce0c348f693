package commands

import (
	"cmp"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"unicode"
)

// table is a table of text. An empty cell is shown as a dash.
type table struct{ rows [][]string }

func newTable(header ...string) *table { return &table{rows: [][]string{header}} }

func (t *table) row(cells ...string) { t.rows = append(t.rows, cells) }

// without removes columns.
func (t *table) without(columns ...string) {
	header := t.rows[0]
	for i, row := range t.rows {
		var kept []string
		for j, cell := range row {
			if !slices.Contains(columns, header[j]) {
				kept = append(kept, cell)
			}
		}
		t.rows[i] = kept
	}
}

// write prints the table with two blanks between its columns. It returns an error of w.
func (t *table) write(w io.Writer) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, cells := range t.rows {
		shown := make([]string, len(cells))
		for i, c := range cells {
			shown[i] = cmp.Or(printable(c), "-")
		}
		if _, err := io.WriteString(tab, strings.Join(shown, "\t")+"\n"); err != nil {
			return err
		}
	}
	return tab.Flush()
}

// printable is a text with a blank for each character that is not printable. Whatever can write to Consul chooses the texts
// that are shown here, and they must not control a terminal.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
}
