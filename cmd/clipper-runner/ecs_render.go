package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

type ecsRender struct {
	definitionFlags
	renderFlags
	Family string `placeholder:"NAME[:REV]" help:"Render a revision that is registered, in place of FILE."`
	Output string `enum:"json,yaml" default:"json" placeholder:"json|yaml" help:"Form of the rendered definition."`
	Report path   `placeholder:"FILE" help:"Where to tell what changed and why: text, .json or .md; default: standard error."`
}

// renderFlags are the flags of all that renders.
type renderFlags struct {
	Credentials []string `placeholder:"[CONTAINER=]ARN" sep:"none" help:"Parameter or secret with the credentials that tasks pull with; default: the definition's repositoryCredentials."`
	askFlags
	RunnerImage string   `placeholder:"REF" help:"Runner image; default: the definition's, else clipperregistry/runner of this version."`
	Container   []string `placeholder:"NAME" sep:"none" help:"Container to move; default: all but known sidecars."`
	Store       string   `placeholder:"STORE" help:"Volume that keeps images between tasks: efs:FS[,AP], s3files:ARN[,ARN], host:DIR, docker:NAME."`
	HealthCheck bool     `help:"Give containers without a health check the runner's."`
	PullRate    string   `placeholder:"SIZE" help:"Compressed bytes a second that a task pulls and unpacks, as in 40MB; default: 10MB."`
	Allow       []string `placeholder:"RULE" help:"Rule that may warn where it would refuse."`
}

// askFlags say whether and how registries are asked about images.
type askFlags struct {
	Resolve         bool `negatable:"" default:"true" help:"Ask the images' registries: pin images to their digests, make room and time for their sizes."`
	CredentialsFile path `placeholder:"FILE" help:"What to ask the registries with: a token, user:password or docker config.json; default: CLIPPER_CREDENTIALS, then docker login's."`
}

func (c *ecsRender) Run(*int) error {
	ctx, stop := untilSignal()
	defer stop()
	def, err := c.read(ctx, c.Family)
	if err != nil {
		return err
	}
	rendered, report, err := c.render(ctx, def)
	if report != nil {
		if err := tellReport(*report, c.Report); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	text := rendered.JSON()
	if c.Output == "yaml" {
		if text, err = rendered.YAML(); err != nil {
			return err
		}
	}
	_, err = os.Stdout.Write(text)
	return err
}

// render renders a definition. There is a report even where the definition is
// refused.
func (f renderFlags) render(ctx context.Context, def *ecs.Definition) (*ecs.Definition, *ecs.Report, error) {
	options, err := f.options()
	if err != nil {
		return nil, nil, err
	}
	if f.Resolve {
		if err := f.oneRegistry(ctx, def, options); err != nil {
			return nil, nil, err
		}
		options.Resolve = f.ask
	}
	rendered, changes, err := ecs.Render(ctx, def, options)
	report := &ecs.Report{Family: def.Family(), Changes: append([]ecs.Change{}, changes...)}
	return rendered, report, toldECS(err)
}

var released = regexp.MustCompile(`^[0-9]+\.[0-9]+\.[0-9]+$`)

func (f renderFlags) options() (ecs.Options, error) {
	o := ecs.Options{RunnerImage: f.RunnerImage, Containers: f.Container, HealthCheck: f.HealthCheck, Allow: f.Allow, Credentials: map[string]string{}}
	if released.MatchString(version) { // the runner image has its tag, too
		o.Version = version
	}
	for _, entry := range f.Credentials {
		// An ARN has colons, and a container's name has none.
		container, arn, named := strings.Cut(entry, "=")
		if !named || strings.ContainsAny(container, ":/") {
			container, arn = "", entry
		}
		if o.Credentials[container] != "" || arn == "" {
			return o, fmt.Errorf("%w: --credentials %s: give one ARN for each container, and one for all others", runnerimage.ErrSettings, entry)
		}
		o.Credentials[container] = arn
	}
	if f.PullRate != "" {
		rate, err := runnerimage.ParseSize(f.PullRate)
		if err != nil {
			return o, fmt.Errorf("%w: --pull-rate: %w", runnerimage.ErrSettings, err)
		}
		o.PullRate = rate
	}
	var err error
	o.Store, err = parseStoreVolume(f.Store)
	return o, err
}

func parseStoreVolume(text string) (*ecs.Store, error) {
	if text == "" {
		return nil, nil
	}
	kind, value, _ := strings.Cut(text, ":")
	value, accessPoint, _ := strings.Cut(value, ",")
	s := &ecs.Store{AccessPoint: accessPoint}
	fields := map[string]*string{"efs": &s.EFS, "s3files": &s.S3Files, "host": &s.Host, "docker": &s.Docker}
	if fields[kind] == nil || value == "" {
		return nil, fmt.Errorf("%w: --store %s is none of efs:FS[,AP], s3files:ARN[,ARN], host:DIR, docker:NAME", runnerimage.ErrSettings, text)
	}
	*fields[kind] = value
	return s, nil
}

// ask is the ecs.Options.Resolve that asks with the credentials of whoever
// runs this command.
func (f askFlags) ask(ctx context.Context, ref oci.Reference, platform oci.Platform) (ecs.Image, error) {
	s, err := newSettings(os.Environ(), ref.String(), pullFlags{Platform: platform.String(), CredentialsFile: f.CredentialsFile})
	if err != nil {
		return ecs.Image{}, err
	}
	return askWith(ctx, s)
}

// askWith asks with the credentials of the settings.
func askWith(ctx context.Context, s settings) (ecs.Image, error) {
	s.trustMachine()
	image, err := resolve(ctx, s)
	if err != nil {
		return ecs.Image{}, err
	}
	found := ecs.Image{Digest: image.Named(), Config: image.Config}
	for _, layer := range image.Manifest.Layers {
		found.Size += layer.Size
	}
	return found, nil
}

// oneRegistry refuses credentials that are for nobody in particular where
// several registries will be asked: all but one would see what is not theirs.
func (f renderFlags) oneRegistry(ctx context.Context, def *ecs.Definition, options ecs.Options) error {
	s, err := newSettings(os.Environ(), "", pullFlags{CredentialsFile: f.CredentialsFile})
	if err != nil {
		return err
	}
	if s.get("CLIPPER_CREDENTIALS") == "" || s.get("CLIPPER_CREDENTIALS_REGISTRY") != "" {
		return nil
	}
	rendered, _, err := ecs.Render(ctx, def, options)
	if err != nil {
		return nil // told by the call that counts
	}
	host := ""
	for _, c := range rendered.Containers() {
		image, _ := c.Env(ecs.EnvImage)
		ref, err := oci.ParseReference(image)
		if err != nil || !c.Moved() {
			continue
		}
		if host != "" && host != ref.Host() {
			return fmt.Errorf("%w: the images are in %s and %s: say in CLIPPER_CREDENTIALS_REGISTRY whose CLIPPER_CREDENTIALS are", runnerimage.ErrSettings, host, ref.Host())
		}
		host = ref.Host()
	}
	return nil
}

// tellReport writes the report to the file, or to standard error. In a job of
// GitHub it is in the step's summary, too.
func tellReport(report ecs.Report, to path) error {
	file := string(to)
	if summary := os.Getenv("GITHUB_STEP_SUMMARY"); summary != "" {
		if err := appendFile(summary, report.Markdown()); err != nil {
			return fmt.Errorf("step summary: %w", err)
		}
	}
	text := report.Text()
	switch filepath.Ext(file) {
	case ".json":
		b, err := json.MarshalIndent(report, "", "  ")
		if err != nil {
			return err
		}
		text = string(b) + "\n"
	case ".md":
		text = report.Markdown()
	}
	if file == "" {
		_, err := os.Stderr.WriteString(text)
		return err
	}
	return os.WriteFile(file, []byte(text), 0o644)
}

func appendFile(file, text string) error {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if closed := f.Close(); err == nil {
		err = closed
	}
	return err
}
