package work

import (
	"context"
	"errors"
	"strings"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// at is where an event happened.
func at(e *webhook.Event) hub.Repo {
	return hub.Repo{Installation: e.Installation.ID, ID: e.Repository.ID, FullName: e.Repository.FullName}
}

// learn asks for a fact.
func (t *turn) learn(ctx context.Context, e *webhook.Event, need rules.Need, facts *rules.Facts) error {
	switch need {
	case rules.NeedPaths:
		return t.learnPaths(ctx, e, facts)
	case rules.NeedPermission:
		p, err := t.github.Permission(ctx, at(e), e.Sender.Login)
		facts.Permission = rules.Permission(p)
		return err
	case rules.NeedPullRequest:
		var err error
		facts.PullRequest, err = t.github.PullRequest(ctx, at(e), e.Issue.Number)
		return err
	case rules.NeedCommit:
		ref := "refs/heads/" + e.Repository.DefaultBranch
		if e.Release != nil {
			ref = "refs/tags/" + e.Release.Tag
		}
		var err error
		facts.Commit, err = t.head(ctx, at(e), ref)
		return err
	}
	return errors.New("nobody knows " + string(need))
}

// learnPaths asks for what a push or a pull request changes: of a branch that
// is new, since it left the default branch. What cannot be compared may change
// everything.
func (t *turn) learnPaths(ctx context.Context, e *webhook.Event, facts *rules.Facts) error {
	change := hub.Change{Base: e.Before, Head: e.After}
	switch p := e.PullRequest; {
	case p != nil:
		change = hub.Change{Base: p.Base.SHA, Head: p.Head.SHA, PullRequest: p.Number}
	case strings.Trim(e.Before, "0") == "":
		change.Base = e.Repository.DefaultBranch
	}
	paths, err := t.github.ChangedPaths(ctx, at(e), change)
	if errors.Is(err, hub.ErrGone) || errors.Is(err, hub.ErrInvalid) { // what was there before a force push
		paths, err = hub.Paths{Cut: true}, nil
	}
	facts.Paths, facts.PathsCut, facts.PathsKnown = paths.Names, paths.Cut, true
	return err
}

// head is the commit that a reference is at.
func (t *turn) head(ctx context.Context, r hub.Repo, ref string) (string, error) {
	key := r.FullName + " " + ref
	if commit, there := t.heads[key]; there {
		return commit, nil
	}
	commit, err := t.github.Head(ctx, r, ref)
	if err == nil {
		t.heads[key] = commit
	}
	return commit, err
}
