package applet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/state"
)

// Where a container keeps what exec and healthcheck read.
const (
	statePath  = "/.clipper-runner/state.json"
	healthPath = "/.clipper-runner/health/last.json"
)

// enter is `exec CMD…`: it becomes CMD as the image would have it, with the
// image's environment, user and directory, and without the capabilities that
// the program went without.
func enter(_ context.Context, s Streams, args []string) error {
	if len(args) == 0 {
		return usage("exec COMMAND [ARGUMENT…]")
	}
	layout, config, err := laidOut()
	if err != nil {
		return err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return err
	}
	started, unprivileged, err := process.Held()
	if err != nil {
		return err
	}
	environ, err := process.GivenEnv()
	if err != nil {
		return err
	}
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	if dir == "/" { // nobody asked for another
		dir = layout.WorkDir
	}
	plan, err := process.Resolve("/", process.Config{
		Env: config.Config.Env, User: config.Config.User, WorkingDir: config.Config.WorkingDir,
	}, process.Overrides{
		Args: args, EntrypointSet: true, User: layout.User, WorkDir: dir, CapDrop: layout.CapDrop, Init: process.InitNever,
		Env: environ, Own: layout.Own, Hostname: hostname, Started: started, Unprivileged: unprivileged, LaidOut: true,
	})
	if err == nil {
		err = plan.Become()
	}
	fmt.Fprintf(s.Err, "exec: %v\n", err)
	switch {
	case errors.Is(err, process.ErrNotFound):
		return exitCode(127)
	default:
		return exitCode(126)
	}
}

var errNotLaidOut = errors.New("the image is not laid out yet: wait until the container is healthy")

// laidOut reads which image stands in this container.
func laidOut() (state.Layout, oci.Config, error) {
	var config oci.Config
	layout, err := state.Load(statePath)
	if err != nil {
		return layout, config, err
	}
	if layout.Phase != state.Done {
		return layout, config, errNotLaidOut
	}
	return layout, config, json.Unmarshal(layout.Config, &config)
}

// health is what the last health check left for the next.
type health struct {
	// Time is when the image's own test ran.
	Time time.Time `json:"time"`
	// Failures in a row, and whether the test ever passed.
	Failures int  `json:"failures"`
	Passed   bool `json:"passed"`
}

// What an image's HEALTHCHECK means where it does not say.
const (
	defaultInterval = 30 * time.Second
	defaultTimeout  = 30 * time.Second
	defaultRetries  = 3
)

// checkHealth is `healthcheck [-- CMD PROGRAM… | -- CMD-SHELL COMMAND]`. With
// a test, as an engine has it in its own settings, it runs that one; without,
// the image's.
func checkHealth(ctx context.Context, s Streams, args []string) error {
	switch {
	case len(args) == 0:
		return checkImage(ctx, s)
	case args[0] != "--" || process.HealthCommand(args[1:], nil) == nil:
		return usage("healthcheck [-- CMD PROGRAM [ARGUMENT…] | -- CMD-SHELL COMMAND]")
	}
	return checkGiven(ctx, s, args[1:])
}

// checkGiven fails without a word until the image is laid out; then this
// process becomes the test, as the image would have it. So whoever called sees
// the test's own output and exit code, and reaches it with his time-out and
// his signals.
func checkGiven(ctx context.Context, s Streams, test []string) error {
	_, config, err := laidOut()
	switch {
	case errors.Is(err, errNotLaidOut):
		return exitCode(1)
	case err != nil:
		return err
	}
	return enter(ctx, s, process.HealthCommand(test, config.Config.Shell))
}

// checkImage is the runner image's HEALTHCHECK. It fails until the image is
// laid out; then it passes, or tells what the image's own test says. The
// engine calls at the runner image's interval: the test runs at the image's
// own, and only after as many failures in a row as the image allows does a
// container that was healthy count as failed.
func checkImage(ctx context.Context, s Streams) error {
	_, config, err := laidOut()
	if err != nil {
		return err
	}
	check := config.Config.Healthcheck
	if check == nil {
		return nil
	}
	command := process.HealthCommand(check.Test, config.Config.Shell)
	if command == nil {
		return nil
	}
	last, err := loadHealth(healthPath)
	if err != nil {
		return err
	}
	retries := max(check.Retries, 0)
	if retries == 0 {
		retries = defaultRetries
	}
	if last.due(time.Now(), orDefault(check.Interval, defaultInterval)) {
		last = last.after(time.Now(), runTest(ctx, s, command, orDefault(check.Timeout, defaultTimeout)))
		if err := last.save(healthPath); err != nil {
			return err
		}
	}
	if last.healthy(retries) {
		return nil
	}
	return exitCode(1)
}

// due says whether the test has to run: before it passed for the first time
// at every call, then at the image's interval. A clock that was set back
// makes it due.
func (h health) due(now time.Time, interval time.Duration) bool {
	since := now.Sub(h.Time)
	return !h.Passed || since < 0 || since >= interval
}

// after is the health after one more test.
func (h health) after(now time.Time, err error) health {
	h.Time = now
	if err == nil {
		h.Failures, h.Passed = 0, true
	} else {
		h.Failures++
	}
	return h
}

func (h health) healthy(retries int) bool { return h.Passed && h.Failures < retries }

func loadHealth(path string) (health, error) {
	var h health
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return h, nil
	}
	if err == nil {
		err = json.Unmarshal(data, &h)
	}
	return h, err
}

func (h health) save(path string) error {
	data, err := json.Marshal(h)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".health-*")
	if err != nil {
		return err
	}
	_, err = f.Write(data)
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name())
	}
	return err
}

// runTest runs the image's test through enter, in a process group of its own
// that ends with the time-out.
func runTest(ctx context.Context, s Streams, command []string, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	test := exec.CommandContext(ctx, "/proc/self/exe")
	test.Args = append([]string{"exec"}, command...)
	test.Stdout, test.Stderr = s.Out, s.Err
	test.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	test.Cancel = func() error { return syscall.Kill(-test.Process.Pid, syscall.SIGKILL) }
	test.WaitDelay = time.Second
	err := test.Run()
	if ctx.Err() != nil {
		fmt.Fprintf(s.Err, "healthcheck: the image's test took longer than %s\n", timeout)
	}
	return err
}

func orDefault(d, def time.Duration) time.Duration {
	if d <= 0 {
		return def
	}
	return d
}
