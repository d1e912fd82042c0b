package ecsfake

import "github.com/aws/aws-sdk-go-v2/service/ecs/types"

// strategy fills a deployment configuration, member by member, from what was
// before and from the defaults.
func strategy(set, before *types.DeploymentConfiguration) *types.DeploymentConfiguration {
	c := types.DeploymentConfiguration{}
	if before != nil {
		c = *before
	}
	if set != nil {
		either(&c.MaximumPercent, set.MaximumPercent)
		either(&c.MinimumHealthyPercent, set.MinimumHealthyPercent)
		either(&c.BakeTimeInMinutes, set.BakeTimeInMinutes)
		either(&c.DeploymentCircuitBreaker, set.DeploymentCircuitBreaker)
		either(&c.CanaryConfiguration, set.CanaryConfiguration)
		either(&c.LinearConfiguration, set.LinearConfiguration)
		either(&c.EarlySuccessCriteria, set.EarlySuccessCriteria)
		either(&c.Alarms, set.Alarms)
		if set.Strategy != "" {
			c.Strategy = set.Strategy
		}
		if set.LifecycleHooks != nil {
			c.LifecycleHooks = set.LifecycleHooks
		}
	}
	// https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DeploymentConfiguration.html: "The
	// default maximumPercent value for a service using the REPLICA service scheduler is 200%", "The
	// default value for a replica service for minimumHealthyPercent is 100%".
	def(&c.MaximumPercent, 200)
	def(&c.MinimumHealthyPercent, 100)
	if c.Strategy == "" {
		c.Strategy = types.DeploymentStrategyRolling
	}
	return &c
}

func either[T any](to **T, from *T) {
	if from != nil {
		*to = from
	}
}
