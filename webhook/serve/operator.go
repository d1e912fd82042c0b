package serve

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/mask"
	"github.com/clipperregistry/runner/webhook/reconcile"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
	"github.com/clipperregistry/runner/webhook/web"
	"github.com/clipperregistry/runner/webhook/work"
)

// What an operator's command does beside the service, or without it.

// Tail has the last lines of a run, at most n, as the pages show them.
func Tail(ctx context.Context, aws *AWS, run webhook.Run, n int) ([]web.Line, error) {
	t := &task.Tasks{Region: aws.Region, ECS: aws.ECS, Logs: aws.Logs, Parameters: aws.Parameters, Secrets: aws.Secrets, Log: slog.New(slog.DiscardHandler)}
	return logs{tasks: &tasks{of: map[int64]*task.Tasks{run.App: t}}, secret: mask.New().Hide}.Tail(ctx, run, n)
}

// Unread says why the logs of programs that have a secret are withheld, "" if
// they are not. A secret is the ARN by which the policy has it.
func Unread(ctx context.Context, aws *AWS, secret string) (why string, err error) {
	t := task.Tasks{Parameters: aws.Parameters, Secrets: aws.Secrets, Log: slog.New(slog.DiscardHandler)}
	return t.Unread(ctx, secret)
}

// Reconcile has an inbox take in what GitHub has sent for an App and the inbox
// lacks. A service may do the same at that time.
func Reconcile(ctx context.Context, aws *AWS, a App, inbox reconcile.Inbox) (reconcile.Result, error) {
	h, err := a.newHub(ctx, aws)
	if err != nil {
		return reconcile.Result{}, err
	}
	r, err := reconcile.New(reconcile.Config{GitHub: h, Inbox: inbox, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return reconcile.Result{}, err
	}
	return r.Pass(ctx)
}

// Wanted is a rule of a repository that an operator wants to run now. That they
// have the database and the key of an App is their right to it.
type Wanted struct {
	// Apps are those that may be installed in the repository: one of them is.
	// Policy is the operator's.
	Apps       []App
	Policy     *rules.Policy
	Repository string // its full name
	Rule       string
	By         string
}

// Start stores the run of a rule that is wanted, for whatever service has the
// database to begin it. The error wraps ErrSettings where no App or several are
// in the repository, database.ErrNotFound where it has no such rule, and
// work.ErrRefused where the rule does not run by hand.
func Start(ctx context.Context, db *database.DB, aws *AWS, w Wanted) (run string, err error) {
	app, h, at, err := w.app(ctx, aws)
	if err != nil {
		return "", err
	}
	all := &work.Work{DB: db, GitHub: map[int64]work.GitHub{app: h}, Policy: w.Policy, Log: slog.New(slog.DiscardHandler)}
	run, reason, err := all.Manual(ctx, work.ByHand{App: app, Repository: at, Rule: w.Rule, Sender: w.By, Permission: rules.Admin, Nonce: rand.Text()})
	if err == nil && run == "" {
		err = fmt.Errorf("rule %s of %s: %w: %s", w.Rule, w.Repository, work.ErrRefused, reason)
	}
	return run, err
}

// app is the only one that is installed in the repository.
func (w Wanted) app(ctx context.Context, aws *AWS) (app int64, h *hub.Hub, at hub.Repo, err error) {
	for _, a := range w.Apps {
		asks, err := a.newHub(ctx, aws)
		if err != nil {
			return 0, nil, at, err
		}
		i, err := asks.InstallationOf(ctx, w.Repository)
		switch {
		case errors.Is(err, hub.ErrGone):
		case errors.Is(err, hub.ErrInvalid):
			return 0, nil, at, wrong("%w", err)
		case err != nil:
			return 0, nil, at, fmt.Errorf("App %d: %w", a.ID, err)
		case app != 0:
			return 0, nil, at, wrong("the Apps %d and %d are both installed in %s: say with --app which one is to run the rule", app, a.ID, w.Repository)
		default:
			app, h, at = a.ID, asks, hub.Repo{Installation: i.ID, FullName: w.Repository}
		}
	}
	if app == 0 {
		return 0, nil, at, wrong("the App is not installed in %s, or there is no such repository", w.Repository)
	}
	return app, h, at, nil
}

// newHub is the App's way to GitHub.
func (a App) newHub(ctx context.Context, aws *AWS) (*hub.Hub, error) {
	signer, _, err := a.Key.Signer(ctx, aws)
	if err != nil {
		return nil, err
	}
	h, err := hub.New(hub.Config{App: a.ID, Signer: signer, URL: a.APIURL})
	if err != nil {
		return nil, wrong("App %d: %w", a.ID, err)
	}
	return h, nil
}
