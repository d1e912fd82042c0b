package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Policy is what the operator of the service lets configurations have. What it
// does not name, nobody gets.
type Policy struct {
	Version      int               `yaml:"version" need:"yes" min:"1" max:"1" doc:"Version of this format: 1."`
	Repositories Patterns          `yaml:"repositories" need:"yes" least:"1" longest:"255" doc:"Repositories that are served, by patterns of owner/name."`
	Images       []ImageRule       `yaml:"images" doc:"Images that tasks may run; the first that matches counts."`
	Workflows    bool              `yaml:"workflows" default:"false" doc:"Whether workflows may be dispatched."`
	Clusters     map[string]Place  `yaml:"clusters" keys:"id" doc:"Where tasks may run, by the names that configurations use. default is where they run without one, forks where code from forks runs unprivileged."`
	Roles        map[string]Grant  `yaml:"roles" keys:"id" doc:"Task roles, by the names that configurations use."`
	Secrets      map[string]Secret `yaml:"secrets" keys:"id" doc:"Secrets, by the names that configurations use."`
	Forks        Forks             `yaml:"forks" enum:"never,approve,unprivileged" default:"approve" doc:"The most that becomes of code from forks."`
	Max          Max               `yaml:"max" doc:"Bounds of a run."`
	Runners      Patterns          `yaml:"runners" longest:"255" doc:"Repositories whose configuration may have runners; none if left out."`
}

// ImageRule lets images be run.
type ImageRule struct {
	Match       Pattern `yaml:"match" need:"yes" longest:"255" doc:"Pattern of host/repository, as in ghcr.io/acme/**; Docker Hub's are docker.io/library/postgres and the like."`
	Credentials string  `yaml:"credentials" format:"arn" longest:"2048" doc:"Secret or parameter with the credentials to pull with."`
}

// Place is where tasks run.
type Place struct {
	Cluster        string   `yaml:"cluster" need:"yes" format:"name" doc:"Name or ARN on ECS."`
	Region         string   `yaml:"region" format:"region" doc:"Region; the service's own if left out."`
	Subnets        []string `yaml:"subnets" need:"yes" least:"1" most:"16" format:"subnet" doc:"Subnets of the tasks."`
	SecurityGroups []string `yaml:"security_groups" most:"5" format:"group" doc:"Their security groups; the VPC's default if left out."`
	PublicIP       bool     `yaml:"public_ip" default:"false" doc:"Whether they get a public address."`
	ExecutionRole  string   `yaml:"execution_role" need:"yes" format:"arn" longest:"2048" doc:"Role that ECS pulls, logs and reads secrets with."`
	LogGroup       string   `yaml:"log_group" format:"name" default:"/clipper/runs" doc:"Log group of CloudWatch."`
	Repositories   Patterns `yaml:"repositories" longest:"255" doc:"Who may use it; all that are served if left out."`
	OnDemand       bool     `yaml:"on_demand" default:"false" doc:"Whether spot capacity is never used."`
}

// Grant is a role that tasks may have.
type Grant struct {
	ARN          string   `yaml:"arn" need:"yes" format:"arn" longest:"2048" doc:"The role."`
	Repositories Patterns `yaml:"repositories" need:"yes" least:"1" longest:"255" doc:"Whose tasks may have it."`
}

// Secret is a secret that tasks may have.
type Secret struct {
	ARN          string   `yaml:"arn" need:"yes" format:"arn" longest:"2048" doc:"Secret of Secrets Manager or parameter of Systems Manager."`
	Env          string   `yaml:"env" format:"env" doc:"The variable that it is in; its name in capitals if left out."`
	Repositories Patterns `yaml:"repositories" need:"yes" least:"1" longest:"255" doc:"Whose tasks may have it."`
}

// Max bounds a run.
type Max struct {
	CPU      int64    `yaml:"cpu" min:"256" max:"16384" default:"4096" doc:"CPU units."`
	Memory   int64    `yaml:"memory" min:"512" max:"122880" default:"30720" doc:"MiB."`
	Disk     int64    `yaml:"disk" min:"20" max:"200" default:"50" doc:"GiB."`
	Timeout  Duration `yaml:"timeout" default:"6h" doc:"Time."`
	Services *int     `yaml:"services" max:"9" default:"5" doc:"Containers beside the program's."`
	Runners  int      `yaml:"runners" min:"1" max:"1000" default:"20" doc:"Runners of one kind at one time."`
}

// Names with a meaning among a policy's clusters.
const (
	defaultPlace = "default"
	forksPlace   = "forks"
)

// ParsePolicy reads a policy.
func ParsePolicy(text []byte) (*Policy, Problems) {
	p := new(Policy)
	d := decode(text, p)
	p.setDefaults()
	if len(d.problems) == 0 {
		p.check(d)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return p, nil
}

func (p *Policy) setDefaults() {
	byDefault(&p.Forks, Approve)
	byDefault(&p.Max.CPU, 4096)
	byDefault(&p.Max.Memory, 30720)
	byDefault(&p.Max.Disk, 50)
	byDefault(&p.Max.Timeout, Duration(6*time.Hour))
	byDefault(&p.Max.Runners, 20)
	byDefaultAt(&p.Max.Services, 5)
	lower(p.Repositories, p.Runners)
	for name, place := range p.Clusters {
		lower(place.Repositories)
		byDefault(&place.LogGroup, "/clipper/runs")
		p.Clusters[name] = place
	}
	for _, role := range p.Roles {
		lower(role.Repositories)
	}
	for name, secret := range p.Secrets {
		lower(secret.Repositories)
		byDefault(&secret.Env, strings.ToUpper(strings.ReplaceAll(name, "-", "_")))
		p.Secrets[name] = secret
	}
}

func (p *Policy) check(d *decoder) {
	for name, patterns := range map[string]Patterns{"repositories": p.Repositories, "runners": p.Runners} {
		if patterns.onlyNots() {
			d.tell(name, "it has patterns with ! alone, which choose nothing", `begin with "**"`)
		}
	}
	if _, there := p.Clusters[forksPlace]; p.Forks == Unprivileged && !there {
		d.tell("forks", "there is no cluster for code from forks", "add one of the name forks to clusters, in a network of its own")
	}
	for name, secret := range p.Secrets {
		if strings.HasPrefix(secret.Env, "CLIPPER_") || !formats["env"].pattern.MatchString(secret.Env) {
			d.tell("secrets."+name+".env", fmt.Sprintf("%s cannot be the name of its variable", secret.Env), "name another")
		}
	}
}

// Serves says whether the operator lets a repository use the service.
func (p *Policy) Serves(fullName string) bool { return chooses(p.Repositories, fullName) }

// HasRunners says whether a repository's configuration may have runners.
func (p *Policy) HasRunners(fullName string) bool {
	return len(p.Runners) > 0 && chooses(p.Runners, fullName)
}

// chooses matches names as GitHub does, whatever their letters' case; the
// policy's patterns are in small letters since they were read.
func chooses(patterns Patterns, fullName string) bool {
	chosen, _ := patterns.Choose(strings.ToLower(fullName))
	return chosen
}

// lower puts patterns of names into small letters.
func lower(lists ...Patterns) {
	for _, patterns := range lists {
		for i, p := range patterns {
			if small, err := ParsePattern(strings.ToLower(p.text)); err == nil {
				patterns[i] = small
			}
		}
	}
}

// forksOf is the stricter of what a rule and the policy say about forks.
func (p *Policy) forksOf(r *Rule) Forks {
	order := []Forks{Never, Approve, Unprivileged}
	return order[min(slices.Index(order, cmp.Or(p.Forks, Approve)), slices.Index(order, cmp.Or(r.Forks, Approve)))]
}
