package rules_test

import (
	"context"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

// images resolves every reference to an image of a size.
func images(size int64) func(context.Context, oci.Reference, oci.Platform) (ecs.Image, error) {
	return func(context.Context, oci.Reference, oci.Platform) (ecs.Image, error) {
		return ecs.Image{Digest: oci.Digest{Algorithm: "sha256", Hex: strings.Repeat("0", 64)}, Config: &oci.Config{}, Size: size}, nil
	}
}

// rendered renders an edit with an image of 100 MB.
func rendered(t *testing.T, e edit, options ecs.Options) *ecs.Definition {
	t.Helper()
	options.Resolve = images(100e6)
	def, _, err := ecs.Render(t.Context(), e.definition(t), options)
	if err != nil {
		t.Fatal(err)
	}
	return def
}

// TestRendered: changes since a definition was rendered, and images that have
// grown, are found under the name of Render's rule.
func TestRendered(t *testing.T) {
	checked := `{"healthCheck": {"command": ["CMD", "true"]}}`
	set := func(member string, value any) func(*ecs.Object) {
		return func(o *ecs.Object) { o.Set(member, value) }
	}
	for _, tt := range []struct {
		name     string
		change   func(*ecs.Object) // of the rendered container
		size     int64             // of its image now; 0: nobody asks
		rule     string
		path     string
		severity rules.Severity
	}{
		{name: "nothing", size: 100e6},
		{name: "nothing offline"},
		{name: "a big image", size: 12e9, rule: "storage", path: "ephemeralStorage.sizeInGiB", severity: rules.Error},
		{name: "a health check that starves", size: 2e9, rule: "health-check", path: "containerDefinitions[web].healthCheck.startPeriod", severity: rules.Error},
		{name: "an entry point", change: set("entryPoint", []any{"/bin/sh"}), rule: "entrypoint", path: "containerDefinitions[web].entryPoint", severity: rules.Error},
		{name: "a user", change: set("user", "1000"), rule: "user", path: "containerDefinitions[web].user", severity: rules.Error},
		{name: "a read-only root", change: set("readonlyRootFilesystem", true), rule: "readonly-root", path: "containerDefinitions[web].readonlyRootFilesystem", severity: rules.Error},
		{name: "no health check", change: func(o *ecs.Object) { o.Delete("healthCheck") }, rule: "health-check", path: "containerDefinitions[web].healthCheck", severity: rules.Warning},
		{name: "a bare health check", change: func(o *ecs.Object) { o.Object("healthCheck").Set("command", []any{"CMD", "true"}) },
			rule: "health-check", path: "containerDefinitions[web].healthCheck.command", severity: rules.Error},
		{name: "no digest", change: func(o *ecs.Object) {
			o.Set("environment", []any{ecs.NewObject(ecs.Member{Name: "name", Value: ecs.EnvImage}, ecs.Member{Name: "value", Value: "acme/web:1"})})
		},
			rule: "image", path: "containerDefinitions[web].environment", severity: rules.Warning},
		{name: "no digest, known", change: func(o *ecs.Object) {
			o.Set("environment", []any{ecs.NewObject(ecs.Member{Name: "name", Value: ecs.EnvImage}, ecs.Member{Name: "value", Value: "acme/web:1"})})
		},
			size: 100e6, rule: "image", path: "containerDefinitions[web].environment", severity: rules.Warning},
	} {
		t.Run(tt.name, func(t *testing.T) {
			def := rendered(t, fargate(checked), ecs.Options{})
			if tt.change != nil {
				tt.change(def.Containers()[0].Object)
			}
			options := ecs.Options{}
			if tt.size > 0 {
				options.Resolve = images(tt.size)
			}
			found, err := rules.Rendered(t.Context(), def, options)
			if err != nil {
				t.Fatal(err)
			}
			if tt.rule == "" {
				if len(found) > 0 {
					t.Errorf("%v", found)
				}
				return
			}
			if !slices.ContainsFunc(found, func(f rules.Finding) bool { return f.Rule == tt.rule && f.Path == tt.path && f.Severity == tt.severity }) {
				t.Errorf("not found: %v", found)
			}
		})
	}
}

// TestRenderedNothing: an ordinary definition is told as such, once.
func TestRenderedNothing(t *testing.T) {
	found, err := rules.Rendered(t.Context(), fargate(`{"readonlyRootFilesystem": true}`).definition(t), ecs.Options{})
	if err != nil || len(found) != 1 || found[0].Rule != "native" || found[0].Severity != rules.Warning {
		t.Errorf("%v, %v", found, err)
	}
}

// elsewhere are Render's rules that others of this room stand for, or that tell
// nothing of what will be: members that ECS does not know, its size, the digest
// in a label, a store that is asked for.
var elsewhere = []string{"unknown", "size", "labels", "store"}

// TestRenderRules: a rule of Render's is one here, or for a reason none.
func TestRenderRules(t *testing.T) {
	for _, change := range allChanges(t) {
		known := slices.ContainsFunc(rules.RenderTable(), func(r rules.Rule) bool { return r.ID == change.Rule })
		if !known && !slices.Contains(elsewhere, change.Rule) {
			t.Errorf("nobody tells of the rule %s: %s", change.Rule, change)
		}
	}
}
