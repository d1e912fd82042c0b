package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	ecsrun "github.com/clipperregistry/runner/ecs/run"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage"
)

type ecsRun struct {
	awsFlags
	clusterFlags
	launchFlags
	pollFlag
	Image string `placeholder:"REF" help:"Image to run; default: the definition's."`
	askFlags
	Container string        `placeholder:"NAME" help:"Container that image, command and variables are for; default: the first essential one with the runner."`
	Env       []string      `short:"e" placeholder:"NAME[=VALUE]" sep:"none" help:"Variable of the program; without a value, the one it has here."`
	Token     string        `placeholder:"TEXT" help:"Client token: the same call with the same token runs one task; default: a new one."`
	StartedBy string        `placeholder:"TEXT" help:"What the task is found by; default: clipper-runner."`
	Timeout   time.Duration `placeholder:"TIME" help:"How long the task may take, as in 2h; then it is stopped."`
	Wait      bool          `negatable:"" default:"true" help:"Wait for the task's end; its exit code is this command's."`
	Save      path          `placeholder:"FILE" help:"Where to keep the task as ECS describes it, JSON; ECS forgets it soon."`
	JSON      bool          `help:"Print one JSON object in the end, and logs on standard error."`

	Family string   `arg:"" help:"Task definition to start from: family, family:revision or ARN."`
	Args   []string `arg:"" optional:"" passthrough:"" name:"cmd" help:"Replaces the definition's command."`
}

// launchFlags say how a task is launched.
type launchFlags struct {
	Like          string   `placeholder:"SERVICE" help:"Launch type, network and platform of this service."`
	LaunchType    string   `enum:"EC2,FARGATE,EXTERNAL," default:"" placeholder:"TYPE" help:"EC2, FARGATE or EXTERNAL; default: the cluster's."`
	Subnet        []string `placeholder:"ID" help:"Subnet of the task."`
	SecurityGroup []string `placeholder:"ID" help:"Security group of the task."`
	PublicIP      bool     `name:"public-ip" help:"Give the task a public address."`
}

func (c *ecsRun) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	client, logs, err := c.ecsClients(ctx)
	if err != nil {
		return err
	}
	request, err := c.request(ctx, client)
	if err != nil {
		return endedECS(ctx, exit, err)
	}
	request.Logs = logs
	if c.Resolve {
		request.Resolve = c.ask
	}
	result, err := ecsrun.Run(ctx, client, request)
	if result != nil {
		*exit = result.ExitCode
		if told := c.tell(result); told != nil && err == nil {
			err = told
		}
	}
	return endedECS(ctx, exit, err)
}

// request is what the flags ask for.
func (c *ecsRun) request(ctx context.Context, client *awsecs.Client) (ecsrun.Request, error) {
	request := ecsrun.Request{
		Cluster: c.Cluster, Definition: c.Family, Container: c.Container, Image: c.Image, Command: behindDashes(c.Args),
		Token: c.Token, StartedBy: c.StartedBy, NoWait: !c.Wait, Timeout: c.Timeout, Pace: c.pace(), LogEvery: min(c.Poll, 2*time.Second), Tell: tellEvent, Line: c.line,
	}
	for _, entry := range c.Env {
		name, value, given := strings.Cut(entry, "=")
		if !given {
			if value, given = os.LookupEnv(name); !given {
				continue
			}
		}
		request.Environment = append(request.Environment, ecsrun.Variable{Name: name, Value: value})
	}
	var err error
	request.Settings, err = c.launch(ctx, client, c.Cluster)
	return request, err
}

// behindDashes is a command without the -- that may stand before it.
func behindDashes(args []string) []string {
	if len(args) > 0 && args[0] == "--" {
		return args[1:]
	}
	return args
}

// launch is how the task is launched: as a service's are, and as the flags say.
func (f launchFlags) launch(ctx context.Context, client *awsecs.Client, cluster string) (awsecs.RunTaskInput, error) {
	in := awsecs.RunTaskInput{PropagateTags: types.PropagateTagsTaskDefinition}
	if f.Like != "" {
		found, err := watch.DescribeServices(ctx, client, cluster, []string{f.Like})
		if err != nil {
			return in, err
		}
		if len(found) == 0 {
			return in, fmt.Errorf("%w: --like: there is no service %s", runnerimage.ErrSettings, f.Like)
		}
		s := found[0]
		in.NetworkConfiguration, in.PlatformVersion, in.CapacityProviderStrategy = s.NetworkConfiguration, s.PlatformVersion, s.CapacityProviderStrategy
		if len(in.CapacityProviderStrategy) == 0 {
			in.LaunchType = s.LaunchType
		}
	}
	if f.LaunchType != "" {
		in.LaunchType, in.CapacityProviderStrategy = types.LaunchType(f.LaunchType), nil
	}
	if len(f.Subnet) == 0 {
		if len(f.SecurityGroup) > 0 || f.PublicIP {
			return in, fmt.Errorf("%w: --security-group and --public-ip need --subnet", runnerimage.ErrSettings)
		}
		return in, nil
	}
	vpc := &types.AwsVpcConfiguration{Subnets: f.Subnet, SecurityGroups: f.SecurityGroup, AssignPublicIp: types.AssignPublicIpDisabled}
	if f.PublicIP {
		vpc.AssignPublicIp = types.AssignPublicIpEnabled
	}
	in.NetworkConfiguration = &types.NetworkConfiguration{AwsvpcConfiguration: vpc}
	return in, nil
}

// line prints a line of a log.
func (c *ecsRun) line(l watch.Line) {
	out := os.Stdout
	if c.JSON {
		out = os.Stderr
	}
	fmt.Fprintf(out, "%s | %s\n", l.Container, l.Text)
}

func (c *ecsRun) tell(result *ecsrun.Result) error {
	task, err := watch.TaskJSON(result.Task)
	if err == nil && c.Save != "" {
		err = os.WriteFile(string(c.Save), append(task, '\n'), 0o644)
	}
	if err := errors.Join(err, summarize("Task of "+c.Family, []watch.Timing{result.Timing})); err != nil {
		return err
	}
	if c.JSON {
		return printJSON(struct {
			Task     string       `json:"task"`
			ExitCode int          `json:"exit_code"`
			Timing   watch.Timing `json:"timing"`
		}{aws.ToString(result.Task.TaskArn), result.ExitCode, result.Timing})
	}
	_, err = fmt.Fprint(os.Stderr, result.Timing.Text())
	return err
}
