package run

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
)

const (
	// mostTries is how often a task is started that finds no room.
	mostTries = 20
	// mostMissing is how many answers in a row may not know the task.
	mostMissing = 10
	// mostReason is how long a reason is that every API of AWS shows.
	mostReason = 255
	// lastWords is how long calls may take once the context has ended.
	lastWords = 30 * time.Second
)

// start starts the task. Where there is no room, it tries again.
func (r *running) start(ctx context.Context, in *awsecs.RunTaskInput) error {
	for n := 0; ; n++ {
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		// An answer is waited for even if the context ends meanwhile: without
		// it nobody could stop the task.
		call, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		out, err := r.client.RunTask(call, in)
		cancel()
		if err != nil {
			return started(err)
		}
		if len(out.Tasks) > 0 {
			r.task = out.Tasks[0]
			return nil
		}
		failure := failures(out.Failures)
		if n+1 >= mostTries || !strings.Contains(failure, "RESOURCE") && !strings.Contains(failure, "apacity") {
			return fmt.Errorf("%w: %s", ErrNoRoom, failure)
		}
		r.Tell(watch.Event{At: time.Now(), Name: r.Definition, Kind: watch.Task, Text: "no room yet: " + failure})
		if err := r.Pace.Wait(ctx, n); err != nil {
			return fmt.Errorf("%w: %w: %s", err, ErrNoRoom, failure)
		}
	}
}

// started is the error of a start; a token that was used for something else
// names its tasks.
func started(err error) error {
	var conflict *types.ConflictException
	if errors.As(err, &conflict) {
		return fmt.Errorf("%w: the client token is that of another run: %s: %w", ErrRequest, strings.Join(conflict.ResourceIds, ", "), err)
	}
	return fmt.Errorf("run task: %w", err)
}

// failures are the reasons why there is no task
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html).
func failures(failures []types.Failure) string {
	var reasons []string
	for _, f := range failures {
		reasons = append(reasons, strings.TrimSpace(aws.ToString(f.Reason)+" "+aws.ToString(f.Detail)))
	}
	return strings.Join(reasons, ", ")
}

// wait waits until the task has stopped, and reads its logs meanwhile.
func (r *running) wait(ctx context.Context) error {
	r.Tell(r.event("started"))
	for {
		if err := r.askIfDue(ctx); err != nil {
			return err
		}
		r.read(ctx)
		if r.stopped() {
			return r.drain(ctx)
		}
		pause := time.Until(r.due)
		if r.tail != nil {
			pause = min(pause, r.LogEvery)
		}
		if err := watch.Sleep(ctx, pause); err != nil {
			return err
		}
	}
}

// askIfDue asks how the task is as often as the pace says.
func (r *running) askIfDue(ctx context.Context) error {
	if time.Now().Before(r.due) {
		return nil
	}
	known, err := r.ask(ctx)
	if err != nil {
		return err
	}
	if r.missing++; known {
		r.missing = 0
	}
	if r.missing > mostMissing {
		return fmt.Errorf("task %s: %w", aws.ToString(r.task.TaskArn), watch.ErrMissing)
	}
	r.due = time.Now().Add(r.Pace.After(r.asked))
	r.asked++
	return nil
}

// ask asks how the task is, and tells what is new. It is not ok if ECS does
// not know the task.
func (r *running) ask(ctx context.Context) (bool, error) {
	found, err := watch.DescribeTasks(ctx, r.client, r.Cluster, []string{*r.task.TaskArn})
	if err != nil || len(found) == 0 {
		return false, err
	}
	before := aws.ToString(r.task.LastStatus)
	r.task = found[0]
	if r.seen.Healthy.IsZero() && r.task.HealthStatus == types.HealthStatusHealthy {
		r.seen.Healthy = time.Now()
		r.Tell(r.event("healthy"))
	}
	switch now := aws.ToString(r.task.LastStatus); {
	case r.stopped():
		r.Tell(r.event(watch.Ending(r.task, r.parts, r.seen)))
	case now != before:
		r.Tell(r.event(strings.ToLower(now)))
	}
	return true, nil
}

func (r *running) event(text string) watch.Event {
	return watch.Event{At: time.Now(), Name: watch.ID(*r.task.TaskArn), Kind: watch.Task, Text: text}
}

// read reads what is new in the logs, and says whether there is anything. That
// they cannot be read is told, and no reason to stop the task.
func (r *running) read(ctx context.Context) bool {
	if r.tail == nil {
		return false
	}
	news, err := r.tail.Read(ctx, r.task, func(line watch.Line) {
		if told, ok := r.seen.Hear(line); ok {
			r.Line(told)
		}
	})
	if err != nil && ctx.Err() == nil {
		r.tail = nil
		r.Tell(r.event("its logs are not read any more: " + err.Error()))
	}
	return news
}

// drain reads the rest of the logs: lines arrive in CloudWatch Logs after they
// were written, so that two reads in a row have to find nothing.
func (r *running) drain(ctx context.Context) error {
	for quiet := 0; r.tail != nil && quiet < 2; quiet++ {
		if err := watch.Sleep(ctx, r.LogEvery); err != nil {
			return err
		}
		if r.read(ctx) {
			quiet = -1
		}
	}
	return nil
}

// stop stops the task because of an error, and reads the rest of its logs.
func (r *running) stop(ctx context.Context, cause error) error {
	if r.stopped() {
		return cause
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	reason := "clipper-runner: " + cause.Error()
	if len(reason) > mostReason {
		reason = strings.ToValidUTF8(reason[:mostReason], "")
	}
	in := &awsecs.StopTaskInput{Task: r.task.TaskArn, Reason: &reason}
	if r.Cluster != "" {
		in.Cluster = &r.Cluster
	}
	out, err := r.client.StopTask(ctx, in)
	if err != nil {
		return fmt.Errorf("%w; task %s still runs: stop it: %w", cause, *r.task.TaskArn, err)
	}
	if out.Task != nil {
		r.task = *out.Task
	}
	r.read(ctx)
	return fmt.Errorf("%w; task %s was stopped", cause, watch.ID(*r.task.TaskArn))
}
