package watch

import (
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Phase is one part of the time until a task works.
type Phase string

// The phases in their order; Healthy is counted from the beginning.
const (
	// Provisioning is from the task's creation to its first pull: a place, a
	// network interface.
	Provisioning Phase = "provisioning"
	// RunnerPull is the pull of what the definition names, the runner image.
	RunnerPull Phase = "runner_pull"
	// Starting is from there to RUNNING.
	Starting Phase = "starting"
	// Healthy is from the task's creation to when it was first seen healthy; it
	// is as exact as the Pace.
	Healthy Phase = "healthy"
	// Total is from the task's creation until it stopped.
	Total Phase = "total"
)

// Timing is where the time of a task went.
type Timing struct {
	Task    string    `json:"task"`
	Created time.Time `json:"created"`
	// Milliseconds by phase, as far as they are over.
	Milliseconds map[Phase]int64 `json:"ms"`
	Containers   []Start         `json:"containers"`
	// Ending says why the task stopped, "" if it did not.
	Ending string `json:"ending,omitempty"`
}

// Time says where the time of a task went.
func Time(task types.Task, parts []Part, seen Seen) Timing {
	t := Timing{Task: ID(aws.ToString(task.TaskArn)), Created: aws.ToTime(task.CreatedAt), Milliseconds: map[Phase]int64{}, Containers: []Start{}}
	for _, p := range parts {
		if start, ok := seen.Starts[p.Name]; ok {
			t.Containers = append(t.Containers, start)
		}
	}
	t.span(Provisioning, task.CreatedAt, task.PullStartedAt)
	t.span(RunnerPull, task.PullStartedAt, task.PullStoppedAt)
	t.span(Starting, task.PullStoppedAt, task.StartedAt)
	if !seen.Healthy.IsZero() {
		t.span(Healthy, task.CreatedAt, &seen.Healthy)
	}
	t.span(Total, task.CreatedAt, task.StoppedAt)
	if stopped(task) {
		t.Ending = Ending(task, parts, seen)
	}
	return t
}

func (t *Timing) span(phase Phase, from, to *time.Time) {
	if from != nil && to != nil {
		t.Milliseconds[phase] = max(0, to.Sub(*from).Milliseconds())
	}
}

func stopped(task types.Task) bool { return aws.ToString(task.LastStatus) == "STOPPED" }
