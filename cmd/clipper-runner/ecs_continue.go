package main

import (
	"context"

	"github.com/clipperregistry/runner/ecs/deploy"
)

type ecsContinue struct {
	presentFlags
	Rollback bool `help:"Roll the deployment back rather than continue it."`
}

func (c *ecsContinue) Run(exit *int) error {
	action := deploy.PauseContinue
	if c.Rollback {
		action = deploy.PauseRollback
	}
	return c.change(exit, func(ctx context.Context, client deploy.Client, request deploy.Request) (*deploy.Result, error) {
		return deploy.Continue(ctx, client, request, action)
	})
}
