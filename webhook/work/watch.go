package work

import (
	"context"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// unknown is how long a place may not know what runs there.
const unknown = 2 * time.Minute

// tailWhile is how many lines are shown of what runs.
const tailWhile = 30

// watch asks for the truth about a run.
func (w *Work) watch(ctx context.Context, run *webhook.Run) error {
	p, err := w.place(run)
	if err != nil {
		return err
	}
	truth, err := p.truth(ctx, run, false)
	if err != nil {
		return err
	}
	switch {
	case truth.state.Over() && p.logs():
		run.ExitCode = truth.exitCode
		return w.move(ctx, run, webhook.Finishing, truth.reason, 0)
	case truth.state.Over():
		return w.end(ctx, run, truth, nil)
	case truth.state == "" && w.Now().Sub(run.Seen) > unknown:
		return w.end(ctx, run, ending{state: webhook.Lost, reason: "the place where it ran does not know it any more, nor how it ended"}, nil)
	case truth.state == "":
		return w.again(ctx, run, w.Pace.Watch)
	case run.CancelRequested != "":
		err = p.stop(ctx, run, true, run.CancelRequested)
	case truth.overdue:
		err = p.stop(ctx, run, false, "it ran for longer than its rule lets it")
	}
	if err != nil {
		return err
	}
	lines, err := p.tail(ctx, run, tailWhile)
	if err != nil {
		return err
	}
	run.Seen = w.Now()
	return w.again(ctx, run, w.pause(p, run), lines...)
}

// pause is how long a run is left alone that its place has. Where deliveries
// tell of its end it is long, for GitHub's limit is all runs' together: 5,000
// requests an hour, of which 100 runs would need 24,000 otherwise.
func (w *Work) pause(p place, run *webhook.Run) time.Duration {
	least, most := min(w.Pace.Watch, 3*time.Second), w.Pace.Watch
	if p.told() && run.CancelRequested == "" {
		least, most = most, 8*most
	}
	if run.Started.IsZero() {
		return least
	}
	return patience(w.Now().Sub(run.Started), least, most)
}
