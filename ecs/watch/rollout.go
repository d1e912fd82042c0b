package watch

import (
	"context"
	"errors"
	"fmt"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Why a deployment is not what a service runs.
var (
	// ErrFailed says that a deployment came to another end than its success.
	ErrFailed = errors.New("the deployment failed")
	// ErrRolledBack is an ErrFailed after which the service runs what it ran
	// before.
	ErrRolledBack = fmt.Errorf("%w and was rolled back", ErrFailed)
)

// Rollout is a service deployment to be watched.
type Rollout struct {
	Cluster, Service string
	// Deployment is the ARN of the service deployment.
	Deployment string
	// Definition is the ARN of the revision that it deploys, and Parts are its
	// containers.
	Definition string
	Parts      []Part
	// Known are the ids of the service's events that are no news.
	Known []string
	// Logs are those of a region, "" for the tasks' own. With them, what the
	// tasks' runners said is read. Default: nothing is.
	Logs func(region string) LogReader
	// UntilPause ends the wait when the deployment pauses, too.
	UntilPause bool
	// UntilStuck, if it is not 0, ends the wait when so many tasks started no
	// program and ECS does not count them.
	UntilStuck int
}

// Outcome is how a deployment ended, or where it pauses.
type Outcome struct {
	Cluster    string                        `json:"cluster,omitempty"`
	Service    string                        `json:"service"`
	Deployment string                        `json:"service_deployment"`
	Definition string                        `json:"task_definition"`
	Status     types.ServiceDeploymentStatus `json:"status"`
	Reason     string                        `json:"reason,omitempty"`
	// Failure is why the first task stopped that ECS did not stop by itself.
	Failure string `json:"failure,omitempty"`
	// Stuck counts the tasks whose runner started no program, while ECS goes on
	// as if it did not matter: tasks that ran, however short, and ended by
	// themselves are no failures to it
	// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html).
	Stuck int `json:"stuck,omitempty"`
	// Pauses are those that wait for somebody to continue.
	Pauses []Pause `json:"pauses,omitempty"`
	// Tasks are those that the deployment started, as far as they were seen.
	Tasks []Timing `json:"tasks"`
	// Events are the ids of the service's events that were told, or known.
	Events []string `json:"-"`
}

// Err is nil if the deployment succeeded, else an ErrFailed.
func (o Outcome) Err() error {
	err := ErrFailed
	switch o.Status {
	case types.ServiceDeploymentStatusSuccessful:
		return nil
	case types.ServiceDeploymentStatusRollbackSuccessful:
		err = ErrRolledBack
	}
	err = fmt.Errorf("service %s: %w: %s", o.Service, err, o.Status)
	if o.Reason != "" {
		err = fmt.Errorf("%w: %s", err, o.Reason)
	}
	return o.Because(err)
}

// Because adds to an error why the first task failed, if one did.
func (o Outcome) Because(err error) error {
	if o.Failure == "" {
		return err
	}
	return fmt.Errorf("%w; first of all, %s", err, o.Failure)
}

// Over says whether a deployment has come to its end.
func Over(status types.ServiceDeploymentStatus) bool {
	switch status {
	case types.ServiceDeploymentStatusSuccessful, types.ServiceDeploymentStatusStopped,
		types.ServiceDeploymentStatusRollbackSuccessful, types.ServiceDeploymentStatusRollbackFailed:
		return true
	}
	return false
}

// Rollouts watches deployments until all have come to their end, as Watch.Wait
// does.
func Rollouts(ctx context.Context, client Client, pace Pace, rollouts []Rollout, tell func(Event)) ([]Outcome, error) {
	return New(client, rollouts, tell).Wait(ctx, pace)
}
