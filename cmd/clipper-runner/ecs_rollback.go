package main

import (
	"context"
	"errors"
	"time"

	"github.com/clipperregistry/runner/ecs/deploy"
)

type ecsRollback struct {
	presentFlags
}

// presentFlags are those of what changes the deployment that a service has.
type presentFlags struct {
	awsFlags
	clusterFlags
	pollFlag
	Wait    bool          `negatable:"" default:"true" help:"Wait for the deployment's end, or its next pause."`
	Timeout time.Duration `default:"30m" placeholder:"TIME" help:"How long that may take, as in 45m."`
	DryRun  bool          `help:"Say what would be done, and do nothing."`
	JSON    bool          `help:"Print one JSON object."`

	Service string `arg:"" help:"Service that is deployed."`
}

func (c *ecsRollback) Run(exit *int) error { return c.change(exit, deploy.Rollback) }

// change changes the deployment, or says how it would.
func (c *presentFlags) change(exit *int, how func(context.Context, deploy.Client, deploy.Request) (*deploy.Result, error)) error {
	ctx, stop := untilSignal()
	defer stop()
	client, logs, err := c.ecsClients(ctx)
	if err != nil {
		return err
	}
	request := deploy.Request{Cluster: c.Cluster, Service: c.Service, NoWait: !c.Wait || c.DryRun, Timeout: c.Timeout, Pace: c.pace(), Logs: logs, Tell: tellEvent}
	if c.DryRun {
		dry := &deploy.Dry{Client: client}
		if _, err := how(ctx, dry, request); err != nil && !errors.Is(err, deploy.ErrDry) {
			return endedECS(ctx, exit, err)
		}
		return tellDry(dry, nil, c.JSON)
	}
	result, err := how(ctx, client, request)
	if told := tellDeployment(result, c.JSON); told != nil && err == nil {
		err = told
	}
	return endedECS(ctx, exit, err)
}
