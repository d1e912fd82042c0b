package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
)

func TestSVG(t *testing.T) {
	svg := string(Chart{
		Title: "Start & go", Note: "on <this> machine",
		Panels: []Panel{
			{Title: "large", Limit: 2, LimitName: "limit 2 s", Bars: []Bar{
				{Name: "peer", Value: 10, Lowest: 9, Highest: 12, Text: "10 s"},
				{Name: "ours", Value: 3, Lowest: 3, Highest: 3, Text: "3 s", Ours: true},
			}},
			{Title: "small", Bars: []Bar{{Name: "peer", Value: 1, Lowest: 1, Highest: 1, Text: "1 s"}}},
		},
	}.SVG())
	for decoder := xml.NewDecoder(strings.NewReader(svg)); ; {
		if _, err := decoder.Token(); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("not XML: %v\n%s", err, svg)
		}
	}
	for _, want := range []string{
		"<title id=\"title\">Start &amp; go</title>",
		"large: peer 10 s, ours 3 s, limit 2 s. small: peer 1 s. on &lt;this&gt; machine</desc>",
		"prefers-color-scheme: dark", `<line class="limit" x1="369.0" y1="70" x2="369.0" y2="122"/>`,
		// The scale ends at the highest figure, 12, and 318 are there for it.
		`<rect class="peer" x="316" y="74" width="265.0" height="16" rx="2"/>`,
		`<rect class="ours" x="316" y="98" width="79.5" height="16" rx="2"/>`,
	} {
		if !strings.Contains(svg, want) {
			t.Errorf("no %s in\n%s", want, svg)
		}
	}
	if strings.Count(svg, `class="limit"`) != 1 {
		t.Error("a panel without a limit has one")
	}
	if strings.Contains(svg, "%!") {
		t.Errorf("a figure is missing in\n%s", svg)
	}
}
