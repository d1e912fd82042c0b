package watch_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage"
)

const (
	startJSON = `{"msg":"ready","image":"acme/app","digest":"sha256:00","bytes_pulled":7,"bytes_reused":1,"ms":{"unpack":5}}`
	startText = "clipper-runner: ready in 1.25 s: 12 entries, 3.5 MB pulled, 12 B reused, 1.2 GB written (resolve 0.25 s, clear 0.00 s, unpack 0.75 s)"
)

// TestHear: before its start a runner's lines are told as people read them,
// and after it the program's as they stand.
func TestHear(t *testing.T) {
	var seen watch.Seen
	for _, test := range [][2]string{
		{`{"level":"info","msg":"pulling acme/app"}`, "clipper-runner: pulling acme/app"},
		{`{"level":"warning","msg":"no store"}`, "clipper-runner: warning: no store"},
		{startJSON, ""},
		{`{"level":"info","msg":"pulling acme/app"}`, `{"level":"info","msg":"pulling acme/app"}`},
		{startText, startText},
		{`{"level":"error","msg":"no such file","exit_code":127}`, "clipper-runner: error: no such file (exit code 127)"},
		{"hello", "hello"},
	} {
		told, ok := seen.Hear(watch.Line{Container: "app", Text: test[0]})
		if ok != (test[1] != "") || ok && told.Text != test[1] {
			t.Errorf("%s: %q, %v", test[0], told.Text, ok)
		}
	}
	if s := seen.Starts["app"]; len(seen.Starts) != 1 || s.BytesPulled != 7 || s.Digest != "sha256:00" || seen.Failures["app"].ExitCode != 127 {
		t.Errorf("%+v", seen)
	}
}

func TestParseStart(t *testing.T) {
	s, ok := watch.ParseStart(watch.Line{Container: "app", Text: startText})
	if !ok || s.Container != "app" || s.BytesPulled != 3_500_000 || s.BytesReused != 12 || s.BytesWritten != 1_200_000_000 || fmt.Sprint(s.Milliseconds) != "map[clear:0 resolve:250 total:1250 unpack:750]" {
		t.Errorf("%+v, %v", s, ok)
	}
}

// TestParseFailure reads what the runner writes.
func TestParseFailure(t *testing.T) {
	failure := fmt.Errorf("%w: no way (exit code 12)", runnerimage.ErrCannotRun)
	for _, format := range []runnerimage.LogFormat{runnerimage.LogText, runnerimage.LogJSON} {
		var out bytes.Buffer
		code := runnerimage.Fail(&out, format, failure)
		f, ok := watch.ParseFailure(watch.Line{Text: out.String()})
		if !ok || int(f.ExitCode) != code || f.Text != failure.Error() {
			t.Errorf("%s: %+v, %v", out.String(), f, ok)
		}
	}
	for _, text := range []string{`{"level":"error","msg":"lost","exit_code":3}`, `{"level":"error","msg":"lost"}`, "clipper-runner: error: lost", "error: lost (exit code 81)"} {
		if f, ok := watch.ParseFailure(watch.Line{Text: text}); ok {
			t.Errorf("%s: %+v", text, f)
		}
	}
}

// TestEnding: the runner's words are those of the exit code that ECS tells.
func TestEnding(t *testing.T) {
	parts := []watch.Part{{Name: "app", Essential: true, Moved: true}}
	failed := task(types.TaskStopCodeEssentialContainerExited, ended("app", 81))
	for code, want := range map[int32]bool{81: true, 127: false} {
		text := watch.Ending(failed, parts, watch.Seen{Failures: map[string]watch.Failure{"app": {ExitCode: code, Text: "wrong password"}}})
		if got := strings.Contains(text, ": wrong password"); got != want || !strings.Contains(text, "exit code 81: the registry refused the credentials") {
			t.Errorf("%d: %s", code, text)
		}
	}
}

// TestOwnExitCode: a program that began may end with any exit code.
func TestOwnExitCode(t *testing.T) {
	parts := []watch.Part{{Name: "app", Essential: true, Moved: true}}
	text := watch.Ending(task(types.TaskStopCodeEssentialContainerExited, ended("app", 127)), parts, watch.Seen{Starts: map[string]watch.Start{"app": {}}})
	if !strings.HasSuffix(text, "container app: exit code 127") {
		t.Error(text)
	}
}

func TestBecause(t *testing.T) {
	o := watch.Outcome{Service: "web", Status: types.ServiceDeploymentStatusRollbackSuccessful, Reason: "the breaker", Failure: "task 1 stopped"}
	if err := o.Err(); !errors.Is(err, watch.ErrRolledBack) || !strings.HasSuffix(err.Error(), "ROLLBACK_SUCCESSFUL: the breaker; first of all, task 1 stopped") {
		t.Error(err)
	}
}

func TestPauses(t *testing.T) {
	d := types.ServiceDeployment{LifecycleStage: types.ServiceDeploymentLifecycleStagePostScaleUp, LifecycleHookDetails: []types.DeploymentLifecycleHookDetail{
		{HookId: aws.String("over"), Status: types.DeploymentLifecycleHookStatusSucceeded},
		{HookId: aws.String("now"), Status: types.DeploymentLifecycleHookStatusAwaitingAction, TimeoutAction: types.DeploymentLifecycleHookActionRollback},
	}}
	if found := watch.Pauses(d); len(found) != 1 || found[0].Hook != "now" || found[0].String() != "paused at POST_SCALE_UP, to be continued or rolled back" {
		t.Errorf("%+v", found)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(startJSON)
	f.Add(startText)
	f.Add(`{"bytes_pulled":"many","digest":1}`)
	f.Add(`ready in 2 s`)
	f.Add(`{"level":"error","msg":"bytes_pulled","exit_code":81}`)
	f.Add("clipper-runner: error: denied (exit code 81)")
	f.Fuzz(func(t *testing.T, text string) {
		line := watch.Line{Container: "app", Text: text}
		if s, ok := watch.ParseStart(line); ok && (s.Milliseconds == nil || s.Container != "app") {
			t.Errorf("%q: %+v", text, s)
		}
		if failure, ok := watch.ParseFailure(line); ok && (watch.Part{Moved: true}).ExitWords(failure.ExitCode) == "" {
			t.Errorf("%q: %+v", text, failure)
		}
	})
}
