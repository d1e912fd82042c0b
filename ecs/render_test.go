package ecs_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

// TestSettingsAreTheRunners: the names in a rendered definition are settings
// that the runner has.
func TestSettingsAreTheRunners(t *testing.T) {
	own := runnerimage.OwnNames()
	for _, name := range []string{ecs.EnvImage, ecs.EnvCredentials, ecs.EnvCredentialsRegistry, ecs.EnvEntrypoint, ecs.EnvUser, ecs.EnvWorkDir, ecs.EnvCapDrop} {
		if !slices.Contains(own, name) {
			t.Errorf("the runner has no setting %s", name)
		}
	}
	if ecs.StorePath != runnerimage.StorePath {
		t.Errorf("the store is mounted at %s, and the runner looks at %s", ecs.StorePath, runnerimage.StorePath)
	}
}

func TestBadOptions(t *testing.T) {
	def := parse(t, `{"requiresCompatibilities":["FARGATE"],"containerDefinitions":[{"name":"a","image":"x"}]}`)
	for _, tt := range []struct {
		options ecs.Options
		want    string
	}{
		{ecs.Options{Containers: []string{"b"}}, `no container "b"`},
		{ecs.Options{Credentials: map[string]string{"b": "arn"}}, `no container "b"`},
		{ecs.Options{Allow: []string{"windows"}}, `"windows" is no rule that may be broken`},
		{ecs.Options{RunnerImage: "UPPER"}, "runner image"},
		{ecs.Options{Store: &ecs.Store{}}, "a store is one of"},
		{ecs.Options{Store: &ecs.Store{EFS: "a", Host: "/b"}}, "a store is one of"},
		{ecs.Options{Store: &ecs.Store{Host: "/b", AccessPoint: "x"}}, "only file systems"},
		{ecs.Options{Store: &ecs.Store{Host: "/b"}}, "Fargate keeps nothing"},
	} {
		if _, _, err := ecs.Render(t.Context(), def, tt.options); !errors.Is(err, ecs.ErrOptions) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.options, err, tt.want)
		}
	}
}

// TestResolve: every image is asked for once, for the platform of the task,
// and not at all where the definition is refused anyway.
func TestResolve(t *testing.T) {
	var asked []string
	options := ecs.Options{Resolve: func(_ context.Context, ref oci.Reference, platform oci.Platform) (ecs.Image, error) {
		asked = append(asked, ref.String()+" "+platform.String())
		return ecs.Image{Digest: digestOf(ref)}, nil
	}}
	render := func(text string) error {
		asked = nil
		_, _, err := ecs.Render(t.Context(), parse(t, text), options)
		return err
	}
	if err := render(`{"runtimePlatform":{"cpuArchitecture":"ARM64"},"containerDefinitions":[{"name":"a","image":"x"},{"name":"b","image":"x"},{"name":"c","image":"amazon/aws-xray-daemon"}]}`); err != nil {
		t.Error(err)
	}
	if want := []string{"index.docker.io/library/x:latest linux/arm64"}; !slices.Equal(asked, want) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	if err := render(`{"networkMode":"none","containerDefinitions":[{"name":"a","image":"x"}]}`); !errors.Is(err, ecs.ErrRefused) || asked != nil {
		t.Errorf("got %v, asked for %q", err, asked)
	}

	gone := errors.New("gone")
	options.Resolve = func(context.Context, oci.Reference, oci.Platform) (ecs.Image, error) { return ecs.Image{}, gone }
	if err := render(`{"containerDefinitions":[{"name":"a","image":"x"}]}`); !errors.Is(err, gone) || !strings.Contains(err.Error(), "container a") {
		t.Errorf("got %v", err)
	}
}

// TestSize: a definition that ECS has no room for is refused.
func TestSize(t *testing.T) {
	room := func(bytes int) (*ecs.Definition, error) {
		text := fmt.Sprintf(`{"family":"a","containerDefinitions":[{"name":"a","image":"x","environment":[{"name":"A","value":"%s"}]}]}`, strings.Repeat("x", bytes))
		rendered, _, err := ecs.Render(t.Context(), parse(t, text), ecs.Options{})
		return rendered, err
	}
	small, err := room(1)
	if err != nil {
		t.Fatal(err)
	}
	text, _ := small.MarshalJSON()
	rest := ecs.MaxSize - len(text) + 1
	if full, err := room(rest); err != nil {
		t.Errorf("%d bytes: %v", ecs.MaxSize, err)
	} else if text, _ := full.MarshalJSON(); len(text) != ecs.MaxSize {
		t.Errorf("it has %d bytes", len(text))
	}
	if _, err := room(rest + 1); !errors.Is(err, ecs.ErrRefused) || !strings.Contains(err.Error(), "65537 bytes") {
		t.Errorf("%d bytes: %v", ecs.MaxSize+1, err)
	}
}

func TestContainer(t *testing.T) {
	def := parse(t, `{"family":"f","containerDefinitions":[{"name":"a","image":"x","secrets":[{"name":"S","valueFrom":"arn"}]},{"image":"y","essential":false},3]}`)
	rendered, _, err := ecs.Render(t.Context(), def, ecs.Options{Containers: []string{"a"}})
	if err != nil {
		t.Fatal(err)
	}
	all := rendered.Containers()
	if len(all) != 2 || all[0].Path != "containerDefinitions[a]" || all[1].Path != "containerDefinitions[1]" {
		t.Fatalf("got %+v", all)
	}
	image, _ := all[0].Env(ecs.EnvImage)
	secret, _ := all[0].Secret("S")
	if !all[0].Moved() || all[1].Moved() || image != "x" || secret != "arn" || !all[0].Essential() || all[1].Essential() {
		t.Errorf("moved %v %v, image %s, secret %s, essential %v %v", all[0].Moved(), all[1].Moved(), image, secret, all[0].Essential(), all[1].Essential())
	}
	if _, ok := all[0].Env("NO"); ok {
		t.Error("a variable that is not there")
	}
	if rendered.Source() != rendered.Digest() || def.Source() != "" || def.Family() != "f" {
		t.Errorf("source %q, digest %q, before %q, family %q", rendered.Source(), rendered.Digest(), def.Source(), def.Family())
	}
}

func TestMarkdown(t *testing.T) {
	report := ecs.Report{Family: "<b>|x", Changes: []ecs.Change{{Path: "a[b]", Verb: ecs.Warn, Rule: "unknown", Text: "one\ntwo | `three` @team"}}}
	text := report.Markdown()
	if strings.ContainsAny(strings.ReplaceAll(text, "| ", ""), "<>`@") || strings.Count(text, "\n") != 5 {
		t.Errorf("text of others is read as Markdown:\n%s", text)
	}
	if text := (ecs.Report{Family: "a"}).Markdown(); !strings.Contains(text, "Nothing changed") {
		t.Errorf("got %s", text)
	}
}

// BenchmarkRender renders a definition of 64 KiB with ten containers.
func BenchmarkRender(b *testing.B) {
	var text strings.Builder
	text.WriteString(`{"family":"big","requiresCompatibilities":["FARGATE"],"containerDefinitions":[`)
	for i := range 10 {
		fmt.Fprintf(&text, `%s{"name":"c%d","image":"acme/app:%d","user":"app","healthCheck":{"command":["CMD","true"]},"environment":[`, strings.Repeat(",", min(i, 1)), i, i)
		for j := range 120 {
			fmt.Fprintf(&text, `%s{"name":"VARIABLE_%d","value":"%s"}`, strings.Repeat(",", min(j, 1)), j, strings.Repeat("v", 8))
		}
		text.WriteString(`]}`)
	}
	text.WriteString(`]}`)
	if text.Len() < 50<<10 || text.Len() > 60<<10 {
		b.Fatalf("the definition has %d bytes", text.Len())
	}
	options := ecs.Options{Resolve: func(_ context.Context, ref oci.Reference, _ oci.Platform) (ecs.Image, error) {
		return ecs.Image{Digest: digestOf(ref), Size: 1 << 30}, nil
	}}
	b.SetBytes(int64(text.Len()))
	for b.Loop() {
		def, err := ecs.Parse([]byte(text.String()))
		if err != nil {
			b.Fatal(err)
		}
		rendered, _, err := ecs.Render(b.Context(), def, options)
		if err != nil {
			b.Fatal(err)
		}
		rendered.JSON()
	}
}
