package database

import (
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// TestTurns goes through an installation's turns: there is one job, whatever
// comes, and always one if there is something to do.
func TestTurns(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a", "b")
		f.accept(2, "c")
		if n := len(f.turns(Decide, 1)); n != 1 {
			t.Errorf("%d turns, want 1", n)
		}
		first := f.turn(Decide, 1)
		if got := f.undecided(1); got != "a b" {
			t.Errorf("undecided are %q", got)
		}
		f.accept(1, "d")
		for _, guid := range []string{"a", "b"} {
			_, err := f.Decided(t.Context(), 1, guid, "no rule")
			f.must(err)
		}
		if n := len(f.turns(Decide, 1)); n != 1 {
			t.Errorf("%d turns while the first is under way, want 1", n)
		}
		f.must(f.Rest(t.Context(), first))
		wants(t, "take what is over", f.Take(t.Context(), first, time.Minute), ErrMoved)
		second := f.turn(Decide, 1)
		if got := f.undecided(1); got != "d" {
			t.Errorf("undecided are %q", got)
		}
		_, err := f.Decided(t.Context(), 1, "d", "no rule")
		f.must(err)
		f.must(f.Rest(t.Context(), second))
		f.must(f.Rest(t.Context(), second)) // of a job that came twice
		if n := len(f.turns(Decide, 1)); n != 2 {
			t.Errorf("%d turns in all, want 2", n)
		}
		f.accept(1, "e")
		f.turn(Decide, 1)
		if got := f.undecided(1) + f.undecided(2); got != "ec" {
			t.Errorf("undecided are %q", got)
		}
	})
}

// TestLate has a delivery come with a time before that of the turn which is
// under way, as when its transaction waited for the lane while another one woke
// it: no second turn begins beside the first.
func TestLate(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a")
		turn := f.turn(Decide, 1)
		f.clock.pass(-time.Second)
		f.accept(1, "b")
		f.clock.pass(time.Second)
		if n := len(f.turns(Decide, 1)); n != 1 {
			t.Errorf("%d turns while the first is under way, want 1", n)
		}
		f.must(f.Rest(t.Context(), turn))
		f.turn(Decide, 1)
		if got := f.undecided(1); got != "a b" {
			t.Errorf("undecided are %q", got)
		}
	})
}

// TestUndecide puts a delivery off; others of the installation do not wait for
// it.
func TestUndecide(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a")
		turn := f.turn(Decide, 1)
		f.must(f.Undecide(t.Context(), 1, "a", "away", f.clock.now().Add(time.Hour)))
		f.must(f.Rest(t.Context(), turn))
		if got := f.undecided(1); got != "" {
			t.Errorf("undecided are %q", got)
		}
		later := f.turns(Decide, 1)
		if len(later) != 2 {
			t.Fatalf("turns are %v, want one more, for later", later)
		}
		f.accept(1, "b")
		now := f.turn(Decide, 1)
		if now.Number <= later[1].Number {
			t.Errorf("what comes has no turn of its own: %v", now)
		}
		wants(t, "the later turn, once it was replaced", f.Take(t.Context(), later[1], time.Minute), ErrMoved)
		if got := f.undecided(1); got != "b" {
			t.Errorf("undecided are %q", got)
		}
		_, err := f.Decided(t.Context(), 1, "b", "no rule")
		f.must(err)
		f.must(f.Rest(t.Context(), now))
		f.clock.pass(2 * time.Hour)
		f.turn(Decide, 1)
		if got := f.undecided(1); got != "a" {
			t.Errorf("undecided are %q", got)
		}
		wants(t, "put off what is not there", f.Undecide(t.Context(), 1, "x", "", time.Time{}), ErrMoved)
	})
}

func TestPark(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		lane := Lane{Report, 1, 1}
		until := f.clock.now().Add(time.Hour)
		f.must(f.Park(t.Context(), lane, until)) // before it has ever had work
		run := f.run("1")
		run.Desires = []Desire{{Channel: "check", State: []byte(`{}`)}}
		f.create(run)
		turns := f.turns(Report, 1)
		if len(turns) != 1 {
			t.Fatalf("turns are %v", turns)
		}
		if got := f.scheduled("turn", Report); !got.Equal(until) {
			t.Errorf("the lane is due at %v, want %v", got, until)
		}
		f.clock.pass(30 * time.Minute)
		f.must(f.move("1", webhook.Starting, Desire{Channel: "check", State: []byte(`{"a": 1}`), Urgent: true}))
		if n := len(f.turns(Report, 1)); n != 1 {
			t.Errorf("a parked lane has %d turns", n)
		}
		f.clock.pass(time.Hour)
		turn := f.turn(Report, 1)
		f.must(f.Park(t.Context(), lane, f.clock.now().Add(time.Minute)))
		f.must(f.Rest(t.Context(), turn)) // with the work still there
		if got, want := f.scheduled("turn", Report), f.clock.now().Add(time.Minute); !got.Equal(want) {
			t.Errorf("the lane is due at %v, want %v", got, want)
		}
	})
}

// TestRevive gives the work of somebody who died to somebody else.
func TestRevive(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a")
		f.accept(2, "b")
		f.create(f.run("1"))
		dead := f.turn(Decide, 1)
		revive := func(want int) {
			t.Helper()
			if n, err := f.Revive(t.Context()); err != nil || n != want {
				t.Errorf("%d revived, want %d: %v", n, want, err)
			}
		}
		revive(0)
		f.clock.pass(61 * time.Second)
		revive(1)
		revive(0)
		alive := f.turn(Decide, 1)
		wants(t, "the dead one's turn", f.Take(t.Context(), dead, time.Minute), ErrMoved)
		f.must(f.Rest(t.Context(), dead)) // it was only slow
		if got := f.undecided(1); got != "a" {
			t.Errorf("undecided are %q", got)
		}
		_, err := f.Decided(t.Context(), 1, "a", "no rule")
		f.must(err)
		f.must(f.Rest(t.Context(), alive))
		// Jobs that never came: that of installation 2, and the run's.
		f.clock.pass(laneOverdue)
		revive(2)
		revive(0)
		f.turn(Decide, 2)
		if steps := f.steps("1"); len(steps) != 2 || steps[1] != 1 {
			t.Errorf("the run has steps %v", steps)
		}
	})
}
