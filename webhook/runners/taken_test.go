package runners

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// taken is a store in which another replica has the lease from some time on.
type taken struct {
	Store
	by bool
}

func (s *taken) Hold(ctx context.Context, name, who string, lease time.Duration) (bool, error) {
	if s.by {
		return false, nil
	}
	return s.Store.Hold(ctx, name, who, lease)
}

// slow has something happen while tasks are listed.
type slow struct {
	Tasks
	meanwhile func()
}

func (s slow) List(ctx context.Context, j task.Job) ([]string, error) {
	s.meanwhile()
	return s.Tasks.List(ctx, j)
}

// TestTaken: a replica that has lost its set while it looked, as one may that
// AWS keeps waiting, leaves what the other one has begun as it is.
func TestTaken(t *testing.T) {
	t.Parallel()
	w := start(t, rules.JIT, "")
	store, begun := &taken{Store: w.db}, `[{"name":"clipper-linux-0-theirs","slot":0,"at":"2026-11-22T06:00:00Z"}]`
	r := w.service(w.fleet("idle: 1"), func(c *Config) {
		c.Store = store
		c.Tasks = slow{c.Tasks, func() {
			store.by = true
			if err := w.db.SetCursor(t.Context(), "runners/"+keyOf(c.Fleet.Sets[0]), begun); err != nil {
				t.Error(err)
			}
		}}
	})
	s := r.sets[0]
	if err := s.pass(t.Context()); !errors.Is(err, errTaken) {
		t.Errorf("the pass ended with %v", err)
	}
	if kept, err := w.db.Cursor(t.Context(), s.lease()); err != nil || kept != begun {
		t.Errorf("the database has %s, %v", kept, err)
	}
}
