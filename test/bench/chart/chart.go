// Package chart draws bars for a README. Panels of figures go in, an SVG comes
// out that is readable in light and dark surroundings, by people and by what
// reads pages to them, and that holds no script and refers to nothing.
package chart

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"strings"
)

// Chart is one picture.
type Chart struct {
	Title  string
	Note   string // the line beneath
	Panels []Panel
}

// Panel compares figures of one unit, on a scale of its own.
type Panel struct {
	Title string
	Bars  []Bar
	// Limit is drawn as a line across the bars, if it is not 0; LimitName says
	// what it is.
	Limit     float64
	LimitName string
}

// Bar is a figure with its spread.
type Bar struct {
	Name            string
	Value           float64
	Lowest, Highest float64
	// Text is how the figure is written.
	Text string
	// Ours are drawn in another colour.
	Ours bool
}

const (
	width     = 820
	margin    = 16
	nameWidth = 300
	textWidth = 170
	barHeight = 16
	pitch     = 24
	heading   = 34
)

// style has colours of enough contrast on white and on the dark of GitHub.
const style = `
text { font: 13px -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.panel { font-weight: 600 }
.note { font-size: 12px; fill: #59636e }
.peer { fill: #8c959f }
.ours { fill: #0969da }
.spread { stroke: #1f2328; stroke-width: 1.5 }
.limit { stroke: #cf222e; stroke-width: 1.5; stroke-dasharray: 4 3 }
.limit-name { font-size: 12px; fill: #cf222e }
@media (prefers-color-scheme: dark) {
text { fill: #e6edf3 }
.note { fill: #9198a1 }
.peer { fill: #6e7681 }
.ours { fill: #4493f8 }
.spread { stroke: #e6edf3 }
.limit { stroke: #ff7b72 }
.limit-name { fill: #ff7b72 }
}
`

// SVG draws the chart.
func (c Chart) SVG() []byte {
	var body bytes.Buffer
	y := margin + 16
	fmt.Fprintf(&body, `<text class="title" x="%d" y="%d">%s</text>`+"\n", margin, y, escape(c.Title))
	for _, p := range c.Panels {
		y = p.draw(&body, y+heading)
	}
	y += heading
	fmt.Fprintf(&body, `<text class="note" x="%d" y="%d">%s</text>`+"\n", margin, y, escape(c.Note))

	var out bytes.Buffer
	fmt.Fprintf(&out, `<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" viewBox="0 0 %d %d" role="img" aria-labelledby="title desc">`+"\n", width, y+margin, width, y+margin)
	fmt.Fprintf(&out, "<title id=\"title\">%s</title>\n<desc id=\"desc\">%s</desc>\n<style>%s</style>\n", escape(c.Title), escape(c.words()), style)
	out.Write(body.Bytes())
	out.WriteString("</svg>\n")
	return out.Bytes()
}

// draw draws the panel with its title at y, and returns where its last bar is.
func (p Panel) draw(out *bytes.Buffer, y int) int {
	fmt.Fprintf(out, `<text class="panel" x="%d" y="%d">%s</text>`+"\n", margin, y, escape(p.Title))
	longest := p.Limit
	for _, b := range p.Bars {
		longest = max(longest, b.Value, b.Highest)
	}
	const from = margin + nameWidth
	x := func(value float64) float64 {
		return from + value/longest*(width-margin-textWidth-from)
	}
	top := y + pitch - barHeight
	for n, b := range p.Bars {
		at := top + n*pitch
		middle := float64(at) + barHeight/2
		class := "peer"
		if b.Ours {
			class = "ours"
		}
		fmt.Fprintf(out, `<text x="%d" y="%.1f" text-anchor="end">%s</text>`+"\n", from-8, middle+4.5, escape(b.Name))
		fmt.Fprintf(out, `<rect class="%s" x="%d" y="%d" width="%.1f" height="%d" rx="2"/>`+"\n", class, from, at, x(b.Value)-from, barHeight)
		fmt.Fprintf(out, `<line class="spread" x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f"/>`+"\n", x(b.Lowest), middle, x(b.Highest), middle)
		fmt.Fprintf(out, `<text x="%.1f" y="%.1f">%s</text>`+"\n", x(max(b.Value, b.Highest))+8, middle+4.5, escape(b.Text))
	}
	end := top + len(p.Bars)*pitch
	if p.Limit > 0 {
		anchor := "start"
		if p.Limit > longest/2 {
			anchor = "end" // or its name could leave the picture
		}
		fmt.Fprintf(out, `<line class="limit" x1="%.1f" y1="%d" x2="%.1f" y2="%d"/>`+"\n", x(p.Limit), top-4, x(p.Limit), end)
		fmt.Fprintf(out, `<text class="limit-name" x="%.1f" y="%d" text-anchor="%s">%s</text>`+"\n", x(p.Limit), end+13, anchor, escape(p.LimitName))
		end += 13
	}
	return end
}

// words are the chart for those who do not see it.
func (c Chart) words() string {
	var panels []string
	for _, p := range c.Panels {
		var bars []string
		for _, b := range p.Bars {
			bars = append(bars, b.Name+" "+b.Text)
		}
		if p.Limit > 0 {
			bars = append(bars, p.LimitName)
		}
		panels = append(panels, p.Title+": "+strings.Join(bars, ", "))
	}
	return strings.Join(append(panels, c.Note), ". ")
}

func escape(s string) string {
	var out strings.Builder
	_ = xml.EscapeText(&out, []byte(s)) // a Builder never fails
	return out.String()
}
