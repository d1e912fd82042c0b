package run

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

// pin pins the image to the digest that its tag has now, so that it is the same
// for all that tell of the task, and an image that is not there starts none.
func (r *running) pin(ctx context.Context, part watch.Part) error {
	if r.Image == "" {
		return nil
	}
	if !part.Moved {
		return fmt.Errorf("%w: the image of container %s cannot be another: the runner is not in it; render the definition first", ErrRequest, part.Name)
	}
	ref, err := oci.ParseReference(r.Image)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRequest, err)
	}
	if r.Resolve == nil || strings.Contains(r.Image, "@") || r.unpinned(part) {
		return nil
	}
	found, err := r.Resolve(ctx, ref, platform(r.definition))
	if err != nil {
		return fmt.Errorf("image %s: %w", r.Image, err)
	}
	r.Image += "@" + found.Digest.String()
	return nil
}

// unpinned says whether the definition leaves the container's image to its tag.
func (r *running) unpinned(part watch.Part) bool {
	for _, c := range r.definition.ContainerDefinitions {
		if aws.ToString(c.Name) == part.Name {
			return c.VersionConsistency == types.VersionConsistencyDisabled
		}
	}
	return false
}

// platform is what a definition's tasks run on.
func platform(def *types.TaskDefinition) oci.Platform {
	p := oci.Platform{OS: "linux", Architecture: "amd64"}
	if def.RuntimePlatform != nil && def.RuntimePlatform.CpuArchitecture == types.CPUArchitectureArm64 {
		p.Architecture = "arm64"
	}
	return p
}
