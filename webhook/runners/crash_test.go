package runners

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// death ends a service at one point: from there on nothing that it does has an
// effect, as with kill -9.
type death struct {
	point string
	once  sync.Once
	dead  chan struct{}
}

var errDead = errors.New("dead")

// at dies at a point, and says whether it is dead.
func (d *death) at(point string) error {
	if point == d.point {
		d.once.Do(func() { close(d.dead) })
	}
	select {
	case <-d.dead:
		return errDead
	default:
		return nil
	}
}

type dyingTasks struct {
	Tasks
	*death
}

func (d dyingTasks) Start(ctx context.Context, j task.Job) (string, error) {
	if err := d.at("parameter written"); err != nil {
		return "", err
	}
	arn, err := d.Tasks.Start(ctx, j)
	if dead := d.at("task started"); dead != nil {
		return "", dead
	}
	return arn, err
}

func (d dyingTasks) Stop(ctx context.Context, arn string, cause task.Cause, text string) error {
	if err := d.at(""); err != nil {
		return err
	}
	return d.Tasks.Stop(ctx, arn, cause, text)
}

type dyingStore struct {
	Store
	*death
}

func (d dyingStore) Hold(ctx context.Context, name, who string, lease time.Duration) (bool, error) {
	if err := d.at(""); err != nil {
		return false, err
	}
	return d.Store.Hold(ctx, name, who, lease)
}

func (d dyingStore) Yield(ctx context.Context, name, who string) error {
	if err := d.at(""); err != nil {
		return err
	}
	return d.Store.Yield(ctx, name, who)
}

func (d dyingStore) SetCursor(ctx context.Context, name, value string) error {
	if err := d.at(""); err != nil {
		return err
	}
	if err := d.Store.SetCursor(ctx, name, value); err != nil {
		return err
	}
	return d.at("begun")
}

type dyingParameters struct {
	task.Parameters
	*death
}

func (d dyingParameters) PutParameter(ctx context.Context, in *ssm.PutParameterInput, options ...func(*ssm.Options)) (*ssm.PutParameterOutput, error) {
	if err := d.at("runner registered"); err != nil {
		return nil, err
	}
	return d.Parameters.PutParameter(ctx, in, options...)
}

// TestKilled: whoever is killed between two steps of a start leaves nothing
// that is not found by who comes after, and no job is done twice.
func TestKilled(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{rules.ScaleSet, rules.JIT} {
		for _, point := range []string{"begun", "runner registered", "parameter written", "task started"} {
			t.Run(mode+" "+point, func(t *testing.T) {
				t.Parallel()
				w := start(t, mode, "")
				w.pace.Lease = 300 * time.Millisecond
				d := &death{point: point, dead: make(chan struct{})}
				stop := w.serve(w.service(w.fleet("max: 3"), func(c *Config) {
					c.Tasks, c.Store = dyingTasks{c.Tasks, d}, dyingStore{c.Store, d}
					parameters := c.Parameters
					c.Parameters = func(region string) task.Parameters { return dyingParameters{parameters(region), d} }
				}))
				w.queue(w.repo, 3)
				<-d.dead
				w.serve(w.service(w.fleet("max: 3")))
				stop()
				w.finished(3)
				if w.peak > 3 {
					t.Errorf("there were %d tasks at once", w.peak)
				}
			})
		}
	}
}

// TestRestarted: a service that is ended and started anew finds what runs, and
// starts nothing in its place.
func TestRestarted(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		open := w.gate()
		stop := w.serve(w.service(w.fleet("idle: 1")))
		w.queue(w.repo, 2)
		w.until("two work, and one waits", func() bool { return len(w.alive()) == 3 })
		stop()
		if err := w.db.SetCursor(t.Context(), "runners/"+keyOf(w.fleet().Sets[0]), ""); err != nil { // what is in it is for starts of just now
			t.Fatal(err)
		}
		w.serve(w.service(w.fleet("idle: 1")))
		w.stays("three", func() bool { return w.started() == 3 })
		open()
		w.until("the jobs are done, and one waits", func() bool { return w.jobs() == 2 && len(w.alive()) == 1 })
	})
}

// TestReplicas: of two, one keeps the runners, and the other when that is gone.
func TestReplicas(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		w.pace.Lease = 6 * time.Second // a busy machine holds it on
		stop := w.serve(w.service(w.fleet()))
		w.serve(w.service(w.fleet()))
		w.queue(w.repo, 3)
		w.finished(3)
		if n := w.started(); n != 3 {
			t.Errorf("%d tasks for 3 jobs", n)
		}
		stop()
		w.queue(w.repo, 3)
		w.finished(6)
	})
}

// TestLost: an answer that is lost has nothing done twice.
func TestLost(t *testing.T) {
	t.Parallel()
	for name, lose := range map[string]func(*world){
		"RunTask": func(w *world) { w.fail("RunTask", fault{done: true}, 2) },
		"RunTask, and it is listed late": func(w *world) {
			w.hidden = 200 * time.Millisecond
			w.fail("RunTask", fault{done: true}, 2)
		},
		"RunTask that was not done": func(w *world) { w.fail("RunTask", fault{}, 2) },
		"PutParameter":              func(w *world) { w.fail("PutParameter", fault{done: true}, 2) },
		"RegisterTaskDefinition":    func(w *world) { w.fail("RegisterTaskDefinition", fault{done: true}, 1) },
		"ListTasks":                 func(w *world) { w.fail("ListTasks", fault{}, 2) },
		"DescribeTasks":             func(w *world) { w.fail("DescribeTasks", fault{}, 2) },
		"configuration": func(w *world) {
			w.Fail("scalesets/jitconfig", fakehub.LostResponse, 2)
			w.Fail("actions/generate-runner-jitconfig-for-org", fakehub.LostResponse, 2)
		},
		"configuration in halves": func(w *world) {
			w.Fail("scalesets/jitconfig", fakehub.Truncated, 2)
			w.Fail("actions/generate-runner-jitconfig-for-org", fakehub.Truncated, 2)
		},
		"jobs": func(w *world) {
			w.Fail("scalesets/acquire-jobs", fakehub.LateBadGateway, 2)
			w.Fail("scalesets/get-message", fakehub.LostResponse, 2)
			w.Fail("scalesets/delete-message", fakehub.LostResponse, 2)
			w.Fail("actions/list-workflow-runs-for-repo", fakehub.BadGateway, 3)
		},
		"the way to the service": func(w *world) {
			w.Fail("scalesets/register", fakehub.ServerError, 2)
			w.Fail("scalesets/create", fakehub.LostResponse, 1)
			w.Fail("scalesets/create-session", fakehub.LostResponse, 1)
			w.Fail("actions/list-self-hosted-runners-for-org", fakehub.Unreachable, 2)
			w.Fail("apps/list-installations", fakehub.Unreachable, 2)
		},
	} {
		for _, mode := range []string{rules.ScaleSet, rules.JIT} {
			t.Run(mode+" "+name, func(t *testing.T) {
				t.Parallel()
				w := start(t, mode, "")
				lose(w)
				w.serve(w.service(w.fleet()))
				w.queue(w.repo, 4)
				w.finished(4)
			})
		}
	}
}
