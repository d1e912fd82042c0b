package ecsfake

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/wire"
)

// deployment is a service deployment
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-deployment.html).
type deployment struct {
	types.ServiceDeployment
	// target is what it deploys; when it rolls back, what it goes back to.
	target *revision
	source *revision // what ran before, nil at a service's first
	// wanted is the target it was made for.
	wanted  *revision
	breaker breaker
	shift   shift
	hidden  int
}

func (f *Fake) registerDeployments() {
	handle(f, "ecs:ListServiceDeployments", func(_ *caller, in *ecs.ListServiceDeploymentsInput) []string {
		return []string{f.serviceARN(in.Cluster, aws.ToString(in.Service))}
	}, f.listServiceDeployments)
	handle(f, "ecs:DescribeServiceDeployments", nil, f.describeServiceDeployments)
	handle(f, "ecs:DescribeServiceRevisions", nil, f.describeServiceRevisions)
	handle(f, "ecs:StopServiceDeployment", func(_ *caller, in *ecs.StopServiceDeploymentInput) []string {
		return []string{aws.ToString(in.ServiceDeploymentArn)}
	}, f.stopServiceDeployment)
	handle(f, "ecs:ContinueServiceDeployment", func(_ *caller, in *ecs.ContinueServiceDeploymentInput) []string {
		return []string{aws.ToString(in.ServiceDeploymentArn)}
	}, f.continueServiceDeployment)
}

// deploy begins a deployment of a service. One in progress is stopped.
func (f *Fake) deploy(s *service, d *types.TaskDefinition) {
	now := time.Now()
	if last := s.latest(); last != nil && last.busy() {
		last.end(types.ServiceDeploymentStatusStopped, "A newer deployment was started.")
	}
	tail := *s.cluster.ClusterName + "/" + *s.ServiceName + "/"
	r := &revision{definition: d, balancers: s.LoadBalancers, id: "ecs-svc/" + f.digits(19), rollout: types.DeploymentRolloutStateInProgress}
	r.reason = "ECS deployment " + r.id + " in progress."
	r.ServiceRevision = types.ServiceRevision{
		ServiceRevisionArn: aws.String(f.arn("ecs", "service-revision/"+tail+f.digits(19))), ServiceArn: s.ServiceArn, ClusterArn: s.ClusterArn, CreatedAt: &now,
		TaskDefinition: d.TaskDefinitionArn, LaunchType: s.LaunchType, LoadBalancers: s.LoadBalancers, NetworkConfiguration: s.NetworkConfiguration,
		PlatformVersion: s.PlatformVersion, ServiceRegistries: s.ServiceRegistries, CapacityProviderStrategy: s.CapacityProviderStrategy,
	}
	for _, c := range d.ContainerDefinitions {
		r.ContainerImages = append(r.ContainerImages, types.ContainerImage{ContainerName: c.Name, Image: c.Image})
	}
	dep := &deployment{target: r, wanted: r, source: s.steady, hidden: f.traffic.missing, ServiceDeployment: types.ServiceDeployment{
		ServiceDeploymentArn: aws.String(f.arn("ecs", "service-deployment/"+tail+f.digits(22))), ServiceArn: s.ServiceArn, ClusterArn: s.ClusterArn,
		CreatedAt: &now, StartedAt: &now, UpdatedAt: &now, Status: types.ServiceDeploymentStatusInProgress, DeploymentConfiguration: s.DeploymentConfiguration,
	}}
	dep.breaker.configure(s)
	s.deployments = append(s.deployments, dep)
	s.revisions = append(s.revisions, r)
	s.throttle = throttle{}
	s.settled = false
	s.CurrentServiceDeployment = dep.ServiceDeploymentArn
}

// digits makes an id of digits, as deployments have.
func (f *Fake) digits(n int) string {
	text := make([]byte, n)
	for i, r := range []byte(f.hex(n)) {
		text[i] = '0' + r%10
	}
	return string(text)
}

func (s *service) latest() *deployment {
	if len(s.deployments) == 0 {
		return nil
	}
	return s.deployments[len(s.deployments)-1]
}

// busy reports whether the deployment has not come to its end.
func (d *deployment) busy() bool { return d.FinishedAt == nil && d.StoppedAt == nil }

func (d *deployment) returning() bool {
	return d.Status == types.ServiceDeploymentStatusRollbackInProgress || d.Status == types.ServiceDeploymentStatusRollbackRequested
}

// end ends the deployment.
func (d *deployment) end(status types.ServiceDeploymentStatus, reason string) {
	now := time.Now()
	d.Status, d.UpdatedAt = status, &now
	if reason != "" {
		d.StatusReason = &reason
	}
	if status == types.ServiceDeploymentStatusStopped {
		d.StoppedAt = &now
	} else {
		d.FinishedAt = &now
	}
	d.breaker.complete()
}

// rollBack turns the deployment around to what was steady before.
func (d *deployment) rollBack(reason string) {
	now := time.Now()
	d.wanted.rollout, d.wanted.reason = types.DeploymentRolloutStateFailed, reason
	d.UpdatedAt, d.StatusReason = &now, &reason
	if d.source == nil {
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-circuit-breaker.html: it
		// "looks for the most recent deployment that is in a COMPLETED state"; there is none.
		d.end(types.ServiceDeploymentStatusRollbackFailed, reason)
		return
	}
	d.Status, d.target = types.ServiceDeploymentStatusRollbackInProgress, d.source
	d.Rollback = &types.Rollback{Reason: &reason, StartedAt: &now, ServiceRevisionArn: d.source.ServiceRevisionArn}
	d.source.rollout, d.source.reason = types.DeploymentRolloutStateInProgress, "ECS deployment "+d.source.id+" in progress."
}

func (f *Fake) deploymentFor(arn *string) (*service, *deployment) {
	for _, s := range f.services {
		for _, d := range s.deployments {
			if *d.ServiceDeploymentArn == aws.ToString(arn) {
				return s, d
			}
		}
	}
	return nil, nil
}

func (f *Fake) listServiceDeployments(_ *caller, in *ecs.ListServiceDeploymentsInput) (*ecs.ListServiceDeploymentsOutput, error) {
	s, err := f.serviceFor(in.Cluster, in.Service)
	if err != nil {
		return nil, err
	}
	found := []types.ServiceDeploymentBrief{}
	for _, d := range slices.Backward(s.deployments) {
		if len(in.Status) > 0 && !slices.Contains(in.Status, d.Status) || d.hidden > 0 {
			continue
		}
		if in.CreatedAt != nil && (in.CreatedAt.After != nil && d.CreatedAt.Before(*in.CreatedAt.After) || in.CreatedAt.Before != nil && d.CreatedAt.After(*in.CreatedAt.Before)) {
			continue
		}
		found = append(found, types.ServiceDeploymentBrief{
			ServiceDeploymentArn: d.ServiceDeploymentArn, ServiceArn: d.ServiceArn, ClusterArn: d.ClusterArn, CreatedAt: d.CreatedAt, StartedAt: d.StartedAt,
			FinishedAt: d.FinishedAt, Status: d.Status, StatusReason: d.StatusReason, TargetServiceRevisionArn: d.wanted.ServiceRevisionArn,
		})
	}
	page, next, err := paged(found, in.NextToken, in.MaxResults, 100)
	return &ecs.ListServiceDeploymentsOutput{ServiceDeployments: page, NextToken: next}, err
}

func (f *Fake) describeServiceDeployments(_ *caller, in *ecs.DescribeServiceDeploymentsInput) (*ecs.DescribeServiceDeploymentsOutput, error) {
	if n := len(in.ServiceDeploymentArns); n == 0 || n > 20 {
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServiceDeployments.html:
		// "You can specify a maximum of 20 ARNs."
		return nil, invalid("serviceDeploymentArns must have at least 1 and at most 20 entries.")
	}
	out := &ecs.DescribeServiceDeploymentsOutput{ServiceDeployments: []types.ServiceDeployment{}, Failures: []types.Failure{}}
	for _, arn := range in.ServiceDeploymentArns {
		s, d := f.deploymentFor(&arn)
		if d == nil || d.hidden > 0 {
			if d != nil {
				d.hidden--
			}
			out.Failures = append(out.Failures, types.Failure{Arn: &arn, Reason: aws.String("MISSING")})
			continue
		}
		shown := d.ServiceDeployment
		shown.DeploymentCircuitBreaker = d.breaker.describe()
		shown.TargetServiceRevision = f.summary(s, d, d.wanted)
		if d.source != nil {
			shown.SourceServiceRevisions = []types.ServiceRevisionSummary{*f.summary(s, d, d.source)}
		}
		out.ServiceDeployments = append(out.ServiceDeployments, shown)
	}
	return out, nil
}

// summary counts a revision's tasks.
func (f *Fake) summary(s *service, d *deployment, r *revision) *types.ServiceRevisionSummary {
	run, wait := f.counts(r)
	sum := &types.ServiceRevisionSummary{Arn: r.ServiceRevisionArn, RunningTaskCount: run, PendingTaskCount: wait}
	if d.target == r {
		sum.RequestedTaskCount = s.DesiredCount
	}
	d.shift.weigh(sum, r == d.wanted)
	return sum
}

func (f *Fake) describeServiceRevisions(_ *caller, in *ecs.DescribeServiceRevisionsInput) (*ecs.DescribeServiceRevisionsOutput, error) {
	out := &ecs.DescribeServiceRevisionsOutput{ServiceRevisions: []types.ServiceRevision{}, Failures: []types.Failure{}}
	for _, arn := range in.ServiceRevisionArns {
		var found *types.ServiceRevision
		for _, s := range f.services {
			for _, d := range s.deployments {
				if *d.wanted.ServiceRevisionArn == arn {
					found = &d.wanted.ServiceRevision
				}
			}
		}
		if found == nil {
			out.Failures = append(out.Failures, types.Failure{Arn: aws.String(arn), Reason: aws.String("MISSING")})
			continue
		}
		out.ServiceRevisions = append(out.ServiceRevisions, *found)
	}
	return out, nil
}

// stopServiceDeployment rolls a deployment in progress back
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_StopServiceDeployment.html: "Stops an
// ongoing service deployment. … ROLLBACK - This option rolls back the service deployment to the
// previous service revision.").
func (f *Fake) stopServiceDeployment(_ *caller, in *ecs.StopServiceDeploymentInput) (*ecs.StopServiceDeploymentOutput, error) {
	_, d := f.deploymentFor(in.ServiceDeploymentArn)
	switch {
	case d == nil:
		return nil, wire.Errorf("ServiceDeploymentNotFoundException", "The service deploy ARN that you specified in the StopServiceDeployment doesn't exist.")
	case !d.busy() || d.returning():
		return nil, wire.Errorf("ConflictException", "The service deployment is in state %s.", d.Status)
	case d.source == nil:
		return nil, wire.Errorf("ConflictException", "There is no previous service revision to roll back to.")
	}
	d.Status = types.ServiceDeploymentStatusRollbackRequested
	return &ecs.StopServiceDeploymentOutput{ServiceDeploymentArn: d.ServiceDeploymentArn}, nil
}
