package runners

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// late is a store in which a repository's deliveries are not to be seen yet, as
// of a transaction that commits after those behind it.
type late struct {
	Store
	hides *atomic.Pointer[string]
}

func (l late) Deliveries(ctx context.Context, f database.DeliveryFilter) iter.Seq2[database.Record, error] {
	return func(yield func(database.Record, error) bool) {
		for d, err := range l.Store.Deliveries(ctx, f) {
			if hidden := l.hides.Load(); hidden != nil && d.FullName == *hidden {
				continue
			}
			if !yield(d, err) {
				return
			}
		}
	}
}

// asked waits until repositories were asked so often for their jobs, those
// queued and those under way. After the first time, nobody does so for an hour
// but of one that a delivery tells of.
func (w *world) asked(times int) {
	w.t.Helper()
	w.until("they were asked", func() bool { return w.Count("actions/list-workflow-runs-for-repo") >= 2*times })
}

// TestToldLate: a delivery that becomes visible after one that was stored behind
// it counts all the same.
func TestToldLate(t *testing.T) {
	t.Parallel()
	w := start(t, rules.JIT, "")
	w.pace.Sweep = time.Hour
	other := w.Repo("acme/other")
	w.workflow(other, "elsewhere") // whose jobs are not for the set
	var hides atomic.Pointer[string]
	hides.Store(&w.repo.FullName)
	w.serve(w.service(w.fleet(), func(c *Config) { c.Store = late{c.Store, &hides} }))
	w.asked(2)
	w.queue(w.repo, 1)
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.queue(other, 1)
	w.asked(3)
	hides.Store(nil)
	w.finished(1)
}

// TestToldOfNew: jobs of a repository that has come since the others were listed
// are not left until its turn.
func TestToldOfNew(t *testing.T) {
	t.Parallel()
	w := start(t, rules.JIT, "")
	w.pace.Sweep = time.Hour
	w.serve(w.service(w.fleet()))
	w.asked(1)
	fresh := w.Repo("acme/fresh")
	w.workflow(fresh, "clipper")
	w.queue(fresh, 1)
	w.finished(1)
}
