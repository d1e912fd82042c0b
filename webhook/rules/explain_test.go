package rules_test

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook/rules"
)

// TestExplain: every rule has its reasons, and what strangers wrote steers no
// terminal.
func TestExplain(t *testing.T) {
	c := parse(t, rule("  on: { pull_request: { types: [labeled], labels: [go] } }\n"+runCI+"- id: w\n  on: { pull_request: { types: [labeled] } }\n  run: { workflow: { file: a.yml } }\n  concurrency: { group: \"${{ event.label }}\" }"))
	e, facts := newEvent("pull_request", edits(pull("labeled"), label("\x1b[2Jgo\nrm"), in("acme/app\x1b[1m")))
	got := rules.Explain(e, rules.Decide(c, policy(t), e, facts))
	const want = `pull_request labeled in acme/app [1m by ada: pr:5:cccccccccc:labeled:T: [2Jgo rm

r does not run
  + pull_request labeled
  - the label "\x1b[2Jgo\nrm" matches none of go

w runs
  + pull_request labeled
  = workflow a.yml at main
  = check "w (main)" on cccccccccc
  = in the group [2Jgo rm
`
	if got != want {
		t.Errorf("explained as\n%s\nwant\n%s", got, want)
	}
	if got := rules.Explain(e, nil); !strings.HasSuffix(got, "\nthere are no rules\n") {
		t.Errorf("without rules: %s", got)
	}
}

func BenchmarkParseConfig(b *testing.B) {
	text := read(b, "testdata/clipper.yml")
	for b.Loop() {
		if _, problems := rules.ParseConfig(text); problems != nil {
			b.Fatal(problems)
		}
	}
}

func BenchmarkDecide(b *testing.B) {
	c, p := parse(b, string(read(b, "testdata/clipper.yml"))), policy(b)
	e, facts := newEvent("pull_request", edits(pull("opened"), paths("a.go")))
	for b.Loop() {
		rules.Decide(c, p, e, facts)
	}
}
