package fakehub_test

import (
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/clipperregistry/runner/test/fakehub"
)

// TestCompare compares branches that have parted and met:
//
//	main   a - b ------- m - e
//	         \         /
//	topic     c - - - d
func TestCompare(t *testing.T) {
	w := start(t, fakehub.Config{})
	file := func(name string) map[string]string { return map[string]string{name: name} }
	w.repo.CommitTo("topic", file("c"))
	w.repo.Commit(file("b"))
	w.repo.CommitTo("topic", file("d"))
	p := w.repo.OpenPullRequest(fakehub.Pull{Head: "topic"})
	w.repo.CommitTo("old", nil)
	p.Merge("mona")
	w.repo.Commit(file("e"))
	for _, tt := range []struct {
		base, head    string
		status        string
		ahead, behind int
		files         int
	}{
		{w.sha, w.sha, "identical", 0, 0, 0},
		{w.sha, "topic", "ahead", 2, 0, 2},
		{"topic", w.sha, "behind", 0, 2, 0},
		{"topic", "main", "ahead", 3, 0, 2}, // b, m, e
		{"old", "main", "diverged", 4, 1, 3},
		{"old", "topic", "diverged", 2, 2, 2},
	} {
		both, _, err := w.client.Repositories.CompareCommits(t.Context(), owner, name, tt.base, tt.head, &github.ListOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if both.GetStatus() != tt.status || both.GetAheadBy() != tt.ahead || both.GetBehindBy() != tt.behind || len(both.Files) != tt.files {
			t.Errorf("%s...%s: %s, %d ahead, %d behind, %d files; want %+v", tt.base, tt.head, both.GetStatus(), both.GetAheadBy(), both.GetBehindBy(), len(both.Files), tt)
		}
	}
}
