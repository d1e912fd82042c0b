package hub

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

// TestForgets: of installations and scopes that were not used for long, nothing
// stays once there are many.
func TestForgets(t *testing.T) {
	now := time.Now()
	h, err := New(Config{App: 1, Signer: rsaKey{}, Now: func() time.Time { return now }})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * manyKept {
		now = now.Add(keepFor / 100)
		h.token(scope{installation: int64(i)})
		h.token(scope{installation: 1, repository: int64(i)})
	}
	if n := len(h.installations); n > manyKept {
		t.Errorf("%d installations are kept", n)
	}
	if n := len(h.installations[1].tokens); n > manyKept {
		t.Errorf("%d tokens are kept", n)
	}
}

func TestCache(t *testing.T) {
	c := newCache[int, string](100 * entryCost)
	for i := range 1000 {
		c.put(i, fmt.Sprint(i), 0)
		if v, there := c.get(i); !there || v != fmt.Sprint(i) {
			t.Fatalf("%d is %q", i, v)
		}
	}
	if n := len(c.new) + len(c.old); n > 100 {
		t.Errorf("%d are kept", n)
	}
	c.put(1000, "large", 1000*entryCost)
	if _, there := c.get(999); there {
		if c.put(1001, "", 0); len(c.new) > 1 {
			t.Error("the large one did not take the place of the others")
		}
	}
}

func TestHasWord(t *testing.T) {
	for _, tt := range []struct {
		text string
		want bool
	}{
		{"nonce", true}, {"Deploy (nonce)", true}, {"nonce: x", true}, {"xnonce nonce", true},
		{"", false}, {"nonce-1", false}, {"nonce1", false}, {"a_nonce", false}, {"nonc e", false}, {"noncenonce", false},
	} {
		if hasWord(tt.text, "nonce") != tt.want {
			t.Errorf("%q: %t", tt.text, !tt.want)
		}
	}
}

func TestScopeUnknown(t *testing.T) {
	if _, err := (scope{permissions: "checks:write,flying:read"}).grant(); err == nil {
		t.Error("a permission that the library does not know is left out")
	}
}

// FuzzWorkflow: a workflow is a stranger's.
func FuzzWorkflow(f *testing.F) {
	for _, text := range []string{
		"on: push", "on: [push, workflow_dispatch]", "on: {workflow_dispatch: {inputs: {clipper_run: {}}}}", "on:\n  workflow_dispatch:\n    inputs: [a]\n",
		"a: &a [x]\nb: &b [*a, *a]\non: *b", "{", "\x00", "on: {workflow_dispatch: null}",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		text := string(content)
		if declaresNonce(content) && !strings.Contains(text, NonceInput) && !strings.ContainsAny(text, `\!`) { // escapes and tags may spell it
			t.Errorf("%q declares it", content)
		}
	})
}

// FuzzFile: an answer of GitHub's with a file, or without.
func FuzzFile(f *testing.F) {
	for _, text := range []string{`[]`, `{}`, `{"type":"file","encoding":"base64","content":"YQ==\n","size":1}`, `null`, `"x"`, `{"size":"x"}`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var answer fileAnswer
		if err := json.Unmarshal(text, &answer); err == nil && answer.kind == "directory" && answer.content != "" {
			t.Error("a directory has content")
		}
	})
}

// FuzzCut: what is cut is no longer than it may be, and still text.
func FuzzCut(f *testing.F) {
	f.Add("text", 3)
	f.Add("€€€", 5)
	f.Add("a€", 3)
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = min(max(most, 3), 1000)
		got := cut(s, most)
		if len(got) > most || utf8.ValidString(s) && !utf8.ValidString(got) || len(s) <= most && got != s {
			t.Errorf("%q to %d bytes is %q", s, most, got)
		}
	})
}
