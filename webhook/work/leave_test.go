package work

import (
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// TestLeave: what runs in a repository ends when the App is taken from it, and
// does not where the App is.
func TestLeave(t *testing.T) {
	for name, leave := range map[string]func(*world){
		"uninstalled": func(w *world) { w.install.Uninstall() },
		"removed":     func(w *world) { w.install.Remove(w.repo) },
	} {
		t.Run(name, func(t *testing.T) {
			both(t, map[string]string{".github/clipper.yml": tasksYAML}, func(t *testing.T, w *world) {
				w.serve()
				w.repo.Push("mona", "main", change)
				running := w.comes("itest", webhook.Running)
				leave(w)
				run := w.comes("itest", webhook.Cancelled)
				if run.ID != running.ID || run.CancelRequested != "the App was taken from the repository" {
					t.Errorf("the run is %+v", run)
				}
			})
		})
	}
	t.Run("told late", func(t *testing.T) {
		both(t, map[string]string{".github/clipper.yml": tasksYAML}, func(t *testing.T, w *world) {
			w.serve()
			w.repo.Push("mona", "main", change)
			w.comes("itest", webhook.Running)
			w.Hub.Hold()
			w.install.Remove(w.repo)
			w.install.Add(w.repo)
			w.Release(nil)
			w.rest()
			told := 0
			for d, err := range w.Deliveries(t.Context(), database.DeliveryFilter{Event: "installation_repositories"}) {
				if err != nil || d.State != database.Ignored {
					t.Errorf("%s is %s: %s, %v", d.Action, d.State, d.Reason, err)
				}
				told++
			}
			if run := w.comes("itest", webhook.Running); run.CancelRequested != "" || told != 2 {
				t.Errorf("after %d deliveries, the run is %+v", told, run)
			}
		})
	})
}

// TestAmbiguous: a run of which nobody knows whether it was started is started
// again when a person says so, as another run; the old one gives its place up.
func TestAmbiguous(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.Fail("actions/create-workflow-dispatch", fakehub.Unreachable, 1)
		w.serve()
		commit := w.repo.Push("mona", "main", change)
		old := w.comes("deploy", webhook.Ambiguous)
		w.until("its check has the button", func() bool {
			actions := w.check(commit, "deploy (main)").Actions
			return len(actions) == 2 && actions[0] == "rerun"
		})
		if err := w.repo.RequestAction(w.check(commit, "deploy (main)").ID, "mona", "rerun"); err != nil {
			t.Fatal(err)
		}
		w.until("it runs again", func() bool { return len(w.repo.Runs()) == 1 })
		w.until("the old one is cancelled", func() bool {
			run, err := w.DB.Run(t.Context(), old.ID)
			return err == nil && run.State == webhook.Cancelled && run.CancelRequested == "mona has it run again"
		})
		again := w.runs("deploy")[1]
		if again.Rerun != old.ID || w.repo.Runs()[0].Title != "Deploy "+again.ID {
			t.Errorf("what runs is %+v", again)
		}
	})
}
