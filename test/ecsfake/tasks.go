package ecsfake

import (
	"fmt"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// taskARN is a task's ARN, from its id.
func (f *Fake) taskARN(cluster *string, id string) string { return f.within("task", cluster, id) }

func (f *Fake) stopTask(_ *caller, in *ecs.StopTaskInput) (*ecs.StopTaskOutput, error) {
	if _, err := f.clusterFor(in.Cluster); err != nil {
		return nil, err
	}
	t := f.tasks[f.taskARN(in.Cluster, aws.ToString(in.Task))]
	if t == nil {
		return nil, invalid("The referenced task was not found.")
	}
	reason := aws.ToString(in.Reason)
	if reason == "" {
		reason = "Task stopped by user"
	}
	t.stop(types.TaskStopCodeUserInitiated, reason)
	return &ecs.StopTaskOutput{Task: &t.Task}, nil
}

func (f *Fake) describeTasks(_ *caller, in *ecs.DescribeTasksInput) (*ecs.DescribeTasksOutput, error) {
	cluster, err := f.clusterFor(in.Cluster)
	if err != nil {
		return nil, err
	}
	if len(in.Tasks) == 0 || len(in.Tasks) > 100 {
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html: "A list of up
		// to 100 task IDs or full ARN entries."
		return nil, invalid("Tasks must have at least 1 and at most 100 entries.")
	}
	out := &ecs.DescribeTasksOutput{Tasks: []types.Task{}, Failures: []types.Failure{}}
	for _, id := range in.Tasks {
		arn := f.taskARN(cluster.ClusterArn, id)
		t := f.tasks[arn]
		if t == nil || t.hidden > 0 || *t.ClusterArn != *cluster.ClusterArn {
			if t != nil && t.hidden > 0 {
				t.hidden--
			}
			out.Failures = append(out.Failures, types.Failure{Arn: &arn, Reason: aws.String("MISSING")})
			continue
		}
		shown := t.Task
		shown.Tags = nil
		if slices.Contains(in.Include, types.TaskFieldTags) {
			shown.Tags = f.tags[arn]
		}
		out.Tasks = append(out.Tasks, shown)
	}
	return out, nil
}

// listTasks lists those that shall run, or those that shall not
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html: "The default status
// filter is RUNNING, which shows tasks that Amazon ECS has set the desired status to RUNNING").
func (f *Fake) listTasks(_ *caller, in *ecs.ListTasksInput) (*ecs.ListTasksOutput, error) {
	cluster, err := f.clusterFor(in.Cluster)
	if err != nil {
		return nil, err
	}
	desired := string(in.DesiredStatus)
	if desired == "" {
		desired = running
	}
	arns := []string{}
	for arn, t := range f.tasks {
		service := aws.ToString(in.ServiceName)
		switch {
		case *t.ClusterArn != *cluster.ClusterArn, *t.DesiredStatus != desired, t.hidden > 0,
			in.Family != nil && *in.Family != *t.definition.Family,
			in.StartedBy != nil && *in.StartedBy != aws.ToString(t.StartedBy),
			in.LaunchType != "" && in.LaunchType != t.LaunchType,
			service != "" && aws.ToString(t.Group) != "service:"+service[strings.LastIndexByte(service, '/')+1:]:
			continue
		}
		arns = append(arns, arn)
	}
	slices.Sort(arns)
	page, next, err := paged(arns, in.NextToken, in.MaxResults, 100)
	return &ecs.ListTasksOutput{TaskArns: page, NextToken: next}, err
}

// executeCommand answers with a session; nobody is at its other end.
func (f *Fake) executeCommand(_ *caller, in *ecs.ExecuteCommandInput) (*ecs.ExecuteCommandOutput, error) {
	t := f.tasks[f.taskARN(in.Cluster, aws.ToString(in.Task))]
	switch {
	case t == nil:
		return nil, invalid("The referenced task was not found.")
	case !t.EnableExecuteCommand:
		return nil, invalid("The execute command failed because execute command was not enabled when the task was run or the execute command agent isn't running. Wait and try again or run a new task with execute command enabled and try again.")
	case *t.LastStatus != running:
		return nil, wire.Errorf("TargetNotConnectedException", "The execute command failed due to an internal error. Try again later.")
	}
	c := t.containers[0]
	if in.Container != nil {
		c = t.container(in.Container)
	}
	if c == nil {
		return nil, invalid("The container %s was not found in the task.", aws.ToString(in.Container))
	}
	id := "ecs-execute-command-" + f.hex(17)
	return &ecs.ExecuteCommandOutput{
		ClusterArn: t.ClusterArn, TaskArn: t.TaskArn, ContainerArn: c.shown().ContainerArn, ContainerName: c.shown().Name, Interactive: in.Interactive,
		Session: &types.Session{SessionId: &id, StreamUrl: aws.String("wss://127.0.0.1/v1/data-channel/" + id), TokenValue: aws.String(fmt.Sprintf("token-%s", id))},
	}, nil
}
