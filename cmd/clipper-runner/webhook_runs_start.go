package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/clipperregistry/runner/webhook/serve"
)

// runsStart decides as the service would, with its variables, and leaves the
// run in the database for it.
type runsStart struct {
	databaseFlag
	appFlags
	Policy string `env:"CLIPPER_WEBHOOK_POLICY" placeholder:"FILE" help:"The operator's policy, as the service has it."`
	App    int64  `placeholder:"ID" help:"GitHub App that runs the rule, where several are installed in the repository."`

	Repository string `arg:"" help:"Repository, owner/name."`
	Rule       string `arg:"" help:"Rule that has on: manual, by its id."`
}

func (c *runsStart) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	run, err := c.start(ctx)
	if err == nil {
		fmt.Printf("%s of %s is to run as %s\n", c.Rule, c.Repository, run)
	}
	return endedWebhook(ctx, exit, err)
}

func (c *runsStart) start(ctx context.Context) (run string, err error) {
	wanted := serve.Wanted{Repository: c.Repository, Rule: c.Rule, By: operator}
	if wanted.Apps, err = c.apps(); err != nil {
		return "", err
	}
	if c.App != 0 {
		wanted.Apps = slices.DeleteFunc(wanted.Apps, func(a serve.App) bool { return a.ID != c.App })
	}
	if wanted.Policy, err = (serve.Settings{Policy: c.Policy}).Rules(); err != nil {
		return "", err
	}
	aws, err := serve.LoadAWS(ctx)
	if err != nil {
		return "", err
	}
	db, err := c.work(ctx)
	if err != nil {
		return "", err
	}
	run, err = serve.Start(ctx, db, aws, wanted)
	return run, errors.Join(err, db.Close())
}
