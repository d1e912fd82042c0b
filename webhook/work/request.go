package work

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// rerunnable is how far back runs of a commit are looked for.
const rerunnable = 30 * 24 * time.Hour

// request grants what somebody asks for at a check run, if they may write now.
func (t *turn) request(ctx context.Context, e *webhook.Event, r rules.Request) (outcome, error) {
	p, err := t.github.Permission(ctx, at(e), r.Sender)
	permission := rules.Permission(p)
	switch {
	case err != nil:
		return outcome{}, err
	case r.Wish == rules.WishRerunAll:
		return t.rerunAll(ctx, e, r, permission)
	}
	run, err := t.DB.Run(ctx, r.Run)
	if errors.Is(err, database.ErrNotFound) || err == nil && (run.App != t.app || run.Repository != e.Repository.ID) {
		return nothing("the repository has no run %s", r.Run)
	}
	if err != nil {
		return outcome{}, err
	}
	return t.grant(ctx, run, r, permission, e.Key())
}

// grant grants what somebody wishes about a run, for a fact.
func (w *Work) grant(ctx context.Context, run webhook.Run, r rules.Request, permission rules.Permission, fact string) (outcome, error) {
	if r.Wish == rules.WishApprove {
		reason, err := w.approve(ctx, r, permission)
		return outcome{reason: reason}, err
	}
	ok, why := r.Granted(&run, permission)
	switch {
	case !ok:
		return outcome{reason: why}, nil
	case r.Wish == rules.WishCancel:
		return outcome{reason: r.Sender + " cancelled the run"}, w.DB.Cancel(ctx, run.ID, "cancelled by "+r.Sender)
	case run.Rule == "":
		return outcome{reason: "a configuration is looked at when it changes"}, nil
	case run.State == webhook.Ambiguous: // it is not looked for any more, and gives its place up
		if err := w.DB.Cancel(ctx, run.ID, r.Sender+" has it run again"); err != nil {
			return outcome{}, err
		}
	}
	return outcome{runs: []database.NewRun{w.rerun(run, "rerun:"+run.ID+":"+fact)}}, nil
}

// Request grants what a person asks for on the service's own pages, if they
// may write in the run's repository now. Nonce tells one request from another.
// It returns what became of it: the ID of the run that follows, if one does, or
// why not.
func (w *Work) Request(ctx context.Context, r rules.Request, nonce string) (run, reason string, err error) {
	w.setDefaults()
	about, err := w.DB.Run(ctx, r.Run)
	if err != nil {
		return "", "", err
	}
	github := w.GitHub[about.App]
	if github == nil {
		return "", "", fmt.Errorf("the service has no key of App %d", about.App)
	}
	permission, err := github.Permission(ctx, repo(&about), r.Sender)
	if err != nil {
		return "", "", err
	}
	o, err := w.grant(ctx, about, r, rules.Permission(permission), nonce)
	if err != nil || len(o.runs) == 0 {
		return "", o.reason, err
	}
	_, err = w.DB.CreateRun(ctx, o.runs[0])
	return o.runs[0].ID, o.reason, err
}

// ErrRefused is wrapped by the error for a wish that a run does not allow as it
// is.
var ErrRefused = errors.New("refused")

// Order grants what the operator wishes about a run, whose right to it is that
// they have the database: GitHub is not asked. It returns the ID of the run that
// follows, if one does.
func (w *Work) Order(ctx context.Context, wish rules.Wish, id, by, nonce string) (run string, err error) {
	w.setDefaults()
	about, err := w.DB.Run(ctx, id)
	if err != nil {
		return "", err
	}
	r := rules.Request{Wish: wish, Run: id, Commit: about.Commit, Sender: by}
	if ok, why := r.Granted(&about, rules.Admin); !ok {
		return "", fmt.Errorf("run %s: %w: %s", id, ErrRefused, why)
	}
	o, err := w.grant(ctx, about, r, rules.Admin, nonce)
	switch {
	case err != nil:
		return "", err
	case len(o.runs) > 0:
		_, err = w.DB.CreateRun(ctx, o.runs[0])
		return o.runs[0].ID, err
	case wish == rules.WishRerun:
		return "", fmt.Errorf("run %s: %w: %s", id, ErrRefused, o.reason)
	}
	return "", nil
}
