package runners

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// a is a member in a slot, by words: what is true of it, and for how long.
func a(slot int, words string) *member {
	m := &member{Name: fmt.Sprintf("clipper-linux-%d-x", slot), Slot: slot, At: noon.Add(-time.Hour), ARN: fmt.Sprint("arn", slot)}
	m.truth = task.Truth{Task: m.ARN, State: webhook.Running, Created: m.At, Started: m.At}
	registered := func(status string, busy bool) {
		m.met, m.runner = true, &hub.Runner{ID: int64(slot), Name: m.Name, Status: status, Busy: busy}
	}
	for word := range strings.SplitSeq(words, " ") {
		switch word {
		case "busy":
			registered("online", true)
		case "idle":
			registered("online", false)
		case "starting":
			registered("offline", false)
			m.At = noon.Add(-time.Minute)
			m.truth.Created, m.truth.Started = m.At, time.Time{}
		case "stuck":
			registered("offline", false)
			m.truth.Started = time.Time{}
		case "young":
			m.At = noon.Add(-time.Second)
		case "begun": // and nothing is known of it
			m.ARN, m.truth = "", task.Truth{}
		case "old":
			m.At = noon.Add(-25 * time.Hour)
			m.truth.Created, m.truth.Started = m.At, m.At
		case "done":
			m.met = true
			m.alone = noon.Add(-time.Second)
		case "alone":
			m.alone = noon.Add(-time.Hour)
		case "leaves":
			m.leaves = true
		}
	}
	return m
}

func names(members []*member) (slots []int) {
	for _, m := range members {
		slots = append(slots, m.Slot)
	}
	return slots
}

// TestDecide: what follows from what is there.
func TestDecide(t *testing.T) {
	c := Config{}
	c.setDefaults()
	long := noon.Add(-time.Hour)
	for _, test := range []struct {
		name    string
		members []*member
		change  func(*view)
		wanted  int
		want    string // start resume forget dismiss stop remove
	}{
		{"nothing", nil, nil, 0, "[] [] [] [] [] []"},
		{"jobs", nil, nil, 2, "[0 1] [] [] [] [] []"},
		{"more than max", nil, nil, 9, "[0 1 2 3] [] [] [] [] []"},
		{"slots between", []*member{a(0, "busy"), a(2, "busy")}, nil, 4, "[1 3] [] [] [] [] []"},
		{"enough", []*member{a(0, "busy"), a(1, "starting")}, nil, 2, "[] [] [] [] [] []"},
		{"idle", []*member{a(0, "busy")}, func(v *view) { v.idle = 2 }, 1, "[1 2] [] [] [] [] []"},
		{"min", []*member{a(0, "idle")}, func(v *view) { v.min = 2 }, 0, "[1] [] [] [] [] []"},
		{"idle is not added to min", []*member{a(0, "idle")}, func(v *view) { v.min, v.idle = 2, 1 }, 0, "[1] [] [] [] [] []"},
		{"failing", nil, func(v *view) { v.held = true }, 2, "[] [] [] [] [] []"},
		{"who is done takes no job, and has a slot", []*member{a(0, "done"), a(1, "busy"), a(2, "busy"), a(3, "busy")}, nil, 4, "[] [] [] [] [] []"},
		{"who is done is replaced", []*member{a(0, "done")}, nil, 1, "[1] [] [] [] [] []"},
		{"who is sent away is replaced", []*member{a(0, "idle leaves")}, nil, 1, "[1] [] [] [] [] []"},
		{"max was lowered", []*member{a(5, "busy"), a(6, "busy"), a(7, "busy"), a(8, "busy")}, nil, 5, "[] [] [] [] [] []"},

		{"a start of just now", []*member{a(0, "begun young")}, nil, 1, "[] [] [] [] [] []"},
		{"a start that may have been", []*member{a(0, "begun")}, nil, 1, "[] [0] [] [] [] []"},
		{"a start that was, and is not listed", []*member{a(0, "begun idle")}, nil, 1, "[] [] [] [] [] []"},
		{"a start of which only the runner was made", []*member{a(0, "begun starting")}, nil, 1, "[] [0] [] [] [] []"},
		{"a start that nobody needs", []*member{a(0, "begun")}, nil, 0, "[] [] [0] [] [] []"},
		{"a start before another", []*member{a(0, "begun")}, nil, 2, "[1] [0] [] [] [] []"},

		{"too many of just now", []*member{a(0, "idle"), a(1, "busy")}, nil, 1, "[] [] [] [] [] []"},
		{"too many for long", []*member{a(0, "busy"), a(1, "idle"), a(2, "starting")}, func(v *view) { v.surplus = long }, 1, "[] [] [] [1 2] [] []"},
		{"one too many: the oldest", []*member{a(0, "starting"), a(1, "idle")}, func(v *view) { v.surplus = long }, 1, "[] [] [] [1] [] []"},
		{"too many at work", []*member{a(0, "busy"), a(1, "busy")}, func(v *view) { v.surplus = long }, 1, "[] [] [] [] [] []"},

		{"its runner is gone for long", []*member{a(0, "alone")}, nil, 1, "[0?] [] [] [] [0] []"},
		{"it does not start", []*member{a(0, "stuck")}, nil, 1, "[0?] [] [] [] [0] []"},
		{"its time is over at work", []*member{a(0, "old busy")}, nil, 1, "[0?] [] [] [] [0] []"},
		{"its time is over", []*member{a(0, "old idle")}, nil, 1, "[0?] [] [] [0] [] []"},

		{"a runner without a task of just now", nil, func(v *view) { v.strays = map[string]stray{"x": {hub.Runner{ID: 7}, noon}} }, 0, "[] [] [] [] [] []"},
		{"a runner without a task", nil, func(v *view) { v.strays = map[string]stray{"x": {hub.Runner{ID: 7}, long}} }, 0, "[] [] [] [] [] [7]"},
		{"a runner without a task at work", nil, func(v *view) { v.strays = map[string]stray{"x": {hub.Runner{ID: 7, Busy: true}, long}} }, 0, "[] [] [] [] [] []"},
	} {
		v := view{now: noon, members: test.members, wanted: test.wanted, max: 4, timeout: 24 * time.Hour}
		if test.change != nil {
			test.change(&v)
		}
		p := decide(v, c.Pace)
		var stops []*member
		for _, s := range p.stop {
			stops = append(stops, s.member)
		}
		var removed []int64
		for _, r := range p.remove {
			removed = append(removed, r.ID)
		}
		want := strings.Replace(test.want, "0?", "1", 1) // its slot is taken while it is there
		if got := fmt.Sprint(p.start, names(p.resume), names(p.forget), names(p.dismiss), names(stops), removed); got != want {
			t.Errorf("%s: %s, want %s", test.name, got, want)
		}
	}
}

// TestNames: a runner's name says whose it is.
func TestNames(t *testing.T) {
	s := &set{RunnerSet: rules.RunnerSet{Name: "linux", Owner: "acme"}}
	name := s.newName(12)
	if slot, ours := s.slotOf(name); slot != 12 || !ours || len(name) > 64 {
		t.Errorf("%s: %d, %t", name, slot, ours)
	}
	for _, other := range []string{"", "clipper", "clipper-linux", "clipper-linux-1", "clipper-linux-arm-1-x", "clipper-linux-x-1", "clipper-linux--1-x", "my-linux-1-x", "clipper-linux-1-"} {
		if slot, ours := s.slotOf(other); ours {
			t.Errorf("%q is said to be in slot %d", other, slot)
		}
	}
	if keyOf(s.RunnerSet) == keyOf(rules.RunnerSet{Name: "linux", Owner: "beta"}) || keyOf(s.RunnerSet) != keyOf(rules.RunnerSet{Name: "linux", Owner: "Acme"}) {
		t.Error("keys")
	}
}

// TestKept: the database remembers what ECS may not know yet.
func TestKept(t *testing.T) {
	c := Config{Now: func() time.Time { return noon }}
	s := &set{RunnerSet: rules.RunnerSet{Name: "linux"}, config: &c}
	s.members = map[string]*member{}
	for _, m := range []*member{a(0, "begun"), a(1, "busy young"), a(2, "busy")} {
		s.members[m.Name] = m
	}
	text, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	back, err := s.decode(text)
	if err != nil || len(back) != 2 || !reflect.DeepEqual(names([]*member{back["clipper-linux-0-x"], back["clipper-linux-1-x"]}), []int{0, 1}) || back["clipper-linux-1-x"].ARN != "arn1" {
		t.Errorf("%s: %v, %v", text, back, err)
	}
	if none, err := s.decode(""); err != nil || len(none) != 0 {
		t.Error(none, err)
	}
	if _, err := s.decode("{"); err == nil {
		t.Error("half of it is taken")
	}
}

// TestDoubled: pauses grow, up to a bound.
func TestDoubled(t *testing.T) {
	for times, want := range []time.Duration{5 * time.Second, 5 * time.Second, 10 * time.Second, 20 * time.Second} {
		if got := doubled(5*time.Second, time.Minute, times); got != want {
			t.Errorf("%d: %s, want %s", times, got, want)
		}
	}
	if got := doubled(5*time.Second, time.Minute, 1000); got != time.Minute {
		t.Error(got)
	}
}

// TestScrub: an error of the client's says no secret.
func TestScrub(t *testing.T) {
	secret := strings.Repeat("c2VjcmV0", 20)
	if got := scrub(fmt.Errorf("failed: %q", secret)).Error(); strings.Contains(got, secret[:20]) || !strings.HasPrefix(got, "failed: ") {
		t.Error(got)
	}
	if err := fmt.Errorf("of %w", errAtWork); scrub(err) != err {
		t.Error("an error without a secret is changed")
	}
}
