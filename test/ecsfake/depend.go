package ecsfake

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// depend waits until a container may be pulled and started: until those that
// it depends on are where it wants them
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDependency.html). The
// errors are those of the agent (ecs-agent, agent/engine/dependencygraph/graph.go).
func (f *Fake) depend(ctx context.Context, c *container) error {
	for _, d := range c.dependencies() {
		on := c.task.container(d.ContainerName)
		var broken error
		resolved := func() bool {
			var done bool
			done, broken = on.satisfies(d.Condition, c.name())
			return done || broken != nil || c.task.ending()
		}
		waiting, cancel := f.startTimeout(ctx, on)
		met := f.await(waiting, c.task, resolved)
		cancel()
		if !met && ctx.Err() == nil {
			return fmt.Errorf("dependency graph: container ordering dependency [%s] for target [%s] has timed out", on.name(), c.name())
		}
		if broken != nil {
			return broken
		}
	}
	return nil
}

// dependencies are those that order containers and those that follow from
// shared volumes.
func (c *container) dependencies() []types.ContainerDependency {
	all := c.ordered()
	for _, v := range c.definition.VolumesFrom {
		if name := aws.ToString(v.SourceContainer); c.task.container(&name) != nil && name != c.name() {
			all = append(all, types.ContainerDependency{ContainerName: &name, Condition: types.ContainerConditionStart})
		}
	}
	return all
}

// ordered are the dependencies that are written, and that on the log router
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/using_firelens.html: "By default, Amazon ECS
// configures the container dependency so that the Firelens container starts before any container
// that uses it. The Firelens container also stops after all containers that use it stop.").
func (c *container) ordered() []types.ContainerDependency {
	all := slices.Clone(c.definition.DependsOn)
	router := c.task.router()
	if router == nil || !c.routed() || slices.ContainsFunc(all, func(d types.ContainerDependency) bool { return aws.ToString(d.ContainerName) == router.name() }) {
		return all
	}
	return append(all, types.ContainerDependency{ContainerName: router.definition.Name, Condition: types.ContainerConditionStart})
}

// startTimeout limits the wait for a container
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html: "Time duration (in
// seconds) to wait before giving up on resolving dependencies for a container.", "This results in
// the task transitioning to a STOPPED state."), counted here from when somebody begins to wait.
func (f *Fake) startTimeout(ctx context.Context, on *container) (context.Context, context.CancelFunc) {
	seconds := on.definition.StartTimeout
	if seconds == nil {
		return context.WithCancel(ctx)
	}
	return context.WithTimeout(ctx, f.scaled(time.Duration(*seconds)*time.Second))
}

// satisfies reports whether a container has reached a condition, and fails if
// it never will.
func (c *container) satisfies(condition types.ContainerCondition, target string) (bool, error) {
	exited := c.is(stopped)
	switch condition {
	case types.ContainerConditionComplete:
		return exited && c.ran, nil
	case types.ContainerConditionSuccess:
		if exited && c.ran && aws.ToInt32(c.shown().ExitCode) != 0 {
			return false, fmt.Errorf("dependency graph: failed to resolve container ordering dependency [%s] for target [%s] as dependency did not exit successfully", c.name(), target)
		}
		return exited && c.ran, nil
	case types.ContainerConditionHealthy:
		return c.shown().HealthStatus == types.HealthStatusHealthy, nil
	}
	return c.ran, nil
}
