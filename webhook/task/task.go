// Package task runs jobs on Amazon ECS, each as one task of Fargate. In goes a
// Job, which says all that rules and the operator's policy have decided; out
// comes the ARN of a task, then the truth about it as ECS tells it, its logs,
// and its end.
//
// All containers are the runner image's, which becomes the images that the job
// names. The program's is the only essential one: when it ends, the task does.
// Services are beside it, and have its network: a service is at 127.0.0.1 on its
// own port. Fargate takes no extraHosts, so each container is told the
// services' names in CLIPPER_HOSTS, for its runner to write them into
// /etc/hosts. With checkout, a further container fetches the commit before the
// program starts, and ends.
//
// A definition is registered once per content, in a family named after that.
// What differs from run to run (the program's image, command and variables,
// the commit) are overrides of the task, as far as ECS takes them. The program
// finds CI, GITHUB_REPOSITORY, GITHUB_REF and GITHUB_SHA in its environment,
// unless the job has them otherwise.
//
// Promised: a job with the same token is started once, however often Start is
// called; what ECS keeps of a task tells how it ended, so that whoever asks
// first or later, in this process or another, gets the same answer; a job that
// is unprivileged has no role, no secret and no credentials; no log has the value
// of a job's secret that the service may read. Not promised: that
// a task ends in time while nobody calls Stop.
package task

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/run"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
)

// Errors that callers may rely on. Every other error of Start comes from before
// anything was started, and may pass.
var (
	// ErrRefused says that the job can never start as it is.
	ErrRefused = errors.New("the task cannot be started")
	// ErrNoRoom says that ECS has no place for the task now.
	ErrNoRoom = errors.New("ECS has no room for the task")
	// ErrLost says that the answer was lost after the task may have been
	// started. Start with the same token finds it, as Find does.
	ErrLost = errors.New("whether the task was started is not known")
	// ErrNone says that ECS knows no task of the token.
	ErrNone = errors.New("there is no such task")
)

// Client is the part of *ecs.Client that tasks need.
type Client interface {
	run.Client
	deploy.Registrar
	watch.TaskLister
}

// Parameters is a part of *ssm.Client.
type Parameters interface {
	PutParameter(context.Context, *ssm.PutParameterInput, ...func(*ssm.Options)) (*ssm.PutParameterOutput, error)
	GetParameter(context.Context, *ssm.GetParameterInput, ...func(*ssm.Options)) (*ssm.GetParameterOutput, error)
}

// Tasks runs jobs. It is safe for concurrent use once its fields are set, and
// is not to be copied then.
type Tasks struct {
	// Region is where the places are that name none.
	Region string
	// ECS, Logs, Parameters and Secrets are the clients for a region. The last two
	// are needed for Checkout and for jobs with secrets.
	ECS        func(region string) Client
	Logs       func(region string) watch.LogReader
	Parameters func(region string) Parameters
	Secrets    func(region string) Secrets
	// RunnerImage is the runner image. Default: ecs.DefaultRunner.
	RunnerImage string
	// Resolve asks the registry for an image, which is then pinned. An error
	// that is an ErrRefused is for good. Default: tags stay as they are.
	Resolve func(context.Context, oci.Reference, oci.Platform) (ecs.Image, error)
	// Checkout is how sources get into tasks. Default: jobs that want theirs are
	// refused.
	Checkout Checkout
	// Pace is how often ECS is asked while a log is followed, and registered at.
	Pace watch.Pace
	Log  *slog.Logger // default: slog.Default

	mu      sync.Mutex
	tokens  map[string]time.Time // until when they are good, by parameter and installation
	secrets map[string]secret    // by where they come from
}

func (t *Tasks) log() *slog.Logger { return cmp.Or(t.Log, slog.Default()) }

// Job is what runs, for whom.
type Job struct {
	*rules.Task
	// Token is the start's: it makes it idempotent, and the task is found by it.
	// At most 64 letters, digits and hyphens.
	Token string
	// Group is what List finds tasks by that belong together; without one a task
	// is found by its token. At most 128 letters, digits, hyphens, underscores
	// and slashes.
	Group string
	// Name is what the job's families of definitions are named after.
	Name string
	// Given are variables beneath those of Env.
	Given map[string]string
	// Source is what is checked out with Checkout.
	Source Source
	// Unprivileged says that nobody trusts the code. A job that has something to
	// lose is refused then.
	Unprivileged bool
}

// Of is the job of a run.
func Of(r *webhook.Run, t *rules.Task) Job {
	unprivileged := r.Fork && r.ApprovedBy == ""
	return Job{
		Task: t, Token: r.ClientToken(), Name: fmt.Sprintf("%d-%s", r.Repository, r.Rule), Unprivileged: unprivileged,
		Given:  map[string]string{"CI": "true", "GITHUB_REPOSITORY": r.FullName, "GITHUB_REF": r.Ref, "GITHUB_SHA": r.Commit},
		Source: Source{App: r.App, Installation: r.Installation, Repository: r.Repository, FullName: r.FullName, Commit: r.Commit, Anonymous: unprivileged},
	}
}

func (j Job) check() error {
	if !j.Unprivileged {
		return nil
	}
	credentials := j.Credentials != ""
	for _, s := range j.Services {
		credentials = credentials || s.Credentials != ""
	}
	if j.TaskRole != "" || len(j.Secrets) > 0 || credentials || !j.Source.Anonymous && j.Checkout {
		return fmt.Errorf("%w: code that nobody approved is to have a role, secrets or credentials", ErrRefused)
	}
	return nil
}

// region is that of the job's place.
func (t *Tasks) region(j Job) string { return cmp.Or(j.Place.Region, t.Region) }

func (t *Tasks) client(j Job) Client { return t.ECS(t.region(j)) }
