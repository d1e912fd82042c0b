package work

import (
	"context"
	"errors"
	"slices"
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
// is new, since it left the default branch, and of one that was forced, what it
// had before, too. What cannot be compared may change everything.
func (t *turn) learnPaths(ctx context.Context, e *webhook.Event, facts *rules.Facts) error {
	changes := []hub.Change{{Base: e.Before, Head: e.After}}
	switch p := e.PullRequest; {
	case p != nil:
		changes[0] = hub.Change{Base: p.Base.SHA, Head: p.Head.SHA, PullRequest: p.Number}
	case strings.Trim(e.Before, "0") == "":
		changes[0].Base = e.Repository.DefaultBranch
	case e.Forced:
		changes = append(changes, hub.Change{Base: e.After, Head: e.Before})
	}
	var names []string
	cut := false
	for _, change := range changes {
		paths, err := t.github.ChangedPaths(ctx, at(e), change)
		if errors.Is(err, hub.ErrGone) || errors.Is(err, hub.ErrInvalid) { // what was there before a force push
			paths, err = hub.Paths{Cut: true}, nil
		}
		if err != nil {
			return err
		}
		names, cut = append(names, paths.Names...), cut || paths.Cut
	}
	slices.Sort(names)
	facts.Paths, facts.PathsCut, facts.PathsKnown = slices.Compact(names), cut, true
	return nil
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
