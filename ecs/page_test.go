package ecs_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs"
)

var inTicks = regexp.MustCompile("`([a-z-]+)`")

// TestPage: the README's table has every rule once, and no other.
func TestPage(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| rule | what becomes of it |\n|---|---|\n")
	if !ok {
		t.Fatal("there is no table of rules")
	}
	table, _, _ = strings.Cut(table, "\n\n")
	var listed []string
	for row := range strings.Lines(table) {
		for _, name := range inTicks.FindAllStringSubmatch(strings.Split(row, "|")[1], -1) {
			listed = append(listed, name[1])
		}
	}
	slices.Sort(listed)
	rules := slices.Compact(slices.Sorted(slices.Values(ecs.RuleNames()))) // some apply at two stages
	if !slices.Equal(listed, rules) {
		t.Errorf("the README lists\n%q, and the rules are\n%q", listed, rules)
	}
}
