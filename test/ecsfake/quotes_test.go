package ecsfake_test

import (
	"go/parser"
	"go/token"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The API reference's pages and the SDK's comments are one text. A quotation
// is behind the page's address and a colon, or behind a quotation and a comma.
var (
	cited  = regexp.MustCompile(`https://docs\.aws\.amazon\.com/AmazonECS/latest/APIReference/API_\w+\.html: ("[^"]+"(?:, "[^"]+")*)`)
	quoted = regexp.MustCompile(`"([^"]+)"`)
	spaces = regexp.MustCompile(`\s+`)
)

// comments are all comments of Go files as one line, without the emphasis
// that the SDK's have.
func comments(t *testing.T, files []string) string {
	t.Helper()
	var all strings.Builder
	for _, name := range files {
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, group := range file.Comments {
			all.WriteString(group.Text() + " ")
		}
	}
	return plain(all.String())
}

// plain has one space between words, none before marks, and no brackets.
func plain(s string) string {
	s = spaces.ReplaceAllString(strings.NewReplacer("[", "", "]", " ", "`", "").Replace(s), " ")
	return strings.NewReplacer(" .", ".", " ,", ",", " )", ")").Replace(s)
}

// TestQuotations holds what this room quotes of ECS's API reference against
// the SDK's comments.
func TestQuotations(t *testing.T) {
	ours, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var theirs []string
	for _, pattern := range []string{"api_op_*.go", "types/types.go", "types/enums.go"} {
		files, err := filepath.Glob(filepath.Join(module(t, "ecs").Dir, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		theirs = append(theirs, files...)
	}
	reference := comments(t, theirs)
	checked := 0
	for _, name := range ours {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		for _, citation := range cited.FindAllStringSubmatch(comments(t, []string{name}), -1) {
			for _, quotation := range quoted.FindAllStringSubmatch(citation[1], -1) {
				for part := range strings.SplitSeq(quotation[1], "…") {
					checked++
					if part = strings.Trim(part, " ."); !strings.Contains(reference, part) {
						t.Errorf("%s: the reference does not say %q", name, part)
					}
				}
			}
		}
	}
	if checked < 20 {
		t.Errorf("only %d quotations were found", checked)
	}
}
