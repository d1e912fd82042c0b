package work

import (
	"context"
	"fmt"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// approve queues a run that waits for approval. Who asks is granted it for the
// commit that they looked at, and for no other.
func (w *Work) approve(ctx context.Context, r rules.Request, permission rules.Permission) (reason string, err error) {
	err = w.change(ctx, r.Run, func(run *webhook.Run) error {
		var ok bool
		if ok, reason = r.Granted(run, permission); !ok {
			return nil
		}
		reason = r.Sender + " approved the run"
		run.ApprovedBy = r.Sender
		return w.move(ctx, run, webhook.Queued, "approved by "+r.Sender, 0)
	})
	return reason, err
}

// lapse ends a run that nobody has approved.
func (w *Work) lapse(ctx context.Context, run *webhook.Run) error {
	if left := run.Created.Add(webhook.ApprovalLapses).Sub(w.Now()); left > 0 {
		return w.again(ctx, run, left)
	}
	return w.move(ctx, run, webhook.Cancelled, fmt.Sprintf("nobody approved it within %s", webhook.ApprovalLapses), 0)
}

// lapses ends the runs of a pull request that wait for approval, all but those
// about its head while it is open. How it is, is asked where any wait: the event
// may be late, and what it calls the head be void long since.
func (t *turn) lapses(ctx context.Context, e *webhook.Event, number int) error {
	var pull *webhook.PullRequest
	waiting := database.RunFilter{App: t.app, Repositories: []int64{e.Repository.ID}, State: webhook.AwaitingApproval}
	for run, err := range t.DB.Runs(ctx, waiting) {
		if err != nil {
			return err
		}
		if run.PullRequest != number {
			continue
		}
		if pull == nil {
			if pull, err = t.github.PullRequest(ctx, at(e), number); err != nil {
				return err
			}
		}
		reason := "the pull request was closed"
		if pull.State == "open" {
			if run.Commit == pull.Head.SHA {
				continue
			}
			reason = "another commit was pushed, which has to be approved by itself"
		}
		if err := t.DB.Cancel(ctx, run.ID, reason); err != nil {
			return err
		}
	}
	return nil
}
