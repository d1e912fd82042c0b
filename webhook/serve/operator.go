package serve

import (
	"context"
	"log/slog"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/mask"
	"github.com/clipperregistry/runner/webhook/reconcile"
	"github.com/clipperregistry/runner/webhook/task"
	"github.com/clipperregistry/runner/webhook/web"
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
	signer, _, err := a.Key.Signer(ctx, aws)
	if err != nil {
		return reconcile.Result{}, err
	}
	h, err := hub.New(hub.Config{App: a.ID, Signer: signer, URL: a.APIURL})
	if err != nil {
		return reconcile.Result{}, wrong("App %d: %w", a.ID, err)
	}
	r, err := reconcile.New(reconcile.Config{GitHub: h, Inbox: inbox, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		return reconcile.Result{}, err
	}
	return r.Pass(ctx)
}
