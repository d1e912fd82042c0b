package serve

import (
	"cmp"
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/task"
)

// tasks are those of each App, which fetch their sources from the App's GitHub
// with the App's tokens.
type tasks struct {
	of     map[int64]*task.Tasks
	tracer *tracer
}

// newTasks wires tasks to AWS. Nothing is asked there before a job is.
func (s *service) newTasks(aws *AWS) *tasks {
	all := &tasks{of: map[int64]*task.Tasks{}, tracer: s.tracer}
	for _, a := range s.apps {
		t := &task.Tasks{
			Region: aws.Region, ECS: aws.ECS, Logs: aws.Logs, Parameters: aws.Parameters, Secrets: aws.Secrets, RunnerImage: s.RunnerImage, Resolve: s.Resolve,
			Checkout: task.Checkout{Image: s.Image, API: a.api(), Token: checkoutToken(a.hub)},
			Log:      s.tell,
		}
		if len(s.apps) > 1 { // IDs of repositories are one host's
			t.Checkout.Prefix = "/clipper/source/" + strconv.FormatInt(a.ID, 10)
		}
		all.of[a.ID] = t
	}
	return all
}

func checkoutToken(h *hub.Hub) func(context.Context, task.Source) (string, time.Time, error) {
	return func(ctx context.Context, s task.Source) (string, time.Time, error) {
		token, err := h.CheckoutToken(ctx, hub.Repo{Installation: s.Installation, ID: s.Repository, FullName: s.FullName})
		return token.Reveal(), token.Expires, err
	}
}

// api is the URL of GitHub's API.
func (a App) api() string { return cmp.Or(a.APIURL, "https://api.github.com") }

// gitHub is where people sign in: of an Enterprise Server, the host of its API,
// https://HOST/api/v3; of GitHub with data residency, https://api.NAME.ghe.com,
// the same without api.
func (a App) gitHub() string {
	api, err := httpURL(a.APIURL)
	switch {
	case a.GitHubURL != "":
		return a.GitHubURL
	case a.APIURL == "" || err != nil || api.Host == "api.github.com":
		return "https://github.com"
	}
	return api.Scheme + "://" + strings.TrimPrefix(api.Host, "api.")
}

func (t *tasks) app(j task.Job) (*task.Tasks, error) {
	if of := t.of[j.Source.App]; of != nil {
		return of, nil
	}
	return nil, fmt.Errorf("%w: the service has no key of App %d", task.ErrRefused, j.Source.App)
}

// one is any of them: what is known by its ARN is the same to all.
func (t *tasks) one() *task.Tasks {
	for _, of := range t.of {
		return of
	}
	return nil
}

func (t *tasks) Start(ctx context.Context, j task.Job) (string, error) {
	of, err := t.app(j)
	if err != nil {
		return "", err
	}
	if t.tracer == nil {
		return of.Start(ctx, j)
	}
	ctx, parent, end := t.tracer.job(ctx, j)
	if parent != "" {
		j.Given["TRACEPARENT"] = parent // task.Of made the map for this job
	}
	arn, err := of.Start(ctx, j)
	end(err)
	return arn, err
}

func (t *tasks) Find(ctx context.Context, j task.Job) (string, error) {
	of, err := t.app(j)
	if err != nil {
		return "", err
	}
	return of.Find(ctx, j)
}

func (t *tasks) Explain(ctx context.Context, truth task.Truth, j task.Job) (task.Truth, error) {
	of, err := t.app(j)
	if err != nil {
		return truth, err
	}
	return of.Explain(ctx, truth, j)
}

func (t *tasks) Tail(ctx context.Context, arn string, j task.Job, n int) ([]watch.Line, error) {
	of, err := t.app(j)
	if err != nil {
		return nil, err
	}
	return of.Tail(ctx, arn, j, n)
}

func (t *tasks) Before(ctx context.Context, arn string, j task.Job, end time.Time, n int) ([]watch.Line, error) {
	of, err := t.app(j)
	if err != nil {
		return nil, err
	}
	return of.Before(ctx, arn, j, end, n)
}

func (t *tasks) Follow(ctx context.Context, arn string, j task.Job, since time.Time, tell func(watch.Line)) error {
	of, err := t.app(j)
	if err != nil {
		return err
	}
	return of.Follow(ctx, arn, j, since, tell)
}

func (t *tasks) Describe(ctx context.Context, arns []string) ([]task.Truth, error) {
	return t.one().Describe(ctx, arns)
}

func (t *tasks) Stop(ctx context.Context, arn string, cause task.Cause, text string) error {
	return t.one().Stop(ctx, arn, cause, text)
}
