package runners

import (
	"context"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// TestJobs: each job has a task of its own, which does it once, and nothing is
// left behind.
func TestJobs(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{rules.ScaleSet, rules.JIT} {
		for name, url := range map[string]string{"SQLite": "", "PostgreSQL": server.Database(t)} {
			t.Run(mode+" "+name, func(t *testing.T) {
				t.Parallel()
				w := start(t, mode, url)
				w.serve(w.service(w.fleet()))
				w.queue(w.repo, 5)
				w.finished(5)
				w.stays("five tasks", func() bool { return w.started() == 5 })
				if n := w.count("RegisterTaskDefinition"); n > 5 {
					t.Errorf("%d definitions", n)
				}
				w.queue(w.repo, 2)
				w.finished(7)
			})
		}
	}
}

// gate has runners wait with their job until it is opened.
func (w *world) gate() (open func()) {
	gate := make(chan struct{})
	w.work = func(ctx context.Context, j *fakehub.Job) string {
		select {
		case <-gate:
		case <-ctx.Done():
			return "failure"
		}
		return w.did(j)
	}
	return func() { close(gate) }
}

// TestMax: there are never more than max.
func TestMax(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		open := w.gate()
		w.serve(w.service(w.fleet("max: 2")))
		w.queue(w.repo, 5)
		w.until("two are at work", func() bool { return len(w.alive()) == 2 })
		w.stays("two", func() bool { return len(w.alive()) == 2 })
		open()
		w.finished(5)
		if w.peak != 2 {
			t.Errorf("there were %d at once", w.peak)
		}
	})
}

// TestIdle: some wait beside those that work, and at least min are there.
func TestIdle(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		open := w.gate()
		w.serve(w.service(w.fleet("max: 4", "min: 2", "idle: 1")))
		w.until("two wait", func() bool { return len(w.alive()) == 2 })
		w.stays("two", func() bool { return len(w.alive()) == 2 })
		w.queue(w.repo, 2)
		w.until("two work, and one waits", func() bool { return len(w.alive()) == 3 })
		w.stays("three", func() bool { return len(w.alive()) == 3 })
		w.queue(w.repo, 4)
		w.until("four work, and nothing more", func() bool { return len(w.alive()) == 4 })
		open()
		w.until("all is done", func() bool { return w.jobs() == 6 })
		w.until("two wait", func() bool { return len(w.alive()) == 2 && len(w.Runners()) == 2 })
		if w.peak > 4 {
			t.Errorf("there were %d at once", w.peak)
		}
	})
}

// TestCancelled: a runner whose job was cancelled before it came is not kept to
// take another's.
func TestCancelled(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		w.slow = 300 * time.Millisecond
		w.serve(w.service(w.fleet()))
		w.queue(w.repo, 1)
		w.until("its task is there", func() bool { return len(w.alive()) == 1 })
		w.repo.Runs()[0].Complete("cancelled")
		w.finished(0)
	})
}

// TestOrphans: a task that has lost its runner is stopped, and a runner that
// has no task is removed.
func TestOrphans(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		w.serve(w.service(w.fleet("idle: 1")))
		w.until("one waits", func() bool { return len(w.alive()) == 1 && len(w.Runners()) == 1 })
		// It is there, and nobody knows its runner: the agent hangs.
		hangs := w.alive()[0]
		w.hang(hangs)
		w.until("it was replaced", func() bool { return len(w.alive()) == 1 && !has(w.alive(), hangs) })
		id := w.orphan("clipper-linux-7-left")
		other := w.orphan("clipper-linux-arm-7-left")
		w.until("the runner without a task is gone", func() bool { return !w.known(id) })
		if !w.known(other) {
			t.Error("another set's runner was removed")
		}
	})
}

// TestFailing: runners that fail at once are not started again and again.
func TestFailing(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		w.pace.RetryMost = time.Hour
		w.pace.Retry = 100 * time.Millisecond
		w.broken = true
		w.serve(w.service(w.fleet()))
		w.queue(w.repo, 1)
		w.until("three have failed", func() bool { return w.started() >= 3 })
		begun := time.Now()
		w.until("five have failed", func() bool { return w.started() >= 5 })
		if took := time.Since(begun); took < 600*time.Millisecond {
			t.Errorf("two more within %s", took)
		}
	})
}
