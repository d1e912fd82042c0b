package work

import (
	"context"
	"fmt"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// resolve looks for a run of which it is not known whether it was started.
// Where a start can be repeated without starting twice, it is. Elsewhere, what
// is not found for long is for a person to decide about: to start it again
// could start it twice.
func (w *Work) resolve(ctx context.Context, run *webhook.Run) error {
	p, err := w.place(run)
	if err != nil {
		return err
	}
	found, err := p.find(ctx, run)
	since := w.Now().Sub(run.Seen)
	_, limit := limited(err)
	switch {
	case err == nil && found.known():
		return w.runs(ctx, run, p, found)
	case limit:
		return err
	case err != nil && never(err):
		return w.move(ctx, run, webhook.Failed, redact(err.Error()), 0)
	case run.State == webhook.Ambiguous:
		return w.again(ctx, run, patience(since, time.Minute, time.Hour))
	case since <= w.Pace.Resolve:
		return w.again(ctx, run, patience(since, min(time.Second, w.Pace.Resolve/4), 30*time.Second))
	case err != nil:
		return err // it was not looked for
	}
	reason := fmt.Sprintf("it may have been started, and was not found for %s: %s", w.Pace.Resolve, run.Reason)
	if run.CancelRequested != "" {
		return w.move(ctx, run, webhook.Cancelled, run.CancelRequested+"; "+reason, 0)
	}
	return w.move(ctx, run, webhook.Ambiguous, reason, time.Minute)
}
