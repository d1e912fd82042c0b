package run

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/watch"
)

// mostOverrides is how long the overrides of a task may be, as JSON
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html).
const mostOverrides = 8192

// input is the call that starts the task.
func (r *running) input(ctx context.Context) (*awsecs.RunTaskInput, error) {
	part, err := r.part()
	if err != nil {
		return nil, err
	}
	if err := r.pin(ctx, part); err != nil {
		return nil, err
	}
	in := r.Settings
	overrides := types.TaskOverride{}
	if in.Overrides != nil {
		overrides = *in.Overrides
	}
	if overrides.ContainerOverrides, err = r.overrides(part); err != nil {
		return nil, err
	}
	text, err := watch.OverridesJSON(overrides)
	if err != nil {
		return nil, fmt.Errorf("%w: overrides: %w", ErrRequest, err)
	}
	if n := utf8.RuneCount(text); n > mostOverrides {
		return nil, fmt.Errorf("%w: overrides are %d characters, and ECS takes %d: put what is long into the definition or into a file", ErrRequest, n, mostOverrides)
	}
	in.Overrides = &overrides
	in.TaskDefinition, in.ClientToken, in.StartedBy, in.Count = r.definition.TaskDefinitionArn, &r.Token, &r.StartedBy, aws.Int32(1)
	if r.Cluster != "" {
		in.Cluster = &r.Cluster
	}
	return &in, nil
}

// part is the container that the overrides are for.
func (r *running) part() (watch.Part, error) {
	var first *watch.Part
	for i, p := range r.parts {
		switch {
		case r.Container != "":
			if p.Name == r.Container {
				return p, nil
			}
		case p.Essential && p.Moved:
			return p, nil
		case p.Essential && first == nil:
			first = &r.parts[i]
		}
	}
	if first == nil {
		return watch.Part{}, fmt.Errorf("%w: the definition has no container %q", ErrRequest, r.Container)
	}
	return *first, nil
}

// overrides are what is different this time, for the part and for the other
// containers of runners.
func (r *running) overrides(part watch.Part) ([]types.ContainerOverride, error) {
	var all []types.ContainerOverride
	for _, p := range r.parts {
		o := types.ContainerOverride{Name: aws.String(p.Name)}
		if p.Name == part.Name {
			if err := r.override(p, &o); err != nil {
				return nil, err
			}
		}
		if p.Moved {
			o.Environment = append(o.Environment, r.ways(p, o.Environment)...)
		}
		if o.Command != nil || o.Environment != nil || o.Cpu != nil || o.Memory != nil {
			all = append(all, o)
		}
	}
	return all, nil
}

// override overrides what the request asks for.
func (r *running) override(p watch.Part, o *types.ContainerOverride) error {
	o.Command = r.Command
	if r.Image != "" {
		o.Environment = append(o.Environment, types.KeyValuePair{Name: aws.String(ecs.EnvImage), Value: &r.Image})
	}
	for _, v := range r.Environment {
		if guarded(v.Name) {
			return fmt.Errorf("%w: %s is not for a run to set", ErrRequest, v.Name)
		}
		o.Environment = append(o.Environment, types.KeyValuePair{Name: aws.String(v.Name), Value: aws.String(v.Value)})
	}
	if r.CPU > 0 {
		o.Cpu = &r.CPU
	}
	if r.Memory > 0 {
		o.Memory = &r.Memory
	}
	return nil
}

// guarded says whether a variable is the definition's alone: the image, which
// Request.Image names, and what says which credentials there are and whom they
// reach, else whoever may start a task could have them sent elsewhere.
func guarded(name string) bool {
	switch name {
	case ecs.EnvImage, "CLIPPER_INSECURE_REGISTRIES", "CLIPPER_CA_CERTS":
		return true
	}
	return strings.HasPrefix(name, ecs.EnvCredentials)
}

// The runner's settings in a run.
const (
	envLog     = "CLIPPER_LOG"
	envBackoff = "CLIPPER_BACKOFF"
)

// ways are the runner's own settings in a run, unless the definition or the
// request has others: nobody would replace the task, so that one that failed
// has nothing to wait for; and its logs say as JSON where the time went, if
// they are read.
func (r *running) ways(p watch.Part, given []types.KeyValuePair) []types.KeyValuePair {
	for _, c := range r.definition.ContainerDefinitions {
		if aws.ToString(c.Name) == p.Name {
			given = slices.Concat(given, c.Environment)
		}
	}
	ways := map[string]string{envBackoff: "never"}
	if r.Logs != nil {
		ways[envLog] = "json"
	}
	var set []types.KeyValuePair
	for _, name := range slices.Sorted(maps.Keys(ways)) {
		if !slices.ContainsFunc(given, func(v types.KeyValuePair) bool { return aws.ToString(v.Name) == name }) {
			set = append(set, types.KeyValuePair{Name: aws.String(name), Value: aws.String(ways[name])})
		}
	}
	return set
}
