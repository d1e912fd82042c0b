package rules

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Job is what a run starts: everything is looked up and put in, so that
// whoever starts it decides nothing. It is stored as JSON.
type Job struct {
	ECS      *Task        `json:"ecs,omitempty"`
	Workflow *WorkflowRun `json:"workflow,omitempty"`
	Dispatch *Dispatched  `json:"dispatch,omitempty"`
	// Check is the whole name of the check run.
	Check string `json:"check"`
	// Environment is that of the deployment to report to, "" is none.
	Environment string `json:"environment,omitempty"`
	Production  bool   `json:"production,omitempty"`
	Sticky      bool   `json:"sticky,omitempty"` // a comment is kept up to date
	Retries     int    `json:"retries,omitempty"`
	// Unprivileged has nothing that code which nobody approved must not have.
	Unprivileged bool `json:"unprivileged,omitempty"`
}

// String says in a few words what is started, "" if that is nothing.
func (j Job) String() string {
	switch {
	case j.ECS != nil:
		return fmt.Sprintf("task of %s in %s, %d CPU units, %d MiB, at most %s", j.ECS.Image, j.ECS.Place.Cluster, j.ECS.CPU, j.ECS.Memory, j.ECS.Timeout)
	case j.Workflow != nil:
		return "workflow " + j.Workflow.File + " at " + j.Workflow.Ref
	case j.Dispatch != nil:
		return "repository_dispatch " + j.Dispatch.Type
	}
	return ""
}

// Task is a task on ECS.
type Task struct {
	Container
	Entrypoint []string          `json:"entrypoint,omitempty"`
	Workdir    string            `json:"workdir,omitempty"`
	Secrets    map[string]string `json:"secrets,omitempty"` // ARNs by variable
	Checkout   bool              `json:"checkout,omitempty"`
	CPU        int64             `json:"cpu"`
	Memory     int64             `json:"memory"`
	Disk       int64             `json:"disk"`
	Arch       string            `json:"arch"`
	Spot       bool              `json:"spot,omitempty"`
	Timeout    Duration          `json:"timeout"`
	Services   []ServiceTask     `json:"services,omitempty"` // by name
	TaskRole   string            `json:"task_role,omitempty"`
	Place      ResolvedPlace     `json:"place"`
}

// Container is an image and what it is started with.
type Container struct {
	Image       string            `json:"image"`
	Credentials string            `json:"credentials,omitempty"` // ARN of what it is pulled with
	Command     []string          `json:"command,omitempty"`
	Env         map[string]string `json:"env,omitempty"`
}

// ServiceTask is a container beside the program's.
type ServiceTask struct {
	Name string `json:"name"`
	Container
	Ready string `json:"ready,omitempty"`
}

// ResolvedPlace is where a task runs.
type ResolvedPlace struct {
	Cluster        string   `json:"cluster"`
	Region         string   `json:"region,omitempty"`
	Subnets        []string `json:"subnets"`
	SecurityGroups []string `json:"security_groups,omitempty"`
	PublicIP       bool     `json:"public_ip,omitempty"`
	ExecutionRole  string   `json:"execution_role"`
	LogGroup       string   `json:"log_group"`
}

// WorkflowRun is a workflow_dispatch.
type WorkflowRun struct {
	File   string            `json:"file"`
	Ref    string            `json:"ref"`
	Inputs map[string]string `json:"inputs,omitempty"`
}

// Dispatched is a repository_dispatch.
type Dispatched struct {
	Type    string            `json:"type"`
	Payload map[string]string `json:"payload,omitempty"`
}

// refusal is why the policy does not let a run be.
type refusal struct{ reason string }

func (r refusal) Error() string { return r.reason }

func refuse(format string, args ...any) error { return refusal{fmt.Sprintf(format, args...)} }

// job resolves what a rule runs. Unprivileged, it gets nothing but a place of
// its own. The error is what the policy has against it.
func (p *Policy) job(r *Rule, s *scope, unprivileged bool) (*Job, error) {
	j := &Job{Check: checkName(r, s), Sticky: r.Report.Comment == "sticky" && s.run.PullRequest != 0, Retries: *r.Retries, Unprivileged: unprivileged}
	if e := r.Report.Deployment; e != nil && !unprivileged {
		j.Environment, j.Production = e.Environment.expand(s), e.Production
	}
	var err error
	switch action := r.Run; {
	case action.ECS != nil:
		j.ECS, err = p.task(action.ECS, s, unprivileged)
	case !p.Workflows:
		err = refuse("the operator's policy lets no workflow be dispatched")
	case action.Workflow != nil:
		w := action.Workflow
		j.Workflow = &WorkflowRun{File: w.File, Ref: cmp.Or(w.Ref.expand(s), s.event.Repository.DefaultBranch), Inputs: expandAll(w.Inputs, s)}
	default:
		j.Dispatch = &Dispatched{Type: action.Dispatch.Type, Payload: expandAll(action.Dispatch.Payload, s)}
	}
	if err != nil {
		return nil, err
	}
	return j, nil
}

// checkName has the branch in it, so that a check that was earned for one
// branch counts for no other. No branch has a space in its name, as tags have
// here.
func checkName(r *Rule, s *scope) string {
	base := s.run.Base
	if base == "" {
		base = strings.Replace(strings.TrimPrefix(s.run.Ref, "refs/heads/"), "refs/tags/", "tag ", 1)
	}
	return cmp.Or(r.Report.Check, r.ID) + " (" + clean(base) + ")"
}

func (p *Policy) task(t *ECS, s *scope, unprivileged bool) (*Task, error) {
	name := s.event.Repository.FullName
	if err := p.bounds(t); err != nil {
		return nil, err
	}
	task := &Task{
		Entrypoint: t.Entrypoint, Workdir: t.Workdir, Checkout: t.Checkout,
		CPU: t.CPU, Memory: t.Memory, Disk: t.Disk, Arch: t.Arch, Timeout: t.Timeout,
	}
	cluster := cmp.Or(t.Cluster, defaultPlace)
	if unprivileged {
		cluster = forksPlace
	}
	place, there := p.Clusters[cluster]
	if !there || !chooses(place.Repositories, name) {
		return nil, refuse("the operator's policy has no cluster %s for %s", cluster, name)
	}
	task.Place = ResolvedPlace{place.Cluster, place.Region, place.Subnets, place.SecurityGroups, place.PublicIP, place.ExecutionRole, place.LogGroup}
	task.Spot = t.Spot && !place.OnDemand
	var err error
	if task.Container, err = p.container(t.Image, t.Command, t.Env, s, unprivileged); err != nil {
		return nil, err
	}
	for _, service := range slices.Sorted(maps.Keys(t.Services)) {
		described := t.Services[service]
		c, err := p.container(described.Image, described.Command, described.Env, s, unprivileged)
		if err != nil {
			return nil, fmt.Errorf("service %s: %w", service, err)
		}
		task.Services = append(task.Services, ServiceTask{service, c, described.Ready})
	}
	if unprivileged {
		return task, nil
	}
	return task, p.grant(task, t, name)
}

// grant gives a task its role and its secrets.
func (p *Policy) grant(task *Task, t *ECS, name string) error {
	if t.Role != "" {
		role, there := p.Roles[t.Role]
		if !there || !chooses(role.Repositories, name) {
			return refuse("the operator's policy has no role %s for %s", t.Role, name)
		}
		task.TaskRole = role.ARN
	}
	for _, wanted := range t.Secrets {
		secret, there := p.Secrets[wanted]
		if !there || !chooses(secret.Repositories, name) {
			return refuse("the operator's policy has no secret %s for %s", wanted, name)
		}
		if _, taken := task.Env[secret.Env]; taken {
			return refuse("the variable %s is in env, and the secret %s is to be in it", secret.Env, wanted)
		}
		if task.Secrets == nil {
			task.Secrets = map[string]string{}
		}
		if _, taken := task.Secrets[secret.Env]; taken {
			return refuse("two secrets are to be in the variable %s", secret.Env)
		}
		task.Secrets[secret.Env] = secret.ARN
	}
	return nil
}

// bounds holds a task against the policy's.
func (p *Policy) bounds(t *ECS) error {
	for _, b := range []struct {
		what        string
		wanted, max int64
	}{
		{"CPU units", t.CPU, p.Max.CPU}, {"MiB of memory", t.Memory, p.Max.Memory}, {"GiB of disk", t.Disk, p.Max.Disk},
		{"services", int64(len(t.Services)), int64(*p.Max.Services)},
	} {
		if b.wanted > b.max {
			return refuse("the operator's policy lets a task have %d %s, not %d", b.max, b.what, b.wanted)
		}
	}
	if t.Timeout > p.Max.Timeout {
		return refuse("the operator's policy lets a task run for %s, not %s", p.Max.Timeout, t.Timeout)
	}
	return nil
}

// container resolves an image and what goes with it.
func (p *Policy) container(image Template, command []Template, env map[string]Template, s *scope, unprivileged bool) (Container, error) {
	ref, err := oci.ParseReference(image.expand(s))
	if err != nil {
		return Container{}, refuse("%s", err.Error())
	}
	name := dockerHub(ref.Name())
	i := slices.IndexFunc(p.Images, func(rule ImageRule) bool { return rule.Match.Matches(name) })
	if i < 0 || p.Images[i].Match.not {
		return Container{}, refuse("the operator's policy lets no task run images of %s", name)
	}
	c := Container{Image: dockerHub(ref.String()), Env: expandAll(env, s)}
	if !unprivileged {
		c.Credentials = p.Images[i].Credentials
	}
	for _, argument := range command {
		c.Command = append(c.Command, argument.expand(s))
	}
	return c, nil
}

// dockerHub gives Docker Hub the name that people know it by.
func dockerHub(name string) string {
	if rest, ok := strings.CutPrefix(name, "index.docker.io/"); ok {
		return "docker.io/" + rest
	}
	return name
}

func expandAll(templates map[string]Template, s *scope) map[string]string {
	if len(templates) == 0 {
		return nil
	}
	values := map[string]string{}
	for name, t := range templates {
		values[name] = t.expand(s)
	}
	return values
}
