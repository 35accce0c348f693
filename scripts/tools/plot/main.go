// Command plot draws the charts of the benchmarks as SVG, from the figures that are kept beside them.
//
// usage: plot outages|growth FIGURES.json CHART.svg
package main

import (
	"encoding/json"
	"fmt"
	"image/color"
	"os"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/vg"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "plot:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 3 {
		return fmt.Errorf("usage: plot outages|growth FIGURES.json CHART.svg")
	}
	switch args[0] {
	case "outages":
		return chart(args[1], args[2], outages)
	case "growth":
		return chart(args[1], args[2], growth)
	}
	return fmt.Errorf("no chart is called %q", args[0])
}

// chart makes one chart of the figures in a file.
func chart[T any](from, to string, of func([]T) (*plot.Plot, vg.Length, vg.Length, error)) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	var figures []T
	if err := json.Unmarshal(data, &figures); err != nil {
		return fmt.Errorf("read %s: %w", from, err)
	}
	p, width, height, err := of(figures)
	if err != nil {
		return err
	}
	return p.Save(width, height, to)
}

// newPlot is an empty chart on white, so that it can be read on a dark page, too.
func newPlot() *plot.Plot {
	plot.DefaultFont = font.Font{Typeface: "Liberation", Variant: "Sans"}
	p := plot.New()
	p.BackgroundColor = color.White
	p.X.Padding, p.Y.Padding = 6, 6
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle.Font.Size, a.Tick.Label.Font.Size = 10, 9
	}
	p.Legend.TextStyle.Font.Size = 10
	p.Legend.Padding = 3
	return p
}
