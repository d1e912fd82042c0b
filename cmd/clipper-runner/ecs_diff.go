package main

import (
	"context"
	"fmt"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage"
)

type ecsDiff struct {
	definitionFlags
	renderFlags
	Family   string `placeholder:"NAME[:REV]" help:"Revision to compare with; default: the newest of the definition's family."`
	Against  string `placeholder:"FILE" help:"Task definition to compare with, in place of a registered one."`
	Render   bool   `negatable:"" default:"true" help:"Render FILE first; one that is rendered stays as it is."`
	ExitCode bool   `help:"Exit with 1 if there are differences."`
	JSON     bool   `help:"Print one JSON object."`
}

// differences is what diff tells; its JSON is for machines.
type differences struct {
	Family      string           `json:"family"`
	Differences []ecs.Difference `json:"differences"`
}

func (c *ecsDiff) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	def, err := c.read(ctx, "")
	if err != nil {
		return err
	}
	if c.Render {
		if def, _, err = c.render(ctx, def); err != nil {
			return err
		}
	}
	old, err := c.old(ctx, def)
	if err != nil {
		return err
	}
	found := differences{def.Family(), append([]ecs.Difference{}, ecs.Diff(old, def)...)}
	if c.ExitCode && len(found.Differences) > 0 {
		*exit = 1
	}
	if c.JSON {
		return printJSON(found)
	}
	for _, difference := range found.Differences {
		fmt.Println(difference)
	}
	return nil
}

// old is the definition to compare with.
func (c *ecsDiff) old(ctx context.Context, def *ecs.Definition) (*ecs.Definition, error) {
	family := c.Family
	if c.Against != "" {
		if family != "" {
			return nil, fmt.Errorf("%w: --against and --family: give one of them", runnerimage.ErrSettings)
		}
		return definitionFlags{Env: c.Env, File: c.Against}.read(ctx, "")
	}
	if family == "" {
		family = def.Family()
	}
	if family == "" {
		return nil, fmt.Errorf("%w: the definition has no family: name one with --family", runnerimage.ErrSettings)
	}
	return definitionFlags{awsFlags: c.awsFlags}.read(ctx, family)
}
