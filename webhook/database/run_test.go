package database

import (
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// TestDecided stores a decision and its runs, once.
func TestDecided(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a", "b", "c")
		run := f.run("1", func(r *webhook.Run) { r.Delivery = "a" })
		run.Desires = []Desire{{Channel: "check", State: []byte(`{"status": "queued"}`)}}
		other := f.run("2", func(r *webhook.Run) { r.RuleKey = "1/10/bench"; r.Delivery = "a"; r.Due = time.Time{} })
		fresh, err := f.Decided(t.Context(), 1, "a", "push to main", run, other)
		if err != nil || !slices.Equal(fresh, []string{"1", "2"}) {
			t.Fatalf("%v, %v", fresh, err)
		}
		got := f.get("1")
		run.Due, run.Created = run.Due.UTC(), got.Created
		if !reflect.DeepEqual(got, run.Run) {
			t.Errorf("stored\n%+v, want\n%+v", got, run.Run)
		}
		if d, err := f.Delivery(t.Context(), 1, "a"); err != nil || d.State != Matched || d.Reason != "push to main" || !d.Due.IsZero() {
			t.Errorf("%+v, %v", d, err)
		}
		if one, two := f.steps("1"), f.steps("2"); !slices.Equal(one, []int64{1}) || two != nil {
			t.Errorf("steps are %v and %v", one, two)
		}
		f.turn(Report, 1)
		_, err = f.Decided(t.Context(), 1, "a", "", f.run("3"))
		wants(t, "a delivery that was decided about", err, ErrMoved)
		_, err = f.Run(t.Context(), "3")
		wants(t, "its run", err, ErrNotFound)

		// The same fact under another GUID.
		twin := f.run("4", func(r *webhook.Run) { r.EventKey = run.EventKey })
		if fresh, err := f.Decided(t.Context(), 1, "b", "", twin); err != nil || fresh != nil {
			t.Errorf("%v, %v", fresh, err)
		}
		if _, err := f.Decided(t.Context(), 1, "c", "no rule"); err != nil {
			t.Error(err)
		}
		if d, err := f.Delivery(t.Context(), 1, "c"); err != nil || d.State != Ignored || d.Reason != "no rule" {
			t.Errorf("%+v, %v", d, err)
		}
		if fresh, err := f.CreateRun(t.Context(), twin); err != nil || fresh {
			t.Errorf("a run made twice: %v, %v", fresh, err)
		}
		// Strangers name refs and groups.
		strange := f.run("6", func(r *webhook.Run) { r.EventKey, r.Group = "push:\x00\xff", "\x00main" })
		f.create(strange)
		if fresh, err := f.CreateRun(t.Context(), strange); err != nil || fresh {
			t.Errorf("a strange run made twice: %v, %v", fresh, err)
		}
		f.must(f.move("6", webhook.Starting))

		// What fails leaves nothing.
		f.accept(1, "d")
		if _, err := f.Decided(t.Context(), 1, "d", "", f.run("5"), f.run("1", func(r *webhook.Run) { r.EventKey = "other" })); err == nil {
			t.Error("two runs have one ID")
		}
		_, err = f.Run(t.Context(), "5")
		wants(t, "a run whose decision failed", err, ErrNotFound)
		if got := f.undecided(1); got != "d" {
			t.Errorf("undecided are %q", got)
		}
	})
}

// TestDecidedAtOnce has one fact come under many GUIDs, decided at once.
func TestDecidedAtOnce(t *testing.T) {
	const n = 12
	both(t, func(t *testing.T, f *fixture) {
		var made atomic.Int64
		var wait sync.WaitGroup
		for i := range n {
			guid := string(rune('a' + i))
			f.accept(1, guid)
			wait.Go(func() {
				run := f.run(guid, func(r *webhook.Run) { r.EventKey, r.Group = "one", "main" })
				ids, err := f.Decided(t.Context(), 1, guid, "", run)
				if err != nil {
					t.Error(err)
				}
				made.Add(int64(len(ids)))
			})
		}
		wait.Wait()
		if got := made.Load(); got != 1 {
			t.Errorf("%d runs for one fact", got)
		}
	})
}

// TestMove lets one of many that know a revision store the next.
func TestMove(t *testing.T) {
	const n = 10
	both(t, func(t *testing.T, f *fixture) {
		f.create(f.run("1"))
		var moved atomic.Int64
		var wait sync.WaitGroup
		run := f.get("1")
		f.must(run.Move(webhook.Starting, "", f.clock.now()))
		run.Due = f.clock.now().Add(time.Minute)
		for range n {
			wait.Go(func() {
				switch err := f.Move(t.Context(), run, Desire{Channel: "check", State: []byte(`{}`)}); {
				case err == nil:
					moved.Add(1)
				default:
					wants(t, "a move that came too late", err, ErrMoved)
				}
			})
		}
		wait.Wait()
		if got := moved.Load(); got != 1 {
			t.Errorf("%d moves of one revision", got)
		}
		if steps := f.steps("1"); !slices.Equal(steps, []int64{1, 2}) {
			t.Errorf("steps are %v", steps)
		}
		if got := f.scheduled("step", Steps); !got.Equal(run.Due) {
			t.Errorf("the step is due at %v, want %v", got, run.Due)
		}
		if got := f.get("1"); got.State != webhook.Starting || got.Rev != 2 || got.Attempt != 1 || !got.Due.Equal(run.Due) {
			t.Errorf("%+v", got)
		}
		missing := f.run("x")
		wants(t, "a run that is not there", f.Move(t.Context(), missing.Run), ErrNotFound)
		wants(t, "cancel what is not there", f.Cancel(t.Context(), "x", ""), ErrNotFound)
	})
}

func TestCancel(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.create(f.run("1"))
		stale := f.get("1")
		f.must(f.Cancel(t.Context(), "1", "mona"))
		f.must(f.Cancel(t.Context(), "1", "hubot"))
		if got := f.get("1"); got.CancelRequested != "mona" || got.Rev != 2 || got.State != webhook.Queued {
			t.Errorf("%+v", got)
		}
		if steps := f.steps("1"); !slices.Equal(steps, []int64{1, 2}) {
			t.Errorf("steps are %v", steps)
		}
		f.must(stale.Move(webhook.Starting, "", f.clock.now()))
		wants(t, "a move that does not know of it", f.Move(t.Context(), stale), ErrMoved)
		f.must(f.move("1", webhook.Cancelled))
		f.must(f.Cancel(t.Context(), "1", "late"))
		if got := f.get("1"); got.Rev != 3 || got.Ended.IsZero() {
			t.Errorf("%+v", got)
		}
	})
}

func TestRuns(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.create(f.run("1", func(r *webhook.Run) { r.Delivery = "a" }))
		f.create(f.run("2", func(r *webhook.Run) { r.Repository, r.Installation, r.Group = 20, 2, "main" }))
		f.create(f.run("3", func(r *webhook.Run) { r.RuleKey = "1/10/bench" }))
		f.must(f.move("3", webhook.Failed))
		for _, tt := range []struct {
			filter RunFilter
			want   string
		}{
			{RunFilter{}, "1 2 3"},
			{RunFilter{Newest: true}, "3 2 1"},
			{RunFilter{Newest: true, Before: "3"}, "2 1"},
			{RunFilter{Newest: true, Before: "1"}, ""},
			{RunFilter{Newest: true, Before: "4"}, ""},
			{RunFilter{Newest: true, Before: "3", Repositories: []int64{20}, Group: "main"}, "2"},
			{RunFilter{Delivery: "a", App: 1, Installation: 1, RuleKey: "1/10/itest", EventKey: "push:1"}, "1"},
			{RunFilter{Repositories: []int64{20}, Group: "main"}, "2"},
			{RunFilter{Repositories: []int64{}}, ""},
			{RunFilter{Unended: true}, "1 2"},
			{RunFilter{State: webhook.Failed, Since: f.clock.now()}, "3"},
			{RunFilter{Since: f.clock.now().Add(time.Minute)}, ""},
		} {
			var got []string
			for run, err := range f.Runs(t.Context(), tt.filter) {
				f.must(err)
				got = append(got, run.ID)
			}
			if got := strings.Join(got, " "); got != tt.want {
				t.Errorf("%+v: %q, want %q", tt.filter, got, tt.want)
			}
		}
	})
}
