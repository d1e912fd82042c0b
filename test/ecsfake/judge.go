package ecsfake

import (
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// judge looks at a service's tasks: those that fail their health checks are
// stopped, those that ended are counted.
func (f *Fake) judge(s *service, d *deployment) {
	for _, t := range f.tasks {
		if t.revision == nil || !slices.Contains(s.revisions, t.revision) {
			continue
		}
		if f.healthy(t) && t.healthyAt.IsZero() {
			t.healthyAt = time.Now()
			s.throttle = throttle{}
			if t.revision == d.wanted {
				d.breaker.healthy()
			}
		}
		if reason := f.failing(s, t); reason != "" {
			s.tell(f, "(task %s) %s", t.id(), reason)
			t.stop(types.TaskStopCodeServiceSchedulerInitiated, reason)
			t.failed = true
			f.count(s, d, t.revision)
		}
		if t.ended() && !t.failed {
			t.failed = true
			s.settled = false
			// The RUNNING rule. https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Deployment.html: "A
			// task is considered a failure if the service scheduler can't launch the task, the task
			// doesn't transition to a RUNNING state, or if it fails any of its defined health checks
			// and is stopped." One that ran and then exits by itself is none of these.
			if t.StartedAt == nil && t.StopCode != types.TaskStopCodeServiceSchedulerInitiated && t.StopCode != types.TaskStopCodeUserInitiated {
				f.count(s, d, t.revision)
				f.hold(s)
			}
		}
	}
}

// failing says which health check a task fails.
func (f *Fake) failing(s *service, t *task) string {
	if t.ending() || *t.LastStatus != running {
		return ""
	}
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_CreateService.html: "The period of time, in
	// seconds, that the Amazon ECS service scheduler ignores unhealthy Elastic Load Balancing, VPC
	// Lattice, and container health checks after a task has first started."
	grace := f.scaled(time.Duration(aws.ToInt32(s.HealthCheckGracePeriodSeconds)) * time.Second)
	if time.Since(*t.StartedAt) < grace {
		return ""
	}
	if t.HealthStatus == types.HealthStatusUnhealthy {
		return "Task failed container health checks"
	}
	for _, target := range t.targets {
		if target.unhealthy {
			return "Task failed ELB health checks in (target-group " + target.group.arn + ")"
		}
	}
	return ""
}

// count counts a failure of a deployment, and acts where it was one too many.
func (f *Fake) count(s *service, d *deployment, r *revision) {
	r.failed++
	if r != d.wanted || !d.busy() || d.returning() {
		return
	}
	if !d.breaker.failure() {
		return
	}
	const reason = "ECS deployment circuit breaker: tasks failed to start."
	s.tell(f, "(deployment %s) deployment failed: tasks failed to start.", r.id)
	r.rollout, r.reason = types.DeploymentRolloutStateFailed, reason
	if !s.DeploymentConfiguration.DeploymentCircuitBreaker.Rollback {
		d.end(types.ServiceDeploymentStatusStopped, reason)
		return
	}
	d.rollBack("Service deployment rolled back because the circuit breaker threshold was exceeded.")
	if d.returning() {
		s.TaskDefinition = d.target.TaskDefinition
		s.tell(f, "rolling back to deployment %s.", d.target.id)
	}
	s.throttle = throttle{}
}

// throttle spaces the restarts of a service whose tasks do not start
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html: "If tasks for a
// service repeatedly fail to enter the RUNNING state (progressing directly from a PENDING to a
// STOPPED status), then the time between subsequent restart attempts is incrementally increased up
// to a maximum of 27 minutes", "Tasks that are stopped after they reach the RUNNING state don't
// start the throttle logic").
type throttle struct {
	failures int
	until    time.Time
}

func (t *throttle) open() bool { return !time.Now().Before(t.until) }

// hold lets a service wait longer after every task that did not start: twice
// as long from the third on, which the documentation leaves open.
func (f *Fake) hold(s *service) {
	s.throttle.failures++
	if over := s.throttle.failures - 2; over > 0 {
		s.throttle.until = time.Now().Add(f.scaled(min(27*time.Minute, time.Second<<min(over, 20))))
	}
	if s.throttle.failures == 3 {
		s.tell(f, "is unable to consistently start tasks successfully.")
	}
}
