package ecsfake

import (
	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// breaker is the deployment circuit breaker of one deployment
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentCircuitBreaker.html).
type breaker struct {
	enabled, reset      bool
	failures, threshold int32
	status              types.ServiceDeploymentRollbackMonitorsStatus
}

// configure computes the threshold
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ThresholdConfiguration.html: "When type is COUNT,
// this value is the failure threshold itself. When type is a percentage type, Amazon ECS multiplies
// this value by the latest service desired count"; BOUNDED_PERCENT is clamped "to a minimum of 3
// and a maximum of 200", "The default is 50").
func (b *breaker) configure(s *service) {
	*b = breaker{reset: true, status: types.ServiceDeploymentRollbackMonitorsStatusDisabled}
	c := s.DeploymentConfiguration.DeploymentCircuitBreaker
	if c == nil {
		return
	}
	b.enabled = c.Enable
	if c.Enable {
		b.status = types.ServiceDeploymentRollbackMonitorsStatusMonitoring
	}
	if c.ResetOnHealthyTask != nil {
		b.reset = aws.ToBool(c.ResetOnHealthyTask)
	}
	kind, value := types.ThresholdTypeBoundedPercent, int32(50)
	if t := c.ThresholdConfiguration; t != nil {
		kind, value = t.Type, t.Value
	}
	percent := (s.DesiredCount*value + 99) / 100
	switch kind {
	case types.ThresholdTypeCount:
		b.threshold = value
	case types.ThresholdTypeUnboundedPercent:
		b.threshold = percent
	default:
		b.threshold = min(max(percent, 3), 200)
	}
}

// failure counts one and reports whether the breaker trips.
func (b *breaker) failure() bool {
	if b.status != types.ServiceDeploymentRollbackMonitorsStatusMonitoring {
		return false
	}
	b.failures++
	if b.failures < b.threshold {
		return false
	}
	b.status = types.ServiceDeploymentRollbackMonitorsStatusTriggered
	return true
}

// healthy forgets failures: "a task that reaches a healthy state resets the
// failure count to 0", unless told not to.
func (b *breaker) healthy() {
	if b.reset && b.status == types.ServiceDeploymentRollbackMonitorsStatusMonitoring {
		b.failures = 0
	}
}

func (b *breaker) complete() {
	if b.status == types.ServiceDeploymentRollbackMonitorsStatusMonitoring {
		b.status = types.ServiceDeploymentRollbackMonitorsStatusMonitoringComplete
	}
}

func (b *breaker) describe() *types.ServiceDeploymentCircuitBreaker {
	return &types.ServiceDeploymentCircuitBreaker{FailureCount: b.failures, Threshold: b.threshold, Status: b.status}
}
