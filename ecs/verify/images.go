package verify

import (
	"context"
	"errors"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

// anonymous are the credentials of a task that has none.
const anonymous = "-"

// pulled is one image that a task pulls: by ECS, or by the runner.
type pulled struct {
	path, image string
	// credentials are the valueFrom of those to pull with, "" without.
	credentials, registry string
	// own: the caller's login stands for whatever ECS has.
	own bool
	// runner: the runner pulls it, which rules.Rendered has to know of.
	runner bool
}

// pulls lists the images of the task.
func (v *verification) pulls() []pulled {
	var list []pulled
	for _, c := range v.def.Containers() {
		native := pulled{path: c.Path + ".image", image: c.Text("image")}
		native.own = !v.def.Requires("FARGATE") || c.Object.Object("repositoryCredentials") != nil
		list = append(list, native)
		image, _ := c.Env(ecs.EnvImage)
		if !c.Moved() || image == "" {
			continue
		}
		p := pulled{path: c.Path + ".environment", image: image, runner: true}
		p.credentials, _ = c.Secret(ecs.EnvCredentials)
		p.registry, _ = c.Env(ecs.EnvCredentialsRegistry)
		_, p.own = c.Env("CLIPPER_CREDENTIALS_FILE")
		list = append(list, p)
	}
	return list
}

// question is what to ask about a pull. It is not ok where nothing can be.
func (v *verification) question(ctx context.Context, p pulled) (q Question, own, ok bool) {
	ref, err := oci.ParseReference(p.image)
	if err != nil {
		return q, false, false // told by the offline rules
	}
	q = Question{Reference: ref, Platform: v.def.Platform()}
	value, read := v.values[p.credentials]
	_, ecr := credentials.ECRRegion(ref.Host())
	switch {
	case read:
		q.Credentials, q.Registry = value, p.registry
		return q, false, v.usable(ctx, q, p.path)
	case p.credentials != "" || p.own || ecr:
		return q, true, true
	}
	q.Credentials = anonymous
	return q, false, true
}

// askRegistries asks about every image. The result resolves those that the
// runner pulls, as rules.Rendered wants it; it is nil if one of them is not
// known.
func (v *verification) askRegistries(ctx context.Context) func(context.Context, oci.Reference, oci.Platform) (ecs.Image, error) {
	if v.Resolve == nil {
		return nil
	}
	ask := once(v.Resolve)
	images := map[string]ecs.Image{}
	complete := true
	for _, p := range v.pulls() {
		q, own, ok := v.question(ctx, p)
		if ok {
			image, err := ask(ctx, q)
			if ok = v.judge(p, q, own, image, err); ok {
				images[q.Reference.String()] = image
			}
		}
		complete = complete && (ok || !p.runner)
	}
	if !complete {
		return nil
	}
	return func(_ context.Context, ref oci.Reference, _ oci.Platform) (ecs.Image, error) {
		return images[ref.String()], nil
	}
}

// once asks every question once.
func once(ask func(context.Context, Question) (ecs.Image, error)) func(context.Context, Question) (ecs.Image, error) {
	type asked struct{ image, credentials, registry string }
	type answer struct {
		image ecs.Image
		err   error
	}
	answers := map[asked]answer{}
	return func(ctx context.Context, q Question) (ecs.Image, error) {
		key := asked{q.Reference.String(), q.Credentials, q.Registry}
		a, known := answers[key]
		if !known {
			a.image, a.err = ask(ctx, q)
			answers[key] = a
		}
		return a.image, a.err
	}
}

// judge tells what a registry's answer means. It says whether the image is
// there.
func (v *verification) judge(p pulled, q Question, own bool, image ecs.Image, err error) bool {
	platform := q.Platform.String()
	switch {
	case err == nil && image.Config != nil && image.Config.Architecture != "" && image.Config.Architecture != q.Platform.Architecture:
		v.tell(platformRule, p.path, "%s is for %s/%s, and the task for %s", p.image, image.Config.OS, image.Config.Architecture, platform)
	case err == nil:
		return true
	case errors.Is(err, context.Canceled):
	case errors.Is(err, oci.ErrNoPlatform):
		v.tell(platformRule, p.path, "%v", err)
	case errors.Is(err, registry.ErrNotFound), errors.Is(err, registry.ErrUnsupported):
		v.tell(imageRule, p.path, "%v", err)
	case errors.Is(err, registry.ErrDenied) && own:
		v.unchecked(accessRule, p.path, "the task's credentials were not used, and the caller's are refused: %v", err)
	case errors.Is(err, registry.ErrDenied):
		v.tell(accessRule, p.path, "%v", err)
	default:
		v.unchecked(imageRule, p.path, "the registry of %s gave no answer: %s", p.image, cause(err))
	}
	return false
}
