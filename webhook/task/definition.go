package task

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
)

// Names of containers. A service's is its own behind servicePrefix, so that
// none can take the others'.
const (
	program       = "run"
	checkout      = "checkout"
	servicePrefix = "service-"
)

// streamPrefix begins the names of log streams:
// run/<container>/<task id>.
const streamPrefix = "run"

// EnvHosts are names for the runner to write into /etc/hosts, each with its
// address: db=127.0.0.1,cache=127.0.0.1. Containers of a task on Fargate share
// their loopback (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-networking-awsvpc.html:
// "containers that belong to the same task can communicate over the localhost interface"), and
// extraHosts is none of what awsvpc takes.
const EnvHosts = "CLIPPER_HOSTS"

// sourceVolume is where the commit is, in the containers that see it.
const (
	sourceVolume = "source"
	sourceDir    = "/workspace"
)

// variable is a member of environment or secrets.
type variable struct {
	Name      string `json:"name"`
	Value     string `json:"value,omitempty"`
	ValueFrom string `json:"valueFrom,omitempty"`
}

type object map[string]any

// written is the definition as a person would write it: all that is the same in
// the job's next run, and with whole also what the program starts with.
func (t *Tasks) written(j Job, whole bool) object {
	root := object{
		"requiresCompatibilities": []string{"FARGATE"}, "networkMode": "awsvpc",
		"cpu": strconv.FormatInt(j.CPU, 10), "memory": strconv.FormatInt(j.Memory, 10),
		"runtimePlatform":  object{"cpuArchitecture": architecture(j.Arch), "operatingSystemFamily": "LINUX"},
		"executionRoleArn": j.Place.ExecutionRole,
	}
	if j.Disk > fargateDisk {
		root["ephemeralStorage"] = object{"sizeInGiB": j.Disk}
	}
	if j.TaskRole != "" {
		root["taskRoleArn"] = j.TaskRole
	}
	containers := []object{t.program(j, whole)}
	if j.Checkout {
		root["volumes"] = []object{{"name": sourceVolume}}
		containers = append(containers, t.checkout(j))
	}
	for _, s := range j.Services {
		c := t.container(j, servicePrefix+s.Name, variables(s.Env))
		c["image"], c["command"], c["essential"], c["stopTimeout"] = s.Image, s.Command, false, serviceStop
		if s.Ready != "" {
			c["healthCheck"] = object{"command": []string{"CMD-SHELL", s.Ready}, "interval": 5, "timeout": 5, "retries": 10}
		}
		containers = append(containers, c)
	}
	root["containerDefinitions"] = containers
	return root
}

// serviceStop is how many seconds a service has to end once the program has:
// what it holds goes away with it, and every second is paid for.
const serviceStop = 5

// fargateDisk is how many GiB a task has without asking; asking for as many is
// an error (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_EphemeralStorage.html).
const fargateDisk = 20

func architecture(arch string) string {
	if arch == "arm64" {
		return "ARM64"
	}
	return "X86_64"
}

// program is the container of the program. Its image is an override.
func (t *Tasks) program(j Job, whole bool) object {
	var env []variable
	if whole {
		env = variables(j.environment())
	}
	c := t.container(j, program, env)
	c["image"], c["essential"] = t.runner(), true
	var secrets []variable
	for _, name := range slices.Sorted(maps.Keys(j.Secrets)) {
		secrets = append(secrets, variable{Name: name, ValueFrom: j.Secrets[name]})
	}
	if j.Credentials != "" {
		secrets = append(secrets, variable{Name: ecs.EnvCredentials, ValueFrom: j.Credentials})
		c["environment"] = append(c["environment"].([]variable), variable{Name: ecs.EnvCredentialsRegistry, Value: registry(j.Image)})
	}
	c["secrets"] = secrets
	if j.Entrypoint != nil {
		c["entryPoint"] = j.Entrypoint
	}
	if whole && len(j.Command) > 0 {
		c["command"] = j.Command
	}
	workdir := j.Workdir
	var depends []object
	if j.Checkout {
		workdir = inSource(workdir)
		c["mountPoints"] = []object{{"sourceVolume": sourceVolume, "containerPath": sourceDir}}
		depends = append(depends, object{"containerName": checkout, "condition": "SUCCESS"})
	}
	if workdir != "" {
		c["workingDirectory"] = workdir
	}
	for _, s := range j.Services {
		condition := "START"
		if s.Ready != "" {
			condition = "HEALTHY"
		}
		depends = append(depends, object{"containerName": servicePrefix + s.Name, "condition": condition})
	}
	c["dependsOn"] = depends
	return c
}

// container has what all containers have.
func (t *Tasks) container(j Job, name string, env []variable) object {
	// Nobody replaces the task, so that a runner that fails has nothing to wait
	// for; and its words are read by package watch.
	env = append(env, variable{Name: "CLIPPER_BACKOFF", Value: "never"}, variable{Name: "CLIPPER_LOG", Value: "json"})
	var hosts []string
	for _, s := range j.Services {
		hosts = append(hosts, s.Name+"=127.0.0.1")
	}
	if hosts != nil {
		env = append(env, variable{Name: EnvHosts, Value: strings.Join(hosts, ",")})
	}
	options := object{
		"awslogs-group": j.Place.LogGroup, "awslogs-region": t.region(j), "awslogs-stream-prefix": streamPrefix, "awslogs-create-group": "true",
	}
	return object{"name": name, "environment": env, "logConfiguration": object{"logDriver": "awslogs", "options": options}}
}

// environment is what the program starts with beside its secrets.
func (j Job) environment() map[string]string {
	env := maps.Clone(j.Given)
	if env == nil {
		env = map[string]string{}
	}
	maps.Copy(env, j.Env)
	for name := range j.Secrets {
		delete(env, name) // which rules refuse in Env
	}
	return env
}

func variables(env map[string]string) []variable {
	list := []variable{}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		list = append(list, variable{Name: name, Value: env[name]})
	}
	return list
}

func (t *Tasks) runner() string {
	if t.RunnerImage == "" {
		return ecs.DefaultRunner
	}
	return t.RunnerImage
}

// registry is an image's registry as people write it.
func registry(image string) string {
	host, _, _ := strings.Cut(image, "/") // rules have it in its long form
	return host
}

// definition is what is registered for the job, its services on the runner
// image, as far as ECS takes it.
func (t *Tasks) definition(ctx context.Context, j Job, whole bool) (*ecs.Definition, error) {
	written := t.written(j, whole)
	written["family"] = family(j, written)
	text, err := json.Marshal(written)
	if err != nil {
		return nil, err
	}
	def, err := ecs.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	credentials := map[string]string{}
	for _, s := range j.Services {
		credentials[servicePrefix+s.Name] = s.Credentials
	}
	rendered, _, err := ecs.Render(ctx, def, ecs.Options{RunnerImage: t.runner(), Credentials: credentials, Resolve: t.Resolve})
	if errors.Is(err, ecs.ErrRefused) {
		return nil, fmt.Errorf("%w: %w", ErrRefused, err)
	}
	if err != nil {
		return nil, err
	}
	if refusals := rules.Refusals(rendered); len(refusals) > 0 {
		return nil, fmt.Errorf("%w: %s: %s", ErrRefused, refusals[0].Path, refusals[0].Text)
	}
	return rendered, nil
}

// family is the definition's name, after what is written in it: what registers
// one looks at the family's newest revision alone, so that jobs that take turns
// do not register theirs again and again.
func family(j Job, written object) string {
	text, _ := json.Marshal(written) // strings and numbers
	return fmt.Sprintf("clipper-%s-%.*x", j.Name, familyDigits/2, sha256.Sum256(text))
}

// familyDigits tell contents apart in the name of a family.
const familyDigits = 12
