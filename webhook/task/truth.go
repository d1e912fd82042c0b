package task

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/webhook"
)

// Truth is what ECS tells of a task.
type Truth struct {
	Task string // the ARN
	// State is Running until the task has stopped, and then how it ended:
	// Succeeded, Failed, TimedOut, Cancelled, or Lost with its host. It is "" for
	// a task that ECS does not know, be it yet or any more.
	State webhook.State
	// Status is ECS's word: PROVISIONING, PENDING, RUNNING, … STOPPED.
	Status string
	// Reason is why it ended, for people.
	Reason string
	// ExitCode is the program's, nil while it runs and if it never did.
	ExitCode *int
	// Created, Started and Ended are by ECS's clock; zero is not yet. Started is
	// when all containers were, the program's too.
	Created, Started, Ended time.Time

	last types.Task
}

// Variable is one that the program was started with, if it was given with the
// start.
func (t Truth) Variable(name string) string {
	if t.last.Overrides == nil {
		return ""
	}
	for _, c := range t.last.Overrides.ContainerOverrides {
		for _, v := range c.Environment {
			if aws.ToString(c.Name) == program && aws.ToString(v.Name) == name {
				return aws.ToString(v.Value)
			}
		}
	}
	return ""
}

// Over says whether the task has ended.
func (t Truth) Over() bool { return t.State.Over() }

// Known says whether ECS knows the task. It forgets one that has stopped after
// an hour or more, and may not know one in its first seconds.
func (t Truth) Known() bool { return t.State != "" }

// Overdue says whether the task has run for longer than it may, or has taken
// longer than StartLimit until all its containers ran. What that took does not
// count as running.
func (t Truth) Overdue(timeout time.Duration, now time.Time) bool {
	switch {
	case t.State != webhook.Running:
		return false
	case t.Started.IsZero():
		return !t.Created.IsZero() && now.Sub(t.Created) > StartLimit
	}
	return now.Sub(t.Started) > timeout
}

// StartLimit is how long a task may take to start: a place, the pulls of its
// services and until these are ready, the checkout. A service that never is
// ready would have the task wait for ever.
const StartLimit = 20 * time.Minute

// Describe tells the truth about tasks, by their ARNs, in the order in which
// they were asked for. ECS is asked once for each hundred of a cluster. The
// truths are those of the clusters that answered, even with an error.
func (t *Tasks) Describe(ctx context.Context, arns []string) ([]Truth, error) {
	type place struct{ region, cluster string }
	var places []place
	asked := map[place][]string{}
	var errs []error
	for _, arn := range arns {
		region, cluster, err := placeOf(arn)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		p := place{region, cluster}
		if asked[p] == nil {
			places = append(places, p)
		}
		asked[p] = append(asked[p], arn)
	}
	known := map[string]types.Task{}
	answered := map[string]bool{}
	for _, p := range places {
		for batch := range slices.Chunk(asked[p], mostDescribed) {
			tasks, err := watch.DescribeTasks(ctx, t.ECS(p.region), p.cluster, batch)
			if err != nil {
				errs = append(errs, err)
				continue
			}
			for _, arn := range batch {
				answered[arn] = true
			}
			for _, task := range tasks {
				known[aws.ToString(task.TaskArn)] = task
			}
		}
	}
	var truths []Truth
	for _, arn := range arns {
		if answered[arn] {
			truths = append(truths, truthOf(arn, known[arn]))
		}
	}
	return truths, errors.Join(errs...)
}

// mostDescribed is how many tasks ECS describes in one call
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeTasks.html).
const mostDescribed = 100

// truthOf is what a task's description says.
func truthOf(arn string, task types.Task) Truth {
	t := Truth{Task: arn, last: task}
	if task.TaskArn == nil {
		return t
	}
	t.State, t.Status = webhook.Running, aws.ToString(task.LastStatus)
	t.Created, t.Started, t.Ended = aws.ToTime(task.CreatedAt), aws.ToTime(task.StartedAt), aws.ToTime(task.StoppedAt)
	if t.Status == "STOPPED" {
		t.end(watch.Seen{})
	}
	return t
}

// end says how the task ended, with what its runners said.
func (t *Truth) end(seen watch.Seen) {
	task := ownEnds(t.last)
	parts := partsOf(task)
	switch t.last.StopCode {
	case types.TaskStopCodeUserInitiated:
		t.State, t.Reason = stoppedFor(aws.ToString(task.StoppedReason))
		return
	case types.TaskStopCodeSpotInterruption, types.TaskStopCodeTerminationNotice, types.TaskStopCodeInfrastructureHealth, types.TaskStopCodeServiceSchedulerInitiated:
		t.State, t.Reason = webhook.Lost, "its host was lost: "+aws.ToString(task.StoppedReason)
		return
	case types.TaskStopCodeTaskFailedToStart:
		if reason := aws.ToString(task.StoppedReason); strings.HasPrefix(reason, provisioning) {
			t.State, t.Reason = webhook.Lost, "it found no host: "+reason
			return
		}
	case types.TaskStopCodeEssentialContainerExited:
		code := watch.ExitCode(task, parts)
		t.State, t.ExitCode, t.Reason = webhook.Succeeded, &code, "the program ended well"
		if code == 0 {
			return
		}
	}
	t.State, t.Reason = webhook.Failed, plain(watch.Ending(task, parts, seen))
	if t.checkoutFailed() {
		t.Reason = "the commit was not checked out"
	}
}

// provisioning begins what ECS says where a network interface or a disk could
// not be had in time, which has nothing to do with the task.
const provisioning = "Timeout waiting for "

// checkoutFailed says whether the checkout is why the program never started.
func (t *Truth) checkoutFailed() bool {
	return t.ExitCode == nil && slices.ContainsFunc(t.last.Containers, func(c types.Container) bool {
		return aws.ToString(c.Name) == checkout && aws.ToInt32(c.ExitCode) != 0
	})
}

// plain leaves out of a reason what it always begins with.
func plain(ending string) string {
	ending = strings.TrimPrefix(ending, "stopped (EssentialContainerExited): Essential container in task exited; ")
	ending = strings.TrimPrefix(ending, "stopped (TaskFailedToStart): ")
	return strings.ReplaceAll(ending, "container "+program+": ", "the program: ")
}

// ownEnds is a task without the containers that ECS ended since the program
// had: that they were killed is no news.
func ownEnds(task types.Task) types.Task {
	task.Containers = slices.DeleteFunc(slices.Clone(task.Containers), func(c types.Container) bool {
		code := aws.ToInt32(c.ExitCode)
		return aws.ToString(c.Name) != program && c.ExitCode != nil && aws.ToString(c.Reason) == "" && (code == 137 || code == 143)
	})
	return task
}

// partsOf are the containers of a task of ours, the program's first.
func partsOf(task types.Task) []watch.Part {
	parts := []watch.Part{{Name: program, Essential: true, Moved: true}}
	for _, c := range task.Containers {
		if name := aws.ToString(c.Name); name != program {
			parts = append(parts, watch.Part{Name: name, Moved: true})
		}
	}
	return parts
}

// Cause is why Stop stops a task. ECS keeps it with the task, so that it is
// known to whoever asks.
type Cause string

// The causes.
const (
	Timeout Cause = "timed out"
	Cancel  Cause = "cancelled"
)

// stopWords begin the reasons that Stop gives to ECS.
const stopWords = "clipper-runner: "

// Stop stops a task for a cause; text says more for people. That the task has
// ended, or is not known any more, is no error.
func (t *Tasks) Stop(ctx context.Context, arn string, cause Cause, text string) error {
	region, cluster, err := placeOf(arn)
	if err != nil {
		return err
	}
	reason := stopWords + string(cause)
	if text != "" {
		reason += ": " + text
	}
	if len(reason) > mostReason {
		reason = strings.ToValidUTF8(reason[:mostReason], "")
	}
	_, err = t.ECS(region).StopTask(ctx, &awsecs.StopTaskInput{Cluster: &cluster, Task: &arn, Reason: &reason})
	var api smithy.APIError
	if errors.As(err, &api) && api.ErrorCode() == "InvalidParameterException" && strings.Contains(api.ErrorMessage(), "not found") {
		return nil
	}
	if err != nil {
		return fmt.Errorf("stop task %s: %w", watch.ID(arn), err)
	}
	return nil
}

// mostReason is how long a reason is that every API of AWS shows.
const mostReason = 255

// stoppedFor is what became of a task that somebody stopped.
func stoppedFor(reason string) (webhook.State, string) {
	said, ours := strings.CutPrefix(reason, stopWords)
	switch {
	case !ours:
		return webhook.Cancelled, "somebody stopped the task: " + reason
	case strings.HasPrefix(said, string(Timeout)):
		return webhook.TimedOut, said
	}
	return webhook.Cancelled, said
}

// placeOf is where a task is: arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID.
func placeOf(arn string) (region, cluster string, err error) {
	fields := strings.SplitN(arn, ":", 6)
	if len(fields) == 6 && fields[0] == "arn" && fields[2] == "ecs" {
		if resource := strings.Split(fields[5], "/"); len(resource) == 3 && resource[0] == "task" {
			return fields[3], resource[1], nil
		}
	}
	return "", "", fmt.Errorf("%q is not the ARN of a task", arn)
}
