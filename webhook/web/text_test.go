package web

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSpans(t *testing.T) {
	for line, want := range map[string]string{
		"plain":                            "[plain]",
		"\x1b[1;31mred\x1b[0m rest":        "bold f1[red][ rest]",
		"\x1b[1m\x1b[22mnot\x1b[m":         "[not]",
		"\x1b[38;5;9mnine\x1b[38;5;200mx":  "f9[nine][x]",
		"\x1b[38;2;1;2;3mtrue\x1b[4mline":  "[true]underline[line]",
		"\x1b[97;44mwhite\x1b[39;49mx":     "f15 b4[white][x]",
		"\x1b[?25l\x1b[2Kgone":             "[gone]",
		"\x1b(Bcharset\x1b7\x1b8":          "[charset]",
		"\x1b]0;title\x1b\\x\x1b]8;;u\ay":  "[xy]",
		"\x1b]never ends":                  "",
		"\x1b[":                            "",
		"\x1b":                             "",
		"10%\r20%\r":                       "[20%]",
		"\x1b[31m\x1b[31mone span\x1b[31m": "f1[one span]",
		"tab\tbell\a":                      "[tab\tbell]",
	} {
		var b strings.Builder
		for _, s := range spans(line) {
			fmt.Fprintf(&b, "%s[%s]", s.Class, s.Text)
		}
		if b.String() != want {
			t.Errorf("%q is %s, want %s", line, b.String(), want)
		}
	}
}

func FuzzSpans(f *testing.F) {
	for _, seed := range []string{"\x1b[31mx\x1b[0m", "\x1b]8;;u\aclick", "\u009b1m", "\x1b[38;5", "a\rb", "\xff\x1bP"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		n := 0
		for _, s := range spans(line) {
			n += len(s.Text)
			if s.Text == "" || !utf8.ValidString(s.Text) || strings.ContainsFunc(s.Text, func(r rune) bool { return r != '\t' && hidden(r) }) {
				t.Errorf("%q has %q", line, s.Text)
			}
			if strings.Trim(s.Class, "abcdefghijklmnopqrstuvwxyz0123456789 ") != "" {
				t.Errorf("%q has the class %q", line, s.Class)
			}
		}
		if n > 3*mostOfLine+20 {
			t.Errorf("%d bytes of text", n)
		}
	})
}

func TestPretty(t *testing.T) {
	for body, want := range map[string]string{
		`{"a":[1,2],"b":{},"c":[ ],"d":"x: {,\"}"}`: "{\n  \"a\": [\n    1,\n    2\n  ],\n  \"b\": {},\n  \"c\": [],\n  \"d\": \"x: {,\\\"}\"\n}",
		"no json": "nojson",
		`}}}`:     "\n}\n}\n}",
		`"a\`:     `"a\`,
	} {
		if got, cut := pretty([]byte(body), 1000); got != want || cut {
			t.Errorf("%s is %q", body, got)
		}
	}
	if got, cut := pretty([]byte(strings.Repeat("[", 1<<20)), 1000); !cut || len(got) > 1100 {
		t.Errorf("a deep body has %d bytes", len(got))
	}
}

func FuzzPretty(f *testing.F) {
	for _, seed := range []string{`{"a":[1,"\\\"",{}]}`, "{\"\u202e\":1}", `[[],[ ]]`, "\xff"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		got, cut := pretty(body, 4096)
		if len(got) > 4096+2*deepestBody+10 {
			t.Errorf("%d bytes", len(got))
		}
		if strings.ContainsFunc(got, func(r rune) bool { return r != '\n' && hidden(r) }) {
			t.Errorf("%q", got)
		}
		var a, b any
		if !cut && utf8.Valid(body) && json.Unmarshal(body, &a) == nil {
			if err := json.Unmarshal([]byte(got), &b); err != nil {
				t.Fatalf("%s is no longer JSON: %s", body, got)
			}
			x, _ := json.Marshal(a) // both were read from JSON
			y, _ := json.Marshal(b)
			if !bytes.Equal(x, y) {
				t.Errorf("%s became %s", x, y)
			}
		}
	})
}
