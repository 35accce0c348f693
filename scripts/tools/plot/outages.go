package main

import (
	"errors"
	"fmt"
	"image/color"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/plotter"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
)

// median is the median outage of one scenario with one system, as scripts/bench -medians writes it.
type median struct {
	Says   string  `json:"says"` // what happens
	System string  `json:"system"`
	Ms     float64 `json:"median_ms"`
	Runs   int     `json:"runs"`
	Failed int     `json:"failed,omitempty"` // runs that could not be done
}

// The scale is logarithmic, from shortest to longest, in ms. A bar begins at shortest.
const shortest, longest = 0.8, 150_000

var colours = []color.Color{color.RGBA{0x1a, 0x7f, 0x5a, 0xff}, color.RGBA{0xe0, 0xa4, 0x58, 0xff}, color.RGBA{0xc8, 0x55, 0x3d, 0xff},
	color.RGBA{0x6b, 0x4e, 0x71, 0xff}}

// bar is one median, at a height of the chart.
type bar struct {
	median
	y      float64
	colour color.Color
}

// Thickness of a bar, and gap between the bars of two scenarios; one bar takes 1.
const thickness, gap = 0.85, 0.7

// outages draws one bar for each median, grouped by scenario.
func outages(all []median) (*plot.Plot, vg.Length, vg.Length, error) {
	if len(all) == 0 {
		return nil, 0, 0, errors.New("there are no figures")
	}
	p := newPlot()
	p.X.Scale, p.X.Min, p.X.Max = plot.LogScale{}, shortest, longest
	p.X.Label.Text = "median time without an acknowledged write"
	var ticks plot.ConstantTicks
	for ms, text := range map[float64]string{1: "1 ms", 10: "10 ms", 100: "100 ms", 1e3: "1 s", 1e4: "10 s", 1e5: "100 s"} {
		ticks = append(ticks, plot.Tick{Value: ms, Label: text})
	}
	p.X.Tick.Marker = ticks
	grid := plotter.NewGrid()
	grid.Horizontal.Width = 0
	p.Add(grid)

	systems, y, before := map[string]color.Color{}, 0.0, ""
	for _, m := range all {
		c, seen := systems[m.System]
		if !seen {
			c = colours[len(systems)%len(colours)]
			systems[m.System] = c
			p.Legend.Add(m.System, square{c})
		}
		if m.Says != before {
			y -= 1 + gap
			before = m.Says
			p.Add(heading{m.Says, y})
		}
		y--
		p.Add(bar{m, y, c})
	}
	p.Y.Tick.Marker, p.Y.Tick.Length, p.Y.LineStyle.Width = plot.ConstantTicks{}, 0, 0
	p.Y.Min, p.Y.Max = y-gap, 4
	p.Legend.Top, p.Legend.Left = true, true
	return p, 22 * vg.Centimeter, vg.Length(5-y) * 0.4 * vg.Centimeter, nil
}

// heading says what happens, above the bars of that scenario. It begins at the axis, so that no font is too wide for it.
type heading struct {
	text string
	y    float64
}

// Plot draws it.
func (h heading) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	text := p.X.Tick.Label
	text.XAlign, text.YAlign = draw.XLeft, draw.YCenter
	text.Font.Size *= 1.15
	c.FillText(text, vg.Point{X: x(shortest) + 1, Y: y(h.y)}, h.text)
}

// Plot draws the bar and its figure.
func (b bar) Plot(c draw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	low, high := y(b.y-thickness/2), y(b.y+thickness/2)
	from, to := x(shortest), x(max(b.Ms, shortest))
	c.FillPolygon(b.colour, []vg.Point{{X: from, Y: low}, {X: to, Y: low}, {X: to, Y: high}, {X: from, Y: high}})
	text := p.X.Tick.Label
	text.XAlign, text.YAlign = draw.XLeft, draw.YCenter
	c.FillText(text, vg.Point{X: to + 3, Y: (low + high) / 2}, b.label())
}

// label is the figure as the tables of the page have it.
func (b bar) label() string {
	text := fmt.Sprintf("%.0f ms", b.Ms)
	if b.Ms >= 1000 {
		text = fmt.Sprintf("%.1f s", b.Ms/1000)
	}
	if b.Failed > 0 {
		text += fmt.Sprintf(" (%d of %d runs)", b.Runs, b.Runs+b.Failed)
	}
	return text
}

// square is a colour in the legend.
type square struct{ colour color.Color }

// Thumbnail draws it.
func (s square) Thumbnail(c *draw.Canvas) {
	r := c.Rectangle
	c.FillPolygon(s.colour, []vg.Point{r.Min, {X: r.Max.X, Y: r.Min.Y}, r.Max, {X: r.Min.X, Y: r.Max.Y}})
}
