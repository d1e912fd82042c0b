package rules

import "fmt"

// File is where a repository has its configuration, and an organisation its
// default: in its repository of the name Defaults.
const (
	File     = ".github/clipper.yml"
	Defaults = ".github"
)

// Config is a configuration.
type Config struct {
	Version int      `yaml:"version" need:"yes" min:"1" max:"1" doc:"Version of this format: 1."`
	Rules   []Rule   `yaml:"rules" doc:"What to run, and on which events."`
	Runners []Runner `yaml:"runners" most:"20" doc:"Runners of GitHub Actions on ECS, each for one job."`
}

// Rule says what to run on which events. One event makes at most one run of it.
type Rule struct {
	ID          string       `yaml:"id" need:"yes" format:"id" doc:"Its name among the rules. A repository's rule replaces the organisation's of the same id."`
	Disabled    bool         `yaml:"disabled" doc:"Whether it is left out, as to turn an organisation's rule off." default:"false"`
	On          On           `yaml:"on" least:"1" remedy:"name an event, as in on: { push: { branches: [main] } }" doc:"The events that it runs on."`
	Run         Action       `yaml:"run" one:"yes" least:"1" remedy:"give one of ecs, workflow and dispatch" doc:"What runs."`
	Forks       Forks        `yaml:"forks" enum:"never,approve,unprivileged" default:"approve" doc:"What becomes of code from forks: nothing, a run once someone who may write approves the commit, or a run without secrets, role and the network of other runs."`
	OwnEvents   bool         `yaml:"own_events" default:"false" doc:"Whether events that the App itself caused count. They can go in circles."`
	Concurrency *Concurrency `yaml:"concurrency" doc:"Which runs do not run beside each other."`
	Report      Report       `yaml:"report" doc:"Where the run is shown."`
	Retries     *int         `yaml:"retries" max:"5" default:"1" doc:"How often a run is started again whose host was lost, as spot capacity can be."`
}

// On has the events of a rule; one that is nil does not start it.
type On struct {
	Push            *Push            `yaml:"push" doc:"Commits or tags were pushed."`
	PullRequest     *PullRequest     `yaml:"pull_request" doc:"A pull request was opened or changed."`
	MergeGroup      *MergeGroup      `yaml:"merge_group" doc:"A merge queue wants its commit checked."`
	Release         *Release         `yaml:"release" doc:"A release was published."`
	RegistryPackage *RegistryPackage `yaml:"registry_package" doc:"A package or image was published to a registry of GitHub's."`
	Deployment      *Deployment      `yaml:"deployment" doc:"A deployment was created."`
	Comment         *Comment         `yaml:"comment" doc:"Somebody commented a command on a pull request."`
	Schedule        *Schedule        `yaml:"schedule" doc:"A time came."`
	Manual          *ByHand          `yaml:"manual" doc:"Somebody asked for it, on the repository's page or with clipper-runner webhook runs start."`
}

// Push is a filter of pushes. With branches alone, tags do not count, and the
// other way round.
type Push struct {
	Branches Patterns `yaml:"branches" longest:"255" doc:"Branches, as in GitHub's filter patterns; all if left out."`
	Tags     Patterns `yaml:"tags" longest:"255" doc:"Tags, likewise."`
	Paths    Patterns `yaml:"paths" longest:"255" doc:"Paths of which one was changed. They do not count for tags."`
}

// PullRequest is a filter of pull requests.
type PullRequest struct {
	Types    []string `yaml:"types" least:"1" enum:"opened,synchronize,reopened,closed,edited,labeled,unlabeled,ready_for_review,converted_to_draft,review_requested,enqueued,dequeued" default:"opened, synchronize, reopened" doc:"What happened to it."`
	Branches Patterns `yaml:"branches" longest:"255" doc:"Branches that it is for."`
	Paths    Patterns `yaml:"paths" longest:"255" doc:"Paths of which it changes one."`
	Labels   Patterns `yaml:"labels" longest:"255" doc:"Labels of which it has one; with labeled and unlabeled, that it got or lost."`
	Drafts   *bool    `yaml:"drafts" default:"true" doc:"Whether drafts count."`
}

// MergeGroup is a filter of merge groups.
type MergeGroup struct {
	Branches Patterns `yaml:"branches" longest:"255" doc:"Branches that it is for."`
}

// Release is a filter of releases.
type Release struct {
	Types       []string `yaml:"types" least:"1" enum:"published,unpublished,created,edited,deleted,prereleased,released" default:"published" doc:"What happened to it."`
	Tags        Patterns `yaml:"tags" longest:"255" doc:"Its tag."`
	Prereleases *bool    `yaml:"prereleases" default:"true" doc:"Whether pre-releases count."`
}

// RegistryPackage is a filter of packages.
type RegistryPackage struct {
	Types []string `yaml:"types" least:"1" enum:"published,updated" default:"published" doc:"What happened to it."`
	Name  *Pattern `yaml:"name" longest:"255" doc:"Its name."`
	Tags  Patterns `yaml:"tags" longest:"255" doc:"The tag of its image, or the version of another package."`
}

// Deployment is a filter of deployments.
type Deployment struct {
	Environments Patterns `yaml:"environments" longest:"255" doc:"Where to."`
	Tasks        Patterns `yaml:"tasks" longest:"255" doc:"The task that the deployment names."`
}

// Comment is a command that people give in comments on pull requests.
type Comment struct {
	Command string     `yaml:"command" need:"yes" format:"command" doc:"First line of the comment, as in /bench. The commit may follow it, and has to, in full, where the code comes from a fork or the command requires more than write."`
	Require Permission `yaml:"require" enum:"write,maintain,admin" default:"write" doc:"What the one who comments must be allowed in the repository."`
}

// ByHand is a request by a person.
type ByHand struct {
	Require Permission `yaml:"require" enum:"write,maintain,admin" default:"write" doc:"What the one who asks must be allowed in the repository."`
}

// Forks says what becomes of code from forks.
type Forks string

// What becomes of code from forks, the strictest first.
const (
	Never        Forks = "never"
	Approve      Forks = "approve"
	Unprivileged Forks = "unprivileged"
)

// Action is what runs: one of its members.
type Action struct {
	ECS      *ECS      `yaml:"ecs" doc:"A task on Amazon ECS, of any image."`
	Workflow *Workflow `yaml:"workflow" doc:"A workflow of GitHub Actions, by workflow_dispatch."`
	Dispatch *Dispatch `yaml:"dispatch" doc:"All workflows that wait for a repository_dispatch of this type."`
}

// ECS is a task.
type ECS struct {
	Image      Template            `yaml:"image" need:"yes" longest:"512" doc:"Any image, host/repository:tag or @digest; Docker's short forms are understood."`
	Command    []Template          `yaml:"command" most:"50" longest:"4096" doc:"Program and arguments, in place of the image's CMD. No shell reads them."`
	Entrypoint []string            `yaml:"entrypoint" most:"20" longest:"1024" doc:"In place of the image's."`
	Workdir    string              `yaml:"workdir" longest:"1024" doc:"Directory that the program starts in."`
	Env        map[string]Template `yaml:"env" keys:"env" longest:"2048" doc:"Variables."`
	Secrets    []string            `yaml:"secrets" most:"20" format:"id" doc:"Secrets by the names that the operator's policy gives them."`
	Checkout   bool                `yaml:"checkout" default:"false" doc:"Whether the commit is checked out, and the program starts there."`
	CPU        int64               `yaml:"cpu" min:"256" max:"16384" default:"1024" doc:"CPU units, 1024 are one."`
	Memory     int64               `yaml:"memory" min:"512" max:"122880" doc:"MiB, twice the cpu if left out. Fargate takes certain pairs of the two."`
	Disk       int64               `yaml:"disk" min:"21" max:"200" default:"20" doc:"GiB, 20 if left out."`
	Arch       string              `yaml:"arch" enum:"amd64,arm64" default:"amd64" doc:"Architecture of the machine."`
	Spot       bool                `yaml:"spot" default:"false" doc:"Whether spot capacity will do."`
	Timeout    Duration            `yaml:"timeout" default:"1h" doc:"How long it may run, as in 30m."`
	Cluster    string              `yaml:"cluster" format:"id" default:"default" doc:"A cluster by the name that the operator's policy gives it."`
	Role       string              `yaml:"role" format:"id" doc:"A task role, likewise; without, the program has no rights in AWS."`
	Services   map[string]Service  `yaml:"services" most:"9" keys:"host" doc:"Containers beside it, by their host names."`
}

// Service is a container beside the program's.
type Service struct {
	Image   Template            `yaml:"image" need:"yes" longest:"512" doc:"Any image."`
	Command []Template          `yaml:"command" most:"50" longest:"4096" doc:"In place of the image's CMD."`
	Env     map[string]Template `yaml:"env" keys:"env" longest:"2048" doc:"Variables."`
	Ready   string              `yaml:"ready" longest:"1024" doc:"Command in the container that succeeds once the service can be used; the program waits for it."`
}

// Workflow is a workflow with an on: workflow_dispatch.
type Workflow struct {
	File   string              `yaml:"file" need:"yes" format:"workflow" doc:"Its file in .github/workflows."`
	Ref    Template            `yaml:"ref" longest:"255" doc:"Branch or tag to run; the default branch if left out."`
	Inputs map[string]Template `yaml:"inputs" most:"25" keys:"input" longest:"4096" doc:"Inputs that the workflow declares. Declare clipper_run and put it into run-name, and a run is found even if GitHub's answer is lost."`
}

// Dispatch is a repository_dispatch.
type Dispatch struct {
	Type    string              `yaml:"type" need:"yes" format:"id" doc:"The type that workflows wait for."`
	Payload map[string]Template `yaml:"payload" most:"9" keys:"input" longest:"4096" doc:"The client_payload. Put its tenth, clipper_run, into run-name: by that the run is found."`
}

// Concurrency is a group of runs that run one after another, in the order of
// their events.
type Concurrency struct {
	Group    Template `yaml:"group" need:"yes" longest:"255" doc:"Its name within the repository."`
	Cancel   bool     `yaml:"cancel" default:"false" doc:"Whether a new run cancels those before it; otherwise it waits."`
	MaxQueue *int     `yaml:"max_queue" max:"100" default:"1" doc:"How many may wait for the one that runs, 0 is none; the oldest gives way."`
}

// Report is where a run is shown.
type Report struct {
	Check      string       `yaml:"check" longest:"80" doc:"Name of the check run, before the branch in brackets; the rule's id if left out."`
	Deployment *Environment `yaml:"deployment" doc:"A deployment of GitHub's that follows the run."`
	Comment    string       `yaml:"comment" enum:"sticky" doc:"sticky: one comment on the pull request, kept up to date."`
}

// Environment is where a run deploys to.
type Environment struct {
	Environment Template `yaml:"environment" need:"yes" longest:"255" doc:"Name of the environment."`
	Production  bool     `yaml:"production" default:"false" doc:"Whether users of the product feel it."`
}

// Runner is a kind of self-hosted runners.
type Runner struct {
	Labels []string  `yaml:"labels" need:"yes" least:"1" most:"20" format:"label" doc:"What runs-on has to name."`
	Mode   string    `yaml:"mode" enum:"scale_set,webhook" default:"scale_set" doc:"How jobs are heard of: by GitHub's scale sets, or by workflow_job deliveries."`
	Group  string    `yaml:"group" longest:"100" doc:"The runner group; the default one if left out."`
	ECS    RunnerECS `yaml:"ecs" need:"yes" doc:"The task of each."`
}

// RunnerECS is the task of one runner.
type RunnerECS struct {
	Image   string `yaml:"image" need:"yes" longest:"512" doc:"An image with GitHub's runner."`
	CPU     int64  `yaml:"cpu" min:"256" max:"16384" default:"2048" doc:"CPU units, 1024 are one."`
	Memory  int64  `yaml:"memory" min:"512" max:"122880" default:"4096" doc:"MiB."`
	Arch    string `yaml:"arch" enum:"amd64,arm64" default:"amd64" doc:"Architecture of the machine."`
	Spot    bool   `yaml:"spot" default:"false" doc:"Whether spot capacity will do."`
	Cluster string `yaml:"cluster" format:"id" default:"default" doc:"A cluster by the name that the operator's policy gives it."`
	Role    string `yaml:"role" format:"id" doc:"A task role, likewise."`
	Max     int    `yaml:"max" max:"1000" default:"10" doc:"The most at one time."`
	MinIdle int    `yaml:"min_idle" max:"100" default:"0" doc:"How many wait for jobs."`
}

// ParseConfig reads a configuration, of at most 64 KB.
func ParseConfig(text []byte) (*Config, Problems) {
	c := new(Config)
	d := decode(text, c)
	for i := range c.Rules {
		c.Rules[i].setDefaults()
	}
	for i := range c.Runners {
		c.Runners[i].setDefaults()
	}
	if len(d.problems) == 0 {
		c.check(d)
	}
	if len(d.problems) > 0 {
		return nil, d.problems.sorted()
	}
	return c, nil
}

// Merge is the repository's configuration over its organisation's: a rule
// replaces the one of the same id, and runners those with the same labels.
// Either may be nil.
func Merge(organisation, repository *Config) *Config {
	merged := &Config{Version: 1}
	rules, runners := map[string]int{}, map[string]int{}
	for _, c := range []*Config{organisation, repository} {
		if c == nil {
			continue
		}
		for _, r := range c.Rules {
			merged.Rules = put(merged.Rules, rules, r.ID, r)
		}
		for _, r := range c.Runners {
			merged.Runners = put(merged.Runners, runners, fmt.Sprint(r.Labels), r)
		}
	}
	return merged
}

// put replaces what has the key, or appends.
func put[T any](to []T, at map[string]int, key string, value T) []T {
	if i, there := at[key]; there {
		to[i] = value
		return to
	}
	at[key] = len(to)
	return append(to, value)
}
