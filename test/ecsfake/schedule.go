package ecsfake

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// schedule is the service scheduler: again and again it compares what
// services want with what there is.
func (f *Fake) schedule() {
	for f.pause(f.life, step) {
		f.mu.Lock()
		for _, s := range f.services {
			f.reconcile(s)
		}
		f.mu.Unlock()
	}
}

// reconcile takes one step for a service.
func (f *Fake) reconcile(s *service) {
	if *s.Status == inactive {
		return
	}
	d := s.latest()
	f.judge(s, d)
	switch {
	case *s.Status == draining:
		f.drain(s)
	case d.Status == types.ServiceDeploymentStatusRollbackRequested:
		d.rollBack("Service deployment rolled back because of a stop request.")
		s.TaskDefinition = d.target.TaskDefinition
	case d.Status == types.ServiceDeploymentStatusStopped || d.Status == types.ServiceDeploymentStatusRollbackFailed:
		// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html: "A deployment in
		// FAILED state doesn't launch any new tasks."
		f.retire(s, s.DesiredCount)
	case d.shifting() && !d.returning():
		f.advance(s, d)
	default:
		f.roll(s, d)
	}
}

// counts counts a revision's tasks that run and that shall.
func (f *Fake) counts(r *revision) (run, wait int32) {
	for _, t := range f.tasks {
		if t.revision != r || t.ending() {
			continue
		}
		if *t.LastStatus == running {
			run++
		} else {
			wait++
		}
	}
	return run, wait
}

// fleet are a service's tasks that shall run: the target's and the others,
// oldest first.
func (f *Fake) fleet(s *service, target *revision) (new, old []*task) {
	for _, t := range f.tasks {
		if t.revision == nil || !slices.Contains(s.revisions, t.revision) || t.ending() {
			continue
		}
		if t.revision == target {
			new = append(new, t)
		} else {
			old = append(old, t)
		}
	}
	age := func(a, b *task) int { return a.CreatedAt.Compare(*b.CreatedAt) }
	slices.SortFunc(new, age)
	slices.SortFunc(old, age)
	return new, old
}

// healthy reports whether a task counts for its service
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html: "If a task has
// no essential containers with a health check defined, the service scheduler will wait for 40
// seconds after a task reaches a RUNNING state before the task is counted towards the minimum
// healthy percent total"; else for its health checks, and the load balancer's).
func (f *Fake) healthy(t *task) bool {
	if *t.LastStatus != running || t.ending() {
		return false
	}
	checked := slices.ContainsFunc(t.containers, func(c *container) bool { return c.essential() && c.definition.HealthCheck != nil })
	if checked && t.HealthStatus != types.HealthStatusHealthy {
		return false
	}
	for _, target := range t.targets {
		if !target.healthy {
			return false
		}
	}
	return checked || len(t.targets) > 0 || time.Since(*t.StartedAt) >= f.scaled(40*time.Second)
}

func (f *Fake) healthyOf(tasks []*task) (n int32) {
	for _, t := range tasks {
		if f.healthy(t) {
			n++
		}
	}
	return n
}

// roll takes a step of a rolling update
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/deployment-type-ecs.html), which is also how
// a steady service keeps its tasks and how a roll-back goes.
func (f *Fake) roll(s *service, d *deployment) {
	fresh, old := f.fleet(s, d.target)
	// ibid.: maximumPercent "rounded down to the nearest integer", minimumHealthyPercent "rounded
	// up to the nearest integer".
	most := s.DesiredCount * *s.DeploymentConfiguration.MaximumPercent / 100
	least := (s.DesiredCount**s.DeploymentConfiguration.MinimumHealthyPercent + 99) / 100
	f.launchInto(s, d, min(s.DesiredCount-int32(len(fresh)), most-int32(len(fresh)+len(old))))
	// Tasks that never became healthy go first; then as many as can be spared.
	spare := f.healthyOf(fresh) + f.healthyOf(old) - least
	for _, t := range old {
		switch {
		case !f.healthy(t):
		case spare > 0:
			spare--
		default:
			continue
		}
		t.stop(types.TaskStopCodeServiceSchedulerInitiated, "Scaling activity initiated by (deployment "+d.target.id+")")
	}
	for surplus := int32(len(fresh)) - s.DesiredCount; surplus > 0; surplus-- {
		fresh[len(fresh)-int(surplus)].stop(types.TaskStopCodeServiceSchedulerInitiated, "Scaling activity initiated by (deployment "+d.target.id+")")
	}
	switch healthy := f.healthyOf(fresh); {
	case int32(len(fresh)) == s.DesiredCount && healthy == s.DesiredCount && len(old) == 0:
		f.settle(s, d)
	case d.busy() && !d.returning() && early(s, healthy, len(old)):
		f.succeed(s, d)
	}
}

// early reports whether a deployment has succeeded before it is complete
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentEarlySuccessCriteria.html: "The percentage
// of healthy tasks that the target service revision must reach before Amazon ECS considers the
// deployment successful."; the old tasks go first unless their removal is DEFERRED).
func early(s *service, healthy int32, old int) bool {
	c := s.DeploymentConfiguration.EarlySuccessCriteria
	return c != nil && c.Enable && healthy*100 >= s.DesiredCount*aws.ToInt32(c.HealthyPercent) &&
		(old == 0 || c.SourceServiceRevisionCleanup == types.ServiceRevisionCleanupDeferred)
}

// launchInto starts up to n tasks of a deployment's target, unless the
// throttle says to wait.
func (f *Fake) launchInto(s *service, d *deployment, n int32) {
	r := d.target
	for ; n > 0 && s.throttle.open(); n-- {
		if len(f.traffic.failures) > 0 {
			s.tell(f, "was unable to place a task. Reason: %s.", f.traffic.failures[0])
			f.traffic.failures = f.traffic.failures[1:]
			f.count(s, d, r)
			continue
		}
		t := f.newTask(launchSpec{
			cluster: s.cluster, definition: r.definition, launchType: r.LaunchType, group: "service:" + *s.ServiceName, startedBy: r.id,
			exec: s.EnableExecuteCommand, network: r.NetworkConfiguration, revision: r, tags: f.propagated(s, r),
		})
		s.tell(f, "has started 1 tasks: (task %s).", t.id())
		s.settled = false
	}
}

func (f *Fake) propagated(s *service, r *revision) []types.Tag {
	switch s.PropagateTags {
	case types.PropagateTagsService:
		return f.tags[*s.ServiceArn]
	case types.PropagateTagsTaskDefinition:
		return f.tags[*r.TaskDefinition]
	}
	return nil
}

// retire stops surplus tasks of a service that starts none.
func (f *Fake) retire(s *service, keep int32) {
	fresh, old := f.fleet(s, nil)
	for i, t := range append(fresh, old...) {
		if int32(i) >= keep {
			t.stop(types.TaskStopCodeServiceSchedulerInitiated, "Scaling activity initiated by (service "+*s.ServiceName+")")
		}
	}
}

// drain ends a deleted service: INACTIVE when its last task has ended.
func (f *Fake) drain(s *service) {
	f.retire(s, 0)
	for _, t := range f.tasks {
		if t.revision != nil && slices.Contains(s.revisions, t.revision) && !t.ended() {
			return
		}
	}
	s.Status = aws.String(inactive)
}

// settle says once that a service is as it wants to be.
func (f *Fake) settle(s *service, d *deployment) {
	if s.settled {
		return
	}
	s.settled = true
	s.throttle = throttle{}
	s.revisions = []*revision{d.target}
	s.tell(f, "has reached a steady state.")
	if d.busy() {
		f.succeed(s, d)
	}
}

// succeed ends a deployment, or its roll-back, well.
func (f *Fake) succeed(s *service, d *deployment) {
	s.tell(f, "(deployment %s) deployment completed.", d.target.id)
	d.target.rollout, d.target.reason = types.DeploymentRolloutStateCompleted, "ECS deployment "+d.target.id+" completed."
	s.steady, s.TaskDefinition = d.target, d.target.TaskDefinition
	if d.returning() {
		d.end(types.ServiceDeploymentStatusRollbackSuccessful, "")
		return
	}
	d.end(types.ServiceDeploymentStatusSuccessful, "")
}
