package hub_test

import (
	"fmt"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
)

// TestManyPaths: of more files than GitHub compares, a pull request's are all
// listed, and a push's are cut.
func TestManyPaths(t *testing.T) {
	w := start(t, fakehub.Config{})
	files := map[string]string{"main.go": fakehub.Deleted}
	for i := range 320 {
		files[fmt.Sprintf("docs/%03d.md", i)] = ""
	}
	w.repo.CommitTo("topic", files)
	p := w.repo.OpenPullRequest(fakehub.Pull{Head: "topic", Login: "ann"})
	h := w.hub()
	c := hub.Change{Base: w.sha, Head: p.HeadSHA(), PullRequest: int(p.Number)}
	paths, err := h.ChangedPaths(t.Context(), w.at, c)
	if err != nil || paths.Cut || len(paths.Names) != 321 || paths.Names[320] != "main.go" {
		t.Errorf("of a pull request: %d paths, cut %t, %v", len(paths.Names), paths.Cut, err)
	}
	c.PullRequest = 0
	if paths, err = h.ChangedPaths(t.Context(), w.at, c); err != nil || !paths.Cut {
		t.Errorf("of a push: %d paths, cut %t, %v", len(paths.Names), paths.Cut, err)
	}
}

// TestPathsKept asks once for what two commits have between them, of each
// repository.
func TestPathsKept(t *testing.T) {
	w := start(t, fakehub.Config{})
	head := w.repo.CommitTo("topic", map[string]string{"main.go": "package other\n"})
	h := w.hub()
	for range 2 {
		if _, err := h.ChangedPaths(t.Context(), w.at, hub.Change{Base: w.sha, Head: head}); err != nil {
			t.Fatal(err)
		}
		if _, err := h.ChangedPaths(t.Context(), w.at, hub.Change{Base: "main", Head: "topic"}); err != nil { // which may move
			t.Fatal(err)
		}
	}
	if n := w.Count("repos/compare-commits-with-basehead"); n != 3 {
		t.Errorf("%d comparisons, want one of the commits and two of the branches", n)
	}
	fork := w.repo.Fork("eve")
	at := hub.Repo{Installation: w.app.Install("eve", fork).ID, ID: fork.ID, FullName: fork.FullName}
	if _, err := h.ChangedPaths(t.Context(), at, hub.Change{Base: w.sha, Head: head}); err != nil {
		t.Fatal(err)
	}
	if n := w.Count("repos/compare-commits-with-basehead"); n != 4 {
		t.Error("of another repository, nothing was asked for")
	}
}

// TestStranger may do nothing.
func TestStranger(t *testing.T) {
	w := start(t, fakehub.Config{})
	for _, login := range []string{"nobody", "a/b", "x y"} {
		if level, err := w.hub().Permission(t.Context(), w.at, login); level != "none" || err != nil {
			t.Errorf("%s may %s, %v", login, level, err)
		}
	}
	w.User("ann")
	if level, err := w.hub().Permission(t.Context(), w.at, "ann"); level != "none" || err != nil {
		t.Errorf("ann may %s, %v", level, err)
	}
}
