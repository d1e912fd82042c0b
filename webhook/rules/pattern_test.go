package rules_test

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook/rules"
)

// TestPatterns has the examples of GitHub's cheat sheet
// (https://docs.github.com/en/actions/reference/workflows-and-actions/workflow-syntax#filter-pattern-cheat-sheet),
// and what lies beside them.
func TestPatterns(t *testing.T) {
	for _, tt := range []struct{ pattern, yes, no string }{
		{"feature/*", "feature/my-branch feature/your-branch", "feature feature/a/b my-feature/a"},
		{"feature/**", "feature/beta-a/my-branch feature/your-branch feature/mona/the/octocat", "feature"},
		{"main", "main", "Main main2 a/main"},
		{"releases/mona-the-octocat", "releases/mona-the-octocat", "releases/mona"},
		{"*", "main releases v1", "all/the/branches"},
		{"**", "all/the/branches every/tag main .github/a", ""},
		{"*feature", "mona-feature feature ver-10-feature", "a/feature feature-1"},
		{"v2*", "v2 v2.0 v2.9", "v1 v2/0"},
		{"v[12].[0-9]+.[0-9]+", "v1.10.1 v2.0.0", "v3.0.0 v1.10 v1x10.1"},
		{"*.jsx?", "page.js page.jsx", "page.jsxx a/page.js"},
		{"*.js", "app.js index.js .js", "src/app.js app.jsx"},
		{"**.js", "index.js js/index.js src/js/app.js", "index.jsx"},
		{"docs/*", "docs/README.md docs/file.txt", "docs docs/a/b"},
		{"docs/**", "docs/README.md docs/mona/octocat.txt", "a/docs/b"},
		{"docs/**/*.md", "docs/README.md docs/mona/hello-world.md docs/a/markdown/file.md", "docs/a.txt README.md"},
		{"**/docs/**", "docs/hello.md dir/docs/my-file.txt space/docs/plan/space.doc", "xdocs/a docs"},
		{"**/README.md", "README.md js/README.md", "xREADME.md"},
		{"**/*src/**", "a/src/app.js my-src/code/js/app.js", "src"},
		{"**/*-post.md", "my-post.md path/their-post.md", "post.md"},
		{"**/migrate-*.sql", "migrate-10909.sql db/migrate-v1.0.sql db/sept/migrate-v1.sql", "migrate.sql"},
		{"a**/b", "a/b aa/c/b", "ab b"},
		{"colou?r", "color colour", "colouur"},
		{"go+gle", "gogle gooogle", "ggle"},
		{`what\?`, "what?", "what wha"},
		{"ünï*", "ünïcode", "uni"},
		{"a.b", "a.b", "axb"},
		{"(a|b)^$", "(a|b)^$", "a b"},
		{"[a-c_]", "a b c _", "d -"},
	} {
		p, err := rules.ParsePattern(tt.pattern)
		if err != nil {
			t.Errorf("%s: %v", tt.pattern, err)
			continue
		}
		for _, text := range strings.Fields(tt.yes) {
			if !p.Matches(text) {
				t.Errorf("%s does not match %s", tt.pattern, text)
			}
		}
		for _, text := range strings.Fields(tt.no) {
			if p.Matches(text) {
				t.Errorf("%s matches %s", tt.pattern, text)
			}
		}
	}
}

func TestBadPatterns(t *testing.T) {
	for pattern, want := range map[string]string{
		"": "is empty", "!": "is empty", "?a": "no character before it", "a**+": "no character before it", "a++": "no character before it",
		"[": "without its ]", "[]": "without its ]", "[^a]": "only letters", "[z-a]": "only letters", "[a-]": "only letters", `a\`: `ends with \`, "\xff": "is no UTF-8",
	} {
		if _, err := rules.ParsePattern(pattern); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %s", pattern, err, want)
		}
	}
}

// TestChoose: the last pattern that matches decides.
func TestChoose(t *testing.T) {
	for _, tt := range []struct{ patterns, yes, no string }{
		{"", "anything", ""},
		{"releases/** !releases/**-alpha", "releases/10 releases/beta/mona", "releases/10-alpha releases/beta/3-alpha main"},
		{"releases/** !releases/**-alpha releases/7-alpha", "releases/7-alpha", "releases/8-alpha"},
		{"!docs/** **", "docs/a", ""},
		{"*.md !README.md README*", "README.md hello.md", "README.md/x"},
	} {
		var patterns rules.Patterns
		for _, text := range strings.Fields(tt.patterns) {
			p, err := rules.ParsePattern(text)
			if err != nil {
				t.Fatal(err)
			}
			patterns = append(patterns, p)
		}
		for _, text := range strings.Fields(tt.yes) {
			if chosen, _ := patterns.Choose(text); !chosen {
				t.Errorf("%s does not choose %s", tt.patterns, text)
			}
		}
		for _, text := range strings.Fields(tt.no) {
			if chosen, _ := patterns.Choose(text); chosen {
				t.Errorf("%s chooses %s", tt.patterns, text)
			}
		}
	}
}

func FuzzPattern(f *testing.F) {
	for _, seed := range []string{"**/docs/**", "v[12].[0-9]+", "!a", `\?`, "a**+", "[a-z]?", "*.jsx?", "ü+"} {
		f.Add(seed, "docs/ü")
	}
	f.Fuzz(func(t *testing.T, pattern, text string) {
		p, err := rules.ParsePattern(pattern)
		if err != nil {
			return
		}
		p.Matches(text)
		// A pattern without signs matches itself, and nothing else of its kind.
		if !strings.ContainsAny(pattern, `*?+[\!`) && (!p.Matches(pattern) || p.Matches(pattern+"x")) {
			t.Errorf("%q does not match itself alone", pattern)
		}
	})
}
