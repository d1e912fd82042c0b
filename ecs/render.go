package ecs

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Render moves the definition's containers onto the runner image. It returns a
// new definition and what it changed; def stays as it is. Every member that no
// rule owns is kept, unknown ones too. The error is an ErrRefused if the
// definition cannot be moved: the changes then hold the reasons. It is an
// ErrOptions if the options name what there is not, and what Options.Resolve
// returned, with the container, if an image cannot be resolved.
//
// Rendering a rendered definition with the same options changes nothing.
func Render(ctx context.Context, def *Definition, options Options) (*Definition, []Change, error) {
	r, err := newRendering(def.Clone(), options)
	if err != nil {
		return nil, nil, err
	}
	// A definition that is refused anyway is no reason to ask a registry.
	r.apply(beforeImages)
	if err := r.refused(); err != nil {
		return nil, r.reasons(), err
	}
	if err := r.resolve(ctx); err != nil {
		return nil, r.reasons(), err
	}
	r.apply(withImages)
	if err := r.refused(); err != nil {
		return nil, r.reasons(), err
	}
	return r.def, r.report(), nil
}

// rendering is one call of Render.
type rendering struct {
	options Options
	def     *Definition // on its way to the result
	moves   moves
	changes []Change
}

// moves are the containers to move.
type moves []*move

// named is the one of this name, nil if it is none of them.
func (all moves) named(name string) *move {
	for _, m := range all {
		if m.Name() == name {
			return m
		}
	}
	return nil
}

// move is one container on its way to the runner image.
type move struct {
	Container
	*rendering
	// again: it is the runner's already, rendered: by Render, at some time.
	again, rendered bool
	// source is the image to become as it is written, "" if every run names
	// one, and ref the same.
	source string
	ref    oci.Reference
	// image is what the registry says of it, nil if nobody was asked.
	image *Image
}

func newRendering(def *Definition, options Options) (*rendering, error) {
	r := &rendering{options: options, def: def}
	if err := options.check(def); err != nil {
		return nil, err
	}
	for _, c := range def.Containers() {
		if why := r.native(c); why != "" {
			r.tell(Keep, ruleNative, c.Path, "stays as it is: %s", why)
			continue
		}
		r.moves = append(r.moves, r.newMove(c))
	}
	return r, nil
}

// newMove finds out what is the image to become.
func (r *rendering) newMove(c Container) *move {
	m := &move{Container: c, rendering: r, rendered: c.Object.Object("dockerLabels").Text(LabelRunner) != ""}
	m.source = c.Text("image")
	if m.again = c.Moved() || r.isRunner(m.source); m.again {
		m.source, _ = c.Env(EnvImage)
	}
	return m
}

// isRunner says whether an image of a definition that was not rendered, but
// written by hand, is the runner's.
func (r *rendering) isRunner(image string) bool {
	ref, err := oci.ParseReference(image)
	if err != nil {
		return false
	}
	for _, runner := range []string{r.options.RunnerImage, DefaultRunner} {
		if known, err := oci.ParseReference(runner); err == nil && known.Name() == ref.Name() {
			return true
		}
	}
	return false
}

// resolve asks for every image once.
func (r *rendering) resolve(ctx context.Context) error {
	if r.options.Resolve == nil {
		return nil
	}
	platform := r.def.Platform()
	known := map[string]*Image{}
	for _, m := range r.moves {
		if m.source == "" {
			continue
		}
		if known[m.source] == nil {
			image, err := r.options.Resolve(ctx, m.ref, platform)
			if err != nil {
				return fmt.Errorf("container %s: %w", m.Name(), err)
			}
			known[m.source] = &image
		}
		m.image = known[m.source]
	}
	return nil
}

// apply applies rules in their order.
func (r *rendering) apply(rules []rule) {
	for _, rule := range rules {
		if rule.task != nil {
			rule.task(r)
		}
		if rule.container != nil {
			for _, m := range r.moves {
				rule.container(m)
			}
		}
	}
}

// tell adds a line to the report.
func (r *rendering) tell(verb Verb, rule, path, format string, args ...any) {
	r.changes = append(r.changes, Change{Path: path, Verb: verb, Rule: rule, Text: fmt.Sprintf(format, args...)})
}

// refuse refuses the definition, or warns where the rule is allowed to be
// broken. It says whether it is.
func (r *rendering) refuse(rule, path, format string, args ...any) (allowed bool) {
	allowed = slices.Contains(r.options.Allow, rule)
	verb := Reject
	if allowed {
		verb = Warn
	}
	r.tell(verb, rule, path, format, args...)
	return allowed
}

// refused is the ErrRefused of all refusals, nil without one.
func (r *rendering) refused() error {
	var reasons []string
	for _, c := range r.report() {
		if c.Verb == Reject {
			reasons = append(reasons, c.String())
		}
	}
	if reasons == nil {
		return nil
	}
	return fmt.Errorf("%w: %s", ErrRefused, strings.Join(reasons, "; "))
}

// reasons is the report where nothing was rendered, so that nothing changed.
func (r *rendering) reasons() []Change {
	return slices.DeleteFunc(r.report(), func(c Change) bool { return c.Verb == Move || c.Verb == Adapt })
}

// report is the changes, those of the task first, then those of its
// containers in their order.
func (r *rendering) report() []Change {
	containers := r.def.Containers()
	position := func(c Change) int {
		return 1 + slices.IndexFunc(containers, func(in Container) bool { return strings.HasPrefix(c.Path, in.Path) })
	}
	changes := slices.Clone(r.changes)
	slices.SortStableFunc(changes, func(a, b Change) int { return cmp.Compare(position(a), position(b)) })
	return changes
}
