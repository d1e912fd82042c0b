package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
)

// ErrNoPrevious says that there is nothing to roll back to.
var ErrNoPrevious = errors.New("there is nothing to roll back to")

// lastWords is how long a call may take once the context has ended.
const lastWords = 20 * time.Second

// cancelled ends a wait that was cancelled. Whoever cancels does not wait for
// a roll-back.
func (d *deployment) cancelled(ctx context.Context, cause error) error {
	if !d.RollbackOnCancel {
		return fmt.Errorf("%w; the deployment of service %s goes on", cause, d.Service)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := d.stop(ctx); err != nil {
		return fmt.Errorf("%w; roll back: %w", cause, err)
	}
	return fmt.Errorf("%w; a roll-back of service %s was asked for", cause, d.Service)
}

// undo rolls back what failed, if that is asked for.
func (d *deployment) undo(ctx context.Context, failure error) error {
	if !d.Rollback {
		return failure
	}
	undone := *d // which shares the result
	undone.Rollback, undone.OnPause, undone.GiveUp = false, PauseWait, 0
	if err := undone.rollBack(ctx); err != nil && !errors.Is(err, watch.ErrRolledBack) {
		return fmt.Errorf("%w; roll back: %w", failure, err)
	}
	d.result.RolledBack = true
	return fmt.Errorf("%w; service %s was rolled back", failure, d.Service)
}

// stop asks ECS to roll back the deployment in progress.
func (d *deployment) stop(ctx context.Context) error {
	_, err := d.client.StopServiceDeployment(ctx, &awsecs.StopServiceDeploymentInput{
		ServiceDeploymentArn: &d.result.Deployment, StopType: types.StopServiceDeploymentStopTypeRollback,
	})
	if err != nil {
		return fmt.Errorf("stop %s: %w", d.result.Deployment, err)
	}
	d.result.RolledBack = true
	return nil
}

// Rollback takes a service back: a deployment in progress is rolled back by
// ECS, else the revision is deployed that was deployed to its end before the
// present one. Of the request, Cluster, Service, NoWait, Timeout, Pace, Logs and
// Tell count. Unless NoWait says otherwise, it waits, and returns nil once the
// service runs what it did before. The error may be an ErrNoPrevious.
func Rollback(ctx context.Context, client Client, request Request) (*Result, error) {
	d := newDeployment(client, request.present())
	if err := d.present(ctx); err != nil {
		return nil, err
	}
	err := d.rollBack(ctx)
	if errors.Is(err, watch.ErrRolledBack) {
		err = nil
	}
	return d.result, err
}

// present is what of a request counts for what the service has.
func (r Request) present() Request {
	return Request{Cluster: r.Cluster, Service: r.Service, NoWait: r.NoWait, Timeout: r.Timeout, Pace: r.Pace, Logs: r.Logs, Tell: r.Tell}
}

// present takes what the service has, which must be there, as what is deployed.
func (d *deployment) present(ctx context.Context) error {
	service, err := d.service(ctx)
	if err != nil {
		return err
	}
	if service == nil {
		return fmt.Errorf("%w %s: there is none in the cluster", ErrService, d.Service)
	}
	d.remember(service)
	d.target(Revision{ARN: d.result.Previous})
	d.result.Deployment = aws.ToString(service.CurrentServiceDeployment)
	return nil
}

// rollBack stops the deployment if it is in progress, else deploys what was
// before. Of the first the good end is a watch.ErrRolledBack, of the other nil.
func (d *deployment) rollBack(ctx context.Context) error {
	err := d.stop(ctx)
	var conflict *types.ConflictException
	var unknown *types.ServiceDeploymentNotFoundException
	switch {
	case err == nil && d.NoWait:
		return nil
	case err == nil:
		return d.wait(ctx)
	case d.result.Deployment != "" && !errors.As(err, &conflict) && !errors.As(err, &unknown):
		return err
	}
	arn, err := d.previous(ctx)
	if err != nil {
		return err
	}
	revision, err := Describe(ctx, d.client, arn)
	if err != nil {
		return err
	}
	before := d.result.Deployment
	d.target(revision)
	d.result.RolledBack = true
	out, err := answered(ctx, d.client.UpdateService, &awsecs.UpdateServiceInput{Service: &d.Service, Cluster: named(d.Cluster), TaskDefinition: &revision.ARN})
	if err != nil {
		return fmt.Errorf("update service %s: %w", d.Service, err)
	}
	if err := d.find(ctx, before, aws.ToString(out.Service.CurrentServiceDeployment)); err != nil || d.NoWait {
		return err
	}
	return d.wait(ctx)
}

// previous is the revision that was deployed to its end last, other than the
// one that the service has. It is not the one with the number before: a family
// holds the revisions of others, too.
func (d *deployment) previous(ctx context.Context) (string, error) {
	out, err := d.client.ListServiceDeployments(ctx, &awsecs.ListServiceDeploymentsInput{
		Cluster: named(d.Cluster), Service: &d.Service, Status: []types.ServiceDeploymentStatus{types.ServiceDeploymentStatusSuccessful},
	})
	if err != nil {
		return "", fmt.Errorf("deployments of service %s: %w", d.Service, err)
	}
	var arns []string
	for _, brief := range out.ServiceDeployments { // the newest first
		if brief.TargetServiceRevisionArn != nil {
			arns = append(arns, *brief.TargetServiceRevisionArn)
		}
	}
	for batch := range slices.Chunk(arns, mostRevisions) {
		found, err := d.client.DescribeServiceRevisions(ctx, &awsecs.DescribeServiceRevisionsInput{ServiceRevisionArns: batch})
		if err != nil {
			return "", fmt.Errorf("revisions of service %s: %w", d.Service, err)
		}
		for _, arn := range batch {
			for _, r := range found.ServiceRevisions {
				if definition := aws.ToString(r.TaskDefinition); aws.ToString(r.ServiceRevisionArn) == arn && definition != "" && definition != d.Revision.ARN {
					return definition, nil
				}
			}
		}
	}
	return "", fmt.Errorf("service %s: %w: no other revision was deployed to its end", d.Service, ErrNoPrevious)
}

// mostRevisions is how many service revisions ECS describes in one call
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceRevisions.html).
const mostRevisions = 20
