package main

import (
	"context"
	"crypto/x509"
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
	"github.com/clipperregistry/runner/runnerimage/credentials"
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
	image, err := resolve(ctx, s)
	if err != nil {
		return err
	}
	told := inspect(image)
	if c.JSON {
		out := json.NewEncoder(os.Stdout)
		out.SetIndent("", "  ")
		out.SetEscapeHTML(false)
		return out.Encode(told)
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
	roots, err := trustedRoots(parsed.CACerts)
	if err != nil {
		return nil, err
	}
	keychain, err := credentials.New(credentials.Settings{
		Value: s.get("CLIPPER_CREDENTIALS"), Registry: parsed.CredentialsRegistry, Image: parsed.Image.Host(),
	})
	if err != nil {
		return nil, err
	}
	client := registry.New(registry.Options{
		Keychain: keychain, Mirrors: parsed.Mirrors, Insecure: parsed.Insecure, Roots: roots, UserAgent: "clipper-runner/" + version,
	})
	defer client.Close()
	return client.Resolve(ctx, parsed.Image, parsed.Platform)
}

// trustedRoots are the CA certificates of the machine, and those of extra.
func trustedRoots(extra string) (*x509.CertPool, error) {
	pool, err := x509.SystemCertPool()
	if err != nil || extra == "" {
		return pool, err
	}
	paths := []string{extra}
	if entries, err := os.ReadDir(extra); err == nil {
		paths = nil
		for _, entry := range entries {
			paths = append(paths, extra+"/"+entry.Name())
		}
	}
	found := false
	for _, path := range paths {
		if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() {
			continue
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("%w: CLIPPER_CA_CERTS: %w", runnerimage.ErrSettings, err)
		}
		found = pool.AppendCertsFromPEM(data) || found
	}
	if !found {
		return nil, fmt.Errorf("%w: CLIPPER_CA_CERTS: %s holds no PEM certificate", runnerimage.ErrSettings, extra)
	}
	return pool, nil
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
	row("platform", i.Platform)
	row("created", i.Created)
	row("size", fmt.Sprintf("%s in %d layers", size(i.Size), len(i.Layers)))
	for _, layer := range i.Layers {
		row("  layer", fmt.Sprintf("%s  %9s  %s", layer.Digest, size(layer.Size), layer.MediaType))
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

// size writes n bytes as people read them, in powers of ten as registries do.
func size(n int64) string {
	units := []string{"B", "kB", "MB", "GB"}
	v, u := float64(n), 0
	for v >= 1000 && u < len(units)-1 {
		v, u = v/1000, u+1
	}
	if u == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return fmt.Sprintf("%.1f %s", v, units[u])
}
