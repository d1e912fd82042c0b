package mask_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook/mask"
)

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"ghs_" + strings.Repeat("a", 36) + " and more":                             "*** and more",
		"token=ghs_123456_" + strings.Repeat("eyJ.b-c_", 60):                       "token=***",
		"github_pat_" + strings.Repeat("A1_", 20):                                  "***",
		"AKIAIOSFODNN7EXAMPLE, ASIAIOSFODNN7EXAMPLE":                               "***, ***",
		"Bearer eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiIxIn0." + strings.Repeat("s_-", 9):  "Bearer ***",
		"-----BEGIN PRIVATE KEY-----\nMIIE\n-----END PRIVATE KEY-----\n":           "***\n",
		"\x1b[01;31m\x1b[Kghp_\x1b[m\x1b[K" + strings.Repeat("aB3", 12) + " is it": "*** is it",
		"AKIA\u202eIOSF\x00ODNN7\u009b1mEXAMPLE":                                   "***",
		"\x1b[32mok\x1b[0m":                                                        "\x1b[32mok\x1b[0m",
		"ghost_writer and AKIA are words":                                          "ghost_writer and AKIA are words",
	} {
		if got := mask.Redact(text); got != want {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
}

// TestRedactLines: of a private key in a log no line is shown, whichever are
// there, and whoever speaks between them.
func TestRedactLines(t *testing.T) {
	const begin, end = "-----BEGIN RSA PRIVATE KEY-----", "-----END RSA PRIVATE KEY-----"
	for _, tt := range []struct {
		name        string
		lines, want []string
	}{
		{"whole", []string{"cat key", begin, "MIIEpAIB", "AAKCAQEA", "abc=", end, "done"}, []string{"cat key", "***", "***", "***", "***", "***", "done"}},
		{"behind names", []string{"run | " + begin, "run | MIIEpAIB", "service-db | it is ready", "run | abc=", "run | " + end}, []string{"***", "***", "service-db | it is ready", "***", "***"}},
		{"its end", []string{"it starts", "MIIEpAIB", "abc=", end, "done"}, []string{"it starts", "***", "***", "***", "done"}},
		{"its end behind names", []string{"run | MIIEpAIB", "service-db | it is ready", "run | abc=", "run | " + end}, []string{"***", "service-db | it is ready", "***", "***"}},
		{"its beginning", []string{"it starts", begin, "MIIEpAIB"}, []string{"it starts", "***", "***"}},
		{"in colours", []string{"\x1b[1m-----BEGIN\x1b[0m PRIVATE KEY-----", "\x1b[2mMIIEpAIB\x1b[0m", "\x1b[32mdone!\x1b[0m"}, []string{"***", "***", "\x1b[32mdone!\x1b[0m"}},
		{"its end in colours", []string{"\x1b[2mMIIEpAIB\x1b[0m", "-----\x1b[1mEND PRIVATE KEY-----", "done!"}, []string{"***", "***", "done!"}},
		{"on one line", []string{begin + "MIIE" + end, "done"}, []string{"***", "done"}},
		{"a public one", []string{"-----BEGIN PUBLIC KEY-----", "MIIE", "-----END PUBLIC KEY-----"}, []string{"-----BEGIN PUBLIC KEY-----", "MIIE", "-----END PUBLIC KEY-----"}},
	} {
		if got := mask.RedactLines(tt.lines); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q", tt.name, got)
		}
	}
	endless := append([]string{begin}, slices.Repeat([]string{"PASS"}, 1000)...)
	if got := mask.RedactLines(endless); got[1] != "***" || got[1000] != "PASS" {
		t.Errorf("a key that never ends takes %q and %q", got[1], got[1000])
	}
}
