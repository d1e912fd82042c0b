// Package actions replays GitHub's runner, so that tests see what a job sees
// there: a workflow and a Docker Engine go in, what the job did comes out.
//
// It follows the source of actions/runner 2.336 (src/Runner.Worker) in what a
// job container can tell apart: the docker commands and their order, the
// mounts, the grammar of the file commands, what wins in the environment and
// on PATH, the names that are refused, which tokens reach which kind of step,
// pre: and post: steps, services and their health, masks, and what a
// cancellation does. It reads a subset of the workflow's language and refuses
// the rest, and knows no background steps, problem matchers, container actions
// or reusable workflows.
//
// Some things differ, for the sake of a machine that runs many tests: the
// engine's socket is wherever DockerHost says, a network may be the machine's
// own, images may be elsewhere than their names say, containers may have more
// options than the workflow gives them, and what waits between two attempts is
// the caller's choice.
package actions

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"
)

// Runner is one runner on this machine. It runs one job after the other.
type Runner struct {
	// DockerHost is the engine's address, unix://….
	DockerHost string
	// Dir holds _work with everything that jobs make. Its path is absolute.
	Dir string
	// SelfHosted says that the machine is not GitHub's.
	SelfHosted bool
	// ToolCache is kept from job to job and mounted at /__t. Default: in Dir, and
	// there _tool, as on machines that are not GitHub's, or hostedtoolcache.
	ToolCache string
	// User owns the runner's files. It is 1001 on GitHub's own machines, and
	// root, the default, where a runner is root.
	User int
	// Externals is mounted at /__e and has node24/bin/node.
	Externals string
	// Actions are the directories of actions of other repositories, by
	// "owner/name@ref".
	Actions map[string]string
	// Images are where the engine finds images, by the names that workflows
	// use. What is not named is found at its own name.
	Images map[string]string
	// Env are variables of the machine, which its docker commands and the steps
	// on it have.
	Env map[string]string
	// Kubernetes has the job's container be a pod's, as the container hooks of
	// actions/runner-container-hooks make it.
	Kubernetes bool
	// Wait waits before another attempt. Default: as long as it is told.
	Wait func(ctx context.Context, d time.Duration) error
}

const (
	repository = "acme/app"

	success   = "success"
	failure   = "failure"
	cancelled = "cancelled"
	skipped   = "skipped"
)

// Run runs a job. Its errors are about the request; what goes wrong in the job
// is in the Result. When ctx ends, the job is cancelled and cleaned up, too.
func (r *Runner) Run(ctx context.Context, req Request) (*Result, error) {
	j, err := r.newJob(req)
	if err != nil {
		return nil, err
	}
	stop := j.watch(ctx)
	defer stop()
	if err := j.dirs.prepare(); err != nil {
		return nil, err
	}
	steps := j.prepareAll()
	j.start()
	j.runAll(steps)
	j.end()
	if err := j.setOutputs(); err != nil {
		return nil, err
	}
	j.result.Conclusion, j.result.Log = j.status, j.log.String()
	return j.result, j.dirs.wipeTemp()
}

// job is a job while it runs.
type job struct {
	runner   *Runner
	req      Request
	workflow *Workflow
	def      Job
	dirs     dirs
	log      *jobLog
	docker   *docker
	host     host
	network  string
	// containers were created, and go at the end.
	containers []*container

	// cancelled is done when the job is cancelled.
	cancelled context.Context
	cancel    context.CancelFunc

	env    map[string]string // jobs' env: and GITHUB_ENV
	path   []string          // GITHUB_PATH, the last added last
	github map[string]any
	vars   map[string]string
	status string
	post   []*instance // of actions that were begun, in that order
	result *Result
}

func (r *Runner) newJob(req Request) (*job, error) {
	w, err := ParseWorkflow(req.Workflow)
	if err != nil {
		return nil, err
	}
	if req.Job == "" && len(w.Jobs) == 1 {
		req.Job = slices.Collect(maps.Keys(w.Jobs))[0]
	}
	def, ok := w.Jobs[req.Job]
	if !ok {
		return nil, fmt.Errorf("the workflow has no job %q", req.Job)
	}
	socket, ok := strings.CutPrefix(r.DockerHost, "unix://")
	if !ok && def.Container != nil {
		return nil, fmt.Errorf("the engine %q is not at a unix socket", r.DockerHost)
	}
	j := &job{
		runner: r, req: req, workflow: w, def: def, dirs: r.layout(socket), log: &jobLog{output: req.Output},
		env: map[string]string{}, vars: maps.Clone(req.Vars), status: success,
		result: &Result{Outputs: map[string]string{}},
	}
	if j.vars == nil {
		j.vars = map[string]string{}
	}
	j.docker = &docker{job: j, label: randomHex(3)}
	for _, secrets := range []map[string]string{req.Secrets, {"": GitHubToken, "id": req.IDToken["ACTIONS_ID_TOKEN_REQUEST_TOKEN"], "runtime": req.Runtime["ACTIONS_RUNTIME_TOKEN"]}} {
		for _, value := range secrets {
			j.log.addMask(value)
		}
	}
	j.github = j.githubContext()
	return j, nil
}

// watch cancels the job when ctx or the request says so. stop ends it.
func (j *job) watch(ctx context.Context) (stop func()) {
	j.cancelled, j.cancel = context.WithCancel(ctx)
	done := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		select {
		case <-j.req.Cancel: // nil waits for ever
			j.cancel()
		case <-done:
		}
	}()
	return func() {
		close(done)
		<-ended
		j.cancel()
	}
}

// start sets up what steps run in: the machine, or the job's containers.
func (j *job) start() {
	j.host = machine{j}
	contained := j.def.Container != nil || len(j.def.Services) > 0
	if err := j.makeNetwork(contained); err != nil {
		j.fail(err)
		return
	}
	scope := scope{contexts: j.contexts("github", "matrix", "vars", "secrets")}
	for _, env := range []Pairs{j.workflow.Env, j.def.Env} {
		for _, p := range env {
			value, err := scope.expand(p.Value)
			if err != nil {
				j.fail(err)
			}
			j.env[p.Name] = value
		}
	}
	if contained {
		if err := j.startContainers(); err != nil {
			j.fail(err)
		}
	}
}

// fail fails the job itself.
func (j *job) fail(err error) {
	j.log.printf("##[error]%s", err)
	j.result.Annotations = append(j.result.Annotations, Annotation{Level: "error", Message: j.log.mask(err.Error())})
	j.status = failure
}

// end runs what is left to clean up.
func (j *job) end() { j.stopContainers() }

func (j *job) setOutputs() error {
	s := scope{contexts: j.contexts("github", "matrix", "vars", "env")}
	s.contexts["steps"] = j.stepsContext()
	for _, p := range j.def.Outputs {
		value, err := s.expand(p.Value)
		if err != nil {
			return fmt.Errorf("outputs: %s: %w", p.Name, err)
		}
		j.result.Outputs[p.Name] = value
	}
	return nil
}

// prependPath adds a directory in front of PATH for later steps.
func (j *job) prependPath(dir string) {
	j.path = append(slices.DeleteFunc(j.path, func(d string) bool { return d == dir }), dir)
}

// prepended is GITHUB_PATH's part of PATH.
func (j *job) prepended() string {
	dirs := slices.Clone(j.path)
	slices.Reverse(dirs)
	return strings.Join(dirs, ":")
}

func (j *job) wait(d time.Duration) error {
	if j.runner.Wait != nil {
		return j.runner.Wait(j.cancelled, d)
	}
	select {
	case <-j.cancelled.Done():
		return saidf("The operation was canceled.")
	case <-time.After(d):
		return nil
	}
}

func randomHex(n int) string {
	b := make([]byte, n)
	_, _ = rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// hostEnv is the environment that the runner itself has: that of its docker
// commands, too.
func (j *job) hostEnv() []string {
	env := []string{"PATH=" + os.Getenv("PATH"), "HOME=" + j.runner.Dir, "DOCKER_HOST=" + j.runner.DockerHost}
	for _, name := range sortedNames(j.runner.Env) {
		env = append(env, name+"="+j.runner.Env[name])
	}
	return env
}
