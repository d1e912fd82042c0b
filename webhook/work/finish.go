package work

import (
	"context"
	"fmt"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

const (
	// tailAfter is how many lines are shown of what has ended.
	tailAfter = 1000
	// mostFinishing is how long its logs are waited for.
	mostFinishing = 5 * time.Minute
)

// finish reads the logs of what has ended, and then says how it did.
func (w *Work) finish(ctx context.Context, run *webhook.Run) error {
	p, err := w.place(run)
	if err != nil {
		return err
	}
	truth, err := p.truth(ctx, run, true)
	var lines []string
	if err == nil {
		lines, err = p.tail(ctx, run, tailAfter)
	}
	if err != nil && w.Now().Sub(run.Seen) < mostFinishing {
		return err
	}
	if truth.state.Over() {
		return w.end(ctx, run, truth, lines)
	}
	return w.end(ctx, run, remembered(run), lines)
}

// remembered is how a run ended by what was stored of it, for a place that has
// forgotten it, or cannot be asked.
func remembered(run *webhook.Run) ending {
	e := ending{state: webhook.Lost, reason: run.Reason, exitCode: run.ExitCode}
	if e.exitCode != nil {
		if e.state = webhook.Failed; *e.exitCode == 0 {
			e.state = webhook.Succeeded
		}
	}
	return e
}

// end ends a run, or has it run again if its place says that its host was lost,
// and its rule says so.
func (w *Work) end(ctx context.Context, run *webhook.Run, e ending, lines []string) error {
	run.ExitCode = e.exitCode
	if job, err := jobOf(run); e.retry && err == nil && run.Attempt <= job.Retries && run.CancelRequested == "" {
		run.Task, run.Cluster, run.WorkflowRun, run.ExitCode = "", "", 0, nil
		return w.move(ctx, run, webhook.Queued, fmt.Sprintf("%s; attempt %d of %d follows", e.reason, run.Attempt+1, job.Retries+1), 0, lines...)
	}
	return w.move(ctx, run, e.state, e.reason, 0, lines...)
}
