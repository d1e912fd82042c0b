// Package watch observes what ECS runs: deployments to their true end, services
// with their events, tasks with their logs, the reasons why they stopped and
// where their time went. In go names and ARNs, out come values and, on the
// way, events; it changes nothing.
//
// AWS is asked in batches and at a Pace, so that a hundred services can be
// watched by one caller within the limits of the API, 20 calls of a kind in a
// second (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html).
// A round of questions takes a twentieth of a call for each deployment, a tenth
// for each service and a hundredth for each task; tasks are listed, and their
// logs read, only when there is news, and of a few services in one round.
//
// A new thing may be missing in ECS's answers for a while
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html);
// what is watched is waited for.
package watch

import (
	"context"
	"errors"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs"
)

// ErrMissing says that ECS does not know, or no longer, what is watched.
var ErrMissing = errors.New("ECS does not know it")

// patience is how many rounds in a row a thing may be missing.
const patience = 10

// Client is the part of *ecs.Client that deployments are watched with.
type Client interface {
	DeploymentDescriber
	ServiceDescriber
	TaskDescriber
	TaskLister
}

// DeploymentDescriber is a part of *ecs.Client.
type DeploymentDescriber interface {
	DescribeServiceDeployments(context.Context, *ecs.DescribeServiceDeploymentsInput, ...func(*ecs.Options)) (*ecs.DescribeServiceDeploymentsOutput, error)
}

// ServiceDescriber is a part of *ecs.Client.
type ServiceDescriber interface {
	DescribeServices(context.Context, *ecs.DescribeServicesInput, ...func(*ecs.Options)) (*ecs.DescribeServicesOutput, error)
}

// TaskDescriber is a part of *ecs.Client.
type TaskDescriber interface {
	DescribeTasks(context.Context, *ecs.DescribeTasksInput, ...func(*ecs.Options)) (*ecs.DescribeTasksOutput, error)
}

// TaskLister is a part of *ecs.Client.
type TaskLister interface {
	ListTasks(context.Context, *ecs.ListTasksInput, ...func(*ecs.Options)) (*ecs.ListTasksOutput, error)
}

// Kind is what an Event is about.
type Kind string

const (
	// Service is an event as ECS words it.
	Service Kind = "service"
	// Deployment is a new state of a deployment.
	Deployment Kind = "deployment"
	// Task is a task that became healthy, or stopped.
	Task Kind = "task"
)

// Event is something that happened.
type Event struct {
	// At is when, by the clock of ECS, or else when it was seen.
	At time.Time `json:"at"`
	// Name is the service's name, or the task's id.
	Name string `json:"name"`
	Kind Kind   `json:"kind"`
	Text string `json:"text"`
}
