package work

import (
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// outage is a time after which ECS has forgotten what stopped in it.
const outage = 90 * time.Minute

// due is the only run of a rule, at its next step.
func (w *world) due(rule string) webhook.Run {
	w.t.Helper()
	runs := w.runs(rule)
	if len(runs) != 1 {
		w.t.Fatalf("%s has %d runs\n%s", rule, len(runs), w.state())
	}
	if err := w.work.step(w.t.Context(), &runs[0]); err != nil {
		w.t.Fatal(err)
	}
	return w.runs(rule)[0]
}

// TestForgotten has nobody work while a run ends and its place forgets it: it
// may have done all its work, and is not started again.
func TestForgotten(t *testing.T) {
	both(t, map[string]string{".github/clipper.yml": tasksYAML}, func(t *testing.T, w *world) {
		stop := w.serve()
		w.repo.Push("mona", "main", change)
		run := w.comes("itest", webhook.Running)
		stop()
		if err := w.tasks.end(run.Task, forgotten); err != nil {
			t.Fatal(err)
		}
		w.ahead.Add(int64(outage))
		if run = w.due("itest"); run.State != webhook.Lost || run.Attempt != 1 {
			t.Errorf("it is %s after attempt %d: %s", run.State, run.Attempt, run.Reason)
		}
	})
	t.Run("with its end seen", func(t *testing.T) {
		both(t, map[string]string{".github/clipper.yml": tasksYAML}, func(t *testing.T, w *world) {
			stop := w.serve()
			w.repo.Push("mona", "main", change)
			run := w.comes("itest", webhook.Running)
			stop()
			if err := w.tasks.end(run.Task, webhook.TimedOut); err != nil {
				t.Fatal(err)
			}
			if run = w.due("itest"); run.State != webhook.Finishing {
				t.Fatalf("it is %s", run.State)
			}
			if err := w.tasks.end(run.Task, forgotten); err != nil {
				t.Fatal(err)
			}
			w.ahead.Add(int64(outage))
			if run = w.due("itest"); run.State != webhook.Lost || run.Attempt != 1 {
				t.Errorf("it is %s after attempt %d: %s", run.State, run.Attempt, run.Reason)
			}
		})
	})
	t.Run("with its start unheard", func(t *testing.T) {
		both(t, map[string]string{".github/clipper.yml": tasksYAML}, func(t *testing.T, w *world) {
			w.repo.Push("mona", "main", change)
			if err := w.Settle(t.Context()); err != nil {
				t.Fatal(err)
			}
			w.work.setDefaults()
			if err := w.work.decide(t.Context(), database.Lane{Work: database.Decide, App: w.app.ID, Installation: w.install.ID}); err != nil {
				t.Fatal(err)
			}
			run := w.runs("itest")[0]
			if err := w.work.move(t.Context(), &run, webhook.Starting, "", 0); err != nil {
				t.Fatal(err)
			}
			for _, tt := range []struct {
				later time.Duration
				want  webhook.State
			}{{outage, webhook.Resolving}, {0, webhook.Resolving}, {2 * quick.Resolve, webhook.Ambiguous}, {outage, webhook.Ambiguous}} {
				w.ahead.Add(int64(tt.later))
				if run = w.due("itest"); run.State != tt.want {
					t.Fatalf("it is %s, want %s", run.State, tt.want)
				}
			}
			if tasks := w.tasks.tokens(); len(tasks) != 0 {
				t.Errorf("%v were started", tasks)
			}
		})
	})
	t.Run("a workflow's run that was deleted", func(t *testing.T) {
		both(t, nil, func(t *testing.T, w *world) {
			w.serve()
			w.repo.Push("mona", "main", change)
			w.began()
			w.comes("deploy", webhook.Running)
			w.Fail("actions/get-workflow-run", fakehub.Uninstalled, -1)
			w.comes("deploy", webhook.Lost)
			if n := len(w.repo.Runs()); n != 1 {
				t.Errorf("%d workflows run", n)
			}
		})
	})
}
