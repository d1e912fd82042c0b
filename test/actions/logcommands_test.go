package actions

import (
	"maps"
	"testing"
)

func TestParseLogCommand(t *testing.T) {
	for line, want := range map[string]logCommand{
		"::error title=a%3A b,file=x.go,line=3::one%0Atwo%25": {"error", "one\ntwo%", map[string]string{"title": "a: b", "file": "x.go", "line": "3"}},
		"  ::GROUP::a title":              {"group", "a title", nil},
		"::add-mask::s3cret":              {"add-mask", "s3cret", nil},
		"::warning::see ##[error] at x]y": {"warning", "see ##[error] at x]y", nil},
		"before ##[error]after":           {"error", "after", nil},
		"::endgroup::":                    {"endgroup", "", nil},
	} {
		got, ok := parseLogCommand(line, "")
		if !ok || got.name != want.name || got.data != want.data || !maps.Equal(got.properties, want.properties) {
			t.Errorf("%q: %+v (%v), want %+v", line, got, ok, want)
		}
	}
	for _, line := range []string{"", "::", "text ::error::x", "::unknown::x", "::error:x", "##[unknown]x", "##[error", "std::vector::push"} {
		if got, ok := parseLogCommand(line, ""); ok {
			t.Errorf("%q is taken for %+v", line, got)
		}
	}
}

func FuzzParseLogCommand(f *testing.F) {
	f.Add("::error title=x::y")
	f.Add("##[group]x")
	f.Fuzz(func(t *testing.T, line string) {
		if c, ok := parseLogCommand(line, ""); ok && c.name == "" {
			t.Errorf("%q: a command without a name", line)
		}
	})
}

func TestMasks(t *testing.T) {
	l := &jobLog{}
	l.addMask("s3cret")
	l.addMask("s3cret-and-longer")
	l.addMask("first\r\n second ")
	l.addMask(" ")
	for text, want := range map[string]string{
		"a s3cret b":          "a *** b",
		"s3cret-and-longer":   "***",
		"second and first":    "*** and ***",
		"nothing of the sort": "nothing of the sort",
	} {
		if got := l.mask(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}
