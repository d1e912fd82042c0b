package rules_test

import (
	"regexp"
	"testing"

	"github.com/clipperregistry/runner/webhook/rules"
)

// TestREADME: its examples are right, and lead to what it says.
func TestREADME(t *testing.T) {
	text := string(read(t, "README.md"))
	blocks := map[string]string{}
	for _, found := range regexp.MustCompile("(?s)```([a-z ]+)\n(.*?)```").FindAllStringSubmatch(text, -1) {
		blocks[found[1]] = found[2]
	}
	c := parse(t, blocks["yaml"])
	p, problems := rules.ParsePolicy([]byte(blocks["yaml policy"]))
	if problems != nil {
		t.Fatal(problems)
	}
	e, facts := newEvent("pull_request", edits(pull("opened"), paths("main.go")))
	e.PullRequest.Head.SHA, e.PullRequest.UpdatedAt = "aaaaaaaaaa", "2026-11-21T12:00:00Z"
	got := rules.Explain(e, rules.Decide(c, p, e, facts)[:2])
	if want := blocks["text"]; got != want {
		t.Errorf("it says\n%s\nand it is\n%s", want, got)
	}
}
