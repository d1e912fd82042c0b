package ecsfake_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/test/ecsfake"
)

func TestTaskEnds(t *testing.T) {
	w := start(t)
	d := w.define(t, "job", nil, w.script("app", "echo hello; echo again >&2; exit 42", logged), w.script("helper", "sleep 60", optional, logged))
	task := w.run(t, d)
	if *task.LastStatus != "PROVISIONING" || *task.DesiredStatus != "RUNNING" {
		t.Errorf("a new task is %s and shall be %s", *task.LastStatus, *task.DesiredStatus)
	}
	task = w.stopped(t, task.TaskArn)
	if task.StopCode != types.TaskStopCodeEssentialContainerExited || *task.StoppedReason != "Essential container in task exited" {
		t.Errorf("it stopped as %s: %s", task.StopCode, *task.StoppedReason)
	}
	if code := container(t, task, "app").ExitCode; code == nil || *code != 42 {
		t.Errorf("exit code %v", code)
	}
	for _, at := range [][2]any{{task.CreatedAt, task.PullStartedAt}, {task.PullStartedAt, task.PullStoppedAt}, {task.StoppingAt, task.StoppedAt}} {
		if at[0] == nil || at[1] == nil {
			t.Errorf("a time is missing in %+v", task)
		}
	}
	lines := w.lines(t, task, "app")
	slices.Sort(lines)
	if got := strings.Join(lines, ","); got != "again,hello" {
		t.Errorf("lines %q", got)
	}
}

func TestTaskIsStopped(t *testing.T) {
	w := start(t)
	d := w.define(t, "server", nil, w.script("app", `trap "echo bye; exit 3" TERM; echo up; while :; do sleep 0.1; done`, logged))
	task := w.run(t, d)
	w.running(t, task.TaskArn)
	w.await(t, task.TaskArn, "up", func(types.Task) bool { return len(w.lines(t, task, "app")) > 0 })
	if _, err := w.ecs.StopTask(t.Context(), &ecs.StopTaskInput{Task: task.TaskArn, Reason: aws.String("enough")}); err != nil {
		t.Fatal(err)
	}
	task = w.stopped(t, task.TaskArn)
	if task.StopCode != types.TaskStopCodeUserInitiated || *task.StoppedReason != "enough" || aws.ToInt32(task.Containers[0].ExitCode) != 3 {
		t.Errorf("%s, %s, exit code %d", task.StopCode, *task.StoppedReason, aws.ToInt32(task.Containers[0].ExitCode))
	}
	if got := strings.Join(w.lines(t, task, "app"), ","); got != "up,bye" {
		t.Errorf("lines %q", got)
	}
}

func TestTaskFailsToStart(t *testing.T) {
	w := start(t)
	for _, tt := range []struct {
		name       string
		launchType types.LaunchType
		change     func(*types.ContainerDefinition)
		reason     string // of the task
		container  string // of its container
	}{
		{"no image on EC2", types.LaunchTypeEc2, func(d *types.ContainerDefinition) { d.Image = aws.String(lab.Registry + "/ecsfake/nothing:1") }, "Task failed to start", "CannotPullContainerError: "},
		{"no image on Fargate", types.LaunchTypeFargate, func(d *types.ContainerDefinition) { d.Image = aws.String(lab.Registry + "/ecsfake/nothing:1") }, "CannotPullContainerError: ", "CannotPullContainerError: "},
		{"no program", types.LaunchTypeEc2, func(d *types.ContainerDefinition) { d.Command = []string{"nothing"} }, "Task failed to start", "CannotStartContainerError: "},
		{"no log group", types.LaunchTypeEc2, func(d *types.ContainerDefinition) {
			logged(d)
			d.LogConfiguration.Options["awslogs-create-group"] = "false"
		}, "ResourceInitializationError: failed to validate logger args: ", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := w.define(t, "broken", fargate(tt.launchType), w.script("app", "true", tt.change))
			task := w.stopped(t, w.run(t, d, on(tt.launchType)).TaskArn)
			c := task.Containers[0]
			if task.StopCode != types.TaskStopCodeTaskFailedToStart || c.ExitCode != nil {
				t.Errorf("%s, exit code %v", task.StopCode, c.ExitCode)
			}
			if !strings.HasPrefix(*task.StoppedReason, tt.reason) || !strings.HasPrefix(aws.ToString(c.Reason), tt.container) {
				t.Errorf("%q, container %q", *task.StoppedReason, aws.ToString(c.Reason))
			}
		})
	}
}

// fargate makes a definition one for Fargate, if the task is to run there.
func fargate(launchType types.LaunchType) func(*ecs.RegisterTaskDefinitionInput) {
	return func(in *ecs.RegisterTaskDefinitionInput) {
		if launchType != types.LaunchTypeFargate {
			return
		}
		in.NetworkMode, in.Cpu, in.Memory = types.NetworkModeAwsvpc, aws.String("256"), aws.String("512")
		in.RequiresCompatibilities = []types.Compatibility{types.CompatibilityFargate}
	}
}

// on runs a task on a launch type, on Fargate with the network it needs.
func on(launchType types.LaunchType) func(*ecs.RunTaskInput) {
	return func(in *ecs.RunTaskInput) {
		in.LaunchType = launchType
		if launchType == types.LaunchTypeFargate {
			in.NetworkConfiguration = vpc
		}
	}
}

var vpc = &types.NetworkConfiguration{AwsvpcConfiguration: &types.AwsVpcConfiguration{Subnets: []string{"subnet-1"}, SecurityGroups: []string{"sg-1"}}}

func TestDependencies(t *testing.T) {
	w := start(t)
	healthy := func(d *types.ContainerDefinition) {
		d.HealthCheck = &types.HealthCheck{Command: []string{"CMD-SHELL", "test -e /tmp/ready"}, Interval: aws.Int32(5)}
	}
	t.Run("in their order", func(t *testing.T) {
		volume := func(in *ecs.RegisterTaskDefinitionInput) { in.Volumes = []types.Volume{{Name: aws.String("shared")}} }
		d := w.define(t, "ordered", volume,
			w.script("app", "test -e /shared/1 && test -e /shared/2", after("init", types.ContainerConditionSuccess), after("db", types.ContainerConditionHealthy), mounted),
			w.script("init", "sleep 0.3; echo > /shared/1", optional, mounted),
			w.script("db", "sleep 0.3; echo > /shared/2; echo > /tmp/ready; sleep 60", healthy, mounted))
		task := w.stopped(t, w.run(t, d).TaskArn)
		if code := container(t, task, "app").ExitCode; code == nil || *code != 0 {
			t.Errorf("the app started too early: exit code %v", code)
		}
	})
	t.Run("one that fails", func(t *testing.T) {
		d := w.define(t, "failing", nil, w.script("app", "true", after("init", types.ContainerConditionSuccess)), w.script("init", "exit 7", optional))
		task := w.stopped(t, w.run(t, d).TaskArn)
		if c := container(t, task, "app"); c.ExitCode != nil || !strings.Contains(aws.ToString(c.Reason), "did not exit successfully") || task.StopCode != types.TaskStopCodeTaskFailedToStart {
			t.Errorf("%s, %q, %v", task.StopCode, aws.ToString(c.Reason), c.ExitCode)
		}
	})
}

// mounted shares a volume of the task.
func mounted(d *types.ContainerDefinition) {
	d.MountPoints = append(d.MountPoints, types.MountPoint{SourceVolume: aws.String("shared"), ContainerPath: aws.String("/shared")})
}

func TestClientToken(t *testing.T) {
	w := start(t)
	d := w.define(t, "job", nil, w.script("app", "true"))
	token := func(in *ecs.RunTaskInput) { in.ClientToken = aws.String("delivery-1") }
	first := w.run(t, d, token)
	if again := w.run(t, d, token); *again.TaskArn != *first.TaskArn {
		t.Error("the same token started a second task")
	}
	_, err := w.ecs.RunTask(t.Context(), &ecs.RunTaskInput{TaskDefinition: &d, ClientToken: aws.String("delivery-1"), StartedBy: aws.String("else")})
	var conflict *types.ConflictException
	if !errors.As(err, &conflict) || !slices.Contains(conflict.ResourceIds, *first.TaskArn) {
		t.Errorf("other parameters: %v", err)
	}
}

// TestClose leaves a task, a service and a volume to Close.
func TestClose(t *testing.T) {
	f, err := ecsfake.Start(t.Context(), ecsfake.Config{Dir: lab.Scratch(t), Speed: 100})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{Fake: f, ecs: ecs.NewFromConfig(f.Config()), image: shell(t)}
	d := w.define(t, "left", func(in *ecs.RegisterTaskDefinitionInput) {
		in.Volumes = []types.Volume{{Name: aws.String("shared")}}
	}, w.script("app", "sleep 600", mounted))
	task := w.run(t, d)
	w.running(t, task.TaskArn)
	w.serve(t, "web", d, 1)
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if left := lab.Engine.Docker(t, "ps", "--all", "--quiet", "--filter", "label=com.clipperregistry.ecsfake="+f.URL); strings.TrimSpace(left) != "" {
		t.Errorf("containers are left: %s", left)
	}
	if left := lab.Engine.Docker(t, "volume", "ls", "--quiet", "--filter", "name=ecs-"+(*task.TaskArn)[len(*task.TaskArn)-32:]); strings.TrimSpace(left) != "" {
		t.Errorf("volumes are left: %s", left)
	}
}
