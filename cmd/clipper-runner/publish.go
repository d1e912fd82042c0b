package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"text/tabwriter"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/publish"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
	"github.com/google/go-containerregistry/pkg/authn"
)

type publishCommand struct {
	Platform        string `placeholder:"OS/ARCH" help:"The only platform to publish of an index; default: all."`
	CredentialsFile path   `placeholder:"FILE" help:"A token, user:password or docker config.json; default: CLIPPER_CREDENTIALS, then docker login's."`
	From            string `placeholder:"PREVIOUS" help:"Published version whose unchanged layers to take over; default: what DST is now."`
	JSON            bool   `help:"Print one JSON object."`

	Src string `arg:"" help:"Image to publish: a reference, oci:DIR[:TAG], docker-archive:FILE[:TAG] or docker-daemon:IMAGE."`
	Dst string `arg:"" help:"Tag to publish it as."`
}

func (c *publishCommand) Run(*int) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	source, err := publish.ParseSource(c.Src)
	if err != nil {
		return told(err)
	}
	target, err := oci.ParseReference(c.Dst)
	if err != nil {
		return fmt.Errorf("%w: %w", runnerimage.ErrSettings, err)
	}
	options, err := c.options(target)
	if err != nil {
		return err
	}
	report, err := publish.Publish(ctx, source, target, options)
	if err != nil {
		return told(err)
	}
	if c.JSON {
		return printJSON(report)
	}
	return printReport(os.Stdout, report)
}

// told gives an error of the publish room the exit code that it is to have.
func told(err error) error {
	switch {
	case errors.Is(err, publish.ErrArguments):
		return badArguments{err}
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: %w; TMPDIR names the directory for temporary files", rootfs.ErrNoSpace, err)
	}
	return err
}

// badArguments is told as it is, and ends as bad settings do.
type badArguments struct{ error }

func (badArguments) Is(target error) bool { return target == runnerimage.ErrSettings }

// options puts the flags over the variables.
func (c *publishCommand) options(target oci.Reference) (publish.Options, error) {
	s, err := newSettings(os.Environ(), target.String(), pullFlags{Platform: c.Platform, CredentialsFile: c.CredentialsFile})
	if err != nil {
		return publish.Options{}, err
	}
	s.trustMachine()
	parsed, err := runnerimage.ParseSettings(s, nil)
	if err != nil {
		return publish.Options{}, err
	}
	o := publish.Options{
		DockerHost: os.Getenv("DOCKER_HOST"),
		Mirrors:    parsed.Mirrors, Insecure: parsed.Insecure, UserAgent: "clipper-runner/" + version,
	}
	if s.get("CLIPPER_PLATFORM") != "" {
		o.Platform = &parsed.Platform
	}
	if c.From != "" {
		if o.Previous, err = oci.ParseReference(c.From); err != nil {
			return publish.Options{}, fmt.Errorf("%w: --from: %w", runnerimage.ErrSettings, err)
		}
	}
	if o.Roots, err = runnerimage.TrustedRoots(parsed.CACerts, rootFS()); err != nil {
		return publish.Options{}, err
	}
	if o.Keychain, err = newKeychain(parsed); err != nil {
		return publish.Options{}, err
	}
	if parsed.Log == runnerimage.LogText {
		o.Done = func(l publish.Layer) { fmt.Fprintf(os.Stderr, "clipper-runner: layer %s %s\n", l.Source, l.Action) }
	}
	return o, nil
}

// keychain has the credentials for the registries of a publish: those given,
// and of `docker login` for the others. "-" is none for anybody.
type keychain struct {
	given     *credentials.Keychain // nil if none are given
	anonymous bool
}

func newKeychain(parsed runnerimage.Settings) (keychain, error) {
	value := strings.TrimSpace(parsed.Credentials)
	if value == "" {
		return keychain{}, nil
	}
	given, err := credentials.New(credentials.Settings{Value: value, Registry: parsed.CredentialsRegistry, Image: parsed.Image.Host()})
	return keychain{given, value == "-"}, err
}

// Login implements registry.Keychain.
func (k keychain) Login(ctx context.Context, host, repository string) (authn.AuthConfig, error) {
	if k.given != nil {
		login, err := k.given.Login(ctx, host, repository)
		if err != nil || k.anonymous || login != (authn.AuthConfig{}) {
			return login, err
		}
	}
	ref, err := oci.ParseReference(host + "/" + repository)
	if err != nil {
		return authn.AuthConfig{}, err
	}
	return personsLogin(ctx, runnerimage.Settings{Image: ref})
}

// printReport tells a person what was published.
func printReport(out io.Writer, r *publish.Report) error {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "published\t%s\n", r.Target)
	fmt.Fprintf(w, "digest\t%s\n", r.Digest)
	if r.Previous != "" {
		fmt.Fprintf(w, "previous\t%s\n", r.Previous)
	}
	for _, image := range r.Images {
		fmt.Fprintf(w, "platform\t%s  %s\n", image.Platform, image.Digest)
		for _, layer := range image.Layers {
			fmt.Fprintf(w, "  layer\t%s  %-9s  %9s → %9s%s\n", layer.Digest, layer.Action, runnerimage.Size(layer.Before), runnerimage.Size(layer.After), fetchText("  fetch ", layer.Fetch))
		}
		fmt.Fprintf(w, "  size\t%s → %s in %d layers\n", runnerimage.Size(image.Before), runnerimage.Size(image.After), len(image.Layers))
		if image.Fetch != nil {
			fmt.Fprintf(w, "  update\ta client of the previous version fetches %s of %s\n", fetchText("", image.Fetch), runnerimage.Size(image.After))
		}
	}
	fmt.Fprintf(w, "sent\t%s\n", runnerimage.Size(r.Sent))
	for _, note := range r.Notes {
		fmt.Fprintf(w, "note\t%s\n", note)
	}
	return w.Flush()
}

func fetchText(before string, f *publish.Fetch) string {
	if f == nil {
		return ""
	}
	if f.Chunks == 1 {
		return fmt.Sprintf("%s%s (1 chunk)", before, runnerimage.Size(f.Bytes))
	}
	return fmt.Sprintf("%s%s (%d chunks)", before, runnerimage.Size(f.Bytes), f.Chunks)
}
