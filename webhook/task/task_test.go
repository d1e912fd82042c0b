package task_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

// TestPostgreSQL runs the tests of a sample repository against a database
// beside them, green and red.
func TestPostgreSQL(t *testing.T) {
	w := newWorld(t)
	image, number := postgresql(t), port(t)
	for _, test := range []struct {
		name, want string
		state      webhook.State
		code       int
	}{
		{"green", "42", webhook.Succeeded, 0},
		{"red", "43", webhook.Failed, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			described := w.task("")
			described.Container = rules.Container{
				Image: image, Env: map[string]string{"PGHOST": "127.0.0.1", "PGPORT": number, "WANT": test.want},
				Command: []string{"sh", "-ec", `got=$(psql -t -A -c "select 6*7"); echo "the answer is $got"; test "$got" = "$WANT"`},
			}
			described.Services = []rules.ServiceTask{{
				Name: "db", Ready: "pg_isready -h 127.0.0.1 -p $PGPORT",
				Container: rules.Container{
					Image: image, Env: map[string]string{"PGPORT": number},
					Command: []string{"sh", "-ec", "initdb -A trust >/dev/null; exec postgres -k /tmp -c listen_addresses=127.0.0.1"},
				},
			}}
			j := task.Of(run(test.name), described)
			arn := w.start(t, j)
			truth := w.ends(t, arn, j)
			if truth.State != test.state || truth.ExitCode == nil || *truth.ExitCode != test.code || truth.Started.IsZero() || truth.Ended.IsZero() {
				t.Errorf("%+v", truth)
			}
			if log := w.lines(t, arn, j); !strings.Contains(log, "run: the answer is 42") || !strings.Contains(log, "db: ") || strings.Contains(log, "{") {
				t.Errorf("log:\n%s", log)
			}
		})
	}
	if n := w.Calls("ecs:RegisterTaskDefinition"); n != 1 {
		t.Errorf("%d definitions were registered", n)
	}
}

// TestEnds: what ECS keeps of a task tells how it ended.
func TestEnds(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		name   string
		job    func(*rules.Task)
		state  webhook.State
		code   int // -1: none
		reason string
		log    string
	}{
		{"well", func(d *rules.Task) { d.Command[2] = `echo "$CI $GITHUB_REPOSITORY $GITHUB_REF $GITHUB_SHA"` }, webhook.Succeeded, 0, "the program ended well",
			"run: true acme/app refs/heads/main " + run("").Commit},
		{"its own code", func(d *rules.Task) { d.Command[2] = "echo out; exit 42" }, webhook.Failed, 42, "the program: exit code 42", "run: out"},
		{"a code that the runner has, too", func(d *rules.Task) { d.Command[2] = "exit 85" }, webhook.Failed, 85, "the program: exit code 85", ""},
		{"an image that is not there", func(d *rules.Task) { d.Image = w.Missing }, webhook.Failed, 82, "the registry has no such image", "run: clipper-runner: error: "},
		{"a program that is not there", func(d *rules.Task) { d.Command = []string{"missing"} }, webhook.Failed, 127, "the program is not in the image", ""},
		{"variables and entrypoint", func(d *rules.Task) {
			d.Env, d.Entrypoint, d.Workdir, d.Command = map[string]string{"A": "a b", "CI": "mine"}, []string{"sh", "-c"}, "/tmp", []string{`echo "$A $CI $PWD"`}
		}, webhook.Succeeded, 0, "", "run: a b mine /tmp"},
		{"two services", func(d *rules.Task) {
			one, two := port(t), port(t)
			d.Services = []rules.ServiceTask{w.web("one", one), w.web("two", two)}
			d.Command[2] = fmt.Sprintf("for at in one:%s two:%s; do busybox wget -q -O- http://$at/name; done", one, two)
		}, webhook.Succeeded, 0, "", "run: this is one\nrun: this is two"},
		{"a service that fails meanwhile", func(d *rules.Task) {
			d.Services = []rules.ServiceTask{{Name: "db", Ready: "test -e /tmp/up", Container: rules.Container{Image: w.Image, Command: []string{"sh", "-c", "busybox touch /tmp/up; sleep 4; exit 3"}}}}
			d.Command[2] = "sleep 6; exit 1"
		}, webhook.Failed, 1, "the program: exit code 1; container service-db: exit code 3", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			described := w.task("true")
			test.job(described)
			j := task.Of(run(strings.ReplaceAll(strings.ReplaceAll(test.name, " ", ""), ",", "")), described)
			arn := w.start(t, j)
			truth := w.ends(t, arn, j)
			code := -1
			if truth.ExitCode != nil {
				code = *truth.ExitCode
			}
			if truth.State != test.state || code != test.code || !strings.Contains(truth.Reason, test.reason) {
				t.Errorf("%s, %d: %s", truth.State, code, truth.Reason)
			}
			if log := w.lines(t, arn, j); !strings.Contains(log, test.log) {
				t.Errorf("log:\n%s", log)
			}
		})
	}
}

// web is a service that serves its name, once it is ready.
func (w *world) web(name, port string) rules.ServiceTask {
	return rules.ServiceTask{Name: name, Ready: "test -e /tmp/www/name", Container: rules.Container{
		Image: w.Image, Env: map[string]string{"NAME": name, "PORT": port},
		Command: []string{"sh", "-c", `busybox mkdir /tmp/www; (sleep 1; echo "this is $NAME" >/tmp/www/name) & exec busybox httpd -f -p "127.0.0.1:$PORT" -h /tmp/www`},
	}}
}

// TestOnce: however answers are lost and whoever asks again, there is one task.
func TestOnce(t *testing.T) {
	w := newWorld(t)
	j := task.Of(run("once"), w.task("exit 3"))
	if _, err := w.Find(t.Context(), j); !errors.Is(err, task.ErrNone) {
		t.Errorf("before: %v", err)
	}
	// The SDK asks again itself; an answer that it never gets is lost to us.
	w.Inject(ecsfake.Fault{Operation: "ecs:RunTask", Lose: true, Times: 3})
	if _, err := w.Start(t.Context(), j); !errors.Is(err, task.ErrLost) {
		t.Fatalf("lost: %v", err)
	}
	arn, err := w.Find(t.Context(), j)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := w.Start(t.Context(), j); err != nil || again != arn {
		t.Errorf("again: %s, %v", again, err)
	}
	other := j
	moved := *j.Task
	moved.Command = []string{"sh", "-c", "exit 4"}
	other.Task = &moved
	if again, err := w.Start(t.Context(), other); err != nil || again != arn {
		t.Errorf("with other parameters: %s, %v", again, err)
	}
	if truth := w.ends(t, arn, j); *truth.ExitCode != 3 {
		t.Errorf("%+v", truth)
	}
	if found, err := w.Find(t.Context(), j); err != nil || found != arn {
		t.Errorf("when it has stopped: %s, %v", found, err)
	}
	if n := w.tasks(t, j); n != 1 {
		t.Errorf("%d tasks", n)
	}
	second := *run("once")
	second.Attempt++
	if next, err := w.Start(t.Context(), task.Of(&second, j.Task)); err != nil || next == arn {
		t.Errorf("the next attempt: %s, %v", next, err)
	}
}

// tasks counts a job's tasks.
func (w *world) tasks(t *testing.T, j task.Job) int {
	t.Helper()
	n := 0
	for _, status := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		arns, err := watch.ListTasks(t.Context(), w.World.ECS, awsecs.ListTasksInput{StartedBy: &j.Token, DesiredStatus: status})
		if err != nil {
			t.Fatal(err)
		}
		n += len(arns)
	}
	return n
}

// TestStop: the cause is kept with the task.
func TestStop(t *testing.T) {
	w := newWorld(t)
	for _, test := range []struct {
		cause  task.Cause
		text   string
		state  webhook.State
		reason string
	}{
		{task.Timeout, "it may run for 1s", webhook.TimedOut, "timed out: it may run for 1s"},
		{task.Cancel, "by octocat", webhook.Cancelled, "cancelled: by octocat"},
		{"", "", webhook.Cancelled, "somebody stopped the task: Task stopped by user"},
	} {
		t.Run(string(test.cause), func(t *testing.T) {
			j := task.Of(run("stop"+string(test.state)+string(test.cause[:min(1, len(test.cause))])), w.task("trap 'exit 0' TERM; echo up; sleep 600 & wait"))
			arn := w.start(t, j)
			w.until(t, arn, func(truth task.Truth) bool { return truth.Overdue(time.Millisecond, truth.Started.Add(time.Second)) })
			if truth := w.truth(t, arn); truth.Overdue(time.Hour, time.Now()) || truth.State != webhook.Running {
				t.Errorf("%+v", truth)
			}
			var err error
			if test.cause != "" {
				err = w.Stop(t.Context(), arn, test.cause, test.text)
			} else {
				_, err = w.World.ECS.StopTask(t.Context(), &awsecs.StopTaskInput{Task: &arn})
			}
			if err != nil {
				t.Fatal(err)
			}
			if truth := w.ends(t, arn, j); truth.State != test.state || truth.Reason != test.reason || truth.ExitCode != nil {
				t.Errorf("%+v", truth)
			}
			if err := w.Stop(t.Context(), arn, task.Cancel, "again"); err != nil {
				t.Errorf("once more: %v", err)
			}
		})
	}
	if err := w.Stop(t.Context(), "arn:aws:ecs:eu-central-1:123456789012:task/default/0123", task.Cancel, ""); err != nil {
		t.Errorf("one that is not known: %v", err)
	}
}

// TestFollow follows a log to its end while it is written.
func TestFollow(t *testing.T) {
	w := newWorld(t)
	j := task.Of(run("follow"), w.task("echo one; sleep 1; echo two; sleep 1; echo three"))
	arn := w.start(t, j)
	var said []string
	running := false
	if err := w.Follow(t.Context(), arn, j, time.Time{}, func(l watch.Line) {
		said = append(said, l.Text)
		running = running || !w.truth(t, arn).Over()
	}); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(strings.Join(said, " "), " one two three") || !strings.HasPrefix(said[0], "clipper-runner: pulling ") || !running {
		t.Errorf("%q, while it ran: %v", said, running)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	gone := errors.New("the reader is gone")
	cancel(gone)
	if err := w.Follow(ctx, arn, j, time.Time{}, func(watch.Line) {}); err == nil {
		t.Error("it follows for nobody")
	}
}

// TestNoRoom: nobody waits for room here.
func TestNoRoom(t *testing.T) {
	w := newWorld(t)
	j := task.Of(run("room"), w.task("true"))
	j.Spot = true
	w.FailPlacement("Capacity is unavailable at this time")
	if _, err := w.Start(t.Context(), j); !errors.Is(err, task.ErrNoRoom) || !strings.Contains(err.Error(), "Capacity is unavailable") {
		t.Error(err)
	}
	if n := w.Calls("ecs:RunTask"); n != 1 {
		t.Errorf("%d calls", n)
	}
	for message, want := range map[string]error{
		"Capacity is unavailable at this time. Please try again later or in a different availability zone": task.ErrNoRoom,
		"You've reached the limit on the number of vCPUs you can run concurrently":                         task.ErrNoRoom,
		"The provided subnet ID is not valid.":                                                             task.ErrRefused,
	} {
		w.Inject(ecsfake.Fault{Operation: "ecs:RunTask", Code: "ClientException", Message: message})
		if _, err := w.Start(t.Context(), j); !errors.Is(err, want) || !strings.Contains(err.Error(), message) {
			t.Errorf("%s: %v", message, err)
		}
	}
	w.Inject(ecsfake.Fault{Operation: "ecs:RunTask", Code: "AccessDeniedException", Message: "not yours"})
	if _, err := w.Start(t.Context(), j); err == nil || errors.Is(err, task.ErrRefused) || errors.Is(err, task.ErrLost) {
		t.Errorf("what its operator mends: %v", err)
	}
	if truth := w.ends(t, w.start(t, j), j); truth.State != webhook.Succeeded {
		t.Errorf("%+v", truth)
	}
}
