// Package deploy brings a task definition to a service and waits for the true
// end. In go a definition and a service's name, out comes what the service
// runs now, or an error that says why it does not run the new.
//
// Every step may be repeated: a revision is registered only if there is none
// with this content, a service that runs it is left alone, and a deployment
// that is under way is waited for. A deployment that ECS rolled back, for
// whatever reason, is an error.
package deploy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/watch"
)

// ErrService says that the service is not one that can be deployed like this.
var ErrService = errors.New("cannot deploy the service")

// ErrTime says that a deployment took longer than it may.
var ErrTime = errors.New("the deployment takes too long")

// ErrNoProgram says that tasks of a deployment started no program, that ECS does
// not count them as failures, and would go on for ever.
var ErrNoProgram = errors.New("the tasks of the deployment start no program")

// Client is the part of *ecs.Client that a deployment needs.
type Client interface {
	watch.Client
	Registrar
	CreateService(context.Context, *awsecs.CreateServiceInput, ...func(*awsecs.Options)) (*awsecs.CreateServiceOutput, error)
	UpdateService(context.Context, *awsecs.UpdateServiceInput, ...func(*awsecs.Options)) (*awsecs.UpdateServiceOutput, error)
	ListServiceDeployments(context.Context, *awsecs.ListServiceDeploymentsInput, ...func(*awsecs.Options)) (*awsecs.ListServiceDeploymentsOutput, error)
	DescribeServiceRevisions(context.Context, *awsecs.DescribeServiceRevisionsInput, ...func(*awsecs.Options)) (*awsecs.DescribeServiceRevisionsOutput, error)
	ContinueServiceDeployment(context.Context, *awsecs.ContinueServiceDeploymentInput, ...func(*awsecs.Options)) (*awsecs.ContinueServiceDeploymentOutput, error)
	StopServiceDeployment(context.Context, *awsecs.StopServiceDeploymentInput, ...func(*awsecs.Options)) (*awsecs.StopServiceDeploymentOutput, error)
}

// Request says what to deploy.
type Request struct {
	Cluster string // default: ECS's own
	Service string
	// Definition is what is deployed, as Register registers it, or Revision, as
	// Register or Describe returned it.
	Definition *ecs.Definition
	Revision   Revision
	// Settings create the service if there is none, and update it otherwise.
	// Default: what the service has; there must be one.
	Settings *Settings
	// Count is how many tasks are wanted. Default: as many as are.
	Count *int32
	// Force deploys a revision that the service has already.
	Force bool
	// NoWait returns once the deployment has begun.
	NoWait bool
	// Timeout bounds the wait. Default: 30 minutes.
	Timeout time.Duration
	// GiveUp is after how many tasks that started no program the deployment is
	// an ErrNoProgram. Default: never.
	GiveUp int
	// Rollback rolls back what fails without ECS doing so, and what takes
	// longer than Timeout. RollbackOnCancel does when the context ends; it
	// does not wait for it.
	Rollback, RollbackOnCancel bool
	// OnPause says what to do where the deployment pauses. Default: wait for
	// somebody else.
	OnPause PauseAction
	Pace    watch.Pace
	// Logs are those of a region, "" for the tasks' own: what runners say is
	// read there. Default: nothing is.
	Logs func(region string) watch.LogReader
	// Tell is told what happens, by one goroutine. Default: nobody is.
	Tell func(watch.Event)
}

// Result is what became of a deployment.
type Result struct {
	watch.Outcome
	Revision Revision `json:"revision"`
	// Created says that there was no such service, Unchanged that it runs the
	// revision already and there was nothing to wait for.
	Created   bool `json:"created"`
	Unchanged bool `json:"unchanged"`
	// Previous is the ARN of the revision that the service had before.
	Previous string `json:"previous_task_definition,omitempty"`
	// RolledBack says that a roll-back was asked for.
	RolledBack bool `json:"rollback_requested,omitempty"`
}

// Deploy deploys a revision. There is a result even with an error once there
// is a revision. Errors: watch.ErrFailed and watch.ErrRolledBack, ErrNoProgram,
// ErrTime, ErrService, ecs.ErrDefinition, the context's cause, and those of
// calls.
func Deploy(ctx context.Context, client Client, request Request) (*Result, error) {
	d := newDeployment(client, request)
	service, err := d.service(ctx)
	if err != nil {
		return nil, err
	}
	if service == nil && d.Settings == nil {
		return nil, fmt.Errorf("%w %s: there is none in the cluster, and without settings it cannot be created", ErrService, d.Service)
	}
	if err := d.register(ctx, service); err != nil {
		return nil, err
	}
	if err := d.begin(ctx, service); err != nil || d.result.Unchanged || request.NoWait {
		return d.result, err
	}
	return d.result, d.wait(ctx)
}

// deployment is one call of Deploy.
type deployment struct {
	Request
	client Client
	result *Result
	// known are the service's events that are no news.
	known []string
	// watched is the watch of the deployment of the result.
	watched *watch.Watch
	// answered are the pauses that were answered.
	answered map[string]bool
}

func newDeployment(client Client, request Request) *deployment {
	if request.Timeout <= 0 {
		request.Timeout = 30 * time.Minute
	}
	if request.Tell == nil {
		request.Tell = func(watch.Event) {}
	}
	d := &deployment{Request: request, client: client, result: &Result{}, answered: map[string]bool{}}
	d.result.Cluster, d.result.Service, d.result.Tasks = request.Cluster, request.Service, []watch.Timing{}
	d.target(request.Revision)
	return d
}

// target makes a revision the one that is deployed.
func (d *deployment) target(r Revision) {
	d.Revision, d.result.Revision, d.result.Definition = r, r, r.ARN
}

// register registers the definition, unless a revision was given.
func (d *deployment) register(ctx context.Context, service *types.Service) error {
	if d.Definition == nil {
		return nil
	}
	current := ""
	if service != nil {
		current = aws.ToString(service.TaskDefinition)
	}
	revision, err := Register(ctx, d.client, d.Definition, d.Pace, current)
	d.target(revision)
	return err
}

// service is the service as it is, nil if there is none.
func (d *deployment) service(ctx context.Context) (*types.Service, error) {
	found, err := watch.DescribeServices(ctx, d.client, d.Cluster, []string{d.Service})
	if err != nil {
		return nil, err
	}
	for _, s := range found {
		if aws.ToString(s.Status) == "INACTIVE" {
			continue
		}
		if c := s.DeploymentController; c != nil && c.Type != types.DeploymentControllerTypeEcs {
			return nil, fmt.Errorf("%w %s: its deployment controller is %s, and only ECS's own tells how a deployment ends", ErrService, d.Service, c.Type)
		}
		return &s, nil
	}
	return nil, nil
}

// begin begins the deployment, or finds the one that is under way.
func (d *deployment) begin(ctx context.Context, service *types.Service) error {
	if service == nil {
		return d.create(ctx)
	}
	d.remember(service)
	before := aws.ToString(service.CurrentServiceDeployment)
	if d.Settings == nil && !d.Force && d.Count == nil && d.result.Previous == d.Revision.ARN {
		return d.resume(ctx, before)
	}
	out, err := answered(ctx, d.client.UpdateService, d.update())
	if err != nil {
		return fmt.Errorf("update service %s: %w", d.Service, err)
	}
	now := aws.ToString(out.Service.CurrentServiceDeployment)
	changed := d.Force || d.result.Previous != d.Revision.ARN
	if !changed && (now == "" || now == before) {
		// Settings may be those that the service has.
		return d.resume(ctx, before)
	}
	return d.find(ctx, before, now)
}

// remember keeps what of the service is no news.
func (d *deployment) remember(service *types.Service) {
	d.result.Previous = aws.ToString(service.TaskDefinition)
	for _, e := range service.Events {
		d.known = append(d.known, aws.ToString(e.Id))
	}
}

// resume waits for the deployment of this very revision if it is under way.
func (d *deployment) resume(ctx context.Context, arn string) error {
	d.result.Deployment = arn
	if arn == "" {
		d.result.Unchanged = true
		return nil
	}
	found, err := watch.DescribeDeployments(ctx, d.client, []string{arn})
	if err != nil {
		return err
	}
	if len(found) > 0 && !watch.Over(found[0].Status) {
		return nil
	}
	d.result.Unchanged = true
	if len(found) > 0 {
		d.result.Status, d.result.Reason = found[0].Status, aws.ToString(found[0].StatusReason)
	}
	return nil
}

// find waits until the service says which its new deployment is: an answer may
// be older than the update.
func (d *deployment) find(ctx context.Context, before, now string) error {
	for n := 0; now == "" || now == before; n++ {
		if n >= 10 {
			return fmt.Errorf("the deployment of service %s: %w", d.Service, watch.ErrMissing)
		}
		if err := d.Pace.Wait(ctx, n); err != nil {
			return err
		}
		service, err := d.service(ctx)
		if err != nil {
			return err
		}
		if service != nil {
			now = aws.ToString(service.CurrentServiceDeployment)
		}
	}
	d.result.Deployment, d.watched = now, nil
	return nil
}

// wait waits for the deployment's end, or a pause to return at, and does what
// was asked for where the end is not a success.
func (d *deployment) wait(ctx context.Context) error {
	timed, cancel := context.WithTimeoutCause(ctx, d.Timeout, fmt.Errorf("service %s: %w: more than %s", d.Service, ErrTime, d.Timeout))
	defer cancel()
	err := d.watch(timed)
	switch {
	case ctx.Err() != nil:
		return d.cancelled(ctx, context.Cause(ctx))
	case err != nil && timed.Err() != nil:
		return d.undo(ctx, d.result.Because(context.Cause(timed)))
	case errors.Is(err, ErrNoProgram):
		return d.undo(ctx, d.result.Because(err))
	case err != nil || !watch.Over(d.result.Status):
		return err
	case d.result.Status == types.ServiceDeploymentStatusStopped:
		return d.undo(ctx, d.result.Err())
	}
	return d.result.Err()
}

// watch watches until the deployment's end, or a pause to return at.
func (d *deployment) watch(ctx context.Context) error {
	if d.watched == nil {
		d.watched = watch.New(d.client, []watch.Rollout{{
			Cluster: d.Cluster, Service: d.Service, Deployment: d.result.Deployment, Definition: d.Revision.ARN, Parts: d.Revision.Parts,
			Known: d.known, Logs: d.Logs, UntilPause: d.OnPause != PauseWait, UntilStuck: d.GiveUp,
		}}, d.Tell)
	}
	for {
		outcomes, err := d.watched.Wait(ctx, d.Pace)
		d.result.Outcome, d.known = outcomes[0], outcomes[0].Events
		if err != nil || watch.Over(d.result.Status) {
			return err
		}
		if d.GiveUp > 0 && d.result.Stuck >= d.GiveUp {
			return fmt.Errorf("service %s: %w: %d stopped, and ECS starts others", d.Service, ErrNoProgram, d.result.Stuck)
		}
		if d.OnPause == PauseReturn && len(d.unanswered()) > 0 {
			return nil
		}
		if err := d.answer(ctx); err != nil {
			return err
		}
	}
}
