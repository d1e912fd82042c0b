package task_test

import (
	"context"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/ecslab"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// lab is set by TestMain before the first test and never after.
var lab *stack.Stack

func TestMain(m *testing.M) { os.Exit(ecslab.Main(m, "../..", &lab)) }

// world is an account with an execution role, and tasks in it.
type world struct {
	*ecslab.World
	*task.Tasks
	role string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	// A tenth of ECS's own times: health checks that a start on a busy machine
	// still passes.
	w := &world{World: ecslab.Start(t, lab, func(c *ecsfake.Config) { c.Speed = 10 })}
	w.Tasks = &task.Tasks{
		Region: w.Config().Region, RunnerImage: stack.RunnerImage, Pace: ecslab.Pace, Logs: w.World.Logs,
		ECS:        func(string) task.Client { return w.World.ECS },
		Parameters: func(string) task.Parameters { return ssm.NewFromConfig(w.Config()) },
		Secrets:    func(string) task.Secrets { return secretsmanager.NewFromConfig(w.Config()) },
	}
	w.role = w.trusted(t, "execution", `{"Version": "2012-10-17", "Statement": [
		{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*:*:parameter/*"},
		{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}`)
	return w
}

// trusted is a role that tasks may have.
func (w *world) trusted(t *testing.T, name, policy string) string {
	t.Helper()
	roles := iam.NewFromConfig(w.Config())
	trust := `{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}]}`
	out, err := roles.CreateRole(t.Context(), &iam.CreateRoleInput{RoleName: &name, AssumeRolePolicyDocument: &trust})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := roles.PutRolePolicy(t.Context(), &iam.PutRolePolicyInput{RoleName: &name, PolicyName: &name, PolicyDocument: &policy}); err != nil {
		t.Fatal(err)
	}
	return *out.Role.Arn
}

// run is one of a repository's rules.
func run(id string) *webhook.Run {
	return &webhook.Run{
		ID: id, Repository: 7, Installation: 3, FullName: "acme/app", Rule: "itest", Commit: strings.Repeat("c0ffee1", 6)[:40], Ref: "refs/heads/main", Attempt: 1,
	}
}

// task is one that runs a script in a shell.
func (w *world) task(script string) *rules.Task {
	return &rules.Task{
		Container: rules.Container{Image: w.Image, Command: []string{"sh", "-c", script}},
		CPU:       256, Memory: 512, Disk: 20, Arch: "amd64", Timeout: rules.Duration(time.Hour),
		Place: rules.ResolvedPlace{Cluster: "default", Subnets: []string{"subnet-0a1b2c3d"}, SecurityGroups: []string{"sg-0a1b2c3d"}, ExecutionRole: w.role, LogGroup: "/clipper/runs"},
	}
}

// start starts a job that has to start.
func (w *world) start(t *testing.T, j task.Job) string {
	t.Helper()
	arn, err := w.Start(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	return arn
}

// truth is what is true of a task now.
func (w *world) truth(t *testing.T, arn string) task.Truth {
	t.Helper()
	truths, err := w.Describe(t.Context(), []string{arn})
	if err != nil || len(truths) != 1 || truths[0].Task != arn {
		t.Fatalf("%+v, %v", truths, err)
	}
	return truths[0]
}

// until waits for a truth.
func (w *world) until(t *testing.T, arn string, holds func(task.Truth) bool) task.Truth {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	for {
		truth := w.truth(t, arn)
		if holds(truth) {
			return truth
		}
		if err := watch.Sleep(ctx, 50*time.Millisecond); err != nil {
			t.Fatalf("still %+v", truth)
		}
	}
}

// ends waits for a task's end, with what its runners said about it.
func (w *world) ends(t *testing.T, arn string, j task.Job) task.Truth {
	t.Helper()
	truth, err := w.Explain(t.Context(), w.until(t, arn, task.Truth.Over), j)
	if err != nil {
		t.Fatal(err)
	}
	return truth
}

// lines are the last lines of a task, each behind its container's name.
func (w *world) lines(t *testing.T, arn string, j task.Job) string {
	t.Helper()
	lines, err := w.Tail(t.Context(), arn, j, 100)
	if err != nil {
		t.Fatal(err)
	}
	var said []string
	for _, l := range lines {
		said = append(said, l.Container+": "+l.Text)
	}
	return strings.Join(said, "\n")
}

// definition is what a task was started from.
func (w *world) definition(t *testing.T, arn string) *awsecs.DescribeTaskDefinitionOutput {
	t.Helper()
	out, err := w.World.ECS.DescribeTasks(t.Context(), &awsecs.DescribeTasksInput{Tasks: []string{arn}})
	if err != nil || len(out.Tasks) != 1 {
		t.Fatal(out, err)
	}
	def, err := w.World.ECS.DescribeTaskDefinition(t.Context(), &awsecs.DescribeTaskDefinitionInput{TaskDefinition: out.Tasks[0].TaskDefinitionArn})
	if err != nil {
		t.Fatal(err)
	}
	return def
}

// port is one of this machine that is free: the containers have its network.
func port(t *testing.T) string {
	t.Helper()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, number, _ := net.SplitHostPort(listener.Addr().String())
	return number
}

// postgresql is Debian's, with its clients.
func postgresql(t *testing.T) string {
	return lab.Push(t, "task/postgresql", stack.Image{
		Layers: []stack.Layer{stack.TarFile(lab.Debian(t, stack.Debian{Packages: []string{"postgresql"}}))},
		Config: v1.Config{
			Env:  []string{"PATH=/usr/lib/postgresql/15/bin:/usr/lib/postgresql/17/bin:/usr/sbin:/usr/bin:/sbin:/bin", "PGDATA=/tmp/data"},
			User: "postgres",
		},
	})
}
