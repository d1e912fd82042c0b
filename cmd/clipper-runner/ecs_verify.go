package main

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/verify"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

type ecsVerify struct {
	definitionFlags
	renderFlags
	Family          string   `placeholder:"NAME[:REV]" help:"Verify a revision that is registered, in place of FILE."`
	Render          bool     `negatable:"" default:"true" help:"Render FILE first, unless a container of it is rendered."`
	AWS             bool     `name:"aws" negatable:"" default:"true" help:"Ask AWS whether secrets and roles exist and whether roles may do what the task needs."`
	Offline         bool     `help:"Ask nobody, neither AWS nor registries."`
	ReadCredentials bool     `help:"Read the task's CLIPPER_CREDENTIALS from AWS, and ask the registries with them; they are not printed."`
	Accept          []string `placeholder:"RULE" help:"Rule whose errors are warnings."`
	JSON            bool     `help:"Print one JSON object."`
}

func (c *ecsVerify) Run(*int) error {
	ctx, stop := untilSignal()
	defer stop()
	def, err := c.read(ctx, c.Family)
	if err != nil {
		return err
	}
	if c.Offline {
		c.AWS, c.Resolve = false, false
	}
	report, err := c.verify(ctx, def)
	if err != nil {
		return toldECS(err)
	}
	if err := c.print(report); err != nil {
		return err
	}
	return toldECS(report.Err())
}

// verify verifies what is registered if the definition is deployed.
func (c *ecsVerify) verify(ctx context.Context, def *ecs.Definition) (*verify.Report, error) {
	options, err := c.verifyOptions(ctx, def)
	if err != nil {
		return nil, err
	}
	if c.Render && !def.Moved() {
		rendered, changes, err := c.rendered(ctx, def)
		if errors.Is(err, ecs.ErrRefused) {
			return verify.Unrendered(def, changes), nil
		}
		if err != nil {
			return nil, err
		}
		def = rendered
	}
	if c.Resolve {
		options.Resolve = c.askAs(home(def))
	}
	return verify.Verify(ctx, def, options)
}

// verifyOptions are the options that the flags ask for.
func (c *ecsVerify) verifyOptions(ctx context.Context, def *ecs.Definition) (verify.Options, error) {
	options := verify.Options{ReadCredentials: c.ReadCredentials, Accept: c.Accept}
	rendering, err := c.options()
	if err != nil {
		return options, err
	}
	options.PullRate = rendering.PullRate
	if c.Resolve {
		if err := c.oneRegistry(ctx, def, rendering); err != nil {
			return options, err
		}
	}
	if c.AWS {
		cfg, err := c.load(ctx)
		if err != nil {
			return options, err
		}
		options.AWS = verify.FromConfig(cfg)
	}
	return options, nil
}

// rendered renders the definition. Where registries do not answer, it does
// without them: what they say is one of the things to verify.
func (c *ecsVerify) rendered(ctx context.Context, def *ecs.Definition) (*ecs.Definition, []ecs.Change, error) {
	options, err := c.options()
	if err != nil {
		return nil, nil, err
	}
	if c.Resolve {
		options.Resolve = c.ask
	}
	rendered, changes, err := ecs.Render(ctx, def, options)
	if err != nil && !errors.Is(err, ecs.ErrRefused) && !errors.Is(err, ecs.ErrOptions) && ctx.Err() == nil {
		options.Resolve = nil
		rendered, changes, err = ecs.Render(ctx, def, options)
	}
	return rendered, changes, err
}

// home is the registry that the containers pull from.
func home(def *ecs.Definition) string {
	for _, c := range def.Containers() {
		image, _ := c.Env(ecs.EnvImage)
		if ref, err := oci.ParseReference(image); err == nil && c.Moved() {
			return ref.Host()
		}
	}
	return ""
}

// askAs makes the verify.Options.Resolve that asks with the task's credentials,
// or else with those of whoever runs this command. Of the latter, what names no
// host goes to the home registry alone.
func (c *ecsVerify) askAs(home string) func(context.Context, verify.Question) (ecs.Image, error) {
	return func(ctx context.Context, q verify.Question) (ecs.Image, error) {
		s, err := newSettings(os.Environ(), q.Reference.String(), pullFlags{Platform: q.Platform.String(), CredentialsFile: c.CredentialsFile})
		if err != nil {
			return ecs.Image{}, err
		}
		const value, registry = "CLIPPER_CREDENTIALS", "CLIPPER_CREDENTIALS_REGISTRY"
		switch {
		case q.Credentials != "":
			s.unset("CLIPPER_CREDENTIALS_FILE")
			s.unset(registry)
			s.set(value, q.Credentials)
			s.set(registry, q.Registry)
		case s.get(registry) != "":
		case home == "":
			s.unset(value)
		default:
			s.set(registry, home)
		}
		return askWith(ctx, s)
	}
}

// print tells the report. In a job of GitHub it is in the step's summary, too.
func (c *ecsVerify) print(report *verify.Report) error {
	if summary := os.Getenv("GITHUB_STEP_SUMMARY"); summary != "" {
		if err := appendFile(summary, report.Markdown()); err != nil {
			return fmt.Errorf("step summary: %w", err)
		}
	}
	if c.JSON {
		return printJSON(report)
	}
	_, err := os.Stdout.WriteString(report.Text())
	return err
}
