package work

import (
	"context"

	"github.com/clipperregistry/runner/webhook"
)

// cancel does what a wish to cancel a run means in its state, and says whether
// that was all. What may run is first found, then stopped, and then watched
// until it has: see resolve and watch.
func (w *Work) cancel(ctx context.Context, run *webhook.Run) (done bool, err error) {
	switch run.State {
	case webhook.AwaitingApproval, webhook.Queued, webhook.Ambiguous:
		return true, w.move(ctx, run, webhook.Cancelled, run.CancelRequested, 0)
	}
	return false, nil
}
