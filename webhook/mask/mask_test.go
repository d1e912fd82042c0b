package mask_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook/mask"
)

func TestMask(t *testing.T) {
	const secret = `pass+word/with "all" & \ ÿþ`
	m := mask.New(secret)
	quoted, err := json.Marshal(secret)
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{secret, url.QueryEscape(secret), url.PathEscape(secret), string(quoted), fmt.Sprintf("%q", secret)} {
		got := m.Hide("before " + text + " after")
		if got != "before *** after" && got != `before "***" after` {
			t.Errorf("%s is shown as %s", text, got)
		}
	}
	for before := range 4 {
		for after := range 4 {
			for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding, base64.RawStdEncoding} {
				text := encoding.EncodeToString([]byte(strings.Repeat("u", before) + secret + strings.Repeat("p", after)))
				if got := m.Hide(text); !strings.Contains(got, "***") || len(got) > 3+before*2+after*2+4 {
					t.Errorf("%s is shown as %s", text, got)
				}
			}
		}
	}
	if got := mask.New().Hide("nothing to hide"); got != "nothing to hide" {
		t.Error(got)
	}
}

// TestMaskParts: lines of a log are hidden one by one, and so is what programs
// take out of an object.
func TestMaskParts(t *testing.T) {
	const key = "-----BEGIN KEY-----\nMIIEpAIBAAKCAQEA1\nB2C3\n-----END KEY-----\n"
	m := mask.New(key, `{"user": "ada-lovelace", "port": 5432, "mode": "on", "key": "first-of-the-lines\nsecond-of-the-lines"}`, "short")
	for text, want := range map[string]string{
		key:                             "***",
		"MIIEpAIBAAKCAQEA1":             "***",
		"-----BEGIN KEY-----":           "-----BEGIN KEY-----",
		"login as ada-lovelace at 5432": "login as *** at 5432",
		"second-of-the-lines":           "***",
		"B2C3 is on, in short":          "B2C3 is on, in short",
	} {
		if got := m.Hide(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// TestMaskOfTheLonger: nothing is left of a secret that begins with another.
func TestMaskOfTheLonger(t *testing.T) {
	for _, secrets := range [][]string{{"password", "password-and-more"}, {"password-and-more", "password"}} {
		if text := mask.New(secrets...).Hide("it is password-and-more"); text != "it is ***" {
			t.Errorf("with %q: %s", secrets, text)
		}
	}
}

// TestMaskInColours: what steers a terminal parts no secret, and a secret may
// hold some of it.
func TestMaskInColours(t *testing.T) {
	m := mask.New("open-sesame", "with\x1b[31m a colour")
	for text, want := range map[string]string{
		"it is \x1b[1mopen-\x1b[0;32msesame\x1b[0m!": "it is ***!",
		"open\x00-\x1b]8;;https://x\x1b\\sesame":     "***",
		"\x1b[1mwith\x1b[31m a colour\x1b[0m":        "***",
		"\x1b[1mclosed\x1b[0m\x1b[2K":                "\x1b[1mclosed\x1b[0m",
	} {
		if got := m.Hide(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}
