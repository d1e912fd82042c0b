package rules

import (
	"fmt"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/ecs"
	ecsrules "github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

// setDefaults writes out what a rule leaves open.
func (r *Rule) setDefaults() {
	byDefault(&r.Forks, Approve)
	byDefaultAt(&r.Retries, 1)
	if on := r.On.PullRequest; on != nil && on.Types == nil {
		on.Types = []string{"opened", "synchronize", "reopened"}
	}
	if on := r.On.PullRequest; on != nil {
		byDefaultAt(&on.Drafts, true)
	}
	if on := r.On.Release; on != nil && on.Types == nil {
		on.Types = []string{"published"}
	}
	if on := r.On.Release; on != nil {
		byDefaultAt(&on.Prereleases, true)
	}
	if on := r.On.RegistryPackage; on != nil && on.Types == nil {
		on.Types = []string{"published"}
	}
	if on := r.On.Comment; on != nil {
		byDefault(&on.Require, Write)
	}
	if on := r.On.Manual; on != nil {
		byDefault(&on.Require, Write)
	}
	if on := r.On.Schedule; on != nil {
		byDefault(&on.CatchUp, "once")
	}
	if task := r.Run.ECS; task != nil {
		byDefault(&task.CPU, 1024)
		byDefault(&task.Memory, 2*task.CPU)
		byDefault(&task.Disk, 20)
		byDefault(&task.Arch, "amd64")
		byDefault(&task.Timeout, Duration(time.Hour))
		byDefault(&task.Cluster, "default")
	}
	if c := r.Concurrency; c != nil {
		byDefaultAt(&c.MaxQueue, 1)
	}
	byDefault(&r.Report.Check, r.ID)
}

func (r *Runner) setDefaults() {
	byDefault(&r.Mode, "scale_set")
	byDefault(&r.ECS.CPU, 2048)
	byDefault(&r.ECS.Memory, 2*r.ECS.CPU)
	byDefault(&r.ECS.Arch, "amd64")
	byDefault(&r.ECS.Cluster, "default")
	byDefault(&r.ECS.Max, 10)
}

func byDefault[T comparable](value *T, otherwise T) {
	if *value == *new(T) {
		*value = otherwise
	}
}

// byDefaultAt is byDefault where zero is a value.
func byDefaultAt[T any](value **T, otherwise T) {
	if *value == nil {
		*value = &otherwise
	}
}

// check tells what is wrong with values that are right each for itself.
func (c *Config) check(d *decoder) {
	seen := map[string]bool{}
	for i := range c.Rules {
		r, at := &c.Rules[i], fmt.Sprintf("rules[%d]", i)
		if seen[r.ID] {
			d.tell(at+".id", fmt.Sprintf("%q is the id of another rule, too", r.ID), "give each its own")
		}
		seen[r.ID] = true
		r.check(d, at)
	}
	labels := map[string]bool{}
	for i := range c.Runners {
		r, at := &c.Runners[i], fmt.Sprintf("runners[%d]", i)
		if set := fmt.Sprint(r.Labels); labels[set] {
			d.tell(at+".labels", "other runners have the same", "give each kind its own")
		} else {
			labels[set] = true
		}
		r.check(d, at)
	}
}

func (r *Rule) check(d *decoder, at string) {
	on := r.On
	if !r.Disabled && on == (On{}) {
		d.tell(at, "it has no on", "name an event, as in on: { push: { branches: [main] } }")
	}
	if !r.Disabled && r.Run == (Action{}) {
		d.tell(at, "it has no run", "give one of ecs, workflow and dispatch")
	}
	for name, patterns := range map[string]Patterns{
		"push.branches": of(on.Push).Branches, "push.tags": of(on.Push).Tags, "push.paths": of(on.Push).Paths,
		"pull_request.branches": of(on.PullRequest).Branches, "pull_request.paths": of(on.PullRequest).Paths, "pull_request.labels": of(on.PullRequest).Labels,
		"merge_group.branches": of(on.MergeGroup).Branches, "release.tags": of(on.Release).Tags, "registry_package.tags": of(on.RegistryPackage).Tags,
		"deployment.environments": of(on.Deployment).Environments, "deployment.tasks": of(on.Deployment).Tasks,
	} {
		if patterns.onlyNots() {
			d.tell(at+".on."+name, "it has patterns with ! alone, which choose nothing", `begin with "**"`)
		}
	}
	if p := of(on.RegistryPackage).Name; p != nil && p.not {
		d.tell(at+".on.registry_package.name", "it has a pattern with ! alone, which chooses nothing", "name what is to be chosen")
	}
	if r.Run.ECS != nil {
		r.Run.ECS.check(d, at+".run.ecs")
	}
	if r.Forks == Unprivileged && r.Run.ECS == nil {
		d.tell(at+".forks", "only tasks can run unprivileged", "choose approve or never")
	}
	if r.Concurrency != nil && r.Concurrency.Group.has("run.id") {
		d.tell(at+".concurrency.group", "with run.id, every run is alone in its group", "leave it out")
	}
	if r.Report.Comment != "" && on.PullRequest == nil && on.Comment == nil {
		d.tell(at+".report.comment", "no event of the rule has a pull request to comment on", "leave it out")
	}
}

func (t *ECS) check(d *decoder, at string) {
	checkImage(d, at+".image", t.Image)
	checkCommand(d, at+".command", t.Entrypoint, t.Command)
	checkEnv(d, at+".env", t.Env)
	checkSize(d, at, t.CPU, t.Memory)
	if t.Workdir != "" && !path.IsAbs(t.Workdir) {
		d.tell(at+".workdir", "it is not absolute", "begin with /")
	}
	for i, name := range t.Secrets {
		if slices.Contains(t.Secrets[:i], name) {
			d.tell(fmt.Sprintf("%s.secrets[%d]", at, i), "it comes twice", "leave one out")
		}
	}
	for name, s := range t.Services {
		in := at + ".services." + name
		if name == "localhost" {
			d.tell(in, "localhost is every container's own name", "choose another")
		}
		checkImage(d, in+".image", s.Image)
		checkCommand(d, in+".command", nil, s.Command)
		checkEnv(d, in+".env", s.Env)
	}
}

func (r *Runner) check(d *decoder, at string) {
	if _, err := oci.ParseReference(r.ECS.Image); err != nil {
		d.tell(at+".ecs.image", err.Error(), "")
	}
	checkSize(d, at+".ecs", r.ECS.CPU, r.ECS.Memory)
	if r.ECS.MinIdle > r.ECS.Max {
		d.tell(at+".ecs.min_idle", fmt.Sprintf("it is more than max, which is %d", r.ECS.Max), "lower it, or raise max")
	}
}

func checkImage(d *decoder, at string, image Template) {
	if len(image.parts) != 1 || image.parts[0].literal == "" {
		return // known with the event
	}
	if _, err := oci.ParseReference(image.text); err != nil {
		d.tell(at, err.Error(), "")
	}
}

func checkEnv(d *decoder, at string, env map[string]Template) {
	for name := range env {
		if strings.HasPrefix(name, "CLIPPER_") {
			d.tell(at+"."+name, "variables of this name are settings of the runner image", "choose another name")
		}
	}
}

// checkSize tells of a pair of CPU units and MiB that Fargate does not have.
func checkSize(d *decoder, at string, cpu, memory int64) {
	if problem := fargateProblem(cpu, memory); problem != "" {
		d.tell(at+".memory", problem, "choose a pair of https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task_definition_parameters.html#task_size")
	}
}

// fargateProblem is what ECS's own rule says to a task of that size.
func fargateProblem(cpu, memory int64) string {
	def, err := ecs.Parse(fmt.Appendf(nil, `{"requiresCompatibilities": ["FARGATE"], "cpu": "%d", "memory": "%d", "containerDefinitions": []}`, cpu, memory))
	if err != nil {
		return err.Error()
	}
	for _, rule := range ecsrules.Table() {
		if rule.ID != "fargate-size" {
			continue
		}
		for _, finding := range rule.Check(def) {
			return finding.Text
		}
	}
	return ""
}
