package ecsfake

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// stages are a blue/green, linear or canary deployment's, in their order
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ServiceDeployment.html).
var stages = []types.ServiceDeploymentLifecycleStage{
	types.ServiceDeploymentLifecycleStageReconcileService, types.ServiceDeploymentLifecycleStagePreScaleUp, types.ServiceDeploymentLifecycleStageScaleUp,
	types.ServiceDeploymentLifecycleStagePostScaleUp, types.ServiceDeploymentLifecycleStageTestTrafficShift, types.ServiceDeploymentLifecycleStagePostTestTrafficShift,
	types.ServiceDeploymentLifecycleStageProductionTrafficShift, types.ServiceDeploymentLifecycleStagePostProductionTrafficShift,
	types.ServiceDeploymentLifecycleStageBakeTime, types.ServiceDeploymentLifecycleStageCleanUp,
}

// shift is how far such a deployment is. Traffic is numbers only: no request
// is routed here.
type shift struct {
	stage   int
	until   time.Time
	test    float64 // percent of the test traffic that the new revision gets
	traffic float64 // percent of the production traffic
	hooked  bool    // the stage's hooks were begun
}

// shifting reports whether the deployment moves traffic.
func (d *deployment) shifting() bool {
	return d.busy() && d.DeploymentConfiguration.Strategy != types.DeploymentStrategyRolling
}

// weigh tells a revision's share of the traffic.
func (h *shift) weigh(sum *types.ServiceRevisionSummary, green bool) {
	if h.until.IsZero() {
		return
	}
	test, traffic := h.test, h.traffic
	if !green {
		test, traffic = 100-test, 100-traffic
	}
	sum.RequestedTestTrafficWeight, sum.RequestedProductionTrafficWeight = &test, &traffic
}

// advance takes a step: it waits for the stage's tasks, hooks and time, and
// goes on to the next.
func (f *Fake) advance(s *service, d *deployment) {
	h := &d.shift
	stage := stages[h.stage]
	d.LifecycleStage = stage
	if h.until.IsZero() {
		h.until = time.Now().Add(step)
	}
	green, blue := f.fleet(s, d.target)
	f.keep(s, blue)
	if stage != types.ServiceDeploymentLifecycleStageReconcileService && stage != types.ServiceDeploymentLifecycleStagePreScaleUp {
		f.launchInto(s, d, s.DesiredCount-int32(len(green)))
	}
	if !d.busy() || d.returning() || f.hooked(d, stage) || time.Now().Before(h.until) {
		return
	}
	switch stage {
	case types.ServiceDeploymentLifecycleStageScaleUp:
		if f.healthyOf(green) < s.DesiredCount {
			return
		}
	case types.ServiceDeploymentLifecycleStageTestTrafficShift:
		h.test = 100
	case types.ServiceDeploymentLifecycleStageProductionTrafficShift:
		if !f.shiftStep(d) {
			return
		}
	case types.ServiceDeploymentLifecycleStageCleanUp:
		for _, t := range blue {
			t.stop(types.TaskStopCodeServiceSchedulerInitiated, "Scaling activity initiated by (deployment "+d.target.id+")")
		}
		if len(blue) == 0 {
			f.settle(s, d)
		}
		return
	}
	h.stage++
	h.hooked = false
	wait := step
	if stages[h.stage] == types.ServiceDeploymentLifecycleStageBakeTime {
		wait = max(step, f.minutes(d.DeploymentConfiguration.BakeTimeInMinutes))
	}
	h.until = time.Now().Add(wait)
	now := time.Now()
	d.UpdatedAt = &now
}

// keep replaces nothing: blue tasks that ended stay away while green comes.
func (f *Fake) keep(s *service, blue []*task) {
	for i, t := range blue {
		if int32(i) >= s.DesiredCount {
			t.stop(types.TaskStopCodeServiceSchedulerInitiated, "Scaling activity initiated by (service "+*s.ServiceName+")")
		}
	}
}

func (f *Fake) minutes(n *int32) time.Duration {
	return f.scaled(time.Duration(aws.ToInt32(n)) * time.Minute)
}

// shiftStep moves the next part of the production traffic: all at once, in
// equal parts with a time between (LINEAR), or a small part, a time, and the
// rest (CANARY). It reports whether all has moved
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html).
func (f *Fake) shiftStep(d *deployment) bool {
	h, c := &d.shift, d.DeploymentConfiguration
	part, wait := 100.0, time.Duration(0)
	switch {
	case c.Strategy == types.DeploymentStrategyLinear && c.LinearConfiguration != nil:
		part, wait = aws.ToFloat64(c.LinearConfiguration.StepPercent), f.minutes(c.LinearConfiguration.StepBakeTimeInMinutes)
	case c.Strategy == types.DeploymentStrategyCanary && c.CanaryConfiguration != nil && h.traffic == 0:
		part, wait = aws.ToFloat64(c.CanaryConfiguration.CanaryPercent), f.minutes(c.CanaryConfiguration.CanaryBakeTimeInMinutes)
	}
	if part <= 0 {
		part = 100
	}
	h.traffic = min(100, h.traffic+part)
	h.until = time.Now().Add(max(step, wait))
	return h.traffic == 100
}

// hooked begins a stage's hooks and reports whether one is waited for. A
// Lambda function's is taken as succeeded; a PAUSE waits for
// ContinueServiceDeployment or its timeout
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentLifecycleHook.html).
func (f *Fake) hooked(d *deployment, stage types.ServiceDeploymentLifecycleStage) bool {
	if !d.shift.hooked {
		d.shift.hooked = true
		for _, hook := range d.DeploymentConfiguration.LifecycleHooks {
			if slices.Contains(hook.LifecycleStages, types.DeploymentLifecycleHookStage(stage)) {
				d.LifecycleHookDetails = append(d.LifecycleHookDetails, f.beginHook(hook))
			}
		}
	}
	for i := range d.LifecycleHookDetails {
		detail := &d.LifecycleHookDetails[i]
		if detail.Status != types.DeploymentLifecycleHookStatusAwaitingAction {
			continue
		}
		if time.Now().Before(*detail.ExpiresAt) {
			return true
		}
		detail.Status = types.DeploymentLifecycleHookStatusTimedOut
		if detail.TimeoutAction == types.DeploymentLifecycleHookActionRollback {
			d.Status = types.ServiceDeploymentStatusRollbackRequested
			return true
		}
	}
	return false
}

func (f *Fake) beginHook(hook types.DeploymentLifecycleHook) types.DeploymentLifecycleHookDetail {
	detail := types.DeploymentLifecycleHookDetail{
		HookId: aws.String(f.uuid()), TargetType: hook.TargetType, TargetArn: hook.HookTargetArn, Status: types.DeploymentLifecycleHookStatusSucceeded,
		TimeoutAction: types.DeploymentLifecycleHookActionRollback, // "Default: ROLLBACK"
	}
	wait := f.scaled(24 * time.Hour) // "Default: 1440 (24 hours)"
	if c := hook.TimeoutConfiguration; c != nil {
		if c.Action != "" {
			detail.TimeoutAction = c.Action
		}
		if c.TimeoutInMinutes != nil {
			wait = f.minutes(c.TimeoutInMinutes)
		}
	}
	if hook.TargetType == types.DeploymentLifecycleHookTargetTypePause {
		detail.Status, detail.ExpiresAt = types.DeploymentLifecycleHookStatusAwaitingAction, aws.Time(time.Now().Add(wait))
	}
	return detail
}

// continueServiceDeployment ends a pause
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContinueServiceDeployment.html).
func (f *Fake) continueServiceDeployment(_ *caller, in *ecs.ContinueServiceDeploymentInput) (*ecs.ContinueServiceDeploymentOutput, error) {
	_, d := f.deploymentFor(in.ServiceDeploymentArn)
	if d == nil {
		return nil, wire.Errorf("ServiceDeploymentNotFoundException", "The service deployment was not found.")
	}
	for i := range d.LifecycleHookDetails {
		detail := &d.LifecycleHookDetails[i]
		if *detail.HookId != aws.ToString(in.HookId) || detail.Status != types.DeploymentLifecycleHookStatusAwaitingAction {
			continue
		}
		detail.Status = types.DeploymentLifecycleHookStatusSucceeded
		if in.Action == types.DeploymentLifecycleHookActionRollback {
			detail.Status, d.Status = types.DeploymentLifecycleHookStatusFailed, types.ServiceDeploymentStatusRollbackRequested
		}
		return &ecs.ContinueServiceDeploymentOutput{ServiceDeploymentArn: d.ServiceDeploymentArn}, nil
	}
	return nil, invalid("The hook %s does not wait for an action.", aws.ToString(in.HookId))
}
