// Package plot draws lines over time as SVG that stands in a page by itself: no
// script, no other file, in the colours of the text around it, told in words to who
// cannot see it.
package plot

import (
	"fmt"
	"html"
	"math"
	"strings"
	"time"
)

// Point is a value at a moment.
type Point struct {
	At    time.Time
	Value float64
}

// Mark is a moment with a name, drawn as an upright line.
type Mark struct {
	At   time.Time
	Name string
}

// Plot is one line over time.
type Plot struct {
	Title  string
	Points []Point // in the order of time
	Marks  []Mark
	Text   func(float64) string // how a value is written
}

// The drawing's size in its own units; a page scales it.
const (
	width, height = 360.0, 150.0
	left, right   = 2.0, 2.0
	top, bottom   = 28.0, 24.0
)

// Busy is the part of a line in which something happened, with a point at rest on
// each side.
func Busy(points []Point) []Point {
	first, last := -1, -1
	for i, p := range points {
		if p.Value == 0 {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
	}
	if first < 0 {
		return nil
	}
	return points[max(first-1, 0):min(last+2, len(points))]
}

// SVG draws it; empty where there are less than two points.
func (p Plot) SVG() string {
	if len(p.Points) < 2 {
		return ""
	}
	from, to := p.Points[0].At, p.Points[len(p.Points)-1].At
	highest, at := 0.0, p.Points[0].At
	for _, point := range p.Points {
		if point.Value > highest {
			highest, at = point.Value, point.At
		}
	}
	x := func(t time.Time) float64 {
		return left + (width-left-right)*t.Sub(from).Seconds()/math.Max(to.Sub(from).Seconds(), 1e-9)
	}
	y := func(v float64) float64 { return height - bottom - (height-top-bottom)*v/math.Max(highest, 1e-9) }
	var b strings.Builder
	summary := fmt.Sprintf("%s from %s to %s: at most %s, at %s; %s at the end", p.Title, from.Format(time.TimeOnly), to.Format(time.TimeOnly),
		p.Text(highest), at.Format(time.TimeOnly), p.Text(p.Points[len(p.Points)-1].Value))
	fmt.Fprintf(&b, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s" xmlns="http://www.w3.org/2000/svg">`, width, height, html.EscapeString(summary))
	fmt.Fprintf(&b, `<g fill="none" stroke="currentColor"><path opacity=".35" d="M%.1f %.1fH%.1f"/>`, left, height-bottom, width-right)
	var line strings.Builder
	for i, point := range p.Points {
		fmt.Fprintf(&line, "%c%.1f %.1f", "ML"[min(i, 1)], x(point.At), y(point.Value))
	}
	fmt.Fprintf(&b, `<path class="line" stroke-width="1.8" stroke-linejoin="round" d="%s"/></g>`, line.String())
	text := func(at float64, y float64, anchor, words string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s" font-size="12" fill="currentColor">%s</text>`, at, y, anchor, html.EscapeString(words))
	}
	text(left, 14, "start", "at most "+p.Text(highest))
	text(left, height-6, "start", from.Format(time.TimeOnly))
	text(width-right, height-6, "end", to.Format(time.TimeOnly))
	p.marks(&b, x, from, to, text)
	b.WriteString("</svg>")
	return b.String()
}

// marks are drawn where they fall between the ends. Names that would lie on each
// other are left to the text.
func (p Plot) marks(b *strings.Builder, x func(time.Time) float64, from, to time.Time, text func(x, y float64, anchor, words string)) {
	free := left + 130.0
	for _, m := range p.Marks {
		if m.At.Before(from) || m.At.After(to) {
			continue
		}
		at := x(m.At)
		fmt.Fprintf(b, `<path stroke="currentColor" stroke-dasharray="3 3" opacity=".5" d="M%.1f %.1fV%.1f"/>`, at, top-8, height-bottom)
		if at < free {
			continue
		}
		anchor := "start"
		if at > width-80 {
			anchor = "end"
		}
		text(at+3, 14, anchor, m.Name)
		free = at + 80
	}
}
