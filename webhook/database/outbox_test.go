package database

import (
	"fmt"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

func check(state string) Desire { return Desire{Channel: "check", State: []byte(state)} }

// show moves a running run with something new to show.
func (f *fixture) show(id string, desires ...Desire) {
	f.t.Helper()
	run := f.get(id)
	run.Rev++
	run.Due = time.Time{}
	f.must(f.Move(f.t.Context(), run, desires...))
}

func (f *fixture) unsent() []Item {
	f.t.Helper()
	items, err := f.Unsent(f.t.Context(), Lane{Report, 1, 1}, 10)
	f.must(err)
	return items
}

// TestOutbox collapses a hundred updates, and sends what came in between.
func TestOutbox(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.create(f.run("1"))
		for i := range 100 {
			f.show("1", check(fmt.Sprint(i)))
		}
		if n := len(f.turns(Report, 1)); n != 1 {
			t.Errorf("%d turns for one thing to show", n)
		}
		turn := f.turn(Report, 1)
		items := f.unsent()
		if len(items) != 1 || string(items[0].State) != "99" || items[0].Rev != 100 || items[0].Remote != "" {
			t.Fatalf("%+v", items)
		}
		f.show("1", check("100")) // while the one before is on its way
		hold := f.clock.now().Add(10 * time.Second)
		f.must(f.Sent(t.Context(), items[0], "4711", hold))
		if items := f.unsent(); items != nil {
			t.Errorf("sent too early: %+v", items)
		}
		f.must(f.Rest(t.Context(), turn))
		if got := f.scheduled("turn", Report); !got.Equal(hold) {
			t.Errorf("the rest is due at %v, want %v", got, hold)
		}
		f.clock.pass(11 * time.Second)
		turn = f.turn(Report, 1)
		items = f.unsent()
		if len(items) != 1 || string(items[0].State) != "100" || items[0].Remote != "4711" {
			t.Fatalf("%+v", items)
		}
		f.must(f.Sent(t.Context(), items[0], "4711", f.clock.now().Add(10*time.Second)))
		f.must(f.Sent(t.Context(), items[0], "", time.Time{})) // of a job that came twice
		f.must(f.Rest(t.Context(), turn))
		if items := f.unsent(); items != nil {
			t.Errorf("sent again: %+v", items)
		}
		f.show("1", check("100"))
		if n := len(f.turns(Report, 1)); n != 2 {
			t.Errorf("what is shown already makes turn %d", n)
		}
		urgent := check("end")
		urgent.Urgent = true
		f.show("1", urgent)
		f.turn(Report, 1)
		if items = f.unsent(); len(items) != 1 || string(items[0].State) != "end" || items[0].Remote != "4711" {
			t.Errorf("%+v", items)
		}
	})
}

// TestUrgent is about what is urgent and comes while something is on its way.
func TestUrgent(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.create(f.run("1"))
		f.show("1", check("a"))
		first := f.unsent()[0]
		urgent := check("b")
		urgent.Urgent = true
		f.show("1", urgent)
		f.must(f.Sent(t.Context(), first, "1", f.clock.now().Add(time.Minute)))
		if items := f.unsent(); len(items) != 1 || string(items[0].State) != "b" {
			t.Errorf("%+v", items)
		}
	})
}

// TestRefused tries again, or gives up until something else is to be shown.
func TestRefused(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.create(f.run("1"))
		f.show("1", check("a"))
		first := f.unsent()[0]
		f.must(f.Refused(t.Context(), first, "502", f.clock.now().Add(time.Minute)))
		if items := f.unsent(); items != nil {
			t.Errorf("%+v", items)
		}
		f.clock.pass(time.Minute)
		again := f.unsent()
		if len(again) != 1 || again[0].Attempt != 1 || again[0].Failure != "502" {
			t.Fatalf("%+v", again)
		}
		f.must(f.Refused(t.Context(), again[0], "422", time.Time{}))
		f.clock.pass(time.Hour)
		if items := f.unsent(); items != nil {
			t.Errorf("%+v", items)
		}
		if shown, err := f.Shown(t.Context(), "1"); err != nil || len(shown) != 1 || shown[0].Failure != "422" {
			t.Errorf("%+v, %v", shown, err)
		}
		f.show("1", check("b"))
		next := f.unsent()
		if len(next) != 1 || string(next[0].State) != "b" {
			t.Fatalf("%+v", next)
		}
		f.show("1", check("c")) // newer than what is refused now
		f.must(f.Refused(t.Context(), next[0], "422", time.Time{}))
		if items := f.unsent(); len(items) != 1 || string(items[0].State) != "c" {
			t.Errorf("%+v", items)
		}
	})
}

// TestAsked remembers that something is on its way until it has come, and
// leaves it alone until then.
func TestAsked(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.create(f.run("1"))
		f.show("1", check("a"))
		turn := f.turn(Report, 1)
		first := f.unsent()[0]
		if !first.Asked.IsZero() {
			t.Errorf("asked at %v before anybody was", first.Asked)
		}
		asked := f.clock.now()
		f.must(f.Ask(t.Context(), first))
		f.clock.pass(time.Second)
		again := f.unsent()
		if len(again) != 1 || !again[0].Asked.Equal(asked) {
			t.Fatalf("asked at %v, read as %+v", asked, again)
		}
		until := asked.Add(10 * time.Second)
		f.must(f.PutOff(t.Context(), again[0], until))
		f.must(f.Rest(t.Context(), turn))
		if items, due := f.unsent(), f.scheduled("turn", Report); items != nil || !due.Equal(until) {
			t.Errorf("put off until %v, it is due at %v: %+v", until, due, items)
		}
		f.clock.pass(10 * time.Second)
		f.must(f.Sent(t.Context(), f.unsent()[0], "4711", time.Time{}))
		f.must(f.PutOff(t.Context(), again[0], until.Add(time.Hour))) // of a job that came twice
		f.show("1", check("b"))
		if items := f.unsent(); len(items) != 1 || !items[0].Asked.IsZero() || items[0].Remote != "4711" {
			t.Errorf("%+v", items)
		}
	})
}

func TestSchedules(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		soon := f.clock.now().Add(time.Hour).UTC()
		plan := func(keys ...string) {
			t.Helper()
			var list []Schedule
			for _, key := range keys {
				list = append(list, Schedule{RuleKey: key, Installation: 1, Due: f.clock.now().Add(time.Hour), Data: []byte(`"` + key + `"`)})
			}
			f.must(f.Plan(t.Context(), 1, 10, list))
		}
		due := func() []Schedule {
			t.Helper()
			list, err := f.DueSchedules(t.Context(), 10)
			f.must(err)
			return list
		}
		plan("nightly", "weekly")
		f.must(f.Plan(t.Context(), 1, 20, []Schedule{{RuleKey: "of another", Due: soon.Add(time.Hour)}}))
		if got := due(); got != nil {
			t.Errorf("due are %v", got)
		}
		f.clock.pass(61 * time.Minute)
		plan("nightly") // read again, and weekly is gone
		got := due()
		if len(got) != 1 || got[0].RuleKey != "nightly" || !got[0].Due.Equal(soon) || string(got[0].Data) != `"nightly"` || got[0].Repository != 10 {
			t.Fatalf("due are %+v", got)
		}
		run := f.run("1", func(r *webhook.Run) { r.EventKey = "cron:" + soon.Format(time.RFC3339) })
		f.must(f.Tick(t.Context(), got[0], soon.Add(24*time.Hour), run))
		f.get("1")
		wants(t, "the other replica's tick", f.Tick(t.Context(), got[0], soon.Add(24*time.Hour), f.run("2")), ErrMoved)
		_, err := f.Run(t.Context(), "2")
		wants(t, "its run", err, ErrNotFound)
		if got := due(); got != nil {
			t.Errorf("due are %v", got)
		}
		f.must(f.Plan(t.Context(), 1, 10, []Schedule{{RuleKey: "nightly", Installation: 1, Due: f.clock.now(), Data: []byte(`"changed"`)}}))
		if got := due(); len(got) != 1 || string(got[0].Data) != `"changed"` {
			t.Errorf("due are %v", got)
		}
		plan("nightly") // whose time has come
		if got := due(); len(got) != 1 || string(got[0].Data) != `"nightly"` {
			t.Errorf("due are %v", got)
		}
	})
}
