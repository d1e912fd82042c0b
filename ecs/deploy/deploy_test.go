package deploy_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/ecslab"
	"github.com/clipperregistry/runner/test/stack"
)

// lab is set by TestMain before the first test and never after.
var lab *stack.Stack

func TestMain(m *testing.M) { os.Exit(ecslab.Main(m, "../..", &lab)) }

// events are what was told.
type events []string

func (e *events) tell(event watch.Event) { *e = append(*e, string(event.Kind)+": "+event.Text) }

func (e *events) have(text string) bool { return strings.Contains(strings.Join(*e, "\n"), text) }

// register registers a definition whose only container runs a script.
func register(t *testing.T, w *ecslab.World, script string, more map[string]any) deploy.Revision {
	t.Helper()
	r, err := deploy.Register(t.Context(), w.ECS, ecslab.Definition(t, "web", w.Script("app", script, more)), ecslab.Pace)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// one is a service of one task; its circuit breaker is on if it may fail.
func one(t *testing.T, failures int) *deploy.Settings {
	t.Helper()
	text := `{"serviceName": "left out", "desiredCount": 1}`
	if failures > 0 {
		text = `{"desiredCount": 1, "deploymentConfiguration": {"deploymentCircuitBreaker": {"enable": true, "rollback": true, "thresholdConfiguration": {"type": "COUNT", "value": 2}}}}`
	}
	s, err := deploy.ParseSettings([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func request(r deploy.Revision, told *events) deploy.Request {
	return deploy.Request{Service: "web", Revision: r, Pace: ecslab.Pace, Tell: told.tell, Timeout: time.Minute}
}

func runs(t *testing.T, w *ecslab.World) string {
	t.Helper()
	out, err := w.ECS.DescribeServices(t.Context(), &awsecs.DescribeServicesInput{Services: []string{"web"}})
	if err != nil || len(out.Services) != 1 {
		t.Fatal(err, out)
	}
	return *out.Services[0].TaskDefinition
}

// serve deploys a service that works.
func serve(t *testing.T, w *ecslab.World, told *events, failures int) deploy.Revision {
	t.Helper()
	in := request(register(t, w, "sleep 600", nil), told)
	in.Settings = one(t, failures)
	if _, err := deploy.Deploy(t.Context(), w.ECS, in); err != nil {
		t.Fatal(err)
	}
	return in.Revision
}

// TestLag deploys a service that ECS does not know at once.
func TestLag(t *testing.T) {
	w := ecslab.Start(t, lab)
	w.Lag(3)
	w.Inject(ecsfake.Throttle("ecs:*", 2))
	var told events
	if r := serve(t, w, &told, 0); runs(t, w) != r.ARN || !told.have("SUCCESSFUL") {
		t.Errorf("told\n%s", strings.Join(told, "\n"))
	}
}

func TestDeploy(t *testing.T) {
	w := ecslab.Start(t, lab)
	healthy := map[string]any{"healthCheck": map[string]any{"command": []string{"CMD-SHELL", "true"}, "interval": 5}}
	first := register(t, w, "sleep 600", healthy)
	var told events
	in := request(first, &told)
	if _, err := deploy.Deploy(t.Context(), w.ECS, in); !errors.Is(err, deploy.ErrService) {
		t.Fatalf("without settings: %v", err)
	}
	in.Settings = one(t, 0)
	result, err := deploy.Deploy(t.Context(), w.ECS, in)
	if err != nil {
		t.Fatal(err, told)
	}
	if !result.Created || result.Status != types.ServiceDeploymentStatusSuccessful || len(result.Tasks) != 1 {
		t.Errorf("created: %+v", result)
	}
	if ms := result.Tasks[0].Milliseconds; len(ms) != 4 || ms[watch.Healthy] <= 0 {
		t.Errorf("timing %v", ms)
	}
	for _, text := range []string{"service: (service web) has started 1 tasks", "deployment: IN_PROGRESS", "task: healthy", "deployment: SUCCESSFUL"} {
		if !told.have(text) {
			t.Errorf("%q is not in\n%s", text, strings.Join(told, "\n"))
		}
	}

	// The same again: nothing is done.
	in.Settings = nil
	w.ResetCounts()
	again, err := deploy.Deploy(t.Context(), w.ECS, in)
	if err != nil || !again.Unchanged || w.Calls("ecs:UpdateService") != 0 {
		t.Errorf("again: %+v, %v, %v", again, err, w.Counts())
	}

	// Another revision; the service's events from before are no news.
	told = nil
	second := register(t, w, "sleep 601", healthy)
	result, err = deploy.Deploy(t.Context(), w.ECS, request(second, &told))
	if err != nil || result.Previous != first.ARN || runs(t, w) != second.ARN || len(result.Tasks) != 1 {
		t.Errorf("second: %+v, %v", result, err)
	}

	// And back.
	result, err = deploy.Rollback(t.Context(), w.ECS, request(deploy.Revision{}, &told))
	if err != nil || runs(t, w) != first.ARN || result.Revision.ARN != first.ARN {
		t.Errorf("roll-back: %+v, %v", result, err)
	}
}

func TestRegisterOnce(t *testing.T) {
	w := ecslab.Start(t, lab)
	first := register(t, w, "sleep 600", nil)
	if again := register(t, w, "sleep 600", nil); !first.New || again.New || again.ARN != first.ARN {
		t.Errorf("%+v, then %+v", first, again)
	}
	// A lost answer, then too many calls: still one revision.
	w.Inject(ecsfake.Fault{Operation: "ecs:RegisterTaskDefinition", Lose: true})
	lost := register(t, w, "sleep 601", nil)
	w.Inject(ecsfake.Throttle("ecs:RegisterTaskDefinition", 2))
	throttled := register(t, w, "sleep 602", nil)
	out, err := w.ECS.ListTaskDefinitions(t.Context(), &awsecs.ListTaskDefinitionsInput{FamilyPrefix: aws.String("web")})
	if err != nil || len(out.TaskDefinitionArns) != 3 || !lost.New || !throttled.New {
		t.Errorf("%v, %v; %+v, %+v", out.TaskDefinitionArns, err, lost, throttled)
	}
	// A revision that is not the latest is found as a candidate.
	def := ecslab.Definition(t, "web", w.Script("app", "sleep 600", nil))
	r, err := deploy.Register(t.Context(), w.ECS, def, ecslab.Pace, first.ARN)
	if err != nil || r.ARN != first.ARN || r.New {
		t.Errorf("candidate: %+v, %v", r, err)
	}
	def.Root().Set("imgae", "x")
	if _, err := deploy.Register(t.Context(), w.ECS, def, ecslab.Pace); !errors.Is(err, ecs.ErrDefinition) || !strings.Contains(err.Error(), "imgae") {
		t.Errorf("unknown member: %v", err)
	}
}

func TestCircuitBreaker(t *testing.T) {
	w := ecslab.Start(t, lab)
	var told events
	good, bad := serve(t, w, &told, 2), register(t, w, "sleep 600", map[string]any{"image": w.Missing})
	result, err := deploy.Deploy(t.Context(), w.ECS, request(bad, &told))
	if !errors.Is(err, watch.ErrRolledBack) || !errors.Is(err, watch.ErrFailed) || runs(t, w) != good.ARN {
		t.Errorf("%+v, %v", result, err)
	}
	if !told.have("task: stopped (TaskFailedToStart): Task failed to start; container app: CannotPullContainerError") || len(result.Tasks) < 2 {
		t.Errorf("%d tasks; told\n%s", len(result.Tasks), strings.Join(told, "\n"))
	}
}

// TestRunnersWords: a runner that cannot become its image says why in the logs,
// and that is the reason that a roll-back is told with.
func TestRunnersWords(t *testing.T) {
	w := ecslab.Start(t, lab)
	var told events
	good := serve(t, w, &told, 2)
	bad := register(t, w, "trap 'exit 81' TERM; echo 'clipper-runner: error: registry: wrong password (exit code 81)'; sleep 600 & wait", map[string]any{
		"dockerLabels": map[string]string{ecs.LabelRunner: w.Image}, "healthCheck": map[string]any{"command": []string{"CMD-SHELL", "false"}, "interval": 5, "retries": 1},
	})
	told = nil
	in := request(bad, &told)
	in.Logs = w.Logs
	result, err := deploy.Deploy(t.Context(), w.ECS, in)
	const words = "container app: exit code 81: the registry refused the credentials, or wants some: registry: wrong password"
	if !errors.Is(err, watch.ErrRolledBack) || !strings.Contains(err.Error(), words) || !strings.HasPrefix(result.Failure, "task ") || runs(t, w) != good.ARN {
		t.Errorf("%+v, %v", result, err)
	}
	if !told.have(words) {
		t.Errorf("told\n%s", strings.Join(told, "\n"))
	}
	seen := map[string]bool{}
	for _, text := range told {
		if strings.HasPrefix(text, "service: ") && seen[text] {
			t.Errorf("told twice: %s", text)
		}
		seen[text] = true
	}
}

// TestNoProgram: ECS does not count tasks that end by themselves, and goes on.
func TestNoProgram(t *testing.T) {
	w := ecslab.Start(t, lab)
	var told events
	good := serve(t, w, &told, 0)
	bad := register(t, w, "sleep 0.5; exit 82", map[string]any{
		"dockerLabels": map[string]string{ecs.LabelRunner: w.Image}, "healthCheck": map[string]any{"command": []string{"CMD-SHELL", "false"}, "interval": 300, "retries": 10},
	})
	in := request(bad, &told)
	in.GiveUp = 3
	result, err := deploy.Deploy(t.Context(), w.ECS, in)
	if !errors.Is(err, deploy.ErrNoProgram) || result.Stuck < 3 || result.RolledBack || !strings.Contains(err.Error(), "exit code 82: the registry has no such image") {
		t.Fatalf("%+v, %v", result, err)
	}
	in.Rollback = true
	if result, err = deploy.Deploy(t.Context(), w.ECS, in); !errors.Is(err, deploy.ErrNoProgram) || !result.RolledBack || runs(t, w) != good.ARN {
		t.Errorf("%+v, %v", result, err)
	}
}

// stuck is a revision that never becomes healthy, and never fails either.
func stuck(t *testing.T, w *ecslab.World) deploy.Revision {
	return register(t, w, "sleep 600", map[string]any{"healthCheck": map[string]any{"command": []string{"CMD-SHELL", "false"}, "interval": 300, "retries": 10}})
}

func TestTimeout(t *testing.T) {
	w := ecslab.Start(t, lab)
	var told events
	good, bad := serve(t, w, &told, 0), stuck(t, w)
	in := request(bad, &told)
	in.Timeout, in.NoWait = 2*time.Second, true
	if result, err := deploy.Deploy(t.Context(), w.ECS, in); err != nil || result.Deployment == "" {
		t.Fatal(result, err)
	}
	// A second call waits for the deployment of the first.
	in.NoWait = false
	w.ResetCounts()
	if _, err := deploy.Deploy(t.Context(), w.ECS, in); !errors.Is(err, deploy.ErrTime) || w.Calls("ecs:UpdateService") != 0 || w.Calls("ecs:StopServiceDeployment") != 0 {
		t.Errorf("%v, %v", err, w.Counts())
	}
	in.Rollback = true
	in.Timeout = 3 * time.Second
	result, err := deploy.Deploy(t.Context(), w.ECS, in)
	if !errors.Is(err, deploy.ErrTime) || !result.RolledBack || result.Status != types.ServiceDeploymentStatusRollbackSuccessful || runs(t, w) != good.ARN {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestCancel(t *testing.T) {
	w := ecslab.Start(t, lab)
	var told events
	serve(t, w, &told, 0)
	bad := stuck(t, w)
	cancelled := errors.New("the job was cancelled")
	ctx, cancel := context.WithCancelCause(t.Context())
	in := request(bad, &told)
	in.RollbackOnCancel = true
	in.Tell = func(e watch.Event) {
		if e.Kind == watch.Service {
			cancel(cancelled)
		}
	}
	result, err := deploy.Deploy(ctx, w.ECS, in)
	if !errors.Is(err, cancelled) || !result.RolledBack || w.Calls("ecs:StopServiceDeployment") != 1 {
		t.Errorf("%+v, %v", result, err)
	}
	// Nothing but the first is there to go back to once that has ended.
	outcomes, err := watch.Rollouts(t.Context(), w.ECS, ecslab.Pace, []watch.Rollout{{Service: "web", Deployment: result.Deployment}}, told.tell)
	if err != nil || !errors.Is(outcomes[0].Err(), watch.ErrRolledBack) {
		t.Errorf("%+v, %v", outcomes, err)
	}
	if _, err := deploy.Rollback(t.Context(), w.ECS, request(deploy.Revision{}, &told)); !errors.Is(err, deploy.ErrNoPrevious) {
		t.Errorf("roll-back: %v", err)
	}
}
