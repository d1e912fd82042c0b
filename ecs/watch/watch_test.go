package watch_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/test/ecslab"
)

func TestPace(t *testing.T) {
	p := watch.Pace{Rand: func() float64 { return 0.5 }}
	for n, want := range []float64{5, 6.25, 7.81, 9.77, 12.2, 15, 15} {
		if got := p.After(n).Seconds(); math.Abs(got-want) > 0.01 {
			t.Errorf("round %d: %g s, want %g s", n, got, want)
		}
	}
	low, high := watch.Pace{Rand: func() float64 { return 0 }}, watch.Pace{Rand: func() float64 { return 1 }}
	if low.After(9) != 12*time.Second || high.After(9) != 18*time.Second {
		t.Errorf("%s to %s", low.After(9), high.After(9))
	}
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		if err := p.Wait(t.Context(), 0); err != nil || time.Since(start) != 5*time.Second {
			t.Errorf("%s, %v", time.Since(start), err)
		}
		cause := errors.New("enough")
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		if err := p.Wait(ctx, 0); err != cause || time.Since(start) != 5*time.Second {
			t.Errorf("%s, %v", time.Since(start), err)
		}
	})
}

// TestManyServices counts the calls that a hundred services take whose tasks,
// one or two of each, do not start.
func TestManyServices(t *testing.T) {
	const services, rate = 100, 20 // calls in a second
	w := ecslab.Start(t, ecslab.Open(t, "../.."))
	container := w.Script("app", "sleep 600", map[string]any{"image": w.Missing, "dockerLabels": map[string]string{ecs.LabelRunner: w.Missing}})
	r, err := deploy.Register(t.Context(), w.ECS, ecslab.Definition(t, "web", container), ecslab.Pace)
	if err != nil {
		t.Fatal(err)
	}
	var rollouts []watch.Rollout
	for i := range services {
		name := fmt.Sprintf("web-%d", i)
		out, err := w.ECS.CreateService(t.Context(), &awsecs.CreateServiceInput{ServiceName: &name, TaskDefinition: &r.ARN, DesiredCount: aws.Int32(1), DeploymentConfiguration: &types.DeploymentConfiguration{
			DeploymentCircuitBreaker: &types.DeploymentCircuitBreaker{Enable: true, ThresholdConfiguration: &types.ThresholdConfiguration{Type: types.ThresholdTypeCount, Value: 1}}}})
		if err != nil {
			t.Fatal(err)
		}
		rollouts = append(rollouts, watch.Rollout{Service: name, Deployment: *out.Service.CurrentServiceDeployment, Definition: r.ARN, Parts: r.Parts, Logs: w.Logs})
	}
	// The waits between the rounds are counted, as one number is asked for each.
	rounds := 0
	pace := watch.Pace{First: 200 * time.Millisecond, Most: 200 * time.Millisecond, Rand: func() float64 { rounds++; return 0.5 }}
	w.ResetCounts()
	outcomes, err := watch.Rollouts(t.Context(), w.ECS, pace, rollouts, func(watch.Event) {})
	if err != nil || len(outcomes) != services {
		t.Fatal(len(outcomes), err)
	}
	for _, o := range outcomes {
		if err := o.Err(); !errors.Is(err, watch.ErrFailed) || len(o.Tasks) == 0 || !strings.Contains(o.Failure, "CannotPullContainerError") {
			t.Fatalf("%+v, %v", o, err)
		}
	}
	rounds++ // the last has no wait behind it
	shortest := watch.Pace{Rand: func() float64 { return 0 }}.After(0).Seconds()
	for call, most := range map[string]int{"ecs:DescribeServiceDeployments": 5, "ecs:DescribeServices": 10, "ecs:ListTasks": 40, "ecs:DescribeTasks": 2, "logs:GetLogEvents": 20} {
		if n := w.Calls(call); n == 0 || n > most*rounds {
			t.Errorf("%s: %d calls in %d rounds, want at most %d", call, n, rounds, most*rounds)
		}
		if float64(most) > rate*shortest {
			t.Errorf("%s: %d calls in %g s", call, most, shortest)
		}
	}
	// Every service was listed once for each kind of task, and again only with news.
	if n := w.Calls("ecs:ListTasks"); n > 2*2*services {
		t.Errorf("tasks were listed %d times", n)
	}
}

func TestMissing(t *testing.T) {
	w := ecslab.Start(t, ecslab.Open(t, "../.."))
	pace := watch.Pace{First: time.Millisecond, Most: time.Millisecond}
	arn := "arn:aws:ecs:eu-central-1:123456789012:service-deployment/default/web/1"
	if _, err := watch.Rollouts(t.Context(), w.ECS, pace, []watch.Rollout{{Service: "web", Deployment: arn}}, nil); !errors.Is(err, watch.ErrMissing) {
		t.Error(err)
	}
}

// task is a stopped task: containers by name with exit codes, nil if they
// never ran.
func task(code types.TaskStopCode, containers ...types.Container) types.Task {
	return types.Task{TaskArn: aws.String("arn:aws:ecs:eu-west-1:1:task/default/0123"), LastStatus: aws.String("STOPPED"), StopCode: code, StoppedReason: aws.String("Essential container in task exited"), Containers: containers}
}

func ended(name string, code int32) types.Container {
	return types.Container{Name: &name, ExitCode: &code}
}

func because(c types.Container, reason string) types.Container { c.Reason = &reason; return c }

func TestExitCode(t *testing.T) {
	const exited, failed = types.TaskStopCodeEssentialContainerExited, types.TaskStopCodeTaskFailedToStart
	parts := []watch.Part{{Name: "a", Essential: true}, {Name: "b", Essential: true}, {Name: "side"}}
	for name, test := range map[string]struct {
		task types.Task
		want int
	}{
		"all well":                         {task(exited, ended("a", 0), ended("b", 0), ended("side", 9)), 0},
		"the first that failed":            {task(exited, ended("b", 3), ended("a", 2)), 2},
		"one well, the other ended by ECS": {task(exited, ended("a", 143), ended("b", 0)), 0},
		"one failed, the other ended":      {task(exited, ended("a", 137), ended("b", 4)), 4},
		"killed":                           {task(exited, ended("a", 137)), 137},
		"out of memory":                    {task(exited, because(ended("a", 137), "OutOfMemoryError: container killed"), ended("b", 0)), 137},
		"never ran":                        {task(failed, types.Container{Name: aws.String("a")}), 1},
		"stopped by somebody, in time":     {task(types.TaskStopCodeUserInitiated, ended("a", 0)), 1},
	} {
		if got := watch.ExitCode(test.task, parts); got != test.want {
			t.Errorf("%s: exit code %d, want %d", name, got, test.want)
		}
	}
}

// TestExitWords holds the words against the runner's exit codes.
func TestExitWords(t *testing.T) {
	p := watch.Part{Name: "app", Moved: true}
	for code := int32(runnerimage.ExitInternal); code <= runnerimage.ExitInterrupted; code++ {
		if p.ExitWords(code) == "" || (watch.Part{}).ExitWords(code) != "" {
			t.Errorf("exit code %d: %q, and of a program %q", code, p.ExitWords(code), watch.Part{}.ExitWords(code))
		}
	}
	for code, words := range map[int32]string{
		runnerimage.ExitDenied: "refused the credentials", runnerimage.ExitNotFound: "no such image", runnerimage.ExitNoPlatform: "platform", runnerimage.ExitNoSpace: "disk is full",
		runnerimage.ExitNetwork: "cannot be reached", runnerimage.ExitMismatch: "digest", runnerimage.ExitSettings: "setting", runnerimage.ExitCannotRun: "cannot run",
		runnerimage.ExitInterrupted: "stopped", runnerimage.ExitNotExecutable: "cannot be executed", runnerimage.ExitNoProgram: "not in the image",
	} {
		if got := p.ExitWords(code); !strings.Contains(got, words) {
			t.Errorf("exit code %d: %q", code, got)
		}
	}
}

func TestTime(t *testing.T) {
	begin := time.Unix(1_700_000_000, 0)
	at := func(seconds int) *time.Time { return aws.Time(begin.Add(time.Duration(seconds) * time.Second)) }
	started := types.Task{TaskArn: aws.String("arn:aws:ecs:eu-west-1:1:task/default/0123"), CreatedAt: at(0), PullStartedAt: at(9), PullStoppedAt: at(11), StartedAt: at(14)}
	got := watch.Time(started, nil, watch.Seen{Healthy: *at(70)})
	want := map[watch.Phase]int64{watch.Provisioning: 9000, watch.RunnerPull: 2000, watch.Starting: 3000, watch.Healthy: 70000}
	if fmt.Sprint(got.Milliseconds) != fmt.Sprint(want) || got.Task != "0123" || got.Ending != "" {
		t.Errorf("%+v", got)
	}
}
