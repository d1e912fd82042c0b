package main

import (
	"context"
	"fmt"
	"os"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
)

type ecsRegister struct {
	registerFlags
	pollFlag
	JSON bool `help:"Print one JSON object."`
}

// registerFlags are those of all that registers a definition.
type registerFlags struct {
	definitionFlags
	renderFlags
	Family string   `placeholder:"NAME[:REV]" help:"Take a revision that is registered, in place of FILE."`
	Render bool     `negatable:"" default:"true" help:"Render FILE first, unless a container of it is rendered."`
	Verify bool     `negatable:"" default:"true" help:"Verify first, and register nothing that would not work."`
	Accept []string `placeholder:"RULE" help:"Rule of verify whose errors are warnings."`
	Report path     `placeholder:"FILE" help:"Where to tell what rendering changed; default: standard error."`
}

func (c *ecsRegister) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	def, err := c.definition(ctx)
	if err != nil {
		return err
	}
	client, _, err := c.ecsClients(ctx)
	if err != nil {
		return err
	}
	revision, err := deploy.Register(ctx, client, def, c.pace())
	if err != nil {
		return endedECS(ctx, exit, err)
	}
	if c.JSON {
		return printJSON(revision)
	}
	fmt.Println(revision.ARN)
	return nil
}

// definition is what is to be registered: rendered and verified.
func (c registerFlags) definition(ctx context.Context) (*ecs.Definition, error) {
	def, err := c.read(ctx, c.Family)
	if err != nil {
		return nil, err
	}
	if c.Render && !def.Moved() {
		rendered, report, err := c.render(ctx, def)
		if report != nil {
			if err := tellReport(*report, c.Report); err != nil {
				return nil, err
			}
		}
		if err != nil {
			return nil, err
		}
		def = rendered
	}
	if !c.Verify {
		return def, nil
	}
	verifying := ecsVerify{definitionFlags: c.definitionFlags, renderFlags: c.renderFlags, AWS: true, Accept: c.Accept}
	found, err := verifying.verify(ctx, def)
	if err != nil {
		return nil, toldECS(err)
	}
	fmt.Fprint(os.Stderr, found.Text())
	return def, toldECS(found.Err())
}
