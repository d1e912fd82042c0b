package main

import (
	"context"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage"
)

type ecsTasks struct {
	awsFlags
	clusterFlags
	Service   string `placeholder:"NAME" help:"Tasks of this service."`
	Family    string `placeholder:"NAME" help:"Tasks of this family of task definitions."`
	StartedBy string `placeholder:"TEXT" help:"Tasks that were started by this, as ecs run --started-by."`
	Stopped   bool   `help:"Those that have stopped, as long as ECS remembers them; else those that run."`
	Times     bool   `help:"Read in the logs what the runners said of their start."`
	JSON      bool   `help:"Print one JSON object."`
}

// taskStatus is what tasks says of a task.
type taskStatus struct {
	Status     string       `json:"status"`
	Health     string       `json:"health"`
	Definition string       `json:"task_definition"`
	Timing     watch.Timing `json:"timing"`
	ExitCode   *int         `json:"exit_code,omitempty"`
}

func (c *ecsTasks) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	client, logs, err := c.ecsClients(ctx)
	if err != nil {
		return err
	}
	tasks, err := c.list(ctx, client)
	if err != nil {
		return endedECS(ctx, exit, err)
	}
	if !c.Times {
		logs = nil
	}
	found, err := taskStatuses(ctx, client, logs, tasks)
	if err != nil {
		return endedECS(ctx, exit, err)
	}
	if c.JSON {
		return printJSON(struct {
			Tasks []taskStatus `json:"tasks"`
		}{found})
	}
	for _, t := range found {
		fmt.Print(t.text())
	}
	return nil
}

func (t taskStatus) text() string {
	return fmt.Sprintf("%s, %s, %s, created %s\n%s", t.Definition, t.Status, t.Health, t.Timing.Created.UTC().Format(time.RFC3339), t.Timing.Text())
}

func (c *ecsTasks) list(ctx context.Context, client *awsecs.Client) ([]types.Task, error) {
	in := awsecs.ListTasksInput{DesiredStatus: types.DesiredStatusRunning}
	for _, f := range []struct {
		flag string
		to   **string
	}{{c.Cluster, &in.Cluster}, {c.Service, &in.ServiceName}, {c.Family, &in.Family}, {c.StartedBy, &in.StartedBy}} {
		if f.flag != "" {
			*f.to = aws.String(f.flag)
		}
	}
	if c.Stopped {
		in.DesiredStatus = types.DesiredStatusStopped
	}
	arns, err := watch.ListTasks(ctx, client, in)
	if err != nil {
		return nil, err
	}
	return watch.DescribeTasks(ctx, client, c.Cluster, arns)
}

// taskStatuses asks for every revision once. logs may be nil.
func taskStatuses(ctx context.Context, client *awsecs.Client, logs func(string) watch.LogReader, tasks []types.Task) ([]taskStatus, error) {
	parts := map[string][]watch.Part{}
	found := []taskStatus{}
	for _, task := range tasks {
		arn := aws.ToString(task.TaskDefinitionArn)
		if _, ok := parts[arn]; !ok {
			revision, err := deploy.Describe(ctx, client, arn)
			if err != nil {
				return nil, err
			}
			parts[arn] = revision.Parts
		}
		var seen watch.Seen
		if logs != nil {
			var err error
			if seen, err = watch.Listen(ctx, logs, task, parts[arn]); err != nil {
				return nil, err
			}
		}
		told := taskStatus{Status: aws.ToString(task.LastStatus), Health: string(task.HealthStatus), Definition: watch.ID(arn), Timing: watch.Time(task, parts[arn], seen)}
		if told.Status == "STOPPED" {
			told.ExitCode = aws.Int(watch.ExitCode(task, parts[arn]))
		}
		found = append(found, told)
	}
	return found, nil
}

// oneTask finds a task by its id or ARN, with its containers.
func oneTask(ctx context.Context, client *awsecs.Client, cluster, id string) (types.Task, []watch.Part, error) {
	found, err := watch.DescribeTasks(ctx, client, cluster, []string{id})
	if err != nil {
		return types.Task{}, nil, err
	}
	if len(found) == 0 {
		return types.Task{}, nil, fmt.Errorf("%w: there is no task %s, or no longer", runnerimage.ErrSettings, id)
	}
	revision, err := deploy.Describe(ctx, client, aws.ToString(found[0].TaskDefinitionArn))
	return found[0], revision.Parts, err
}
