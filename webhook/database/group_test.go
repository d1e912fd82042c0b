package database

import (
	"fmt"
	"strings"
	"testing"
	"time"

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
			f.create(f.run(id, group("main", 9, false)))
		}
		f.create(f.run("other", group("dev", 9, false)))
		f.create(f.run("elsewhere", group("main", 9, false), func(r *webhook.Run) { r.Repository = 20 }))
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

// at7 is when the run's event was, in minutes after seven.
func at7(minute int) func(*webhook.Run) {
	return func(r *webhook.Run) { r.At = time.Date(2025, 1, 2, 7, minute, 0, 0, time.UTC) }
}

// TestOrder has deliveries come in another order than their events: the run of
// the older event gives way.
func TestOrder(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		for _, tt := range []struct {
			group  string
			cancel bool
			newer  []webhook.State // where the newer run has been
			gone   string
		}{
			{"starts", true, []webhook.State{webhook.Starting}, "starts-old"},
			{"is over", true, []webhook.State{webhook.Starting, webhook.Running, webhook.Succeeded}, "starts-old is over-old"},
			{"waits", true, nil, "starts-old is over-old waits-old"},
			{"never ran", true, []webhook.State{webhook.Cancelled}, "starts-old is over-old waits-old"},
			{"waits its turn", false, nil, "starts-old is over-old waits-old waits its turn-old"},
		} {
			in := group(tt.group, 1, tt.cancel)
			if !tt.cancel {
				f.create(f.run("before", in, at7(10)))
				f.must(f.move("before", webhook.Starting))
			}
			f.create(f.run(tt.group+"-new", in, at7(30)))
			for _, state := range tt.newer {
				f.must(f.move(tt.group+"-new", state))
			}
			f.create(f.run(tt.group+"-old", in, at7(20)))
			if got := f.asked(); got != tt.gone {
				t.Errorf("where the newer run %s, %q are asked to give way, want %q", tt.group, got, tt.gone)
			}
		}
		if got := f.get("is over-old").CancelRequested; got != "superseded by run is over-new, whose event is later" {
			t.Errorf("the reason is %q", got)
		}
		// Where all may wait, each has its event's turn.
		queue := group("queue", 9, false)
		f.create(f.run("a", queue, at7(1)))
		f.must(f.move("a", webhook.Starting))
		f.create(f.run("c", queue, at7(3)))
		f.create(f.run("b", queue, at7(2)))
		f.must(f.move("a", webhook.Failed))
		wants(t, "start the newest", f.move("c", webhook.Starting), ErrBusy)
		if n := len(f.steps("b")); n != 2 {
			t.Errorf("the run whose turn it is has %d steps, want 2", n)
		}
		f.must(f.move("b", webhook.Starting))
		// What has no time came when it was stored.
		f.create(f.run("none", queue))
		f.must(f.move("b", webhook.Failed))
		wants(t, "start the one without a time", f.move("none", webhook.Starting), ErrBusy)
		f.must(f.move("c", webhook.Starting))
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
	t.Run("free", func(t *testing.T) {
		both(t, func(t *testing.T, f *fixture) {
			one := group("one", 1, false)
			f.create(f.run("1", one)) // which is to start at once
			f.create(f.run("2", one))
			if got := f.asked(); got != "" {
				t.Errorf("%q are asked to give way, though one starts and one may wait", got)
			}
			f.create(f.run("3", one))
			if got := f.asked(); got != "2" {
				t.Errorf("%q are asked to give way, want 2", got)
			}
			f.create(f.run("late", one, func(r *webhook.Run) { r.Created = r.Created.Add(-time.Hour) }))
			if got := f.asked(); got != "2 late" {
				t.Errorf("%q are asked to give way, want 2 late", got)
			}
			f.must(f.move("1", webhook.Starting))
		})
	})
	t.Run("none", func(t *testing.T) {
		both(t, func(t *testing.T, f *fixture) {
			none := group("none", 0, false)
			f.create(f.run("1", none))
			f.create(f.run("2", none))
			f.must(f.move("1", webhook.Starting))
			f.create(f.run("3", none))
			if got := f.asked(); got != "2 3" {
				t.Errorf("%q are asked to give way, want 2 3", got)
			}
			f.must(f.move("1", webhook.Failed))
			f.create(f.run("4", none))
			if got := f.asked(); got != "2 3" {
				t.Errorf("%q are asked to give way, want 2 3: the group is free", got)
			}
		})
	})
}
