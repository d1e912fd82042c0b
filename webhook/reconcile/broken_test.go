package reconcile_test

import (
	"context"
	"errors"
	"testing"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/reconcile"
)

// TestNeighbours: many neighbours that cannot be fetched hold up none that came
// later, and a pass in which nothing can be fetched ends soon.
func TestNeighbours(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		const n, first, bad = 40, 3, 7
		w.app.SetWebhook(nowhere)
		w.send(n)
		sent := w.app.Deliveries()
		ids := map[int64]bool{}
		for _, d := range sent[first : first+bad] {
			ids[d.ID] = true
		}
		pass := func(cannot func(id int64) bool, want reconcile.Result) {
			t.Helper()
			r := w.reconciler(func(c *reconcile.Config) { c.GitHub = broken{w.hub, cannot} })
			result, err := r.Pass(t.Context())
			if (err != nil) != (want.Failed > 0) || result.Accepted != want.Accepted || result.Failed != want.Failed {
				t.Errorf("%+v, %v; want %+v", result, err, want)
			}
		}
		pass(func(int64) bool { return true }, reconcile.Result{Failed: 10})
		pass(func(id int64) bool { return ids[id] }, reconcile.Result{Accepted: n - bad, Failed: bad})
		pass(func(id int64) bool { return ids[id] && id != sent[first].ID }, reconcile.Result{Accepted: 1, Failed: bad - 1})
		pass(func(int64) bool { return false }, reconcile.Result{Accepted: bad - 1})
		w.complete()
	})
}

// broken is a GitHub that cannot tell some deliveries.
type broken struct {
	*hub.Hub
	cannot func(id int64) bool
}

func (b broken) Delivery(ctx context.Context, id int64) (webhook.Delivery, error) {
	if b.cannot(id) {
		return webhook.Delivery{}, errors.New("GitHub answers 500")
	}
	return b.Hub.Delivery(ctx, id)
}
