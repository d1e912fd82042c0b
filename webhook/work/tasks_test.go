package work

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/task"
)

// fakeTasks is an ECS whose tasks are files of a directory, named after their
// tokens: it outlives the process. A task runs until its file says how it ended.
type fakeTasks struct {
	dir string
	// ends is how tasks end at once; "" leaves them running.
	ends webhook.State

	mu    sync.Mutex
	lost  int          // answers that are to be lost
	stops []task.Cause // what tasks were stopped for
}

func (f *fakeTasks) file(token string) string { return filepath.Join(f.dir, token) }

func (f *fakeTasks) Start(_ context.Context, j task.Job) (string, error) {
	file, err := os.OpenFile(f.file(j.Token), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err == nil {
		if _, err := fmt.Fprint(file, f.ends); err != nil {
			return "", err
		}
		err = file.Close()
	}
	if err != nil && !os.IsExist(err) {
		return "", err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.lost > 0 {
		f.lost--
		return "", fmt.Errorf("connection reset: %w", task.ErrLost)
	}
	return j.Token, nil
}

func (f *fakeTasks) Find(_ context.Context, j task.Job) (string, error) {
	if text, err := os.ReadFile(f.file(j.Token)); err != nil || string(text) == string(forgotten) {
		return "", task.ErrNone
	}
	return j.Token, nil
}

// end ends a task.
func (f *fakeTasks) end(token string, state webhook.State) error {
	next := f.file("." + token)
	if err := os.WriteFile(next, []byte(state), 0o600); err != nil {
		return err
	}
	return os.Rename(next, f.file(token))
}

// forgotten is the end of a task that ECS does not know any more.
const forgotten = webhook.State("forgotten")

// tokens are those of all tasks.
func (f *fakeTasks) tokens() []string {
	found, _ := filepath.Glob(filepath.Join(f.dir, "run-*")) // the pattern is right
	for i := range found {
		found[i] = filepath.Base(found[i])
	}
	return found
}

func (f *fakeTasks) Describe(_ context.Context, arns []string) ([]task.Truth, error) {
	var truths []task.Truth
	for _, arn := range arns {
		text, err := os.ReadFile(f.file(arn))
		if err != nil {
			return nil, err
		}
		file, err := os.Stat(f.file(arn))
		if err != nil {
			return nil, err
		}
		t := task.Truth{Task: arn, State: webhook.Running, Started: file.ModTime()}
		switch said := strings.TrimSpace(string(text)); said {
		case "":
		case string(forgotten):
			t = task.Truth{Task: arn}
		default:
			t.State, t.Reason = webhook.State(said), "it is "+said
		}
		code := map[webhook.State]int{webhook.Succeeded: 0, webhook.Failed: 3}
		if c, there := code[t.State]; there {
			t.ExitCode = &c
		}
		truths = append(truths, t)
	}
	return truths, nil
}

func (f *fakeTasks) Explain(_ context.Context, t task.Truth, _ task.Job) (task.Truth, error) {
	return t, nil
}

func (f *fakeTasks) Tail(_ context.Context, arn string, _ task.Job, n int) ([]watch.Line, error) {
	var lines []watch.Line
	for i := range min(n, 3000) {
		lines = append(lines, watch.Line{Container: "run", Text: fmt.Sprintf("\x1b[31mline %d\x1b[0m ``` ghp_%s %s", i, strings.Repeat("x", 40), strings.Repeat("é", 30))})
	}
	return lines, nil
}

func (f *fakeTasks) Stop(_ context.Context, arn string, cause task.Cause, _ string) error {
	f.mu.Lock()
	f.stops = append(f.stops, cause)
	f.mu.Unlock()
	if cause == task.Timeout {
		return f.end(arn, webhook.TimedOut)
	}
	return f.end(arn, webhook.Cancelled)
}
