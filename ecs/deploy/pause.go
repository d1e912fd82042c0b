package deploy

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
)

// ErrNotPaused says that there is nothing to continue.
var ErrNotPaused = errors.New("the deployment is not paused")

// PauseAction is what to do where a deployment pauses.
type PauseAction string

// The actions.
const (
	PauseWait     PauseAction = ""         // for somebody else, or ECS's time-out
	PauseReturn   PauseAction = "return"   // without an error, while it pauses
	PauseContinue PauseAction = "continue" // to the next stage
	PauseRollback PauseAction = "rollback" // to what was before
)

// Continue continues the service's deployment that pauses, or rolls it back,
// and waits for its end, or its next pause. action is PauseContinue or
// PauseRollback; of the request counts what does for Rollback. The error may be
// an ErrNotPaused; a roll-back that was asked for is none.
func Continue(ctx context.Context, client Client, request Request, action PauseAction) (*Result, error) {
	d := newDeployment(client, request.present())
	d.OnPause = action
	if err := d.present(ctx); err != nil {
		return nil, err
	}
	if err := d.paused(ctx); err != nil {
		return nil, err
	}
	if err := d.answer(ctx); err != nil || d.NoWait {
		return d.result, err
	}
	d.OnPause = PauseReturn
	err := d.wait(ctx)
	if action == PauseRollback && errors.Is(err, watch.ErrRolledBack) {
		err = nil
	}
	return d.result, err
}

// paused finds the pauses of the deployment, and its revision.
func (d *deployment) paused(ctx context.Context) error {
	var found []types.ServiceDeployment
	var err error
	if d.result.Deployment != "" {
		if found, err = watch.DescribeDeployments(ctx, d.client, []string{d.result.Deployment}); err != nil {
			return err
		}
	}
	for _, f := range found {
		d.result.Status, d.result.Pauses = f.Status, watch.Pauses(f)
	}
	if len(d.result.Pauses) == 0 {
		return fmt.Errorf("service %s: %w", d.Service, ErrNotPaused)
	}
	revision, err := Describe(ctx, d.client, d.Revision.ARN)
	d.target(revision)
	return err
}

// unanswered are the pauses that were not answered: of one that was, ECS does
// not tell at once.
func (d *deployment) unanswered() []watch.Pause {
	return slices.DeleteFunc(slices.Clone(d.result.Pauses), func(p watch.Pause) bool { return d.answered[p.Hook] })
}

// answer answers the pauses that were not, as OnPause says.
func (d *deployment) answer(ctx context.Context) error {
	action, known := map[PauseAction]types.DeploymentLifecycleHookAction{
		PauseContinue: types.DeploymentLifecycleHookActionContinue, PauseRollback: types.DeploymentLifecycleHookActionRollback,
	}[d.OnPause]
	if !known {
		return nil
	}
	for _, p := range d.unanswered() {
		_, err := d.client.ContinueServiceDeployment(ctx, &awsecs.ContinueServiceDeploymentInput{
			ServiceDeploymentArn: &d.result.Deployment, HookId: aws.String(p.Hook), Action: action,
		})
		if err != nil {
			return fmt.Errorf("%s %s: %w", action, d.result.Deployment, err)
		}
		d.answered[p.Hook] = true
		d.result.RolledBack = d.OnPause == PauseRollback
	}
	return nil
}
