package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/config"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/runnerimage"
)

type ecsCommand struct {
	Render ecsRender `cmd:"" help:"Move a task definition onto the runner image: ecs render task.json --credentials ARN >rendered.json"`
	Diff   ecsDiff   `cmd:"" help:"Compare a task definition with what is registered: ecs diff task.json"`
	Verify ecsVerify `cmd:"" help:"Say whether a task definition would work, before it is registered: ecs verify task.json"`

	Register ecsRegister `cmd:"" help:"Register a task definition, unless the family's newest revision is the same: ecs register task.json"`
	Deploy   ecsDeploy   `cmd:"" help:"Register a task definition and bring a service to it, to the true end: ecs deploy task.json --service web"`
	Run      ecsRun      `cmd:"" help:"Run one task, with any image, and end as it does: ecs run job --image acme/app:7 ./migrate"`
	Rollback ecsRollback `cmd:"" help:"Take a service back to what it ran before: ecs rollback web"`
	Continue ecsContinue `cmd:"" help:"Continue a deployment that pauses, to its end or its next pause: ecs continue web"`
	Status   ecsStatus   `cmd:"" help:"Tell what services run and what became of their deployments: ecs status web"`
	Tasks    ecsTasks    `cmd:"" help:"List tasks, where their time went and why they stopped: ecs tasks --service web --stopped"`
	Logs     ecsLogs     `cmd:"" help:"Print the logs of all containers of a task: ecs logs -f TASK"`
	Exec     ecsExec     `cmd:"" help:"Run a program in a container of a task: ecs exec TASK sh"`
	Action   ecsAction   `cmd:"" hidden:""`
}

// awsFlags say which account and region are meant; what they leave open is
// found as the AWS CLI finds it.
type awsFlags struct {
	Region  string `placeholder:"REGION" help:"AWS region; default: AWS_REGION, then the profile's."`
	Profile string `placeholder:"NAME" help:"Profile of ~/.aws/config; default: AWS_PROFILE."`
}

func (f awsFlags) load(ctx context.Context) (aws.Config, error) {
	var options []func(*config.LoadOptions) error
	if f.Region != "" {
		options = append(options, config.WithRegion(f.Region))
	}
	if f.Profile != "" {
		options = append(options, config.WithSharedConfigProfile(f.Profile))
	}
	cfg, err := config.LoadDefaultConfig(ctx, options...)
	if err != nil {
		return cfg, fmt.Errorf("%w: AWS: %w", runnerimage.ErrSettings, err)
	}
	return cfg, nil
}

// definitionFlags say where the task definition comes from.
type definitionFlags struct {
	awsFlags
	Env []string `short:"e" placeholder:"NAME[=VALUE]" sep:"none" help:"Variable for {{ env }} and {{ must_env }} in FILE, over those of the environment."`

	File string `arg:"" optional:"" help:"Task definition, JSON or YAML, as registered or described; - for standard input."`
}

// read reads FILE, or else the revision of a live family.
func (f definitionFlags) read(ctx context.Context, family string) (*ecs.Definition, error) {
	if (f.File == "") == (family == "") {
		return nil, fmt.Errorf("%w: name a FILE, or - for standard input, or a family", runnerimage.ErrSettings)
	}
	if family != "" {
		cfg, err := f.load(ctx)
		if err != nil {
			return nil, err
		}
		return liveDefinition(ctx, cfg, family)
	}
	text, err := readInput(f.File, mostDefinition)
	if err != nil {
		return nil, err
	}
	if text, err = ecs.Expand(text, f.lookup); err != nil {
		return nil, toldECS(fmt.Errorf("%s: %w", f.File, err))
	}
	def, err := ecs.Parse(text)
	if err != nil {
		return nil, toldECS(fmt.Errorf("%s: %w", f.File, err))
	}
	return def, nil
}

// lookup is a variable of --env, else of the environment. A NAME alone is
// that of the environment, as in run.
func (f definitionFlags) lookup(name string) (string, bool) {
	for _, entry := range f.Env {
		if n, value, given := strings.Cut(entry, "="); n == name && given {
			return value, true
		}
	}
	return os.LookupEnv(name)
}

// mostDefinition bounds what is read as a definition; Parse takes less.
const mostDefinition = 2 << 20

// readInput reads a file, or standard input if that is -.
func readInput(file string, most int64) ([]byte, error) {
	in := os.Stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", runnerimage.ErrSettings, err)
		}
		defer f.Close()
		in = f
	}
	return io.ReadAll(io.LimitReader(in, most))
}

// liveDefinition gets a revision ("web", "web:7" or its ARN) as ECS tells it,
// with members that the SDK does not know.
func liveDefinition(ctx context.Context, cfg aws.Config, name string) (*ecs.Definition, error) {
	revision, err := deploy.Describe(ctx, awsecs.NewFromConfig(cfg), name)
	return revision.Definition, err
}

// toldECS gives an error of the ecs rooms the exit code that it is to have.
func toldECS(err error) error {
	switch {
	case errors.Is(err, ecs.ErrRefused):
		return cannotRun{err}
	case errors.Is(err, ecs.ErrDefinition), errors.Is(err, ecs.ErrOptions):
		return badArguments{err}
	}
	return err
}

// cannotRun is told as it is, and ends as what cannot run does.
type cannotRun struct{ error }

func (cannotRun) Is(target error) bool { return target == runnerimage.ErrCannotRun }
