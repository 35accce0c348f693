package main

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"text/tabwriter"
)

// figure is a line that a test has logged of something that it measured.
var figure = regexp.MustCompile(`(?m)^\s*(?:\S+\.go:\d+: )?figure: (.+) (-?\d+(?:\.\d+)?) ms\s*$`)

// measured is what a figure is called, and in which story.
type measured struct{ story, name string }

// figures are the values (ms) of all runs, from the lowest to the highest.
func figures(all []result) map[measured][]float64 {
	by := map[measured][]float64{}
	for _, r := range all {
		for _, m := range figure.FindAllStringSubmatch(r.output, -1) {
			if v, err := strconv.ParseFloat(m[2], 64); err == nil {
				of := measured{r.story(), m[1]}
				by[of] = append(by[of], v)
			}
		}
	}
	for _, values := range by {
		slices.Sort(values)
	}
	return by
}

// writeFigures draws the table of them, if there are any.
func writeFigures(w io.Writer, all []result) {
	by := figures(all)
	if len(by) == 0 {
		return
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "\nstory\tfigure\truns\tmedian ms\tworst ms")
	for _, of := range slices.SortedFunc(maps.Keys(by), func(a, b measured) int {
		return cmp.Or(cmp.Compare(a.story, b.story), cmp.Compare(a.name, b.name))
	}) {
		v := by[of]
		fmt.Fprintf(t, "%s\t%s\t%d\t%.0f\t%.0f\n", of.story, of.name, len(v), v[len(v)/2], v[len(v)-1])
	}
	_ = t.Flush()
}
