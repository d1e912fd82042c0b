package serve

import (
	"cmp"
	"context"
	"os"
	"strings"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/runners"
	"github.com/clipperregistry/runner/webhook/task"
)

// fleet reads the operator's file of runners, nil without one.
func (s *Settings) fleet() (*rules.Fleet, error) {
	if s.Runners == "" {
		return nil, nil
	}
	text, err := os.ReadFile(s.Runners)
	if err != nil {
		return nil, wrong("CLIPPER_WEBHOOK_RUNNERS: %w", err)
	}
	f, problems := rules.ParseFleet(text)
	if len(problems) > 0 {
		return nil, wrong("CLIPPER_WEBHOOK_RUNNERS:\n%s:%s", s.Runners, strings.ReplaceAll(problems.Error(), "\n", "\n"+s.Runners+":"))
	}
	return f, nil
}

// keepRunners makes what keeps the runners, if there is a file of them.
func (s *service) keepRunners(fleet *rules.Fleet, aws *AWS, tasks *tasks) (err error) {
	if fleet == nil {
		return nil
	}
	c := runners.Config{
		Fleet: fleet, Tasks: tasks.one(), Store: s.db, Metrics: s.registry, Log: s.tell,
		Parameters: func(region string) task.Parameters { return aws.Parameters(cmp.Or(region, aws.Region)) },
	}
	for _, a := range s.apps {
		c.Apps = append(c.Apps, runners.App{GitHub: a.hub, URL: a.gitHub()})
	}
	s.runners, err = runners.New(c)
	return err
}

// inbox has the runners looked at when a delivery tells of their jobs.
type inbox struct {
	*database.DB
	runners *runners.Runners // nil: there are none
}

// Accept stores a delivery.
func (i inbox) Accept(ctx context.Context, d webhook.Delivery) (fresh bool, err error) {
	fresh, err = i.DB.Accept(ctx, d)
	if err == nil && fresh && i.runners != nil && d.Event == "workflow_job" {
		i.runners.Nudge(d.FullName)
	}
	return fresh, err
}
