package main

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage"
)

type ecsLogs struct {
	awsFlags
	clusterFlags
	Container []string      `placeholder:"NAME" help:"Container whose logs are wanted; default: all."`
	Follow    bool          `short:"f" help:"Go on until the task has stopped."`
	Since     time.Duration `placeholder:"TIME" help:"Only lines that are not older, as in 10m."`
	Times     bool          `help:"Begin lines with their time."`

	Task string `arg:"" help:"Task, by its id or ARN; ecs tasks lists them."`
}

// How often logs, and the task that writes them, are asked for.
const (
	logsEvery = 2 * time.Second
	taskEvery = 5 // times less often
)

func (c *ecsLogs) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	client, logs, err := c.ecsClients(ctx)
	if err != nil {
		return err
	}
	task, parts, err := oneTask(ctx, client, c.Cluster, c.Task)
	if err != nil {
		return endedECS(ctx, exit, err)
	}
	if parts, err = c.wanted(parts); err != nil {
		return err
	}
	tail := watch.NewTail(logs, parts)
	if c.Since > 0 {
		tail.Since = time.Now().Add(-c.Since)
	}
	return endedECS(ctx, exit, c.follow(ctx, client, tail, task))
}

// wanted are the containers whose logs can be read, and are asked for.
func (c *ecsLogs) wanted(parts []watch.Part) ([]watch.Part, error) {
	var found []watch.Part
	for _, p := range parts {
		if len(c.Container) > 0 && !slices.Contains(c.Container, p.Name) {
			continue
		}
		if p.Group != "" {
			found = append(found, p)
		}
	}
	if len(found) == 0 {
		return nil, fmt.Errorf("%w: no such container logs to CloudWatch Logs (awslogs)", runnerimage.ErrSettings)
	}
	return found, nil
}

// follow prints the logs, with --follow until the task has stopped and its
// last lines have arrived.
func (c *ecsLogs) follow(ctx context.Context, client *awsecs.Client, tail *watch.Tail, task types.Task) error {
	for n, quiet := 1, 0; ; n++ {
		news, err := tail.Read(ctx, task, c.print)
		if err != nil {
			return err
		}
		if quiet++; news || aws.ToString(task.LastStatus) != "STOPPED" {
			quiet = 0
		}
		if !c.Follow || quiet == 2 {
			return nil
		}
		if err := watch.Sleep(ctx, logsEvery); err != nil {
			return err
		}
		if n%taskEvery != 0 {
			continue
		}
		found, err := watch.DescribeTasks(ctx, client, c.Cluster, []string{aws.ToString(task.TaskArn)})
		if err != nil {
			return err
		}
		if len(found) > 0 {
			task = found[0]
		}
	}
}

func (c *ecsLogs) print(l watch.Line) {
	if c.Times {
		fmt.Printf("%s ", l.At.UTC().Format(time.RFC3339))
	}
	fmt.Printf("%s | %s\n", l.Container, l.Text)
}
