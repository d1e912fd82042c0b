// Package runners keeps self-hosted runners of GitHub Actions on ECS. In go
// sets of them (rules.Fleet); out come tasks, one for each runner, which takes
// one job and ends.
//
// Each set goes its own way, in one replica of the service at a time. A pass
// looks at what is there (pass.go), decides (plan.go) and does it (act.go):
//
//	ECS      which tasks of the set there are
//	GitHub   which runners of the set are registered, and which have a job
//	GitHub   how many jobs want a runner: scaleset.go asks the set's scale set,
//	         jit.go the repositories
//
// Passes are made all the time. What GitHub tells of itself, by a scale set's
// messages or by a workflow_job delivery, has one made sooner, and is not
// believed otherwise.
//
// What it promises:
//
//   - There are never more tasks of a set than its max. There are as many
//     runners as jobs that are queued or running and as many more as are to be
//     idle, within min and max.
//   - A task without a runner is stopped, a runner without a task is removed,
//     and a runner without a job that nobody needs is both, once that was so for
//     a while. One that is at work is left alone, until its time is over.
//   - What a runner is started with is a secret. It is in a parameter of the
//     Parameter Store, and in no definition, override or log.
//   - Whoever dies between two lines leaves everything to be found: by ECS and
//     GitHub, and what they may not know yet in the database.
//   - A set that ECS, or a limit of GitHub's, keeps waiting is alone in that.
package runners

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// GitHub is the part of *hub.Hub that runners need.
type GitHub interface {
	AppID() int64
	Installations(context.Context) iter.Seq2[hub.Installation, error]
	InstallationOf(ctx context.Context, fullName string) (hub.Installation, error)
	Repositories(ctx context.Context, installation int64) iter.Seq2[webhook.Repository, error]
	Jobs(context.Context, hub.Repo) iter.Seq2[hub.Job, error]
	Runners(context.Context, hub.Owner) iter.Seq2[hub.Runner, error]
	RemoveRunner(ctx context.Context, o hub.Owner, id int64) error
	RunnerGroup(ctx context.Context, o hub.Owner, name string) (int64, error)
	RunnersToken(context.Context, hub.Owner) (hub.Token, error)
	JITConfig(context.Context, hub.Owner, hub.JIT) (id int64, config string, err error)
}

// Tasks is the part of *task.Tasks that runners need.
type Tasks interface {
	Start(context.Context, task.Job) (arn string, err error)
	List(context.Context, task.Job) (arns []string, err error)
	Describe(ctx context.Context, arns []string) ([]task.Truth, error)
	Stop(ctx context.Context, arn string, cause task.Cause, text string) error
}

// Store is the part of *database.DB that runners need.
type Store interface {
	Hold(ctx context.Context, name, who string, lease time.Duration) (held bool, err error)
	Yield(ctx context.Context, name, who string) error
	Cursor(ctx context.Context, name string) (value string, err error)
	SetCursor(ctx context.Context, name, value string) error
	Deliveries(context.Context, database.DeliveryFilter) iter.Seq2[database.Record, error]
}

// App is a GitHub App whose installations may have runners.
type App struct {
	GitHub GitHub
	// URL is where people find what it is installed on. Default:
	// https://github.com.
	URL string
}

// Config is what Runners are made of.
type Config struct {
	Fleet *rules.Fleet
	// Apps are asked one after the other for the installation of a set's owner.
	Apps  []App
	Tasks Tasks
	// Parameters is the Parameter Store of a region, "" is the service's own.
	Parameters func(region string) task.Parameters
	Store      Store
	Pace       Pace
	// Metrics takes the sets' figures; nil takes none.
	Metrics prometheus.Registerer
	// Now is the clock. Default: time.Now.
	Now func() time.Time
	Log *slog.Logger // default: slog.Default
}

// Pace is how long things take. The defaults are the service's.
type Pace struct {
	// Pass is how often a set is looked at without a cause. Default: 15 s.
	Pass time.Duration
	// Least is how long a set is left alone after a pass, whatever happens.
	// Default: 3 s.
	Least time.Duration
	// Sweep is how often a repository is asked for jobs that no delivery told
	// of. Default: 1 min.
	Sweep time.Duration
	// Lease is how long a set is kept from other replicas by one that is gone.
	// Default: 1 min.
	Lease time.Duration
	// Settle is how long ECS may take to know a task whose start was not
	// answered. Default: 30 s.
	Settle time.Duration
	// Grace is how long a task may be without a runner, and a runner without a
	// task. Default: 3 min.
	Grace time.Duration
	// Linger is how long a runner that nobody needs is kept. Default: 1 min.
	Linger time.Duration
	// Retry is the first pause after something has failed; the next ones are
	// twice as long each, up to RetryMost. Default: 5 s, and 5 min.
	Retry, RetryMost time.Duration
}

// Runners keeps the sets of a fleet.
type Runners struct {
	sets []*set
}

// New makes them. It asks nobody for anything.
func New(c Config) (*Runners, error) {
	if c.Fleet == nil || len(c.Apps) == 0 || c.Tasks == nil || c.Parameters == nil || c.Store == nil {
		return nil, errors.New("runners need a fleet, an App, tasks, parameters and a store")
	}
	c.setDefaults()
	metrics, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, err
	}
	r, replica := &Runners{}, rand.Text()
	for _, described := range c.Fleet.Sets {
		s := &set{
			RunnerSet: described, config: &c, replica: replica, key: keyOf(described), nudged: make(chan struct{}, 1),
			log: c.Log.With("runners", described.Name, "owner", described.Owner), metrics: metrics,
		}
		for _, other := range r.sets { // a job that two sets could take is the first one's
			if strings.EqualFold(other.Owner, s.Owner) && other.Mode == rules.JIT {
				s.before = append(s.before, other)
			}
		}
		r.sets = append(r.sets, s)
	}
	return r, nil
}

func (c *Config) setDefaults() {
	for _, d := range []struct {
		to    *time.Duration
		value time.Duration
	}{
		{&c.Pace.Pass, 15 * time.Second}, {&c.Pace.Least, 3 * time.Second}, {&c.Pace.Sweep, time.Minute}, {&c.Pace.Lease, time.Minute}, {&c.Pace.Settle, 30 * time.Second},
		{&c.Pace.Grace, 3 * time.Minute}, {&c.Pace.Linger, time.Minute}, {&c.Pace.Retry, 5 * time.Second}, {&c.Pace.RetryMost, 5 * time.Minute},
	} {
		*d.to = cmp.Or(*d.to, d.value)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
}

// Run keeps the sets until ctx is done. What runs then, runs on.
func (r *Runners) Run(ctx context.Context) error {
	var all errgroup.Group
	for _, s := range r.sets {
		all.Go(func() error {
			s.run(ctx)
			return nil
		})
	}
	return all.Wait()
}

// Nudge says that something has happened to jobs of a repository: it has the
// sets looked at that are for it. It does not wait.
func (r *Runners) Nudge(fullName string) {
	owner, _, _ := strings.Cut(fullName, "/")
	for _, s := range r.sets {
		if strings.EqualFold(s.Owner, owner) || strings.EqualFold(s.Owner, fullName) {
			s.nudge()
		}
	}
}

// keyOf names a set in AWS and in the database: its own name may be that of
// another owner's, too.
func keyOf(s rules.RunnerSet) string {
	sum := sha256.Sum256([]byte(strings.ToLower(s.Owner)))
	return fmt.Sprintf("%s-%x", s.Name, sum[:4])
}
