package ecsfake_test

import (
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	logs "github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/ecslab"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// lab is set by TestMain before the first test and never after.
var lab *stack.Stack

func TestMain(m *testing.M) { os.Exit(ecslab.Main(m, "../..", &lab)) }

// world is a fake with the clients that tests use.
type world struct {
	*ecsfake.Fake
	ecs   *ecs.Client
	logs  *logs.Client
	iam   *iam.Client
	image string
}

// start starts a fake in which ECS's own waits are a hundredth, with an image
// that is a shell.
func start(t *testing.T, change ...func(*ecsfake.Config)) *world {
	t.Helper()
	config := ecsfake.Config{Dir: lab.Scratch(t), Speed: 100}
	for _, c := range change {
		c(&config)
	}
	f, err := ecsfake.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	cfg := f.Config()
	return &world{Fake: f, ecs: ecs.NewFromConfig(cfg), logs: logs.NewFromConfig(cfg), iam: iam.NewFromConfig(cfg), image: shell(t)}
}

// shell pushes an image of busybox.
func shell(t *testing.T) string {
	t.Helper()
	busybox, err := os.ReadFile("/usr/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	tar := tarball.Build(tarball.Dir("bin"), tarball.Dir("tmp"), tarball.Dir("etc"), tarball.File("bin/busybox", string(busybox), tarball.Mode(0o755)),
		tarball.Symlink("bin/sh", "busybox"), tarball.Symlink("bin/sleep", "busybox"), tarball.Symlink("bin/cat", "busybox"), tarball.Symlink("bin/httpd", "busybox"), tarball.Symlink("bin/mkdir", "busybox"), tarball.Symlink("bin/false", "busybox"), tarball.Symlink("bin/wget", "busybox"), tarball.Symlink("bin/wc", "busybox"), tarball.Symlink("bin/test", "busybox"))
	return lab.Push(t, "ecsfake/shell", stack.Image{Layers: []stack.Layer{stack.Tar(tar)}, Config: v1.Config{Env: []string{"PATH=/bin"}}})
}

// script is a container that runs a script.
func (w *world) script(name, script string, change ...func(*types.ContainerDefinition)) types.ContainerDefinition {
	d := types.ContainerDefinition{Name: aws.String(name), Image: aws.String(w.image), Command: []string{"sh", "-c", script}, Memory: aws.Int32(64), StopTimeout: aws.Int32(2)}
	for _, c := range change {
		c(&d)
	}
	return d
}

// logged sends a container's lines to the group /app.
func logged(d *types.ContainerDefinition) {
	d.LogConfiguration = &types.LogConfiguration{LogDriver: types.LogDriverAwslogs, Options: map[string]string{
		"awslogs-group": "/app", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "p", "awslogs-create-group": "true",
	}}
}

func optional(d *types.ContainerDefinition) { d.Essential = aws.Bool(false) }

func after(name string, condition types.ContainerCondition) func(*types.ContainerDefinition) {
	return func(d *types.ContainerDefinition) {
		d.DependsOn = append(d.DependsOn, types.ContainerDependency{ContainerName: &name, Condition: condition})
	}
}

// define registers a definition of these containers.
func (w *world) define(t *testing.T, family string, change func(*ecs.RegisterTaskDefinitionInput), containers ...types.ContainerDefinition) string {
	t.Helper()
	in := &ecs.RegisterTaskDefinitionInput{Family: &family, ContainerDefinitions: containers}
	if change != nil {
		change(in)
	}
	out, err := w.ecs.RegisterTaskDefinition(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	return *out.TaskDefinition.TaskDefinitionArn
}

// run runs a task of a definition.
func (w *world) run(t *testing.T, definition string, change ...func(*ecs.RunTaskInput)) types.Task {
	t.Helper()
	in := &ecs.RunTaskInput{TaskDefinition: &definition}
	for _, c := range change {
		c(in)
	}
	out, err := w.ecs.RunTask(t.Context(), in)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Tasks) != 1 || len(out.Failures) != 0 {
		t.Fatalf("%d tasks, failures %v", len(out.Tasks), out.Failures)
	}
	return out.Tasks[0]
}

func (w *world) task(t *testing.T, arn *string) types.Task {
	t.Helper()
	out, err := w.ecs.DescribeTasks(t.Context(), &ecs.DescribeTasksInput{Tasks: []string{*arn}})
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Tasks) != 1 {
		t.Fatalf("failures %v", out.Failures)
	}
	return out.Tasks[0]
}

// await asks for a task until something holds of it.
func (w *world) await(t *testing.T, arn *string, what string, holds func(types.Task) bool) types.Task {
	t.Helper()
	for {
		task := w.task(t, arn)
		if holds(task) {
			return task
		}
		select {
		case <-t.Context().Done():
		case <-time.After(20 * time.Millisecond):
			continue
		}
		t.Fatalf("the task never was %s: %s, %s", what, *task.LastStatus, aws.ToString(task.StoppedReason))
	}
}

func (w *world) stopped(t *testing.T, arn *string) types.Task {
	t.Helper()
	return w.await(t, arn, "STOPPED", func(task types.Task) bool { return *task.LastStatus == "STOPPED" })
}

func (w *world) running(t *testing.T, arn *string) types.Task {
	t.Helper()
	return w.await(t, arn, "RUNNING", func(task types.Task) bool { return *task.LastStatus == "RUNNING" })
}

func container(t *testing.T, task types.Task, name string) types.Container {
	t.Helper()
	for _, c := range task.Containers {
		if *c.Name == name {
			return c
		}
	}
	t.Fatalf("no container %s", name)
	return types.Container{}
}

// lines are what a container has written to its stream.
func (w *world) lines(t *testing.T, task types.Task, name string) []string {
	t.Helper()
	id := (*task.TaskArn)[len(*task.TaskArn)-32:]
	out, err := w.logs.GetLogEvents(t.Context(), &logs.GetLogEventsInput{LogGroupName: aws.String("/app"), LogStreamName: aws.String("p/" + name + "/" + id), StartFromHead: aws.Bool(true)})
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, e := range out.Events {
		lines = append(lines, *e.Message)
	}
	return lines
}

// trusting makes a role that tasks may have, with an inline policy if any.
func (w *world) trusting(t *testing.T, name, policy string) string {
	t.Helper()
	trust := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":["ecs-tasks.amazonaws.com"]},"Action":"sts:AssumeRole"}]}`
	out, err := w.iam.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	if policy != "" {
		if _, err := w.iam.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: aws.String("inline"), PolicyDocument: &policy}); err != nil {
			t.Fatal(err)
		}
	}
	return *out.Role.Arn
}
