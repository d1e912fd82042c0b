package ecs_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/txtar"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

var update = flag.Bool("update", false, "write the goldens of testdata/render anew")

// options are the ecs.Options of a golden, with what the registries say.
type options struct {
	RunnerImage string
	Credentials map[string]string
	Containers  []string
	Store       *ecs.Store
	HealthCheck bool
	Allow       []string
	Images      map[string]image
}

type image struct {
	Size, Unpacked int64
	Env, Volumes   []string
}

// digestOf is the digest of every image that a reference names here.
func digestOf(ref oci.Reference) oci.Digest {
	if digest, ok := ref.Digest(); ok {
		return digest
	}
	return oci.Digest{Algorithm: "sha256", Hex: fmt.Sprintf("%x", sha256.Sum256([]byte(ref.String())))}
}

func (o options) ecs() ecs.Options {
	options := ecs.Options{
		RunnerImage: o.RunnerImage, Credentials: o.Credentials, Containers: o.Containers, Store: o.Store, HealthCheck: o.HealthCheck, Allow: o.Allow,
	}
	if o.Images != nil {
		options.Resolve = o.resolve
	}
	return options
}

func (o options) resolve(_ context.Context, ref oci.Reference, _ oci.Platform) (ecs.Image, error) {
	for text, image := range o.Images {
		known, err := oci.ParseReference(text)
		if err != nil {
			return ecs.Image{}, err
		}
		if known.Name() != ref.Name() {
			continue
		}
		config := &oci.Config{}
		config.Config.Env = image.Env
		config.Config.Volumes = map[string]struct{}{}
		for _, path := range image.Volumes {
			config.Config.Volumes[path] = struct{}{}
		}
		return ecs.Image{Digest: digestOf(ref), Config: config, Size: image.Size, Unpacked: image.Unpacked}, nil
	}
	return ecs.Image{}, fmt.Errorf("%s: no such image", ref)
}

// golden is one file of testdata/render: what it is, the options, the
// definition, and what came out.
type golden struct {
	file       string
	archive    *txtar.Archive
	options    options
	definition *ecs.Definition
}

func goldens(t testing.TB) []golden {
	t.Helper()
	files, err := filepath.Glob("testdata/render/*.txtar")
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		g := golden{file: file, archive: archive}
		decoder := json.NewDecoder(bytes.NewReader(g.section("options.json")))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&g.options); err != nil {
			t.Fatalf("%s: options: %v", file, err)
		}
		if g.definition, err = ecs.Parse(append(g.section("definition.json"), g.section("definition.yaml")...)); err != nil {
			t.Fatalf("%s: %v", file, err)
		}
		all = append(all, g)
	}
	return all
}

func (g golden) name() string { return strings.TrimSuffix(filepath.Base(g.file), ".txtar") }

func (g golden) section(name string) []byte {
	for _, file := range g.archive.Files {
		if file.Name == name {
			return file.Data
		}
	}
	return nil
}

// TestGoldens renders definitions of many kinds. The report of each is a part
// of its golden; a definition that is refused has nothing else.
func TestGoldens(t *testing.T) {
	all := goldens(t)
	if len(all) < 20 {
		t.Fatalf("only %d goldens", len(all))
	}
	for _, g := range all {
		t.Run(g.name(), func(t *testing.T) {
			before := g.definition.JSON()
			rendered, changes, err := ecs.Render(t.Context(), g.definition, g.options.ecs())
			got := []txtar.File{{Name: "report", Data: []byte(ecs.Report{Changes: changes}.Text())}}
			switch {
			case err == nil:
				got = append(got, txtar.File{Name: "rendered.json", Data: rendered.JSON()})
				g.isStable(t, rendered)
			case !errors.Is(err, ecs.ErrRefused):
				t.Fatal(err)
			case rendered != nil:
				t.Error("a refused definition was rendered")
			}
			if !bytes.Equal(before, g.definition.JSON()) {
				t.Error("the definition itself was changed")
			}
			g.compare(t, got)
		})
	}
}

// isStable renders what was rendered.
func (g golden) isStable(t *testing.T, rendered *ecs.Definition) {
	t.Helper()
	again, changes, err := ecs.Render(t.Context(), rendered, g.options.ecs())
	if err != nil {
		t.Fatalf("what was rendered: %v", err)
	}
	if !bytes.Equal(again.JSON(), rendered.JSON()) {
		t.Errorf("rendering what was rendered changes it: %v", ecs.Diff(rendered, again))
	}
	for _, c := range changes {
		if c.Verb == ecs.Move || c.Verb == ecs.Adapt {
			t.Errorf("rendering what was rendered tells %q", c)
		}
	}
}

func (g golden) compare(t *testing.T, got []txtar.File) {
	t.Helper()
	kept := slices.DeleteFunc(slices.Clone(g.archive.Files), func(f txtar.File) bool { return f.Name == "report" || f.Name == "rendered.json" })
	want := txtar.Format(g.archive)
	text := txtar.Format(&txtar.Archive{Comment: g.archive.Comment, Files: append(kept, got...)})
	if *update {
		if err := os.WriteFile(g.file, text, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if !bytes.Equal(text, want) {
		t.Errorf("%s is not what comes out; look at the change, then run go test ./ecs -run TestGoldens -update\n%s", g.file, text)
	}
}

// TestGoldensReachEveryRule: a rule that no definition breaks is not proved.
func TestGoldensReachEveryRule(t *testing.T) {
	seen := map[string]bool{}
	for _, g := range goldens(t) {
		_, changes, _ := ecs.Render(t.Context(), g.definition, g.options.ecs())
		for _, c := range changes {
			seen[c.Rule] = true
		}
	}
	for _, rule := range ecs.RuleNames() {
		if !seen[rule] && rule != "size" { // TestSize has that
			t.Errorf("no golden reaches the rule %s", rule)
		}
	}
}
