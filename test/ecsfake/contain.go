package ecsfake

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake/engine"
)

// essentialExited is the reason of most ends
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html).
const essentialExited = "Essential container in task exited"

// contain is a container's life: it waits for those it depends on, is pulled,
// created, started and watched, and stopped when its task ends.
func (f *Fake) contain(ctx context.Context, c *container) {
	if err := f.begin(ctx, c); err != nil {
		f.mu.Lock()
		c.shown().Reason = aws.String(err.Error())
		// On Fargate the task says what went wrong, on EC2 its container.
		reason := "Task failed to start"
		if c.task.LaunchType == types.LaunchTypeFargate {
			reason = err.Error()
		}
		c.task.stop(types.TaskStopCodeTaskFailedToStart, reason)
		f.mu.Unlock()
	}
	for c.id != "" && c.ran {
		exit := f.watch(ctx, c)
		if !f.restart(ctx, c, exit) {
			break
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.shown().LastStatus = aws.String(stopped)
	if c.ran && c.essential() {
		c.task.stop(types.TaskStopCodeEssentialContainerExited, essentialExited)
	}
	c.task.touch()
}

// begin brings a container to RUNNING. It returns early, without an error, if
// the task ends before.
func (f *Fake) begin(ctx context.Context, c *container) error {
	if err := f.depend(ctx, c); err != nil {
		return err
	}
	if f.over(c) {
		return nil
	}
	if err := f.pull(ctx, c); err != nil {
		return err
	}
	if f.over(c) {
		return nil
	}
	f.mu.Lock()
	spec := f.spec(c)
	f.mu.Unlock()
	id, err := f.engine.Create(ctx, c.dockerName(), spec)
	if err != nil {
		return fmt.Errorf("CannotCreateContainerError: %w", err)
	}
	f.mu.Lock()
	c.id = id
	c.shown().RuntimeId = &id
	f.mu.Unlock()
	if f.over(c) {
		return nil
	}
	if err := f.engine.Start(ctx, id); err != nil {
		return fmt.Errorf("CannotStartContainerError: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.ran, c.startedAt = true, time.Now()
	c.shown().LastStatus = aws.String(running)
	for i := range c.shown().ManagedAgents {
		c.shown().ManagedAgents[i].LastStatus = aws.String(running)
	}
	c.task.touch()
	return nil
}

// over reports whether the container's task ends.
func (f *Fake) over(c *container) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return c.task.ending() || f.life.Err() != nil
}

// pull pulls a container's image.
func (f *Fake) pull(ctx context.Context, c *container) error {
	f.mu.Lock()
	slow, ref := f.traffic.slowPull, *c.definition.Image
	auth, err := f.registryAuth(c)
	if c.task.PullStartedAt == nil {
		c.task.PullStartedAt = aws.Time(time.Now())
	}
	f.mu.Unlock()
	if err != nil {
		return err
	}
	local := f.pulled(ref)
	if slow > 0 {
		f.pause(ctx, slow)
	}
	err = f.engine.Pull(ctx, local, auth)
	image, absent := f.engine.Image(ctx, local)
	// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pull-behavior.html: "The image will be pulled
	// remotely. If the pull fails, the cached image in the instance is used." Fargate caches none.
	if err != nil && (absent != nil || c.task.LaunchType == types.LaunchTypeFargate && !f.config.Cached) {
		return fmt.Errorf("CannotPullContainerError: %w", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.task.PullStoppedAt = aws.Time(time.Now())
	for _, pulled := range image.RepoDigests {
		if name, digest, _ := strings.Cut(pulled, "@"); strings.HasPrefix(local, name) {
			c.shown().ImageDigest = &digest
		}
	}
	return nil
}

// watch sees to a running container until it ends: its lines, its health, and
// that it is stopped when the task ends. It returns the exit code.
func (f *Fake) watch(ctx context.Context, c *container) int {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan int, 1)
	f.running.Go(func() {
		code, err := f.engine.Wait(ctx, c.id)
		if err != nil {
			code = -1
		}
		ended <- code
	})
	logged := make(chan struct{})
	f.running.Go(func() {
		defer close(logged)
		f.follow(ctx, c)
	})
	code := f.attend(ctx, c, ended)
	if ctx.Err() == nil {
		<-logged // a task that has ended has said all
	}
	state, err := f.engine.Inspect(context.WithoutCancel(ctx), c.id)
	f.mu.Lock()
	defer f.mu.Unlock()
	c.shown().ExitCode = aws.Int32(int32(code))
	if err == nil && state.State.OOMKilled {
		// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html
		c.shown().Reason = aws.String("OutOfMemoryError: Container killed due to memory usage")
	}
	return code
}

// attend looks at a container until it ends, and stops it when its task ends,
// after those that depend on it.
func (f *Fake) attend(ctx context.Context, c *container, ended <-chan int) int {
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	asked := false
	for {
		select {
		case code := <-ended:
			return code
		case <-ctx.Done():
			return -1
		case <-tick.C:
		}
		f.examine(ctx, c)
		f.mu.Lock()
		due := !asked && c.task.ending() && *c.task.LastStatus == stopping && c.undepended()
		grace := 30 * time.Second // stopTimeout's default
		if s := c.definition.StopTimeout; s != nil {
			grace = time.Duration(*s) * time.Second
		}
		f.mu.Unlock()
		if due {
			asked = true
			f.running.Go(func() { _ = f.engine.Stop(ctx, c.id, grace) })
		}
	}
}

// undepended reports whether all that depend on a container have ended
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html: "When a
// dependency is defined for container startup, for container shutdown it is reversed").
func (c *container) undepended() bool {
	return !slices.ContainsFunc(c.task.containers, func(other *container) bool {
		return !other.is(stopped) && slices.ContainsFunc(other.ordered(), func(d types.ContainerDependency) bool { return *d.ContainerName == c.name() })
	})
}

// examine takes a container's health from the engine.
func (f *Fake) examine(ctx context.Context, c *container) {
	if c.definition.HealthCheck == nil {
		return
	}
	state, err := f.engine.Inspect(ctx, c.id)
	if err != nil || state.State.Health == nil {
		return
	}
	health := map[string]types.HealthStatus{"healthy": types.HealthStatusHealthy, "unhealthy": types.HealthStatusUnhealthy}[state.State.Health.Status]
	if health == "" {
		health = types.HealthStatusUnknown
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if c.shown().HealthStatus != health {
		c.shown().HealthStatus = health
		c.task.appraise()
		c.task.touch()
	}
}

// follow copies a container's lines to its log stream.
func (f *Fake) follow(ctx context.Context, c *container) {
	group, stream := c.logOf()
	if group == "" {
		return
	}
	write := func(line engine.Line) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if g := f.logs[group]; g != nil && line.Text != "" {
			g.write(stream, line.Time, line.Text)
		}
	}
	// A log that breaks off says so in itself, where whoever misses it looks.
	if err := f.engine.Follow(ctx, c.id, c.startedAt.Add(-time.Second), aws.ToBool(c.definition.PseudoTerminal), write); err != nil && ctx.Err() == nil {
		write(engine.Line{Time: time.Now(), Text: "ecsfake: " + err.Error()})
	}
}

// restart starts an ended container again where its restartPolicy says so
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerRestartPolicy.html: "If a container
// isn't able to run for this time period and exits early, it will not be restarted.", "By
// default, a container must run for 300 seconds before it can be restarted.").
func (f *Fake) restart(ctx context.Context, c *container, exit int) bool {
	p := c.definition.RestartPolicy
	if p == nil || !aws.ToBool(p.Enabled) || slices.Contains(p.IgnoredExitCodes, int32(exit)) || f.over(c) {
		return false
	}
	period := 300 * time.Second
	if p.RestartAttemptPeriod != nil {
		period = time.Duration(*p.RestartAttemptPeriod) * time.Second
	}
	if time.Since(c.startedAt) < f.scaled(period) || f.engine.Start(ctx, c.id) != nil {
		return false
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	c.startedAt = time.Now()
	c.shown().ExitCode = nil
	c.task.touch()
	return true
}
