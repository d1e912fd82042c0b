package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/smithy-go"

	"github.com/clipperregistry/runner/ecs/deploy"
	ecsrun "github.com/clipperregistry/runner/ecs/run"
	"github.com/clipperregistry/runner/ecs/watch"
)

// clusterFlags say where services and tasks are.
type clusterFlags struct {
	Cluster string `placeholder:"NAME" help:"Cluster, by name or ARN; default: the account's default cluster."`
}

// pollFlag says how often ECS is asked.
type pollFlag struct {
	Poll time.Duration `default:"5s" placeholder:"TIME" help:"How often ECS is asked at first; later a third as often."`
}

func (f pollFlag) pace() watch.Pace { return watch.Pace{First: f.Poll, Most: 3 * f.Poll} }

// ecsClients are the SDK's, with patience: a deployment is not to fail because
// others called too often.
func (f awsFlags) ecsClients(ctx context.Context) (*awsecs.Client, func(region string) watch.LogReader, error) {
	cfg, err := f.load(ctx)
	if err != nil {
		return nil, nil, err
	}
	cfg.RetryMode, cfg.RetryMaxAttempts = aws.RetryModeStandard, 10
	logs := map[string]watch.LogReader{}
	reader := func(region string) watch.LogReader {
		if logs[region] == nil {
			logs[region] = cloudwatchlogs.NewFromConfig(cfg, func(o *cloudwatchlogs.Options) {
				if region != "" {
					o.Region = region
				}
			})
		}
		return logs[region]
	}
	return awsecs.NewFromConfig(cfg), reader, nil
}

// untilSignal is a context that ends with the first signal.
func untilSignal() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
}

// tellEvent tells an event on standard error: a clock, a name, what happened.
func tellEvent(e watch.Event) {
	fmt.Fprintf(os.Stderr, "%s %-10s %s: %s\n", e.At.UTC().Format(time.TimeOnly), e.Kind, e.Name, e.Text)
}

// endedECS gives the command the end that an error of the rooms is to have: 1
// where ECS, or what it ran, failed, and nothing is wrong with the command.
func endedECS(ctx context.Context, exit *int, err error) error {
	var refusal smithy.APIError
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil && !errors.Is(err, context.Canceled):
		return fmt.Errorf("%w: %w", context.Canceled, err)
	case errors.Is(err, deploy.ErrService), errors.Is(err, ecsrun.ErrRequest):
		return badArguments{err}
	case errors.As(err, &refusal), errors.Is(err, watch.ErrFailed), errors.Is(err, watch.ErrMissing), errors.Is(err, deploy.ErrTime), errors.Is(err, deploy.ErrNoProgram), errors.Is(err, deploy.ErrNoPrevious), errors.Is(err, deploy.ErrNotPaused),
		errors.Is(err, ecsrun.ErrNoRoom), errors.Is(err, ecsrun.ErrNotStarted), errors.Is(err, ecsrun.ErrTime):
		fmt.Fprintln(os.Stderr, "clipper-runner: error:", err)
		*exit = 1
		return nil
	}
	return toldECS(err)
}

// summarize adds to the step's summary in a job of GitHub.
func summarize(title string, timings []watch.Timing) error {
	file := os.Getenv("GITHUB_STEP_SUMMARY")
	if file == "" || len(timings) == 0 {
		return nil
	}
	if err := appendFile(file, "### "+title+"\n\n"+watch.Markdown(timings)); err != nil {
		return fmt.Errorf("step summary: %w", err)
	}
	return nil
}
