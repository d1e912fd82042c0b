package run_test

import (
	"context"
	"errors"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/deploy"
	"github.com/clipperregistry/runner/ecs/run"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/ecslab"
	"github.com/clipperregistry/runner/test/stack"
)

// lab is set by TestMain before the first test and never after.
var lab *stack.Stack

func TestMain(m *testing.M) { os.Exit(ecslab.Main(m, "../..", &lab)) }

// said is what a run told.
type said struct{ lines, events []string }

// base registers a definition and is a request to run it.
func base(t *testing.T, w *ecslab.World, s *said, containers ...map[string]any) run.Request {
	t.Helper()
	r, err := deploy.Register(t.Context(), w.ECS, ecslab.Definition(t, "job", containers...), ecslab.Pace)
	if err != nil {
		t.Fatal(err)
	}
	return run.Request{
		Definition: r.ARN, Pace: ecslab.Pace, Logs: w.Logs, LogEvery: 50 * time.Millisecond,
		Line: func(l watch.Line) { s.lines = append(s.lines, l.Container+": "+l.Text) },
		Tell: func(e watch.Event) { s.events = append(s.events, e.Text) },
	}
}

// moved makes a container one of the runner, as far as its labels say.
func moved(w *ecslab.World) map[string]any {
	return map[string]any{"dockerLabels": map[string]string{ecs.LabelRunner: w.Image}}
}

func TestExitCodeAndLogs(t *testing.T) {
	w := ecslab.Start(t, lab)
	var s said
	w.Lag(2) // ECS does not know the task at once
	in := base(t, w, &s, w.Script("app", "echo one; sleep 1; echo two; exit 42", map[string]any{"dependsOn": []map[string]string{{"containerName": "side", "condition": "START"}}}),
		w.Script("side", "echo beside; sleep 60", map[string]any{"essential": false}))
	result, err := run.Run(t.Context(), w.ECS, in)
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(s.lines)
	if result.ExitCode != 42 || strings.Join(s.lines, ",") != "app: one,app: two,side: beside" {
		t.Errorf("exit code %d, lines %q", result.ExitCode, s.lines)
	}
	last := s.events[len(s.events)-1]
	if !strings.Contains(last, "container app: exit code 42") || s.events[0] != "started" {
		t.Errorf("events %q", s.events)
	}
	if ms := result.Timing.Milliseconds; len(ms) != 4 || ms[watch.Total] <= 0 {
		t.Errorf("timing %v", ms)
	}
	text, err := watch.TaskJSON(result.Task)
	if err != nil || !strings.Contains(string(text), `"stopCode":"EssentialContainerExited"`) || !strings.Contains(string(text), `"exitCode":42`) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestOverrides(t *testing.T) {
	w := ecslab.Start(t, lab)
	var s said
	in := base(t, w, &s, w.Script("app", "", moved(w)))
	in.Image, in.Command = "acme/app:7", []string{"sh", "-c", `echo "$CLIPPER_MAGIC_IMAGE $CLIPPER_LOG $CLIPPER_BACKOFF $WHO"; echo '{"msg":"ready","digest":"sha256:00","bytes_pulled":7,"ms":{"unpack":5}}'; exit 81`}
	in.Environment = []run.Variable{{Name: "WHO", Value: "me"}}
	result, err := run.Run(t.Context(), w.ECS, in)
	if err != nil || result.ExitCode != 81 || s.lines[0] != "app: acme/app:7 json never me" {
		t.Fatalf("%+v, %v, %q", result, err, s.lines)
	}
	if c := result.Timing.Containers; len(c) != 1 || c[0].BytesPulled != 7 || c[0].Milliseconds["unpack"] != 5 || c[0].Container != "app" {
		t.Errorf("containers %+v", c)
	}
	if !strings.HasSuffix(result.Timing.Ending, "container app: exit code 81") { // the program's own
		t.Errorf("ending %q", result.Timing.Ending)
	}
}

// TestSettings: every runner of a one-off task ends at once, unless the
// definition or the request says how it is to do.
func TestSettings(t *testing.T) {
	w := ecslab.Start(t, lab)
	for name, test := range map[string]struct {
		definition map[string]string
		request    []run.Variable
		want       string
	}{
		"neither":        {nil, nil, "json never"},
		"the definition": {map[string]string{"CLIPPER_BACKOFF": "auto", "CLIPPER_LOG": "text"}, nil, "text auto"},
		"the request":    {map[string]string{"CLIPPER_LOG": "json"}, []run.Variable{{Name: "CLIPPER_BACKOFF", Value: "auto"}, {Name: "CLIPPER_LOG", Value: "quiet"}}, "quiet auto"},
	} {
		t.Run(name, func(t *testing.T) {
			var environment []map[string]string
			for name, value := range test.definition {
				environment = append(environment, map[string]string{"name": name, "value": value})
			}
			more := moved(w)
			more["environment"] = environment
			const tell = `echo "$CLIPPER_LOG $CLIPPER_BACKOFF"`
			var s said
			in := base(t, w, &s, w.Script("app", tell+"; sleep 1", more), w.Script("side", tell, moved(w)), w.Script("native", tell, nil))
			in.Environment = test.request
			if _, err := run.Run(t.Context(), w.ECS, in); err != nil {
				t.Fatal(err)
			}
			slices.Sort(s.lines)
			if want := "app: " + test.want + ",native:  ,side: json never"; strings.Join(s.lines, ",") != want {
				t.Errorf("%q, want %q", s.lines, want)
			}
		})
	}
}

// TestPin: a tag is the digest that it has when the task starts.
func TestPin(t *testing.T) {
	w := ecslab.Start(t, lab)
	const digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
	missing := errors.New("no such image")
	for name, test := range map[string]struct {
		image, consistency string
		want               string
		asked              int
	}{
		"a tag":        {"acme/app:7", "", "acme/app:7@" + digest, 1},
		"a digest":     {"acme/app@" + digest, "", "acme/app@" + digest, 0},
		"left to be":   {"acme/app:7", "disabled", "acme/app:7", 0},
		"not there":    {"acme/missing", "", "", 1},
		"no reference": {"ACME", "", "", 0},
		"none":         {"", "", "", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s said
			more := moved(w)
			if test.consistency != "" {
				more["versionConsistency"] = test.consistency
			}
			in := base(t, w, &s, w.Script("app", `echo "image=$CLIPPER_MAGIC_IMAGE"`, more))
			asked := 0
			in.Image, in.Resolve = test.image, func(_ context.Context, ref oci.Reference, platform oci.Platform) (ecs.Image, error) {
				asked++
				if ref.Repository() != "acme/app" || platform.String() != "linux/amd64" {
					return ecs.Image{}, missing
				}
				found, err := oci.ParseDigest(digest)
				return ecs.Image{Digest: found}, err
			}
			w.ResetCounts()
			_, err := run.Run(t.Context(), w.ECS, in)
			if test.want == "" && test.image != "" {
				if err == nil || w.Calls("ecs:RunTask") != 0 {
					t.Errorf("%v, %v", err, w.Counts())
				}
			} else if err != nil || s.lines[0] != "app: image="+test.want {
				t.Errorf("%q, %v", s.lines, err)
			}
			if asked != test.asked {
				t.Errorf("asked %d times", asked)
			}
		})
	}
}

// TestFirstFailure: of two essential containers, the first that failed counts,
// whatever ECS does to the other.
func TestFirstFailure(t *testing.T) {
	w := ecslab.Start(t, lab)
	for name, test := range map[string]struct {
		first, second string
		want          int
	}{
		"one fails":           {"trap 'exit 0' TERM; sleep 600 & wait", "exit 3", 3},
		"one is ended by ECS": {"sleep 600", "exit 3", 3},
		"both fail":           {"exit 4", "sleep 1; exit 3", 4},
		"all well":            {"exit 0", "sleep 600", 0},
	} {
		t.Run(name, func(t *testing.T) {
			var s said
			in := base(t, w, &s, w.Script("a", test.first, nil), w.Script("b", test.second, nil))
			if result, err := run.Run(t.Context(), w.ECS, in); err != nil || result.ExitCode != test.want {
				t.Errorf("%+v, %v", result, err)
			}
		})
	}
}

// TestNoLogs: a task whose logs may not be read runs to its end.
func TestNoLogs(t *testing.T) {
	w := ecslab.Start(t, lab)
	w.Inject(ecsfake.Fault{Operation: "logs:GetLogEvents", Times: -1, Code: "AccessDeniedException", Message: "not yours"})
	var s said
	in := base(t, w, &s, w.Script("app", "echo up; exit 5", nil))
	result, err := run.Run(t.Context(), w.ECS, in)
	if err != nil || result.ExitCode != 5 || w.Calls("ecs:StopTask") != 0 || !strings.Contains(strings.Join(s.events, "\n"), "its logs are not read any more: logs of container app: ") {
		t.Errorf("%+v, %v, %q", result, err, s.events)
	}
}

// TestCalls counts: a run asks ECS as often as its pace says.
func TestCalls(t *testing.T) {
	w := ecslab.Start(t, lab)
	var s said
	in := base(t, w, &s, w.Script("app", "echo up; sleep 1", nil))
	waits := 0
	in.Pace = watch.Pace{First: 100 * time.Millisecond, Most: 100 * time.Millisecond, Rand: func() float64 { waits++; return 0.5 }}
	w.ResetCounts()
	if _, err := run.Run(t.Context(), w.ECS, in); err != nil {
		t.Fatal(err)
	}
	got := w.Counts()
	delete(got, "logs:GetLogEvents") // is as often as LogEvery says
	want := map[string]int{"ecs:DescribeTaskDefinition": 1, "ecs:RunTask": 1, "ecs:DescribeTasks": waits}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

func TestRefused(t *testing.T) {
	w := ecslab.Start(t, lab)
	var s said
	native := base(t, w, &s, w.Script("app", "true", nil))
	job := base(t, w, &s, w.Script("app", "true", moved(w)))
	for name, change := range map[string]func() run.Request{
		"an image without a runner": func() run.Request { in := native; in.Image = "acme/app"; return in },
		"whose credentials they are": func() run.Request {
			in := job
			in.Environment = []run.Variable{{Name: ecs.EnvCredentialsRegistry, Value: "evil.example"}}
			return in
		},
		"the image, past --image": func() run.Request {
			in := job
			in.Environment = []run.Variable{{Name: ecs.EnvImage, Value: "acme/app"}}
			return in
		},
		"a registry without TLS": func() run.Request {
			in := job
			in.Environment = []run.Variable{{Name: "CLIPPER_INSECURE_REGISTRIES", Value: "ghcr.io"}}
			return in
		},
		"too long":     func() run.Request { in := job; in.Command = []string{strings.Repeat("x", 8192)}; return in },
		"no container": func() run.Request { in := job; in.Container = "web"; return in },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := run.Run(t.Context(), w.ECS, change()); !errors.Is(err, run.ErrRequest) {
				t.Error(err)
			}
		})
	}
	if n := w.Calls("ecs:RunTask"); n != 0 {
		t.Errorf("%d calls of RunTask", n)
	}
}

func TestToken(t *testing.T) {
	w := ecslab.Start(t, lab)
	var s said
	in := base(t, w, &s, w.Script("app", "exit 3", nil))
	in.Token = "delivery-1"
	w.Inject(ecsfake.Fault{Operation: "ecs:RunTask", Lose: true})
	first, err := run.Run(t.Context(), w.ECS, in)
	if err != nil {
		t.Fatal(err)
	}
	again, err := run.Run(t.Context(), w.ECS, in)
	if err != nil || *again.Task.TaskArn != *first.Task.TaskArn || again.ExitCode != 3 {
		t.Errorf("%+v, %v", again, err)
	}
	in.Command = []string{"true"}
	if _, err := run.Run(t.Context(), w.ECS, in); !errors.Is(err, run.ErrRequest) || !strings.Contains(err.Error(), *first.Task.TaskArn) {
		t.Errorf("another run with its token: %v", err)
	}
}

func TestNoRoom(t *testing.T) {
	w := ecslab.Start(t, lab)
	var s said
	in := base(t, w, &s, w.Script("app", "true", nil))
	w.FailPlacement("RESOURCE:MEMORY", "RESOURCE:CPU")
	if result, err := run.Run(t.Context(), w.ECS, in); err != nil || result.ExitCode != 0 || s.events[0] != "no room yet: RESOURCE:MEMORY" {
		t.Errorf("%+v, %v, %q", result, err, s.events)
	}
	w.FailPlacement("AGENT")
	if _, err := run.Run(t.Context(), w.ECS, in); !errors.Is(err, run.ErrNoRoom) || !strings.Contains(err.Error(), "AGENT") {
		t.Error(err)
	}
}

func TestNotStarted(t *testing.T) {
	w := ecslab.Start(t, lab)
	var s said
	in := base(t, w, &s, w.Script("app", "true", map[string]any{"image": w.Missing}))
	result, err := run.Run(t.Context(), w.ECS, in)
	if !errors.Is(err, run.ErrNotStarted) || !strings.Contains(err.Error(), "CannotPullContainerError") || result.ExitCode != 1 {
		t.Errorf("%+v, %v", result, err)
	}
}

func TestEnds(t *testing.T) {
	w := ecslab.Start(t, lab)
	var s said
	in := base(t, w, &s, w.Script("app", "echo up; sleep 600", nil))
	cancelled := errors.New("the job was cancelled")
	ctx, cancel := context.WithCancelCause(t.Context())
	in.Line = func(watch.Line) { cancel(cancelled) }
	result, err := run.Run(ctx, w.ECS, in)
	if !errors.Is(err, cancelled) {
		t.Errorf("cancelled: %v", err)
	}
	if aws.ToString(result.Task.DesiredStatus) != "STOPPED" {
		t.Errorf("the task is kept as it was before: %+v", result.Task)
	}
	ends(t, w, result, "clipper-runner: the job was cancelled")

	in.Line, in.Timeout = nil, 500*time.Millisecond
	if result, err = run.Run(t.Context(), w.ECS, in); !errors.Is(err, run.ErrTime) {
		t.Errorf("too long: %v", err)
	}
	ends(t, w, result, "clipper-runner: the task takes too long: more than 500ms")

	// A context that has ended starts nothing.
	w.ResetCounts()
	if result, err := run.Run(ctx, w.ECS, in); err == nil || result != nil || w.Calls("ecs:RunTask") != 0 {
		t.Errorf("%+v, %v", result, err)
	}
}

// ends waits for the end of a task that was stopped for a reason.
func ends(t *testing.T, w *ecslab.World, result *run.Result, reason string) {
	t.Helper()
	in := &awsecs.DescribeTasksInput{Tasks: []string{*result.Task.TaskArn}}
	if err := awsecs.NewTasksStoppedWaiter(w.ECS, func(o *awsecs.TasksStoppedWaiterOptions) {
		o.MinDelay, o.MaxDelay = 50*time.Millisecond, 100*time.Millisecond
	}).Wait(t.Context(), in, time.Minute); err != nil {
		t.Fatal(err)
	}
	out, err := w.ECS.DescribeTasks(t.Context(), in)
	if err != nil || out.Tasks[0].StopCode != types.TaskStopCodeUserInitiated || aws.ToString(out.Tasks[0].StoppedReason) != reason {
		t.Errorf("%+v, %v", out, err)
	}
}

func TestNoWait(t *testing.T) {
	w := ecslab.Start(t, lab)
	var s said
	in := base(t, w, &s, w.Script("app", "true", nil))
	in.NoWait, in.StartedBy = true, "delivery-2"
	if result, err := run.Run(t.Context(), w.ECS, in); err != nil || *result.Task.StartedBy != "delivery-2" || w.Calls("ecs:DescribeTasks") != 0 {
		t.Errorf("%+v, %v", result, err)
	}
}
