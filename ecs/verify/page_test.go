package verify_test

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/ecs/verify"
)

var update = flag.Bool("update", false, "write ../RULES.md anew")

const rulesPage = "../RULES.md"

// TestPage holds the page of all rules against the tables.
func TestPage(t *testing.T) {
	if *update {
		if err := os.WriteFile(rulesPage, []byte(page()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(rulesPage)
	if err != nil {
		t.Fatal(err)
	}
	if string(text) != page() {
		t.Errorf("%s is not what the tables say: run go test ./ecs/verify -run TestPage -update", rulesPage)
	}
}

// page is a table of all rules for each step that finds breaches.
func page() string {
	var b strings.Builder
	b.WriteString(`# What verify checks

Every rule by the name that findings and ` + "`--accept`" + ` have, with what its breach means, AWS's words, and what to do.
Errors refuse a definition: ` + "`register`" + `: ECS itself would refuse it; ` + "`start`" + `: its tasks would not start, or their program would
not; ` + "`run`" + `: tasks run, and differ from what the definition says. This page is written by a test, from the tables of
[rules](rules/rules.go) and [verify](verify/rules.go).
`)
	for _, part := range []struct {
		title, text string
		rules       []rules.Rule
		meaning     func(rules.Rule) string
	}{
		{"The definition", "What a definition may be, as the documentation says it. Nobody is asked.", rules.Table(), severity},
		{"What render makes of it", "[Render's rules](README.md#the-rules), as far as a definition that was rendered can break them: because somebody changed it since, or because its images have grown. Errors where render would refuse or change it, else warnings.", rules.RenderTable(), stage},
		{"The account and the registries", "What only AWS and the registries can tell. What they would not say is `unchecked`, and refuses nothing.", verify.Table(), severity},
	} {
		fmt.Fprintf(&b, "\n## %s\n\n%s\n\n| rule | | AWS says | what to do |\n|---|---|---|---|\n", part.title, part.text)
		for _, r := range part.rules {
			fmt.Fprintf(&b, "| [`%s`](%s) | %s | %s | %s |\n", r.ID, r.Doc, part.meaning(r), inCell(r.Quote), inCell(r.Remedy))
		}
	}
	return b.String()
}

func severity(r rules.Rule) string { return string(r.Severity) + ", " + stage(r) }
func stage(r rules.Rule) string    { return string(r.Stage) }

var loose = regexp.MustCompile(` ([,.])( |$)`)

// inCell is text in a table's cell, in which < begins no tag. The SDK's
// comments, where AWS's words come from, have spaces before commas.
func inCell(text string) string {
	return strings.NewReplacer("|", "\\|", "<", "&lt;", "*", "\\*").Replace(loose.ReplaceAllString(text, "$1$2"))
}
