package work

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// TestNone: a repository without a configuration follows its organisation's
// default, if the organisation has one that the App may see, and else nothing
// follows.
func TestNone(t *testing.T) {
	for _, tt := range []struct {
		name    string
		files   map[string]string // of the organisation's repository; nil is none
		hidden  bool              // from the App
		follows bool
	}{
		{"a default", map[string]string{".github/clipper.yml": clipperYAML}, false, true},
		{"a default that the App may not see", map[string]string{".github/clipper.yml": clipperYAML}, true, false},
		{"a repository without a default", map[string]string{"README.md": "Hello\n"}, false, false},
		{"no repository", nil, false, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			both(t, map[string]string{".github/clipper.yml": fakehub.Deleted}, func(t *testing.T, w *world) {
				if tt.files != nil {
					all := w.Hub.Repo("acme/.github")
					all.Commit(tt.files)
					if !tt.hidden {
						w.install.Add(all)
					}
				}
				w.serve()
				commit := w.repo.Push("mona", "main", change)
				w.rest()
				if !tt.follows {
					for d, err := range w.Deliveries(t.Context(), database.DeliveryFilter{Event: "push"}) {
						if err != nil || d.State != database.Ignored || !strings.Contains(d.Reason, "neither the repository nor its organisation") {
							t.Errorf("the push is %s: %s, %v", d.State, d.Reason, err)
						}
					}
					if checks := w.repo.Checks(""); len(checks) > 0 || len(w.repo.Runs()) > 0 {
						t.Errorf("%d workflows run, and there are %+v", len(w.repo.Runs()), checks)
					}
					return
				}
				if run := w.comes("deploy", webhook.Running); run.Commit != commit || run.ConfigCommit != commit {
					t.Errorf("it runs for %s by the rules of %s, want %s", run.Commit, run.ConfigCommit, commit)
				}
				w.began().Complete("success")
				w.comes("deploy", webhook.Succeeded)
				w.rest()
				if check := w.check(commit, "deploy (main)"); check.Conclusion != "success" {
					t.Errorf("the check is %+v", check)
				}
			})
		})
	}
}
