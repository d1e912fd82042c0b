package work

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// Rulebook is what counts in a repository.
type Rulebook struct {
	// Branch and Commit are where it was read.
	Branch, Commit string
	// Config is with the organisation's default, nil where there is none; Text is
	// the repository's own file.
	Config   *rules.Config
	Text     string
	Problems rules.Problems // of the own file
}

// Rules reads what counts at the head of a repository's default branch.
func (w *Work) Rules(ctx context.Context, app int64, r hub.Repo) (Rulebook, error) {
	t, err := w.asker(app)
	if err != nil {
		return Rulebook{}, err
	}
	found, err := t.github.Repository(ctx, r)
	if err != nil {
		return Rulebook{}, err
	}
	e := &webhook.Event{Repository: found, Installation: webhook.Installation{ID: r.Installation}}
	book, err := t.book(ctx, e, found.DefaultBranch, "")
	if err != nil {
		return book, err
	}
	text, err := t.github.Config(ctx, at(e), book.Commit)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, hub.ErrInvalid) {
		err = nil
	}
	book.Text = string(text)
	return book, err
}

// Explained is what every rule makes of a delivery.
type Explained struct {
	Branch, Commit string // where the rules were read
	Decisions      []rules.Decision
	Reason         string // why there are no decisions
}

// Explain says what the rules, as they are now, make of a delivery. Nothing
// follows from it.
func (w *Work) Explain(ctx context.Context, rec database.Record) (Explained, error) {
	t, err := w.asker(rec.App)
	if err != nil {
		return Explained{}, err
	}
	e, err := webhook.ParseEvent(rec.Event, rec.Body)
	switch {
	case err != nil:
		return Explained{Reason: err.Error()}, nil
	case !t.Policy.Serves(e.Repository.FullName):
		return Explained{Reason: "the operator's policy does not serve " + e.Repository.FullName}, nil
	case !decides[e.Name]:
		return Explained{Reason: fmt.Sprintf("rules have nothing to say to %s %s", e.Name, e.Action)}, nil
	case e.Name == "issue_comment" && !commands(e):
		return Explained{Reason: "the comment is no command"}, nil
	}
	facts := rules.Facts{}
	if facts.Bot, err = t.github.Bot(ctx); err != nil {
		return Explained{}, err
	}
	if e.Name == "issue_comment" {
		if err := t.learn(ctx, e, rules.NeedPullRequest, &facts); err != nil {
			return Explained{}, err
		}
	}
	branch, commit := rules.ConfigAt(e, facts.PullRequest)
	book, err := t.book(ctx, e, branch, commit)
	found := Explained{Branch: book.Branch, Commit: book.Commit}
	switch {
	case err != nil:
		return found, err
	case book.Config == nil:
		found.Reason = configuration{tip: book.Commit, problems: book.Problems}.why()
		return found, nil
	}
	found.Decisions, err = t.decisions(ctx, book.Config, e, &facts)
	return found, err
}

// asker asks on behalf of an App.
func (w *Work) asker(app int64) (*turn, error) {
	w.setDefaults()
	t := &turn{Work: w, app: app, github: w.GitHub[app], heads: map[string]string{}}
	if t.github == nil {
		return nil, fmt.Errorf("the service has no key of App %d", app)
	}
	return t, nil
}

// book reads what counts at a commit, or else at the head of a branch.
func (t *turn) book(ctx context.Context, e *webhook.Event, branch, commit string) (Rulebook, error) {
	book := Rulebook{Branch: branch, Commit: commit}
	var err error
	if commit == "" {
		if book.Commit, err = t.head(ctx, at(e), "refs/heads/"+branch); err != nil {
			return book, err
		}
	}
	own, problems, err := t.parsed(ctx, at(e), book.Commit)
	if book.Problems = problems; err != nil || len(problems) > 0 {
		return book, err
	}
	organisation, err := t.organisation(ctx, e)
	if err == nil && (own != nil || organisation != nil) {
		book.Config = rules.Merge(organisation, own)
	}
	return book, err
}
