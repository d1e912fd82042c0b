package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

type inspectCommand struct {
	pullFlags
	JSON  bool   `help:"Print one JSON object."`
	Image string `arg:"" help:"Image to look at."`
}

// inspection is what inspect tells; its JSON is for machines.
type inspection struct {
	Image       string            `json:"image"`
	Digest      string            `json:"digest"`
	MediaType   string            `json:"media_type"`
	IndexDigest string            `json:"index_digest,omitempty"`
	Platforms   []string          `json:"platforms,omitempty"`
	Platform    string            `json:"platform"`
	Created     string            `json:"created,omitempty"`
	Layers      []inspectedLayer  `json:"layers"`
	Size        int64             `json:"size"`
	User        string            `json:"user,omitempty"`
	Env         []string          `json:"env,omitempty"`
	Entrypoint  []string          `json:"entrypoint,omitempty"`
	Cmd         []string          `json:"cmd,omitempty"`
	WorkingDir  string            `json:"working_dir,omitempty"`
	Volumes     []string          `json:"volumes,omitempty"`
	Ports       []string          `json:"ports,omitempty"`
	StopSignal  string            `json:"stop_signal,omitempty"`
	Healthcheck []string          `json:"healthcheck,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
}

type inspectedLayer struct {
	Digest    string `json:"digest"`
	MediaType string `json:"media_type"`
	Size      int64  `json:"size"`
}

func (c *inspectCommand) Run(*int) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	s, err := newSettings(os.Environ(), c.Image, c.pullFlags)
	if err != nil {
		return err
	}
	s.trustMachine()
	image, err := resolve(ctx, s)
	if err != nil {
		return err
	}
	told := inspect(image)
	if c.JSON {
		return printJSON(told)
	}
	return told.print(os.Stdout)
}

// resolve asks the registry for the image that the settings name.
func resolve(ctx context.Context, s settings) (*registry.Image, error) {
	parsed, err := runnerimage.ParseSettings(s, nil)
	if err != nil {
		return nil, err
	}
	if err := s.login(ctx, parsed); err != nil {
		return nil, err
	}
	parsed.Credentials = s.get("CLIPPER_CREDENTIALS")
	return runnerimage.Resolve(ctx, runnerimage.Config{
		Settings: parsed, Files: rootFS(), UserAgent: "clipper-runner/" + version,
	})
}

func inspect(image *registry.Image) inspection {
	config := image.Config.Config
	told := inspection{
		Image: image.Reference.String(), Digest: image.Digest.String(), MediaType: mediaType(image.Manifest),
		Platform: platform(image.Config), User: config.User, Env: config.Env, Entrypoint: config.Entrypoint, Cmd: config.Cmd,
		WorkingDir: config.WorkingDir, Volumes: slices.Sorted(maps.Keys(config.Volumes)), Ports: slices.Sorted(maps.Keys(config.ExposedPorts)),
		StopSignal: config.StopSignal, Labels: config.Labels,
	}
	if image.IndexDigest != (oci.Digest{}) {
		told.IndexDigest = image.IndexDigest.String()
		told.Platforms = oci.Platforms(image.Index)
	}
	if created := image.Config.Created.Time; !created.IsZero() {
		told.Created = created.UTC().Format("2006-01-02 15:04:05 UTC")
	}
	if config.Healthcheck != nil {
		told.Healthcheck = config.Healthcheck.Test
	}
	told.Layers = []inspectedLayer{}
	for _, layer := range image.Manifest.Layers {
		told.Layers = append(told.Layers, inspectedLayer{layer.Digest.String(), string(layer.MediaType), layer.Size})
		told.Size += layer.Size
	}
	return told
}

// mediaType is what the manifest says of itself, or is by its config.
func mediaType(m *oci.Manifest) string {
	if m.MediaType != "" {
		return string(m.MediaType)
	}
	return "application/vnd.oci.image.manifest.v1+json"
}

func platform(c *oci.Config) string {
	return oci.Platform{OS: c.OS, Architecture: c.Architecture, Variant: c.Variant}.String()
}

func (i inspection) print(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	row := func(name string, values ...string) {
		for _, value := range values {
			if value != "" {
				fmt.Fprintf(w, "%s\t%s\n", name, value)
				name = ""
			}
		}
	}
	row("image", i.Image)
	row("digest", i.Digest)
	row("media type", i.MediaType)
	row("index", i.IndexDigest)
	row("  has", i.Platforms...)
	row("platform", i.Platform)
	row("created", i.Created)
	row("size", fmt.Sprintf("%s in %d layers", runnerimage.Size(i.Size), len(i.Layers)))
	for _, layer := range i.Layers {
		row("  layer", fmt.Sprintf("%s  %9s  %s", layer.Digest, runnerimage.Size(layer.Size), layer.MediaType))
	}
	row("user", i.User)
	row("env", i.Env...)
	row("entrypoint", words(i.Entrypoint))
	row("cmd", words(i.Cmd))
	row("workdir", i.WorkingDir)
	row("volumes", i.Volumes...)
	row("ports", i.Ports...)
	row("stop signal", i.StopSignal)
	row("healthcheck", words(i.Healthcheck))
	for _, name := range slices.Sorted(maps.Keys(i.Labels)) {
		row("label", name+"="+i.Labels[name])
	}
	return w.Flush()
}

// words shows a list of arguments as JSON, which leaves no doubt where each
// begins.
func words(list []string) string {
	if len(list) == 0 {
		return ""
	}
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(list); err != nil {
		return fmt.Sprint(list)
	}
	return strings.TrimSpace(b.String())
}
