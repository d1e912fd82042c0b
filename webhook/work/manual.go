package work

import (
	"context"
	"fmt"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// ByHand is somebody's wish that a rule of a repository runs now, at the head of
// its default branch.
type ByHand struct {
	App        int64
	Repository hub.Repo
	Rule       string
	Sender     string
	// Permission is the sender's in the repository; "" is asked of GitHub.
	Permission rules.Permission
	// Nonce tells one wish from another: told again, it makes no second run.
	Nonce string
}

// Manual has a rule decide about a request by hand, and stores the run that
// follows. It returns the run's ID, or why there is none. A rule that is not
// there is database.ErrNotFound.
func (w *Work) Manual(ctx context.Context, b ByHand) (run, reason string, err error) {
	t, err := w.asker(b.App)
	if err != nil {
		return "", "", err
	}
	found, err := t.github.Repository(ctx, b.Repository)
	if err != nil {
		return "", "", err
	}
	if !t.Policy.Serves(found.FullName) {
		return "", "the operator's policy does not serve " + found.FullName, nil
	}
	e := &webhook.Event{
		Name: webhook.Manual, Rule: b.Rule, Nonce: b.Nonce, Due: webhook.MomentOf(w.Now()), Repository: found,
		Installation: webhook.Installation{ID: b.Repository.Installation}, Sender: webhook.User{Login: b.Sender},
	}
	c, err := t.configuration(ctx, e, nil)
	switch {
	case err != nil:
		return "", "", err
	case c.rules == nil:
		return "", c.why(), nil
	}
	decisions, err := t.decisions(ctx, c.rules, e, &rules.Facts{Permission: b.Permission})
	if err != nil {
		return "", "", err
	}
	for _, d := range decisions {
		switch {
		case d.Rule != b.Rule:
		case d.Run == nil:
			return "", d.Steps[len(d.Steps)-1].Text, nil
		default:
			_, err := w.DB.CreateRun(ctx, t.newRun(d.Run, c.commit))
			return d.Run.ID, "", err
		}
	}
	return "", "", fmt.Errorf("rule %s of %s: %w", b.Rule, found.FullName, database.ErrNotFound)
}
