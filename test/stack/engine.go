package stack

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// RunnerImage is the name under which an engine knows the runner image.
const RunnerImage = "clipperregistry/runner:latest"

// Engine is a Docker Engine, spoken to by the docker command line. It is safe
// for concurrent use.
type Engine struct {
	Host string

	image string // the runner image as a file for `docker load`
	load  sync.Once
	err   error
}

// Command is a docker command that speaks to this engine.
func (e *Engine) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "docker", args...)
	cmd.Env = append(environ("DOCKER_HOST", "DOCKER_CONTEXT"), "DOCKER_HOST="+e.Host)
	return cmd
}

// Docker runs a docker command that must succeed and returns what it prints.
func (e *Engine) Docker(t testing.TB, args ...string) string {
	t.Helper()
	var stderr strings.Builder
	cmd := e.Command(t.Context(), args...)
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("docker %s: %v: %s", strings.Join(args, " "), err, stderr.String())
	}
	return strings.TrimSpace(string(out))
}

// cleanUp runs a docker command when the test ends, after its context has.
func (e *Engine) cleanUp(t testing.TB, args ...string) {
	t.Cleanup(func() {
		if out, err := e.Command(context.Background(), args...).CombinedOutput(); err != nil && !gone(out) {
			t.Errorf("clean up: docker %s: %v: %s", strings.Join(args, " "), err, out)
		}
	})
}

// gone says whether a command failed because what it should remove is not
// there any more.
func gone(out []byte) bool {
	text := strings.ToLower(string(out))
	return strings.Contains(text, "no such") || strings.Contains(text, "already in progress")
}

// Pull pulls an image for direct runs and removes it when the test ends.
func (e *Engine) Pull(t testing.TB, ref string) {
	t.Helper()
	e.Docker(t, "pull", "--quiet", ref)
	e.cleanUp(t, "rmi", "--force", ref)
}

// Volume makes an empty named volume, removes it when the test ends, and
// returns its name.
func (e *Engine) Volume(t testing.TB, s *Stack) string {
	t.Helper()
	volume := e.Docker(t, "volume", "create", s.unique())
	e.cleanUp(t, "volume", "rm", "--force", volume)
	return volume
}

// VolumeDir is the directory of a volume on this machine.
func (e *Engine) VolumeDir(t testing.TB, volume string) string {
	t.Helper()
	return e.Docker(t, "volume", "inspect", "--format", "{{.Mountpoint}}", volume)
}

// needRunner loads the runner image from dist/ once per process, so that what
// is tested is what was built last.
func (e *Engine) needRunner(t testing.TB) {
	t.Helper()
	e.load.Do(func() {
		if _, err := os.Stat(e.image); err != nil {
			e.err = fmt.Errorf("the runner image is not built (run `make image`, or `make test`, which does): %w", err)
			return
		}
		if out, err := e.Command(context.Background(), "load", "--input", e.image).CombinedOutput(); err != nil {
			e.err = fmt.Errorf("load the runner image: %w: %s", err, out)
		}
	})
	if e.err != nil {
		t.Fatal(e.err)
	}
}

// StartEngine starts an engine of its own with this storage driver, its data
// in dir, and stops it when the test ends.
func (s *Stack) StartEngine(t testing.TB, driver, dir string) *Engine {
	t.Helper()
	// A socket's path is limited to 108 bytes, so it does not go to dir.
	run, err := os.MkdirTemp("", "clipper-engine-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(run) })
	log, err := os.Create(filepath.Join(run, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	e := &Engine{Host: "unix://" + filepath.Join(run, "docker.sock"), image: s.Engine.image}
	daemon := exec.Command("dockerd", "--host", e.Host, "--data-root", dir, "--exec-root", filepath.Join(run, "exec"),
		"--pidfile", filepath.Join(run, "pid"), "--storage-driver", driver, "--bridge", "none", "--iptables=false", "--ip6tables=false")
	daemon.Stdout, daemon.Stderr = log, log
	if err := daemon.Start(); err != nil {
		t.Fatalf("start dockerd (run `make test`, which installs it): %v", err)
	}
	ended := make(chan error, 1)
	go func() { ended <- daemon.Wait() }()
	t.Cleanup(func() {
		if err := daemon.Process.Signal(os.Interrupt); err == nil {
			<-ended
		}
	})
	deadline := time.After(60 * time.Second)
	for {
		out, err := e.Command(t.Context(), "version").CombinedOutput()
		if err == nil {
			return e
		}
		select {
		case err := <-ended:
			ended <- err
			text, _ := os.ReadFile(log.Name())
			t.Fatalf("dockerd --storage-driver %s ended: %v\n%s", driver, err, text)
		case <-deadline:
			t.Fatalf("dockerd --storage-driver %s does not answer: %v: %s", driver, err, out)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
