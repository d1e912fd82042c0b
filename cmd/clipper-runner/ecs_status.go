package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
)

type ecsStatus struct {
	awsFlags
	clusterFlags
	Events int  `default:"5" placeholder:"N" help:"How many of a service's last events."`
	Times  bool `help:"Tell of each task that runs where its time went, as ecs tasks --times does."`
	JSON   bool `help:"Print one JSON object."`

	Services []string `arg:"" optional:"" name:"service" help:"Services; default: all of the cluster."`
}

// serviceStatus is what status says of a service.
type serviceStatus struct {
	Service    string        `json:"service"`
	Status     string        `json:"status"`
	Definition string        `json:"task_definition"`
	Running    int32         `json:"running"`
	Pending    int32         `json:"pending"`
	Desired    int32         `json:"desired"`
	Deployment string        `json:"service_deployment,omitempty"`
	Rollout    string        `json:"deployment_status,omitempty"`
	Reason     string        `json:"deployment_reason,omitempty"`
	Pauses     []watch.Pause `json:"pauses,omitempty"`
	Events     []watch.Event `json:"events"`
	Tasks      []taskStatus  `json:"tasks,omitempty"`
}

func (c *ecsStatus) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	client, logs, err := c.ecsClients(ctx)
	if err != nil {
		return err
	}
	found, err := c.find(ctx, client)
	if err == nil && c.Times {
		err = c.times(ctx, client, logs, found)
	}
	if err != nil {
		return endedECS(ctx, exit, err)
	}
	if len(found) < len(c.Services) {
		*exit = 1 // one that was asked for is not there
	}
	if c.JSON {
		return printJSON(struct {
			Services []serviceStatus `json:"services"`
		}{found})
	}
	for _, s := range found {
		fmt.Print(s.text())
	}
	return nil
}

func (c *ecsStatus) find(ctx context.Context, client *awsecs.Client) ([]serviceStatus, error) {
	names := c.Services
	if len(names) == 0 {
		var err error
		if names, err = c.all(ctx, client); err != nil {
			return nil, err
		}
	}
	services, err := watch.DescribeServices(ctx, client, c.Cluster, names)
	if err != nil {
		return nil, err
	}
	var arns []string
	for _, s := range services {
		if s.CurrentServiceDeployment != nil {
			arns = append(arns, *s.CurrentServiceDeployment)
		}
	}
	deployments, err := watch.DescribeDeployments(ctx, client, arns)
	if err != nil {
		return nil, err
	}
	found := []serviceStatus{}
	for _, s := range services {
		found = append(found, c.status(s, deployments))
	}
	return found, nil
}

// all are the ARNs of the cluster's services.
func (c *ecsStatus) all(ctx context.Context, client *awsecs.Client) ([]string, error) {
	in := &awsecs.ListServicesInput{MaxResults: aws.Int32(100)}
	if c.Cluster != "" {
		in.Cluster = &c.Cluster
	}
	var arns []string
	for pages := awsecs.NewListServicesPaginator(client, in); pages.HasMorePages(); {
		out, err := pages.NextPage(ctx)
		if err != nil {
			return nil, fmt.Errorf("list services: %w", err)
		}
		arns = append(arns, out.ServiceArns...)
	}
	return arns, nil
}

// times adds the tasks that run.
func (c *ecsStatus) times(ctx context.Context, client *awsecs.Client, logs func(string) watch.LogReader, found []serviceStatus) error {
	for i := range found {
		s := &found[i]
		listing := ecsTasks{clusterFlags: c.clusterFlags, Service: s.Service}
		tasks, err := listing.list(ctx, client)
		if err != nil {
			return err
		}
		if s.Tasks, err = taskStatuses(ctx, client, logs, tasks); err != nil {
			return err
		}
		var timings []watch.Timing
		for _, t := range s.Tasks {
			timings = append(timings, t.Timing)
		}
		if err := summarize("Tasks of "+s.Service, timings); err != nil {
			return err
		}
	}
	return nil
}

func (c *ecsStatus) status(s types.Service, deployments []types.ServiceDeployment) serviceStatus {
	told := serviceStatus{
		Service: aws.ToString(s.ServiceName), Status: aws.ToString(s.Status), Definition: watch.ID(aws.ToString(s.TaskDefinition)),
		Running: s.RunningCount, Pending: s.PendingCount, Desired: s.DesiredCount, Deployment: aws.ToString(s.CurrentServiceDeployment), Events: []watch.Event{},
	}
	for _, d := range deployments {
		if aws.ToString(d.ServiceDeploymentArn) == told.Deployment {
			told.Rollout, told.Reason, told.Pauses = string(d.Status), aws.ToString(d.StatusReason), watch.Pauses(d)
		}
	}
	for _, e := range s.Events[:min(len(s.Events), max(c.Events, 0))] {
		told.Events = append(told.Events, watch.Event{At: aws.ToTime(e.CreatedAt), Name: told.Service, Kind: watch.Service, Text: aws.ToString(e.Message)})
	}
	return told
}

func (s serviceStatus) text() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s, %s, running %d of %d, pending %d", s.Service, s.Status, s.Definition, s.Running, s.Desired, s.Pending)
	if s.Rollout != "" {
		fmt.Fprintf(&b, ", deployment %s", s.Rollout)
	}
	if s.Reason != "" {
		fmt.Fprintf(&b, ": %s", s.Reason)
	}
	for _, p := range s.Pauses {
		fmt.Fprintf(&b, ", %s", p)
	}
	b.WriteByte('\n')
	for _, e := range s.Events {
		fmt.Fprintf(&b, "  %s %s\n", e.At.UTC().Format(time.RFC3339), e.Text)
	}
	for _, t := range s.Tasks {
		b.WriteString(t.text())
	}
	return b.String()
}
