package main

import (
	"errors"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// size is what clusters of one number on one Consul server have shown.
type size struct {
	Clusters int     `json:"clusters"`
	One      float64 `json:"one_ms"` // median outage when one cluster fails
	All      float64 `json:"all_ms"` // median outage when all fail at once
}

// growth draws the outages by the number of clusters.
func growth(all []size) (*plot.Plot, vg.Length, vg.Length, error) {
	if len(all) == 0 {
		return nil, 0, 0, errors.New("there are no figures")
	}
	p := newPlot()
	p.X.Label.Text, p.Y.Label.Text = "clusters of three members on one Consul server", "median outage of a client, ms"
	p.Y.Scale, p.Y.Padding = plot.LogScale{}, 12
	p.Y.Tick.Marker = plot.ConstantTicks{{Value: 10, Label: "10"}, {Value: 100, Label: "100"}, {Value: 1000, Label: "1000"},
		{Value: 10_000, Label: "10000"}}
	var ticks plot.ConstantTicks
	var one, together plotter.XYs
	for _, s := range all {
		x := float64(s.Clusters)
		ticks = append(ticks, plot.Tick{Value: x, Label: strconv.Itoa(s.Clusters)})
		one, together = append(one, plotter.XY{X: x, Y: s.One}), append(together, plotter.XY{X: x, Y: s.All})
	}
	p.X.Tick.Marker = ticks
	p.Add(plotter.NewGrid())
	for i, of := range []struct {
		name   string
		points plotter.XYs
	}{{"one cluster fails", one}, {"all fail at once", together}} {
		line, points, err := plotter.NewLinePoints(of.points)
		if err != nil {
			return nil, 0, 0, err
		}
		colour := colours[2*i]
		line.Color, line.Width, points.Color, points.Shape = colour, 2, colour, draw.CircleGlyph{}
		p.Add(line, points)
		p.Legend.Add(of.name, line, points)
	}
	p.Legend.Top, p.Legend.Left = true, true
	p.X.Min, p.X.Max, p.Y.Min, p.Y.Max = 0, 1.05*float64(all[len(all)-1].Clusters), 10, 10_000
	return p, 16 * vg.Centimeter, 9 * vg.Centimeter, nil
}
