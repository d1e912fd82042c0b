package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/web"
	"github.com/clipperregistry/runner/webhook/work"
)

// orders carries out what people ask for on the pages.
type orders struct {
	db   *database.DB
	work *work.Work
}

// Replay has somebody decide about a delivery once more.
func (o orders) Replay(ctx context.Context, app int64, guid, _ string) error {
	return told(o.db.Replay(ctx, app, guid))
}

// Approve lets a run go that waits.
func (o orders) Approve(ctx context.Context, run, commit, by string) error {
	_, err := o.ask(ctx, rules.Request{Wish: rules.WishApprove, Run: run, Commit: commit, Sender: by}, func(now webhook.Run) bool { return now.ApprovedBy == by })
	return err
}

// Rerun does a run again.
func (o orders) Rerun(ctx context.Context, run, by string) (string, error) {
	about, err := o.db.Run(ctx, run)
	if err != nil {
		return "", told(err)
	}
	return o.ask(ctx, rules.Request{Wish: rules.WishRerun, Run: run, Commit: about.Commit, Sender: by}, func(webhook.Run) bool { return false })
}

// Cancel has a run end.
func (o orders) Cancel(ctx context.Context, run, by string) error {
	about, err := o.db.Run(ctx, run)
	if err != nil {
		return told(err)
	}
	_, err = o.ask(ctx, rules.Request{Wish: rules.WishCancel, Run: run, Commit: about.Commit, Sender: by}, func(now webhook.Run) bool { return now.CancelRequested != "" })
	return err
}

// Start has a rule run by hand.
func (o orders) Start(ctx context.Context, s web.Start) (string, error) {
	run, reason, err := o.work.Manual(ctx, work.ByHand{
		App: s.App, Repository: hub.Repo{Installation: s.Installation, ID: s.Repository, FullName: s.FullName}, Rule: s.Rule, Sender: s.By, Nonce: s.Nonce,
	})
	if err == nil && run == "" {
		err = fmt.Errorf("%w: %s", web.ErrRefused, reason)
	}
	return run, told(err)
}

// ask asks the work for something. It was granted if another run follows, or
// if the run is as it was wished for.
func (o orders) ask(ctx context.Context, r rules.Request, granted func(webhook.Run) bool) (run string, err error) {
	run, reason, err := o.work.Request(ctx, r, rand.Text())
	if err != nil || run != "" {
		return run, told(err)
	}
	now, err := o.db.Run(ctx, r.Run)
	if err != nil {
		return "", told(err)
	}
	if !granted(now) {
		return "", fmt.Errorf("%w: %s", web.ErrRefused, reason)
	}
	return "", nil
}

// told is an error that people can do something about.
func told(err error) error {
	switch {
	case errors.Is(err, database.ErrMoved), errors.Is(err, database.ErrNotFound), errors.Is(err, hub.ErrGone), errors.Is(err, hub.ErrRefused):
		return fmt.Errorf("%w: %w", web.ErrRefused, err)
	}
	return err
}
