package bench

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/test/bench/chart"
)

// draw writes the chart of the images on the loopback to a file, if all of
// them were measured in every way.
func (r *report) draw(file string) error {
	picture := chart.Chart{
		Title: "From the command to the program's first output, in seconds",
		Note:  fmt.Sprintf("Shorter is better. Medians of %d, lines from the lowest to the highest; nothing of the image was on the machine.", *rounds),
	}
	for _, s := range starts {
		if s.network.name != loopback.name || len(s.ways) < len(peers)+1 {
			continue
		}
		row := r.find(s.image, loopback)
		for _, w := range s.ways {
			if !row.has(w.name) {
				return nil
			}
		}
		picture.Panels = append(picture.Panels, row.panel())
	}
	slices.Reverse(picture.Panels) // the large one tells most
	if file == "" {
		return nil
	}
	return os.WriteFile(file, picture.SVG(), 0o644)
}

// panel is the row as bars.
func (r *startRow) panel() chart.Panel {
	p := chart.Panel{Title: fmt.Sprintf("%s: %s (%s, %s unpacked)", r.image.name, r.image.title, size(r.size), size(unpacked(r.tree)))}
	seconds := func(ns int64) float64 { return time.Duration(ns).Seconds() }
	for _, w := range r.ways {
		took := r.took(w.name)
		value := fmt.Sprintf("%.1f s", took.seconds())
		if took.seconds() < 1 {
			value = fmt.Sprintf("%.2f s", took.seconds())
		}
		p.Bars = append(p.Bars, chart.Bar{
			Name:  strings.TrimPrefix(strings.ReplaceAll(w.title, "`", ""), "for comparison: "),
			Value: took.seconds(), Lowest: seconds(slices.Min(took)), Highest: seconds(slices.Max(took)),
			Text: value, Ours: strings.HasPrefix(w.title, "runner"),
		})
	}
	if limit, ok := r.limit(); ok {
		p.Limit, p.LimitName = limit.Seconds(), fmt.Sprintf("%.1f s: inflate, sha256, write and sockets, on all cores", limit.Seconds())
	}
	return p
}
