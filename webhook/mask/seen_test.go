package mask_test

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook/mask"
)

func TestPlain(t *testing.T) {
	for text, want := range map[string]string{
		"a line":                                 "a line",
		"\x1b[01;31mred\x1b[0m \x1b[K\x1b[2J.":   "red .",
		"\u009b31mred":                           "red",
		"\x1b]8;;https://x\atext\x1b]8;;\x1b\\!": "text!",
		"\x1b]0;no end\nthe next":                "\nthe next",
		"\x1b(Ba\x1b7b\x1bMc":                    "abc",
		"broken \x1b[3":                          "broken ",
		"\x1b":                                   "",
		"a\tb\r\nc\x00\x7f\b":                    "a\tb\r\nc",
		"\u202eback\u202c and\u2028 forth":       "back and forth",
		"no \xff UTF-8 \x1b[m\xfe":               "no \xff UTF-8 \xfe",
	} {
		if got := mask.Plain(text); got != want {
			t.Errorf("%q is seen as %q, want %q", text, got, want)
		}
	}
}

// FuzzHide: whatever stands around and within a secret, it is not seen.
func FuzzHide(f *testing.F) {
	f.Add("\x1b[1m", "\x1b[0m", 4)
	f.Add("\x1b]", "\a", 11)
	f.Add("\x1b", "[", 0)
	f.Add("\u009d", "\n", 7)
	f.Fuzz(func(t *testing.T, before, within string, at int) {
		const secret = "open-sesame"
		at = min(max(at, 0), len(secret))
		text := before + secret[:at] + within + secret[at:]
		got := mask.New(secret).Hide(text)
		if strings.Contains(mask.Plain(got), secret) {
			t.Errorf("%q is shown as %q", text, got)
		}
		if again := mask.Plain(mask.Plain(text)); again != mask.Plain(text) {
			t.Errorf("%q is seen as %q, and that as %q", text, mask.Plain(text), again)
		}
	})
}
