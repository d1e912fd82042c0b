package work

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

const broken = "version: 1\nrules:\n  - id: deploy\n    onn: {}\n"

// TestBroken goes on with the last configuration of the default branch that was
// valid, and says on which lines the new one is not.
func TestBroken(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.serve()
		w.repo.Push("mona", "main", change) // which is seen to be valid
		w.comes("deploy", webhook.Running)
		commit := w.repo.Push("mona", "main", map[string]string{".github/clipper.yml": broken, "main.go": "package main // again\n"})
		w.until("both run", func() bool { return len(w.repo.Runs()) == 2 })
		w.rest()
		check := w.check(commit, "clipper / config")
		if check.Conclusion != "failure" {
			t.Errorf("the check is %+v", check)
		}
		annotated(t, check)
		if !strings.Contains(check.Summary, "goes on") {
			t.Errorf("it says %s", check.Summary)
		}
	})
}

// annotated fails unless a check says on the broken line what is wrong there.
func annotated(t *testing.T, check fakehub.Check) {
	t.Helper()
	for _, a := range check.Annotations {
		if a["path"] == ".github/clipper.yml" && fmt.Sprint(a["start_line"], a["end_line"]) == "4 4" && a["annotation_level"] == "failure" && strings.Contains(fmt.Sprint(a["message"]), "did you mean on?") {
			return
		}
	}
	t.Errorf("nothing is said on line 4: %v", check.Annotations)
}

// TestBrokenPull shows what is wrong with a pull request's configuration, and
// follows that of the branch that it is for.
func TestBrokenPull(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.serve()
		w.repo.CommitTo("feature", map[string]string{".github/clipper.yml": broken})
		pull := w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Login: "mona"})
		w.comes("test", webhook.Running)
		w.rest()
		check := w.check(pull.HeadSHA(), "clipper / config")
		if check.Conclusion != "failure" {
			t.Errorf("the check is %+v", check)
		}
		annotated(t, check)
		pull.Push(map[string]string{".github/clipper.yml": clipperYAML + "  - { id: more, on: { push: {} }, run: { workflow: { file: deploy.yml } } }\n"})
		w.rest()
		w.until("it is mended", func() bool { return w.check(pull.HeadSHA(), "clipper / config").Conclusion == "success" })
	})
}

// TestOrganisation has a repository without a configuration follow its
// organisation's.
func TestOrganisation(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": "version: 1\nrules: []\n"}, func(t *testing.T, w *world) {
		all := w.Hub.Repo("acme/.github")
		all.Commit(map[string]string{".github/clipper.yml": clipperYAML})
		w.install.Add(all)
		w.serve()
		w.repo.Push("mona", "main", change)
		w.comes("deploy", webhook.Running)
	})
}

// TestOld tells of what happened long ago, and does nothing, until a person
// replays it.
func TestOld(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.repo.CommitTo("feature", change)
		w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Login: "mona"})
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.work.Window = time.Nanosecond
		w.serve()
		w.rest()
		guid := ""
		for d, err := range w.Deliveries(t.Context(), database.DeliveryFilter{Event: "pull_request"}) {
			if guid = d.GUID; err != nil || d.State != database.Ignored || !strings.Contains(d.Reason, "replays it") {
				t.Errorf("it is %s: %s, %v", d.State, d.Reason, err)
			}
		}
		if err := w.Replay(t.Context(), w.app.ID, guid); err != nil {
			t.Fatal(err)
		}
		w.comes("test", webhook.Running)
	})
}

// TestSchedule runs what is due, once for each time, and forgets the schedules
// that the default branch has no more.
func TestSchedule(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": nightlyYAML}, func(t *testing.T, w *world) {
		stop := w.serve()
		w.repo.Push("mona", "main", change) // from which it is planned
		w.rest()
		stop()
		tick := func(want int) {
			t.Helper()
			w.ahead.Add(int64(24 * time.Hour))
			for range 2 {
				if err := w.work.tick(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			if runs := w.runs("nightly"); len(runs) != want || runs[0].Event != webhook.Schedule || runs[0].State != webhook.Queued {
				t.Errorf("%d runs, want %d\n%s", len(runs), want, w.state())
			}
		}
		tick(1)
		tick(2)
		w.repo.CommitTo("trunk", nil) // as main is called by now, and the repository otherwise
		w.repo.SetDefaultBranch("trunk")
		w.repo.DeleteBranch("mona", "main")
		w.repo.Rename("app-two")
		tick(3)
		if runs := w.runs("nightly"); runs[len(runs)-1].Ref != "refs/heads/trunk" {
			t.Errorf("it runs for %s", runs[len(runs)-1].Ref)
		}
		w.install.Suspend(true)
		tick(3)
		w.install.Suspend(false)
		tick(4)
		w.repo.Commit(map[string]string{".github/clipper.yml": "version: 1\nrules: []\n"})
		tick(4)
		if left, err := w.DueSchedules(t.Context(), 10); err != nil || len(left) != 0 {
			t.Errorf("there are %+v, %v", left, err)
		}
	})
}
