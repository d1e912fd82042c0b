package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/run"
	"github.com/clipperregistry/runner/ecs/watch"
)

// Start starts a job and returns its task's ARN. A job that was started with
// its token before, here or by another, is not started again: the ARN is that
// task's. Errors: ErrRefused, ErrNoRoom, ErrLost, and those of calls that came
// before.
func (t *Tasks) Start(ctx context.Context, j Job) (string, error) {
	if err := j.check(); err != nil {
		return "", err
	}
	whole := tooLong(j)
	def, err := t.definition(ctx, j, whole)
	if err != nil {
		return "", err
	}
	if err := t.handOver(ctx, j); err != nil {
		return "", err
	}
	client := t.client(j)
	revision, err := deploy.Register(ctx, client, def, t.Pace)
	if err != nil {
		return "", refusedBy(err)
	}
	request := run.Request{
		Cluster: j.Place.Cluster, Definition: revision.ARN, Container: program, Image: j.Image, Resolve: t.Resolve,
		Token: j.Token, StartedBy: cmp.Or(j.Group, j.Token), Settings: settings(j), NoWait: true,
	}
	if !whole {
		request.Command, request.Environment = j.Command, runVariables(j.environment())
	}
	result, err := run.Run(ctx, starter{client, j, t.api()}, request)
	switch {
	case err == nil:
		return aws.ToString(result.Task.TaskArn), nil
	case errors.Is(err, run.ErrRequest) && !errors.Is(err, ErrRefused):
		if arn := conflicting(err); arn != "" {
			return arn, nil
		}
		return "", fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return "", err
}

// settings are how the task is launched.
func settings(j Job) awsecs.RunTaskInput {
	assign := types.AssignPublicIpDisabled
	if j.Place.PublicIP {
		assign = types.AssignPublicIpEnabled
	}
	in := awsecs.RunTaskInput{NetworkConfiguration: &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{
		Subnets: j.Place.Subnets, SecurityGroups: j.Place.SecurityGroups, AssignPublicIp: assign,
	}}}
	if j.Spot {
		in.CapacityProviderStrategy = []types.CapacityProviderStrategyItem{{CapacityProvider: aws.String("FARGATE_SPOT"), Weight: 1}}
	} else {
		in.LaunchType = types.LaunchTypeFargate
	}
	return in
}

// starter is a Client whose RunTask tells what this package's callers have to
// know: it does not wait for room, and knows when an answer was lost. It
// overrides the checkout, too.
type starter struct {
	Client
	job Job
	api string
}

func (s starter) RunTask(ctx context.Context, in *awsecs.RunTaskInput, options ...func(*awsecs.Options)) (*awsecs.RunTaskOutput, error) {
	if s.job.Checkout {
		overrides := *in.Overrides
		overrides.ContainerOverrides = append(slices.Clone(overrides.ContainerOverrides), s.job.Source.override(s.api))
		again := *in
		again.Overrides, in = &overrides, &again
	}
	out, err := s.Client.RunTask(ctx, in, options...)
	if err != nil {
		return nil, answer(err)
	}
	if len(out.Tasks) == 0 {
		var reasons []string
		for _, f := range out.Failures {
			reasons = append(reasons, strings.TrimSpace(aws.ToString(f.Reason)+" "+aws.ToString(f.Detail)))
		}
		return nil, fmt.Errorf("%w: %s", ErrNoRoom, strings.Join(reasons, ", "))
	}
	return out, nil
}

// answer is an error of RunTask in the words of this package: what ECS answers
// with a fault of the caller's is for good and has started nothing, but for
// calls that came too often; after anything else a task may be there
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/CommonErrors.html).
func answer(err error) error {
	var conflict *types.ConflictException
	var api smithy.APIError
	switch {
	case errors.As(err, &conflict):
		return err
	case !errors.As(err, &api) || api.ErrorFault() == smithy.FaultServer || api.ErrorCode() == "ServerException":
		return fmt.Errorf("%w: %w", ErrLost, err)
	case strings.Contains(api.ErrorMessage(), "Capacity is unavailable"), strings.Contains(api.ErrorMessage(), "reached the limit on the number of"):
		return fmt.Errorf("%w: %w", ErrNoRoom, err)
	case passes(api):
		return err
	}
	return fmt.Errorf("%w: %w", ErrRefused, err)
}

// refusedBy is an ErrRefused where ECS, or package ecs, refused for good.
func refusedBy(err error) error {
	var api smithy.APIError
	if errors.Is(err, ecs.ErrDefinition) || errors.As(err, &api) && api.ErrorFault() != smithy.FaultServer && api.ErrorCode() != "ServerException" && !passes(api) {
		return fmt.Errorf("%w: %w", ErrRefused, err)
	}
	return err
}

// passes says whether a refusal is one of the moment: too many calls, or
// credentials and rights of the service's own, which its operator mends.
func passes(err smithy.APIError) bool {
	switch err.ErrorCode() {
	case "ThrottlingException", "Throttling", "LimitExceededException", "RequestLimitExceeded", "AccessDeniedException",
		"ExpiredTokenException", "UnrecognizedClientException", "InvalidSignatureException", "ClusterNotFoundException":
		return true
	}
	return false
}

// conflicting is the task that the token has started with other parameters,
// such as a tag that has moved since: the job is started once all the same.
func conflicting(err error) string {
	var conflict *types.ConflictException
	if errors.As(err, &conflict) && len(conflict.ResourceIds) > 0 {
		return conflict.ResourceIds[0]
	}
	return ""
}

// Find finds the task that was started with the token of a job without a group,
// whether it runs or has stopped not long ago. It starts nothing. Errors: ErrNone, and those of
// calls.
func (t *Tasks) Find(ctx context.Context, j Job) (string, error) {
	client := t.client(j)
	// startedBy has to be the only filter, and by default those that are to stop
	// are left out (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html).
	found, err := watch.ListTasks(ctx, client, awsecs.ListTasksInput{Cluster: &j.Place.Cluster, StartedBy: &j.Token})
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return found[0], nil
	}
	stopped, err := watch.ListTasks(ctx, client, awsecs.ListTasksInput{
		Cluster: &j.Place.Cluster, Family: aws.String(family(j, t.written(j, tooLong(j)))), DesiredStatus: types.DesiredStatusStopped,
	})
	if err != nil {
		return "", err
	}
	tasks, err := watch.DescribeTasks(ctx, client, j.Place.Cluster, stopped)
	if err != nil {
		return "", err
	}
	for _, task := range tasks {
		if aws.ToString(task.StartedBy) == j.Token {
			return aws.ToString(task.TaskArn), nil
		}
	}
	return "", fmt.Errorf("%w: of %s", ErrNone, j.Token)
}

// List lists the tasks of a job's group that run or are to.
func (t *Tasks) List(ctx context.Context, j Job) (arns []string, err error) {
	return watch.ListTasks(ctx, t.client(j), awsecs.ListTasksInput{Cluster: &j.Place.Cluster, StartedBy: &j.Group})
}

// mostOverrides is what the program's command and variables may take of the
// 8,192 characters that ECS has for the overrides of a task
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html): the image, which may be
// pinned yet, and the checkout's have the rest.
const mostOverrides = 8192 - 2*1024

// tooLong says whether the command and the variables do not fit into
// overrides, and have to be registered.
func tooLong(j Job) bool {
	o := types.ContainerOverride{Name: aws.String(program), Command: j.Command}
	for _, v := range runVariables(j.environment()) {
		o.Environment = append(o.Environment, types.KeyValuePair{Name: &v.Name, Value: &v.Value})
	}
	text, err := watch.OverridesJSON(types.TaskOverride{ContainerOverrides: []types.ContainerOverride{o}})
	return err != nil || utf8.RuneCount(text) > mostOverrides
}

func runVariables(env map[string]string) []run.Variable {
	var list []run.Variable
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, run.Variable{Name: name, Value: env[name]})
	}
	return list
}
