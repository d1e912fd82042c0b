package work

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/clipperregistry/runner/webhook"
)

// TestShown has nothing of a log get out of its place: no secret, no Markdown,
// nothing for terminals, and no more than GitHub takes.
func TestShown(t *testing.T) {
	token := "ghs_" + strings.Repeat("a.B-c_9", 70) // of the long kind
	for _, tt := range []struct {
		name  string
		lines []string
		want  string
	}{
		{"lines", []string{"one", "two"}, "```text\none\ntwo\n```"},
		{"colours", []string{"\x1b[1;31mred\x1b[0m \x1b]8;;https://evil.example\x07link\x1b]8;;\x07 \r\x00"}, "```text\nred link \n```"},
		{"a progress bar", []string{"10%\r50%\rdone\r", "line\r"}, "```text\ndone\nline\n```"},
		{"a token in colours", []string{"\x1b[01;31m\x1b[Kghp_\x1b[m\x1b[K" + strings.Repeat("aB3", 12)}, "```text\n***\n```"},
		{"a key in colours", []string{"\x1b[1m-----BEGIN RSA\x1b[0m PRIVATE KEY-----", "\x1b[2mMIIE\x1b[0m", "abc="}, "```text\n***\n***\n***\n```"},
		{"a token", []string{"x " + token + " y"}, "```text\nx *** y\n```"},
		{"a key of AWS", []string{"AKIAIOSFODNN7EXAMPLE."}, "```text\n***.\n```"},
		{"a private key", []string{"-----BEGIN RSA PRIVATE KEY-----MIIE"}, "```text\n***\n```"},
		{"a fence", []string{"```", "<img>", "````"}, "`````text\n```\n<img>\n````\n`````"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := strings.TrimSpace(fenced(tail(tt.lines, 1000))); got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
	for _, lines := range [][]string{{strings.Repeat("é", 1<<17)}, strings.Split(strings.Repeat("a line\n", 1<<15), "\n"), {strings.Repeat("`", 1<<16)}} {
		text := summary(&webhook.Run{State: webhook.Failed, Reason: strings.Repeat("r", 1<<16)}, lines)
		if len(text) > 65535 || !utf8.ValidString(text) {
			t.Errorf("it has %d bytes, valid: %t", len(text), utf8.ValidString(text))
		}
	}
}
