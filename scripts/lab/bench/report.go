package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"text/tabwriter"
)

// spread is the least, the middle and the greatest of some figures.
type spread struct {
	min, median, max float64
	of               int
}

func spreadOf[T any](all []T, of func(T) float64) (s spread) {
	var v []float64
	for _, x := range all {
		v = append(v, of(x))
	}
	if len(v) == 0 {
		return s
	}
	slices.Sort(v)
	return spread{v[0], (v[(len(v)-1)/2] + v[len(v)/2]) / 2, v[len(v)-1], len(v)}
}

func (s spread) String() string {
	if s.of == 0 {
		return "–"
	}
	return fmt.Sprintf("%.0f / %.0f / %.0f", s.min, s.median, s.max)
}

func outages(o *outcome) spread { return spreadOf(o.Runs, func(f figures) float64 { return f.Outage }) }

// median is the median outage of a scenario with one system, for the chart that scripts/pictures draws.
type median struct {
	Says   string  `json:"says"`
	System string  `json:"system"`
	Ms     float64 `json:"median_ms"`
	Runs   int     `json:"runs"`
	Failed int     `json:"failed,omitempty"`
}

// report prints the table, in Markdown, and writes what is asked for.
func report(all []*outcome, jsonFile, mediansFile string) error {
	table(os.Stdout, all)
	var medians []median
	for _, o := range all {
		if len(o.Runs) > 0 {
			medians = append(medians, median{o.Says, o.System, outages(o).median, len(o.Runs), len(o.Failed)})
		}
	}
	return errors.Join(writeJSON(jsonFile, all), writeJSON(mediansFile, medians))
}

// writeJSON writes figures to a file; without its name it does nothing.
func writeJSON(file string, figures any) error {
	if file == "" {
		return nil
	}
	data, err := json.MarshalIndent(figures, "", " ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o644)
}

// table: times in ms, least / median / greatest. The ratio is that of the median outage to that of resec.
func table(out io.Writer, all []*outcome) {
	t := tabwriter.NewWriter(out, 0, 0, 1, ' ', 0)
	fmt.Fprintln(t, "| what happens\t| system\t| runs\t| write outage, ms\t| × resec's\t| found after, ms\t| no master listed\t| writes lost\t| two writable, ms\t| whole again, ms\t| noise, ms\t|")
	fmt.Fprintln(t, "|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|---\t|")
	for _, o := range all {
		first := all[slices.IndexFunc(all, func(x *outcome) bool { return x.Scenario == o.Scenario })]
		ratio := "–"
		if ours := outages(first).median; first != o && first.System == systems[0].name && ours > 0 && len(o.Runs) > 0 {
			ratio = fmt.Sprintf("%.1f", outages(o).median/ours)
		}
		by := func(of func(figures) float64) spread { return spreadOf(o.Runs, of) }
		fmt.Fprintf(t, "| %s\t| %s\t| %s\t| %s\t| %s\t| %s\t| %.0f\t| %s\t| %s\t| %.0f\t| %.0f\t|\n", o.Says, o.System, fmt.Sprintf("%d of %d", len(o.Runs), len(o.Runs)+len(o.Failed)), outages(o), ratio,
			by(func(f figures) float64 { return f.Discovery }), by(func(f figures) float64 { return f.Unlisted }).median,
			by(func(f figures) float64 { return float64(f.Lost) }), by(func(f figures) float64 { return f.Two }),
			by(func(f figures) float64 { return f.Whole }).median, by(func(f figures) float64 { return f.Noise }).max)
	}
	_ = t.Flush()
}
