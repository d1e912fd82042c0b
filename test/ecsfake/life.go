package ecsfake

import (
	"context"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// step is how long a state that only time ends is seen at least.
const step = 30 * time.Millisecond

// live is a task's life: state after state as
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
// tells them.
func (f *Fake) live(t *task) {
	ctx := f.life
	defer f.bury(t)
	f.pause(ctx, step) // PROVISIONING: "Amazon ECS has to perform additional steps before the task is launched"
	f.to(t, pending)
	if err := f.prepare(t); err != nil {
		f.mu.Lock()
		t.stop(types.TaskStopCodeTaskFailedToStart, err.Error())
		f.mu.Unlock()
	}
	var containers sync.WaitGroup
	for _, c := range t.containers {
		containers.Go(func() { f.contain(ctx, c) })
	}
	if f.await(ctx, t, func() bool { return t.ending() || t.allStarted() }) {
		f.serve(ctx, t)
	}
	f.await(ctx, t, func() bool { return t.ending() || t.allStopped() })
	f.leave(ctx, t)
	containers.Wait()
	f.finish(t)
}

// to sets a state, unless the task is to end.
func (f *Fake) to(t *task, status string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !t.ending() {
		t.set(status)
	}
}

func (t *task) allStarted() bool {
	for _, c := range t.containers {
		if !c.ran {
			return false
		}
	}
	return true
}

func (t *task) allStopped() bool {
	for _, c := range t.containers {
		if !c.is(stopped) {
			return false
		}
	}
	return true
}

// serve makes a task RUNNING. Before that, ACTIVATING, "where Amazon ECS has to
// perform additional steps after the task is launched but before the task can
// transition to the RUNNING state", such as registering it with target groups.
func (f *Fake) serve(ctx context.Context, t *task) {
	f.mu.Lock()
	balanced := t.revision != nil && len(t.revision.balancers) > 0 && !t.ending()
	if balanced {
		t.set(activating)
	}
	f.mu.Unlock()
	if balanced {
		f.pause(ctx, step)
		f.mu.Lock()
		f.enlist(t)
		f.mu.Unlock()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if t.allStarted() && *t.LastStatus != running {
		t.StartedAt = aws.Time(time.Now())
		t.Connectivity, t.ConnectivityAt = types.ConnectivityConnected, t.StartedAt
		t.set(running)
	}
}

// leave is what is done before containers are stopped, DEACTIVATING: target
// groups let the task go.
func (f *Fake) leave(ctx context.Context, t *task) {
	f.mu.Lock()
	t.stop(types.TaskStopCodeEssentialContainerExited, essentialExited) // when all have ended by themselves
	balanced := len(t.targets) > 0
	if balanced {
		t.set(deactivating)
		f.delist(t)
	}
	f.mu.Unlock()
	if balanced {
		f.pause(ctx, step)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	t.set(stopping)
}

// finish ends a task whose containers have.
func (f *Fake) finish(t *task) {
	f.mu.Lock()
	t.ExecutionStoppedAt = aws.Time(time.Now())
	t.set(deprovisioning)
	f.mu.Unlock()
	f.pause(f.life, step)
	f.mu.Lock()
	defer f.mu.Unlock()
	t.StoppedAt = aws.Time(time.Now())
	delete(f.taskCredentials, t.credentials)
	for _, c := range t.containers {
		delete(f.endpoints, c.endpoint)
	}
	t.set(stopped)
}

// bury removes what the engine still has of a task.
func (f *Fake) bury(t *task) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, c := range t.containers {
		if c.id != "" {
			_ = f.engine.Remove(ctx, c.id)
		}
	}
	f.endRouter(t)
	for _, v := range t.definition.Volumes {
		if private(v) {
			_ = f.engine.RemoveVolume(ctx, t.volume(v))
		}
	}
}
