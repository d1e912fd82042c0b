// Package run runs one task of ECS to its end: any image, from one definition
// that is registered. In goes the definition's name and what is different this
// time, out come the logs while they are written, the exit code and the task
// as ECS last told it.
//
// The image, variables and commands are overrides of the task, so that nothing
// is registered for a run. A client token makes a run idempotent: whoever asks
// again with the same token and the same overrides gets the same task. When
// the context ends, the task is stopped.
package run

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Errors that callers may rely on.
var (
	// ErrRequest says that the request asks for what a run may not do.
	ErrRequest = errors.New("cannot run the task")
	// ErrNoRoom says that ECS found no place for the task.
	ErrNoRoom = errors.New("ECS has no room for the task")
	// ErrNotStarted says that the task stopped before its program started.
	ErrNotStarted = errors.New("the task did not start")
	// ErrTime says that the task took longer than it may, and was stopped.
	ErrTime = errors.New("the task takes too long")
)

// Client is the part of *ecs.Client that a run needs.
type Client interface {
	watch.TaskDescriber
	DescribeTaskDefinition(context.Context, *awsecs.DescribeTaskDefinitionInput, ...func(*awsecs.Options)) (*awsecs.DescribeTaskDefinitionOutput, error)
	RunTask(context.Context, *awsecs.RunTaskInput, ...func(*awsecs.Options)) (*awsecs.RunTaskOutput, error)
	StopTask(context.Context, *awsecs.StopTaskInput, ...func(*awsecs.Options)) (*awsecs.StopTaskOutput, error)
}

// Request says what to run.
type Request struct {
	Cluster string // default: ECS's own
	// Definition is the base: "web" for the latest revision, "web:7", an ARN.
	Definition string
	// Container is the one that the overrides are for. Default: the first
	// essential one that the runner is in, else the first essential one.
	Container string
	// Image, Command, Environment, CPU and Memory take the place of the
	// definition's. Image needs a container of the runner.
	Image string
	// Resolve asks the registry for Image, which is then pinned to its digest,
	// unless the container's versionConsistency is "disabled". Default: Image
	// stays as it is.
	Resolve     func(context.Context, oci.Reference, oci.Platform) (ecs.Image, error)
	Command     []string
	Environment []Variable
	CPU, Memory int32
	// Settings are how the task is launched: LaunchType,
	// CapacityProviderStrategy, NetworkConfiguration, PlatformVersion, Tags, …
	// What a Request has a field for is set from there.
	Settings awsecs.RunTaskInput
	// Token makes the run idempotent. Default: one of this call.
	Token string
	// StartedBy is what the task is found by. Default: "clipper-runner".
	StartedBy string
	// Timeout bounds the run from its start to its end. Default: none.
	Timeout time.Duration
	// NoWait returns once the task is there.
	NoWait bool

	// Logs are those of a region, "" for the task's own. Default: logs are not
	// read.
	Logs func(region string) watch.LogReader
	// LogEvery is how often they are read. Default: 2 s.
	LogEvery time.Duration
	Pace     watch.Pace
	// Tell is told what happens, Line the lines of logs as people read them, by
	// one goroutine. What a runner says of its start is in Result.Timing, not in
	// a line. Default: nobody is.
	Tell func(watch.Event)
	Line func(watch.Line)
}

// Variable is a variable of a container's environment.
type Variable struct{ Name, Value string }

// Result is what became of a run.
type Result struct {
	// Task is what ECS told last; it forgets a task soon after its end.
	Task types.Task
	// ExitCode is as watch.ExitCode says.
	ExitCode int
	Timing   watch.Timing
}

// Run runs a task. There is a result, even with an error, once there is a
// task. That a program failed is no error: see ExitCode. Errors: ErrRequest,
// ErrNoRoom, ErrNotStarted, ErrTime, watch.ErrMissing, the context's cause,
// and those of calls.
func Run(ctx context.Context, client Client, request Request) (*Result, error) {
	r, err := newRunning(ctx, client, request)
	if err != nil {
		return nil, err
	}
	in, err := r.input(ctx)
	if err != nil {
		return nil, err
	}
	if r.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, r.Timeout, fmt.Errorf("%w: more than %s", ErrTime, r.Timeout))
		defer cancel()
	}
	if err := r.start(ctx, in); err != nil {
		return nil, err
	}
	if r.NoWait {
		return r.result(), nil
	}
	if err := r.wait(ctx); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx) // rather than the call that it ended
		}
		err = r.stop(ctx, err)
		return r.result(), err
	}
	return r.result(), r.started()
}

// running is one call of Run.
type running struct {
	Request
	client     Client
	definition *types.TaskDefinition
	parts      []watch.Part
	tail       *watch.Tail
	task       types.Task
	seen       watch.Seen
	// asked is how often ECS was asked for the task, missing how often in a row
	// it did not know it; due is when it is asked next.
	asked, missing int
	due            time.Time
}

func newRunning(ctx context.Context, client Client, request Request) (*running, error) {
	out, err := client.DescribeTaskDefinition(ctx, &awsecs.DescribeTaskDefinitionInput{TaskDefinition: &request.Definition})
	if err != nil {
		return nil, fmt.Errorf("task definition %s: %w", request.Definition, err)
	}
	r := &running{Request: request, client: client, definition: out.TaskDefinition, parts: watch.Parts(out.TaskDefinition)}
	if r.Token == "" {
		r.Token = rand.Text()
	}
	if r.StartedBy == "" {
		r.StartedBy = "clipper-runner"
	}
	if r.LogEvery <= 0 {
		r.LogEvery = 2 * time.Second
	}
	if r.Tell == nil {
		r.Tell = func(watch.Event) {}
	}
	if r.Line == nil {
		r.Line = func(watch.Line) {}
	}
	if r.Logs != nil {
		r.tail = watch.NewTail(r.Logs, r.parts)
	}
	return r, nil
}

// result is what is known so far.
func (r *running) result() *Result {
	result := &Result{Task: r.task, Timing: watch.Time(r.task, r.parts, r.seen)}
	if r.stopped() {
		result.ExitCode = watch.ExitCode(r.task, r.parts)
	}
	return result
}

func (r *running) stopped() bool { return aws.ToString(r.task.LastStatus) == "STOPPED" }

// started is an ErrNotStarted of a task that failed to.
func (r *running) started() error {
	if r.task.StopCode == types.TaskStopCodeTaskFailedToStart {
		return fmt.Errorf("%w: task %s %s", ErrNotStarted, watch.ID(*r.task.TaskArn), watch.Ending(r.task, r.parts, r.seen))
	}
	return nil
}
