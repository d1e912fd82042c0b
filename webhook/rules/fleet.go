package rules

import (
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Fleet is the operator's file of self-hosted runners: sets of them, each with
// its labels, its place on ECS and its bounds.
type Fleet struct {
	Version int         `yaml:"version" need:"yes" min:"1" max:"1" doc:"Version of this format: 1."`
	Sets    []RunnerSet `yaml:"sets" need:"yes" least:"1" doc:"Sets of runners."`
}

// RunnerSet is a set of runners that are all alike. Each takes one job, and
// ends.
type RunnerSet struct {
	Name   string   `yaml:"name" need:"yes" format:"set" doc:"Its name, which its scale set has on GitHub, and with which the names of its runners begin. No other set of the owner has it, in whatever service."`
	Owner  string   `yaml:"owner" need:"yes" format:"owner" doc:"The organisation, or the repository as owner/name, whose jobs they take. The App is installed there."`
	Labels []string `yaml:"labels" least:"1" most:"20" format:"label" doc:"What runs-on may name; the set's name if left out."`
	Mode   string   `yaml:"mode" enum:"scaleset,jit" default:"scaleset" doc:"scaleset: GitHub gives the set jobs, and is asked for them. jit: workflow_job deliveries tell of jobs, where there are no scale sets."`
	Group  string   `yaml:"group" longest:"100" default:"Default" doc:"Runner group of the organisation."`
	Min    int      `yaml:"min" max:"1000" default:"0" doc:"How many there are at least."`
	Max    int      `yaml:"max" min:"1" max:"1000" default:"10" doc:"How many there are at most."`
	Idle   int      `yaml:"idle" max:"1000" default:"0" doc:"How many wait for jobs beside those that have one, up to max."`

	Image       string            `yaml:"image" longest:"512" default:"ghcr.io/actions/actions-runner:latest" doc:"An image with GitHub's runner."`
	Command     []string          `yaml:"command" least:"1" most:"50" longest:"4096" default:"/home/runner/run.sh" doc:"What starts the runner."`
	Env         map[string]string `yaml:"env" keys:"env" longest:"2048" doc:"Variables of the runner."`
	Credentials string            `yaml:"credentials" format:"arn" longest:"2048" doc:"Secret or parameter with the credentials to pull the image with."`
	CPU         int64             `yaml:"cpu" min:"256" max:"16384" default:"2048" doc:"CPU units, 1024 are one."`
	Memory      int64             `yaml:"memory" min:"512" max:"122880" default:"4096" doc:"MiB, twice the cpu if left out."`
	Disk        int64             `yaml:"disk" min:"21" max:"200" default:"20" doc:"GiB, 20 if left out."`
	Arch        string            `yaml:"arch" enum:"amd64,arm64" default:"amd64" doc:"Architecture of the machine."`
	Spot        bool              `yaml:"spot" default:"false" doc:"Whether spot capacity will do. A job on it can be lost."`
	Timeout     Duration          `yaml:"timeout" default:"24h" doc:"How long a runner may run, its job included."`

	Cluster        string   `yaml:"cluster" format:"name" default:"default" doc:"Name or ARN on ECS."`
	Region         string   `yaml:"region" format:"region" doc:"Region; the service's own if left out."`
	Subnets        []string `yaml:"subnets" need:"yes" least:"1" most:"16" format:"subnet" doc:"Subnets of the tasks."`
	SecurityGroups []string `yaml:"security_groups" most:"5" format:"group" doc:"Their security groups; the VPC's default if left out."`
	PublicIP       bool     `yaml:"public_ip" default:"false" doc:"Whether they get a public address."`
	ExecutionRole  string   `yaml:"execution_role" need:"yes" format:"arn" longest:"2048" doc:"Role that ECS pulls and logs with, and reads the runner's configuration below /clipper/runners with."`
	TaskRole       string   `yaml:"task_role" format:"arn" longest:"2048" doc:"Role of the jobs; without, they have no rights in AWS."`
	LogGroup       string   `yaml:"log_group" format:"name" default:"/clipper/runners" doc:"Log group of CloudWatch."`
}

// ParseFleet reads a file of runners, of at most 64 KB.
func ParseFleet(text []byte) (*Fleet, Problems) {
	f := new(Fleet)
	d := decode(text, f)
	for i := range f.Sets {
		f.Sets[i].setDefaults()
	}
	if len(d.problems) == 0 {
		f.check(d)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return f, nil
}

func (s *RunnerSet) setDefaults() {
	if s.Labels == nil {
		s.Labels = []string{s.Name}
	}
	byDefault(&s.Mode, ScaleSet)
	byDefault(&s.Group, DefaultGroup)
	byDefault(&s.Max, 10)
	byDefault(&s.Image, "ghcr.io/actions/actions-runner:latest")
	if s.Command == nil {
		s.Command = []string{"/home/runner/run.sh"}
	}
	byDefault(&s.CPU, 2048)
	byDefault(&s.Memory, 2*s.CPU)
	byDefault(&s.Disk, 20)
	byDefault(&s.Arch, "amd64")
	byDefault(&s.Timeout, Duration(24*time.Hour))
	byDefault(&s.Cluster, "default")
	byDefault(&s.LogGroup, "/clipper/runners")
}

// The modes of a set, and the group that every organisation has.
const (
	ScaleSet     = "scaleset"
	JIT          = "jit"
	DefaultGroup = "Default"
)

func (f *Fleet) check(d *decoder) {
	names := map[string]bool{}
	for i := range f.Sets {
		s, at := &f.Sets[i], fmt.Sprintf("sets[%d]", i)
		if name := strings.ToLower(s.Owner + " " + s.Name); names[name] {
			d.tell(at+".name", fmt.Sprintf("another set of %s is called so, too", s.Owner), "give each its own name")
		} else {
			names[name] = true
		}
		s.check(d, at)
	}
}

func (s *RunnerSet) check(d *decoder, at string) {
	if _, err := oci.ParseReference(s.Image); err != nil {
		d.tell(at+".image", err.Error(), "")
	}
	checkSize(d, at, s.CPU, s.Memory)
	for name, n := range map[string]int{"min": s.Min, "idle": s.Idle} {
		if n > s.Max {
			d.tell(at+"."+name, fmt.Sprintf("it is more than max, which is %d", s.Max), "lower it, or raise max")
		}
	}
	if s.Group != DefaultGroup && strings.Contains(s.Owner, "/") {
		d.tell(at+".group", "a repository has no runner groups", "leave it out, or have an organisation for owner")
	}
	for name := range s.Env {
		if strings.HasPrefix(name, "CLIPPER_") || strings.HasPrefix(name, "ACTIONS_RUNNER_INPUT_") {
			d.tell(at+".env."+name, "it is set by the service", "leave it out")
		}
	}
}

// Task is the task of each of the set's runners, without what tells them apart.
func (s *RunnerSet) Task() *Task {
	return &Task{
		Container: Container{Image: s.Image, Credentials: s.Credentials, Command: s.Command, Env: maps.Clone(s.Env)},
		CPU:       s.CPU, Memory: s.Memory, Disk: s.Disk, Arch: s.Arch, Spot: s.Spot, Timeout: s.Timeout, TaskRole: s.TaskRole,
		Place: ResolvedPlace{s.Cluster, s.Region, s.Subnets, s.SecurityGroups, s.PublicIP, s.ExecutionRole, s.LogGroup},
	}
}
