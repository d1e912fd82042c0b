package runners

import (
	"cmp"
	"slices"
	"time"

	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/task"
)

// view is what a pass has found.
type view struct {
	now     time.Time
	members []*member
	strays  map[string]stray // runners without a member
	wanted  int              // jobs
	surplus time.Time        // since when there are too many
	held    bool             // none is to be started
	max     int
	min     int
	idle    int
	timeout time.Duration
}

// stray is a runner of the set's that has no task.
type stray struct {
	hub.Runner
	since time.Time
}

// plan is what is to be done.
type plan struct {
	start   []int        // slots
	resume  []*member    // starts of which nobody knows what became
	forget  []*member    // the same, and nobody needs them
	dismiss []*member    // have no job: the runner is removed, then the task
	stop    []stop       // tasks
	remove  []hub.Runner // runners
	surplus time.Time
	serving int // runners that take jobs, or will
}

// stop is a task that is to end.
type stop struct {
	*member
	cause task.Cause
	text  string
}

// decide says what is to be done about a set. It asks nobody.
func decide(v view, p Pace) plan {
	out := plan{}
	var spare, lost []*member
	slots := map[int]bool{}
	for _, m := range v.members {
		slots[m.Slot] = true
		switch out.about(m, v, p) {
		case serves:
			out.serving++
		case idles:
			out.serving++
			spare = append(spare, m)
		case unknown:
			lost = append(lost, m)
		}
	}
	want := min(max(v.wanted+v.idle, v.min), v.max)
	// A start that may have been is made again before another one is begun.
	for _, m := range lost {
		switch {
		case out.serving < want && !v.held:
			out.resume = append(out.resume, m)
			out.serving++
		case out.serving >= want:
			out.forget = append(out.forget, m)
		}
	}
	if !v.held {
		for slot := 0; slot < v.max && out.serving+len(out.start) < want && len(v.members)+len(out.start) < v.max; slot++ {
			if !slots[slot] {
				out.start = append(out.start, slot)
			}
		}
	}
	out.spare(spare, out.serving-want, v, p)
	for _, r := range v.strays {
		if !r.Busy && v.now.Sub(r.since) >= p.Grace {
			out.remove = append(out.remove, r.Runner)
		}
	}
	return out
}

// standing is what a member counts for.
type standing int

const (
	gone    standing = iota // for nothing any more, though its slot is taken
	serves                  // takes a job, has one, or will
	idles                   // could be sent away
	unknown                 // ECS should know its task by now, and does not
)

// about is what is to be done about one member, and what it counts for.
func (out *plan) about(m *member, v view, p Pace) standing {
	late := m.truth.Overdue(v.timeout, v.now)
	switch {
	case m.leaves:
		return gone
	case m.ARN == "" && v.now.Sub(m.At) < p.Settle:
		return serves
	case m.ARN == "" && m.runner != nil && (m.runner.Busy || m.runner.Status == "online"):
		return serves // its task runs, and will be listed
	case m.ARN == "":
		return unknown
	case late && m.truth.Started.IsZero():
		out.stop = append(out.stop, stop{m, task.Timeout, "it did not start"})
		return gone
	case late && (m.runner == nil || m.runner.Busy):
		out.stop = append(out.stop, stop{m, task.Timeout, "the runner's time is over"})
		return gone
	case late:
		out.dismiss = append(out.dismiss, m)
		return gone
	case m.runner != nil && m.runner.Busy:
		return serves
	case m.runner != nil:
		return idles
	case m.truth.Started.IsZero():
		return serves
	case !m.alone.IsZero() && v.now.Sub(m.alone) >= p.Grace:
		out.stop = append(out.stop, stop{m, task.Cancel, "its runner is not registered"})
		return gone
	case m.met:
		return gone // it has done its job
	}
	return serves
}

// spare sends away whom nobody has needed for a while, the oldest first.
func (out *plan) spare(idle []*member, many int, v view, p Pace) {
	if many <= 0 || len(idle) == 0 {
		return
	}
	if out.surplus = v.surplus; out.surplus.IsZero() {
		out.surplus = v.now
	}
	if v.now.Sub(out.surplus) < p.Linger {
		return
	}
	slices.SortFunc(idle, func(a, b *member) int { return cmp.Or(a.At.Compare(b.At), cmp.Compare(a.Name, b.Name)) })
	out.dismiss = append(out.dismiss, idle[:min(many, len(idle))]...)
}
