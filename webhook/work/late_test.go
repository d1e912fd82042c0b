package work

import (
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
)

// backwards has what happens in a function told the last first, each a while
// after the one before.
func (w *world) backwards(happens ...func()) {
	w.t.Helper()
	w.Hub.Hold()
	for _, it := range happens {
		it()
		w.Advance(2 * time.Second) // GitHub's times are of seconds
	}
	w.Release(fakehub.Backwards)
	w.rest()
}

// TestLatePush: where the delivery of an older push comes after that of a newer
// one, the newer commit's run goes on, and the older gives way.
func TestLatePush(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": strings.Replace(tasksYAML, "    retries: 1\n", "    concurrency: { group: g, cancel: true }\n", 1)}, func(t *testing.T, w *world) {
		w.serve()
		var older, newer string
		w.backwards(
			func() { older = w.repo.Push("mona", "main", change) },
			func() { newer = w.repo.Push("mona", "main", map[string]string{"main.go": "package main // newer\n"}) },
		)
		w.until("the newer runs and the older does not", func() bool {
			states := map[string]webhook.State{}
			for _, r := range w.runs("itest") {
				states[r.Commit] = r.State
			}
			return states[newer] == webhook.Running && states[older] == webhook.Cancelled
		})
		if tasks := w.tasks.tokens(); len(tasks) != 1 {
			t.Errorf("%v were started", tasks)
		}
	})
}

// TestLateComment: the comment of a rule tells of the newest commit of its pull
// request, whichever commit is told of last.
func TestLateComment(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		w.serve()
		w.repo.CommitTo("feature", change)
		pull := w.repo.OpenPullRequest(fakehub.Pull{Head: "feature", Login: "mona"})
		w.backwards(
			func() { pull.Push(map[string]string{"main.go": "package main // older\n"}) },
			func() { pull.Push(map[string]string{"main.go": "package main // newer\n"}) },
		)
		w.until("there is a run of each commit", func() bool { return len(w.runs("test")) == 3 })
		w.rest()
		comments := w.repo.Comments(pull.Number)
		if len(comments) != 1 || !strings.Contains(comments[0].Body, pull.HeadSHA()[:7]) {
			t.Errorf("of %s the comments tell %+v", pull.HeadSHA(), comments)
		}
	})
}

// TestLateLapse: what is told late of a fork's pull request ends no run that
// waits for approval of its present head.
func TestLateLapse(t *testing.T) {
	worse := map[string]string{"main.go": "package main // worse\n"}
	t.Run("of an older commit", func(t *testing.T) {
		both(t, nil, func(t *testing.T, w *world) {
			w.serve()
			pull := w.forked()
			w.comes("test", webhook.AwaitingApproval)
			older := ""
			w.backwards(func() { older = pull.Push(worse) }, func() { pull.Push(change) })
			w.rest()
			head := false
			for _, r := range w.runs("test") {
				head = head || r.Commit == pull.HeadSHA()
				if r.Commit == pull.HeadSHA() && r.CancelRequested != "" || r.Commit != pull.HeadSHA() && r.Commit != older && r.CancelRequested == "" {
					t.Errorf("the run of %s is %s: %s", r.Commit, r.State, r.CancelRequested)
				}
			}
			if !head {
				t.Errorf("there is no run of the head\n%s", w.state())
			}
		})
	})
	t.Run("of its end, after which it was opened again", func(t *testing.T) {
		both(t, nil, func(t *testing.T, w *world) {
			w.serve()
			pull := w.forked()
			w.comes("test", webhook.AwaitingApproval)
			w.backwards(func() { pull.Close("eve") }, func() { pull.Reopen("eve") })
			for _, r := range w.runs("test") {
				if r.CancelRequested != "" || r.State != webhook.AwaitingApproval {
					t.Errorf("the run of %s is %s: %s", r.Commit, r.State, r.CancelRequested)
				}
			}
		})
	})
}
