package main

import (
	"fmt"
	"html"
	"io"
	"math"
)

// The picture's measures, in px.
const (
	left, right, top = 430, 90, 46
	bar, gap         = 13, 14
	width            = 1080
)

// decades are those of the scale, from 1 ms to 100 s.
const decades = 5

var colours = []string{"#1a7f5a", "#e0a458", "#c8553d", "#6b4e71"}

// draw draws the median outage by scenario, one bar a system, on a logarithmic scale.
func draw(out io.Writer, all []*outcome) {
	scs, syss, by := scenariosOf(all)
	height := top
	for _, sc := range scs {
		for _, sys := range syss {
			if o := by[[2]string{sc, sys}]; o != nil {
				height += bar
			}
		}
		height += gap
	}
	height += 30
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" font-family="sans-serif" font-size="11">`+"\n", width, height, width, height)
	fmt.Fprintf(out, `<rect width="%d" height="%d" fill="#fff"/>`+"\n", width, height)
	for i, sys := range syss {
		x := left + i*140
		fmt.Fprintf(out, `<rect x="%d" y="10" width="12" height="12" fill="%s"/><text x="%d" y="20">%s</text>`+"\n", x, colours[i%len(colours)], x+16, html.EscapeString(sys))
	}
	for d := range decades + 1 {
		x, label := at(math.Pow10(d)), fmt.Sprintf("%.0f ms", math.Pow10(d))
		if d >= 3 {
			label = fmt.Sprintf("%.0f s", math.Pow10(d-3))
		}
		fmt.Fprintf(out, `<line x1="%.0f" y1="%d" x2="%.0f" y2="%d" stroke="#ddd"/><text x="%.0f" y="%d" text-anchor="middle" fill="#666">%s</text>`+"\n",
			x, top-8, x, height-20, x, height-6, label)
	}
	y := top
	for _, sc := range scs {
		for i, sys := range syss {
			o := by[[2]string{sc, sys}]
			if o == nil {
				continue
			}
			if i == 0 {
				fmt.Fprintf(out, `<text x="%d" y="%d" text-anchor="end">%s</text>`+"\n", left-8, y+10, html.EscapeString(o.Says))
			}
			v := outages(o).median
			if len(o.Runs) == 0 {
				y += bar
				continue
			}
			label := fmt.Sprintf("%.0f ms", v)
			if len(o.Failed) > 0 {
				label += fmt.Sprintf(" (%d of %d runs)", len(o.Runs), len(o.Runs)+len(o.Failed))
			}
			fmt.Fprintf(out, `<rect x="%d" y="%d" width="%.1f" height="%d" fill="%s"/><text x="%.1f" y="%d" fill="#333">%s</text>`+"\n",
				left, y, at(v)-left, bar-2, colours[i%len(colours)], at(v)+4, y+10, label)
			y += bar
		}
		y += gap
	}
	fmt.Fprintln(out, "</svg>")
}

// at is the position of a time in ms on the scale.
func at(v float64) float64 {
	return left + math.Log10(min(max(v, 1), math.Pow10(decades)))/decades*(width-left-right)
}
