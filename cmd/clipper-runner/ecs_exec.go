package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage"
)

type ecsExec struct {
	awsFlags
	clusterFlags
	Container string `placeholder:"NAME" help:"Container to run in; default: the first essential one."`

	Task string   `arg:"" help:"Task, by its id or ARN; it must have been started with --enable-execute-command."`
	Args []string `arg:"" passthrough:"" name:"cmd" help:"Program to run and its arguments."`
}

// sessionPlugin is AWS's program that speaks the protocol of a session
// (https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html).
const sessionPlugin = "session-manager-plugin"

func (c *ecsExec) Run(exit *int) error {
	plugin, err := exec.LookPath(sessionPlugin)
	if err != nil {
		return fmt.Errorf("%w: ecs exec needs AWS's %s on the PATH: https://docs.aws.amazon.com/systems-manager/latest/userguide/session-manager-working-with-install-plugin.html", runnerimage.ErrSettings, sessionPlugin)
	}
	ctx, stop := untilSignal()
	s, err := c.begin(ctx)
	if err != nil {
		defer stop()
		return endedECS(ctx, exit, err)
	}
	stop()
	return s.run(exit, plugin)
}

// session is one that ECS began, to be led by the plugin.
type session struct {
	*types.Session
	region, target string
}

func (c *ecsExec) begin(ctx context.Context) (*session, error) {
	client, _, err := c.ecsClients(ctx)
	if err != nil {
		return nil, err
	}
	task, parts, err := oneTask(ctx, client, c.Cluster, c.Task)
	if err != nil {
		return nil, err
	}
	container, err := c.container(task, parts)
	if err != nil {
		return nil, err
	}
	out, err := client.ExecuteCommand(ctx, &awsecs.ExecuteCommandInput{
		Cluster: task.ClusterArn, Task: task.TaskArn, Container: container.Name, Command: aws.String(quoted(behindDashes(c.Args))), Interactive: true,
	})
	if err != nil {
		return nil, fmt.Errorf("execute command in task %s: %w", c.Task, err)
	}
	target := "ecs:" + watch.ID(aws.ToString(task.ClusterArn)) + "_" + watch.ID(aws.ToString(task.TaskArn)) + "_" + aws.ToString(container.RuntimeId)
	return &session{out.Session, client.Options().Region, target}, nil
}

// container is the one to run in.
func (c *ecsExec) container(task types.Task, parts []watch.Part) (types.Container, error) {
	name := c.Container
	for _, p := range parts {
		if name == "" && p.Essential {
			name = p.Name
		}
	}
	for _, found := range task.Containers {
		if aws.ToString(found.Name) == name && found.RuntimeId != nil {
			return found, nil
		}
	}
	return types.Container{}, fmt.Errorf("%w: task %s runs no container %q", runnerimage.ErrSettings, c.Task, name)
}

// run hands the session over as the AWS CLI does. Signals are for the program
// at the other end.
func (s *session) run(exit *int, plugin string) error {
	said, err := json.Marshal(s.Session)
	if err != nil {
		return err
	}
	parameters, err := json.Marshal(map[string]string{"Target": s.target})
	if err != nil {
		return err
	}
	endpoint := "https://ssm." + s.region + ".amazonaws.com"
	if strings.HasPrefix(s.region, "cn-") {
		endpoint += ".cn"
	}
	command := exec.Command(plugin, string(said), s.region, "StartSession", "", string(parameters), endpoint)
	command.Stdin, command.Stdout, command.Stderr = os.Stdin, os.Stdout, os.Stderr
	signal.Ignore(syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTSTP)
	err = command.Run()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		*exit = failed.ExitCode()
		return nil
	}
	return err
}

// quoted is a command as ECS splits it: arguments as a shell reads them.
func quoted(args []string) string {
	var words []string
	for _, arg := range args {
		if arg == "" || strings.ContainsAny(arg, " \t\n'\"\\$`;&|<>()*?[]#~!{}") {
			arg = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
		words = append(words, arg)
	}
	return strings.Join(words, " ")
}
