package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
)

type ecsDeploy struct {
	registerFlags
	clusterFlags
	pollFlag
	Service          string        `required:"" placeholder:"NAME" help:"Service to update, or to create."`
	ServiceFile      path          `placeholder:"FILE" help:"Settings of the service as create-service takes them, JSON; default: what it has."`
	DesiredCount     *int32        `placeholder:"N" help:"How many tasks; default: as many as are."`
	Force            bool          `help:"Deploy a revision that the service has already."`
	Wait             bool          `negatable:"" default:"true" help:"Wait for the deployment's end; a roll-back is a failure."`
	Timeout          time.Duration `default:"30m" placeholder:"TIME" help:"How long that may take, as in 45m."`
	GiveUp           int           `default:"3" placeholder:"N" help:"After how many tasks whose runner could start no program, where ECS counts none of them as failed; 0: never."`
	Rollback         bool          `help:"Roll back what fails without ECS doing so, or takes too long."`
	RollbackOnCancel bool          `help:"Roll back when this command is interrupted."`
	OnPause          string        `enum:"wait,return,continue,rollback" default:"wait" placeholder:"ACTION" help:"Where a lifecycle hook pauses the deployment: wait for somebody, return, continue or rollback."`
	DryRun           bool          `help:"Say what would be done, and do nothing."`
	JSON             bool          `help:"Print one JSON object."`
}

func (c *ecsDeploy) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	request, err := c.request()
	if err != nil {
		return err
	}
	def, err := c.definition(ctx)
	if err != nil {
		return err
	}
	client, logs, err := c.ecsClients(ctx)
	if err != nil {
		return err
	}
	request.Definition, request.Logs = def, logs
	if c.DryRun {
		return endedECS(ctx, exit, c.dryRun(ctx, client, request))
	}
	result, err := deploy.Deploy(ctx, client, request)
	if ctx.Err() != nil && result != nil && !result.RolledBack {
		fmt.Fprintf(os.Stderr, "clipper-runner: to take it back: clipper-runner ecs rollback %s\n", c.Service)
	}
	if told := tellDeployment(result, c.JSON); told != nil && err == nil {
		err = told
	}
	return endedECS(ctx, exit, err)
}

// request is what the flags ask for.
func (c *ecsDeploy) request() (deploy.Request, error) {
	request := deploy.Request{
		Cluster: c.Cluster, Service: c.Service, Count: c.DesiredCount, Force: c.Force, NoWait: !c.Wait,
		GiveUp: c.GiveUp, Rollback: c.Rollback, RollbackOnCancel: c.RollbackOnCancel, Timeout: c.Timeout, Pace: c.pace(), Tell: tellEvent,
	}
	if c.OnPause != "wait" {
		request.OnPause = deploy.PauseAction(c.OnPause)
	}
	if c.ServiceFile == "" {
		return request, nil
	}
	text, err := readInput(string(c.ServiceFile), mostDefinition)
	if err != nil {
		return request, err
	}
	if text, err = ecs.Expand(text, c.lookup); err != nil {
		return request, toldECS(fmt.Errorf("%s: %w", c.ServiceFile, err))
	}
	if request.Settings, err = deploy.ParseSettings(text); err != nil {
		return request, badArguments{fmt.Errorf("%s: %w", c.ServiceFile, err)}
	}
	return request, nil
}

// dryRun says what would be done, with the difference to what the service has.
func (c *ecsDeploy) dryRun(ctx context.Context, client *awsecs.Client, request deploy.Request) error {
	dry := &deploy.Dry{Client: client}
	request.NoWait = true
	result, err := deploy.Deploy(ctx, dry, request)
	if err != nil && !errors.Is(err, deploy.ErrDry) {
		return err
	}
	var differences []ecs.Difference
	if result.Previous != "" && result.Previous != result.Definition {
		before, err := deploy.Describe(ctx, client, result.Previous)
		if err != nil {
			return err
		}
		differences = ecs.Diff(before.Definition, request.Definition)
	}
	return tellDry(dry, differences, c.JSON)
}

// tellDry tells the calls that would be made, and what they would change.
func tellDry(dry *deploy.Dry, differences []ecs.Difference, asJSON bool) error {
	if asJSON {
		return printJSON(struct {
			Calls       []deploy.Call    `json:"calls"`
			Differences []ecs.Difference `json:"differences"`
		}{append([]deploy.Call{}, dry.Calls...), append([]ecs.Difference{}, differences...)})
	}
	for _, difference := range differences {
		fmt.Println(difference)
	}
	for _, call := range dry.Calls {
		input := string(call.Input)
		if call.Operation == "RegisterTaskDefinition" {
			input = "of the definition" // render prints it
		}
		fmt.Printf("would call %s %s\n", call.Operation, input)
	}
	if len(dry.Calls) == 0 {
		fmt.Println("would change nothing")
	}
	return nil
}

// tellDeployment tells what became of a deployment, if one was begun.
func tellDeployment(result *deploy.Result, asJSON bool) error {
	if result == nil {
		return nil
	}
	if err := summarize("Deployment of "+result.Service, result.Tasks); err != nil {
		return err
	}
	if asJSON {
		return printJSON(result)
	}
	for _, t := range result.Tasks {
		fmt.Print(t.Text())
	}
	what := string(result.Status)
	if result.Unchanged {
		what = "unchanged"
	}
	for _, p := range result.Pauses {
		what += ", " + p.String()
	}
	fmt.Printf("service %s: %s: %s\n", result.Service, result.Definition, what)
	return nil
}
