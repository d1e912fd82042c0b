package database

import (
	"fmt"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook"
)

func group(name string, most int, cancel bool) func(*webhook.Run) {
	return func(r *webhook.Run) { r.Group, r.MaxQueue, r.CancelOthers = name, most, cancel }
}

// asked are the runs that are asked to give way.
func (f *fixture) asked() string {
	f.t.Helper()
	var ids []string
	for run, err := range f.Runs(f.t.Context(), RunFilter{}) {
		f.must(err)
		if run.CancelRequested != "" {
			ids = append(ids, run.ID)
		}
	}
	return strings.Join(ids, " ")
}

// TestGroup starts one run of a group after the other.
func TestGroup(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		for _, id := range []string{"1", "2", "3"} {
			f.create(f.run(id, group("main", 0, false)))
		}
		f.create(f.run("other", group("dev", 0, false)))
		f.create(f.run("elsewhere", group("main", 0, false), func(r *webhook.Run) { r.Repository = 20 }))
		f.create(f.run("alone"))
		wants(t, "start the second", f.move("2", webhook.Starting), ErrBusy)
		f.must(f.move("1", webhook.Starting))
		for _, id := range []string{"other", "elsewhere", "alone"} {
			f.must(f.move(id, webhook.Starting))
		}
		wants(t, "start the second beside the first", f.move("2", webhook.Starting), ErrBusy)
		if got := f.get("2"); got.State != webhook.Queued || got.Rev != 1 || !got.Due.IsZero() {
			t.Errorf("%+v", got)
		}
		f.must(f.move("1", webhook.Running))
		steps := func(id string, want int) {
			t.Helper()
			if n := len(f.steps(id)); n != want {
				t.Errorf("run %s has %d steps, want %d", id, n, want)
			}
		}
		steps("2", 1)
		f.must(f.move("1", webhook.Succeeded))
		steps("2", 2)
		steps("3", 1)
		if f.get("2").Due.IsZero() {
			t.Error("the run whose turn it is has no time")
		}
		wants(t, "start the third", f.move("3", webhook.Starting), ErrBusy)
		f.must(f.move("2", webhook.Starting))
		// It could not start: it is the next one again, at its own time.
		f.must(f.move("2", webhook.Queued))
		steps("2", 2)
		steps("3", 1)
		wants(t, "start the third", f.move("3", webhook.Starting), ErrBusy)
		// It is cancelled while it waits.
		f.must(f.move("2", webhook.Cancelled))
		steps("3", 2)
		f.must(f.move("3", webhook.Starting))
	})
}

// TestSupersede has a run take the place of all before it.
func TestSupersede(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		pr := group("pr-7", 0, true)
		f.create(f.run("1", pr))
		f.must(f.move("1", webhook.Starting))
		f.create(f.run("2", pr))
		f.create(f.run("waits", pr, func(r *webhook.Run) { r.State = webhook.AwaitingApproval }))
		if got := f.asked(); got != "1" {
			t.Errorf("%q are asked to give way, want 1", got)
		}
		f.create(f.run("3", pr))
		if got := f.asked(); got != "1 2 waits" {
			t.Errorf("%q are asked to give way, want all before", got)
		}
		if got := f.get("2").CancelRequested; got != "superseded by run 3" {
			t.Errorf("the reason is %q", got)
		}
		wants(t, "start the third before the first has ended", f.move("3", webhook.Starting), ErrBusy)
		f.must(f.move("1", webhook.Cancelled))
		if n := len(f.steps("3")); n != 2 {
			t.Errorf("the third has %d steps, want a second one", n)
		}
		f.must(f.move("3", webhook.Starting)) // though the second is not over yet
		// Approved, a run supersedes as if it came now.
		f.create(f.run("fork", pr, func(r *webhook.Run) { r.State = webhook.AwaitingApproval }))
		if got := f.asked(); got != "1 2 waits" {
			t.Errorf("%q are asked to give way to a run that is not approved", got)
		}
		f.must(f.move("fork", webhook.Queued))
		if got := f.asked(); got != "1 2 waits 3" {
			t.Errorf("%q are asked to give way, want the third too", got)
		}
	})
}

// TestMaxQueue lets those that waited longest give way.
func TestMaxQueue(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		staging := group("staging", 2, false)
		for i := range 5 {
			f.create(f.run(fmt.Sprint(i), staging))
			if i == 0 {
				f.must(f.move("0", webhook.Starting))
			}
		}
		if got := f.asked(); got != "1 2" {
			t.Errorf("%q are asked to give way, want 1 2", got)
		}
		f.must(f.move("0", webhook.Failed))
		f.must(f.move("3", webhook.Starting)) // 1 and 2 do not count
	})
}
