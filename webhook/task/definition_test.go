package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	ssmtypes "github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// parameter stores a secure string and returns its ARN.
func (w *world) parameter(t *testing.T, name, value string) string {
	t.Helper()
	parameters := ssm.NewFromConfig(w.Config())
	if _, err := parameters.PutParameter(t.Context(), &ssm.PutParameterInput{Name: &name, Value: &value, Type: ssmtypes.ParameterTypeSecureString}); err != nil {
		t.Fatal(err)
	}
	return "arn:aws:ssm:eu-central-1:123456789012:parameter" + name
}

// TestPrivileges: secrets, credentials and the role reach the program and
// nobody else.
func TestPrivileges(t *testing.T) {
	w := newWorld(t)
	described := w.task(`[ "$CODECOV" = uploads ] && echo "it has $AWS_CONTAINER_CREDENTIALS_FULL_URI"`)
	described.Secrets = map[string]string{"CODECOV": w.parameter(t, "/codecov", "uploads")}
	described.Credentials = w.parameter(t, "/pull", "robot:pulls")
	described.TaskRole = w.trusted(t, "deployer", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}`)
	one := port(t)
	described.Services = []rules.ServiceTask{w.web("one", one)}
	described.Disk, described.Memory, described.CPU = 30, 2048, 1024
	j := task.Of(run("privileges"), described)
	arn := w.start(t, j)
	if truth, log := w.ends(t, arn, j), w.lines(t, arn, j); truth.State != webhook.Succeeded || !strings.Contains(log, "run: it has http://") {
		t.Errorf("%+v\n%s", truth, log)
	}
	def := w.definition(t, arn).TaskDefinition
	if *def.TaskRoleArn != described.TaskRole || def.EphemeralStorage.SizeInGiB != 30 || *def.Cpu != "1024" || *def.Memory != "2048" || *def.ExecutionRoleArn != w.role {
		t.Errorf("%+v", def)
	}
	for _, c := range def.ContainerDefinitions {
		if secrets := len(c.Secrets); secrets != 0 && *c.Name != "run" || secrets != 2 && *c.Name == "run" {
			t.Errorf("%s has %d secrets", *c.Name, secrets)
		}
		if hosts := variable(c, task.EnvHosts); hosts != "one=127.0.0.1" {
			t.Errorf("%s has the names %q", *c.Name, hosts)
		}
		if host, _, _ := strings.Cut(w.Image, "/"); *c.Name == "run" && variable(c, ecs.EnvCredentialsRegistry) != host {
			t.Errorf("credentials for %q", variable(c, ecs.EnvCredentialsRegistry))
		}
	}
}

func variable(c types.ContainerDefinition, name string) string {
	for _, v := range c.Environment {
		if *v.Name == name {
			return *v.Value
		}
	}
	return ""
}

// TestLong: what does not fit into overrides is registered, and what does not
// fit there either is refused.
func TestLong(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		value   int
		refused string
	}{
		"short":         {100, ""},
		"to the brim":   {6000, ""},
		"too long":      {20_000, ""},
		"longer by far": {70_000, "ECS takes 65536"},
	} {
		t.Run(name, func(t *testing.T) {
			described := w.task(`echo "${#LONG} characters"`)
			described.Env = map[string]string{"LONG": strings.Repeat("x", test.value)}
			j := task.Of(run("long"+fmt.Sprint(test.value)), described)
			arn, err := w.Start(t.Context(), j)
			if test.refused != "" {
				if !errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), test.refused) {
					t.Error(err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if truth, log := w.ends(t, arn, j), w.lines(t, arn, j); truth.State != webhook.Succeeded || !strings.Contains(log, fmt.Sprintf("run: %d characters", test.value)) {
				t.Errorf("%+v\n%s", truth, log)
			}
			if found, err := w.Find(t.Context(), j); err != nil || found != arn {
				t.Errorf("%s, %v", found, err)
			}
		})
	}
}

// TestRefused: what ECS does not take is refused in words, before anything
// runs; what passes is not.
func TestRefused(t *testing.T) {
	w := newWorld(t)
	for name, test := range map[string]struct {
		change func(*rules.Task)
		text   string
	}{
		"a pair of cpu and memory": {func(d *rules.Task) { d.CPU, d.Memory = 256, 30720 }, "memory"},
		"an image": {func(d *rules.Task) {
			d.Services = []rules.ServiceTask{{Name: "db", Container: rules.Container{Image: "ACME"}}}
		}, "ACME"},
		"a variable of the runner": {func(d *rules.Task) { d.Env = map[string]string{ecs.EnvCredentials: "x"} }, ecs.EnvCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			described := w.task("true")
			test.change(described)
			if _, err := w.Start(t.Context(), task.Of(run("refused"), described)); !errors.Is(err, task.ErrRefused) || !strings.Contains(err.Error(), test.text) {
				t.Error(err)
			}
		})
	}
	if n := w.Calls("ecs:RunTask"); n != 0 {
		t.Errorf("%d tasks", n)
	}
	away := errors.New("the registry is away")
	w.Resolve = func(context.Context, oci.Reference, oci.Platform) (ecs.Image, error) { return ecs.Image{}, away }
	if _, err := w.Start(t.Context(), task.Of(run("away"), w.task("true"))); !errors.Is(err, away) || errors.Is(err, task.ErrRefused) || errors.Is(err, task.ErrLost) {
		t.Error(err)
	}
}

// answering is an ECS that knows these tasks, and only that.
type answering struct {
	task.Client
	tasks []types.Task
}

func (a answering) DescribeTasks(context.Context, *awsecs.DescribeTasksInput, ...func(*awsecs.Options)) (*awsecs.DescribeTasksOutput, error) {
	return &awsecs.DescribeTasksOutput{Tasks: a.tasks}, nil
}

// TestLost: how a task ends whose host goes away, which no host here does.
func TestLost(t *testing.T) {
	const arn = "arn:aws:ecs:eu-central-1:123456789012:task/default/0123"
	stopped := types.Task{TaskArn: aws.String(arn), LastStatus: aws.String("STOPPED")}
	killed := []types.Container{{Name: aws.String("run"), ExitCode: aws.Int32(137)}}
	for name, test := range map[string]struct {
		code       types.TaskStopCode
		reason     string
		containers []types.Container
		want       webhook.State
		exit       bool
	}{
		"spot":       {types.TaskStopCodeSpotInterruption, "Your Spot Task was interrupted.", killed, webhook.Lost, false},
		"retirement": {types.TaskStopCodeTerminationNotice, "", killed, webhook.Lost, false},
		"hardware":   {types.TaskStopCodeInfrastructureHealth, "", nil, webhook.Lost, false},
		"no network": {types.TaskStopCodeTaskFailedToStart, "Timeout waiting for network interface provisioning to complete.", nil, webhook.Lost, false},
		"no image":   {types.TaskStopCodeTaskFailedToStart, "CannotPullContainerError: not found", []types.Container{{Name: aws.String("run")}}, webhook.Failed, false},
		"memory": {types.TaskStopCodeEssentialContainerExited, "Essential container in task exited",
			[]types.Container{{Name: aws.String("run"), ExitCode: aws.Int32(137), Reason: aws.String("OutOfMemoryError: Container killed due to memory usage")}}, webhook.Failed, true},
	} {
		stopped.StopCode, stopped.StoppedReason, stopped.Containers = test.code, &test.reason, test.containers
		tasks := &task.Tasks{ECS: func(string) task.Client { return answering{tasks: []types.Task{stopped}} }}
		truths, err := tasks.Describe(t.Context(), []string{arn})
		if err != nil || truths[0].State != test.want || truths[0].ExitCode != nil != test.exit || truths[0].Reason == "" {
			t.Errorf("%s: %+v, %v", name, truths, err)
		}
	}
}

// TestOverdue: running counts from its start, and a start has its own limit.
func TestOverdue(t *testing.T) {
	created := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	waiting := task.Truth{State: webhook.Running, Created: created}
	running := task.Truth{State: webhook.Running, Created: created, Started: created.Add(time.Minute)}
	over := running
	over.State = webhook.Failed
	for name, test := range map[string]struct {
		truth task.Truth
		after time.Duration
		want  bool
	}{
		"it starts":               {waiting, task.StartLimit, false},
		"it does not start":       {waiting, task.StartLimit + time.Second, true},
		"it runs":                 {running, 11 * time.Minute, false},
		"it runs too long":        {running, 11*time.Minute + time.Second, true},
		"it is over":              {over, 24 * time.Hour, false},
		"it is not known, or yet": {task.Truth{}, 24 * time.Hour, false},
	} {
		if got := test.truth.Overdue(10*time.Minute, created.Add(test.after)); got != test.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// counting counts the calls that describe tasks, each with what the SDK itself
// tries again.
type counting struct {
	task.Client
	calls *int
}

func (c counting) DescribeTasks(ctx context.Context, in *awsecs.DescribeTasksInput, options ...func(*awsecs.Options)) (*awsecs.DescribeTasksOutput, error) {
	*c.calls++
	return c.Client.DescribeTasks(ctx, in, options...)
}

// TestMany: a hundred tasks take one call, and those that ECS does not know are
// told as such.
func TestMany(t *testing.T) {
	w := newWorld(t)
	j := task.Of(run("many"), w.task("exec sleep 600"))
	arn := w.start(t, j)
	asked := make([]string, 120)
	for i := range asked {
		asked[i] = fmt.Sprintf("arn:aws:ecs:eu-central-1:123456789012:task/default/%032x", i)
	}
	asked[7], asked[110] = arn, w.start(t, task.Of(run("more"), j.Task))
	calls := 0
	w.Tasks.ECS = func(string) task.Client { return counting{w.World.ECS, &calls} }
	truths, err := w.Describe(t.Context(), asked)
	if err != nil || len(truths) != 120 || calls != 2 {
		t.Fatalf("%d truths by %d calls, %v", len(truths), calls, err)
	}
	for i, truth := range truths {
		if truth.Task != asked[i] || truth.Known() != (i == 7 || i == 110) || truth.Over() || truth.Overdue(time.Nanosecond, time.Now()) && truth.Started.IsZero() {
			t.Errorf("%d: %+v", i, truth)
		}
	}
	if _, err := w.Describe(t.Context(), []string{"task/0123"}); err == nil {
		t.Error("it takes what is no ARN")
	}
}
