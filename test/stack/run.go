package stack

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/treediff"
)

// Via says how an image becomes a container.
type Via int

const (
	// Direct lets the engine pull and run the image.
	Direct Via = iota
	// Runner has the runner image become it.
	Runner
)

func (v Via) String() string {
	return [...]string{"direct", "runner"}[v]
}

// RunSpec is one container. The same spec describes the same container for
// either Via.
type RunSpec struct {
	Image string
	Via   Via
	// Entrypoint overrides the image's when not nil.
	Entrypoint []string
	// Args replace the image's CMD when there are any.
	Args []string
	// User overrides the image's USER: --user, or CLIPPER_USER. To try
	// --user itself on the runner image put it into Flags.
	User string
	// Env holds NAME=value for the container.
	Env []string
	// RunnerEnv holds NAME=value for the runner only.
	RunnerEnv []string
	// Flags are further flags of docker run.
	Flags []string
	Stdin io.Reader
}

// Result is what a container left.
type Result struct {
	Stdout, Stderr string
	Exit           int
}

// arguments returns the flags of docker run, the image and its arguments.
func (spec RunSpec) arguments() []string {
	args := append([]string{"--network", "host"}, spec.Flags...)
	for _, variable := range spec.Env {
		args = append(args, "--env", variable)
	}
	if spec.Via == Runner {
		return append(args, spec.viaRunner()...)
	}
	if spec.User != "" {
		args = append(args, "--user", spec.User)
	}
	command := spec.Args
	if len(spec.Entrypoint) > 0 {
		args = append(args, "--entrypoint", spec.Entrypoint[0])
		command = append(append([]string{}, spec.Entrypoint[1:]...), command...)
	}
	return append(append(args, spec.Image), command...)
}

func (spec RunSpec) viaRunner() []string {
	args := []string{"--env", "CLIPPER_MAGIC_IMAGE=" + spec.Image}
	for _, variable := range spec.RunnerEnv {
		args = append(args, "--env", variable)
	}
	if spec.User != "" {
		args = append(args, "--env", "CLIPPER_USER="+spec.User)
	}
	if spec.Entrypoint != nil {
		entrypoint, err := json.Marshal(spec.Entrypoint)
		if err != nil {
			panic(err) // strings always marshal
		}
		args = append(args, "--env", "CLIPPER_ENTRYPOINT="+string(entrypoint))
	}
	return append(append(args, RunnerImage), spec.Args...)
}

// Run runs a container to its end. The image of a direct run must be pulled.
func (s *Stack) Run(t testing.TB, spec RunSpec) Result {
	t.Helper()
	return s.RunOn(t, s.Engine, spec)
}

// RunOn is Run on another engine.
func (s *Stack) RunOn(t testing.TB, e *Engine, spec RunSpec) Result {
	t.Helper()
	if spec.Via == Runner {
		e.needRunner(t)
	}
	container := s.unique()
	args := []string{"run", "--rm", "--name", container}
	if spec.Stdin != nil {
		args = append(args, "--interactive")
	}
	cmd := e.Command(t.Context(), append(args, spec.arguments()...)...)
	result := capture(t, cmd, spec.Stdin)
	if t.Context().Err() != nil {
		// The client is gone, the container may not be.
		_ = e.Command(context.Background(), "rm", "--force", container).Run()
	}
	return result
}

// capture runs a command whose failure is a result.
func capture(t testing.TB, cmd *exec.Cmd, stdin io.Reader) Result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &stdout, &stderr
	err := cmd.Run()
	if exit := new(exec.ExitError); err != nil && !errors.As(err, &exit) {
		t.Fatalf("%s: %v", cmd, err)
	}
	return Result{Stdout: stdout.String(), Stderr: stderr.String(), Exit: cmd.ProcessState.ExitCode()}
}

// Snapshot runs the snapshot program in the container that spec describes, as
// root, in place of the image's command.
func (s *Stack) Snapshot(t testing.TB, spec RunSpec) []treediff.Node {
	t.Helper()
	return s.SnapshotOn(t, s.Engine, spec)
}

// SnapshotOn is Snapshot on another engine.
func (s *Stack) SnapshotOn(t testing.TB, e *Engine, spec RunSpec) []treediff.Node {
	t.Helper()
	program := s.Program(t, "test/treediff/snapshot")
	// A file bind inside the tree: one more mount point to lay around.
	spec.Flags = append([]string{"--volume", program + ":/snapshot:ro"}, spec.Flags...)
	spec.Entrypoint = []string{"/snapshot", "-exclude", "/.clipper-runner"}
	spec.User = "0:0"
	result := s.RunOn(t, e, spec)
	if result.Exit != 0 {
		t.Fatalf("snapshot of %s (%s) exited %d: %s", spec.Image, spec.Via, result.Exit, result.Stderr)
	}
	nodes, err := treediff.Read(strings.NewReader(result.Stdout))
	if err != nil {
		t.Fatalf("snapshot of %s (%s): %v", spec.Image, spec.Via, err)
	}
	return nodes
}

// Container is a container in the background.
type Container struct {
	Name   string
	engine *Engine
}

// Start starts a container in the background and removes it, with its
// anonymous volumes, when the test ends.
func (s *Stack) Start(t testing.TB, spec RunSpec) *Container {
	t.Helper()
	if spec.Via == Runner {
		s.Engine.needRunner(t)
	}
	c := &Container{Name: s.unique(), engine: s.Engine}
	c.engine.cleanUp(t, "rm", "--force", "--volumes", c.Name)
	c.engine.Docker(t, append([]string{"run", "--detach", "--name", c.Name}, spec.arguments()...)...)
	return c
}

// AwaitLog waits until the container has printed text this many times since
// it was made. It fails the test when the container ends before.
func (c *Container) AwaitLog(t testing.TB, text string, times int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	reader, writer := io.Pipe()
	logs := c.engine.Command(ctx, "logs", "--follow", c.Name)
	logs.Stdout, logs.Stderr = writer, writer
	if err := logs.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		_ = logs.Wait() // killed as soon as the text is there
		writer.Close()
		close(ended)
	}()
	var seen bytes.Buffer
	buffer := make([]byte, 4096)
	for bytes.Count(seen.Bytes(), []byte(text)) < times {
		n, err := reader.Read(buffer)
		seen.Write(buffer[:n])
		if err != nil {
			t.Fatalf("container ended before it had printed %q %d times:\n%s", text, times, seen.String())
		}
	}
	cancel()
	reader.Close()
	<-ended
}

// Exec is docker exec.
func (c *Container) Exec(t testing.TB, args ...string) Result {
	t.Helper()
	return capture(t, c.engine.Command(t.Context(), append([]string{"exec", c.Name}, args...)...), nil)
}

// Logs returns what the container has printed.
func (c *Container) Logs(t testing.TB) Result {
	t.Helper()
	return capture(t, c.engine.Command(t.Context(), "logs", c.Name), nil)
}

// Do runs docker VERB FLAGS… NAME, such as restart, stop or kill.
func (c *Container) Do(t testing.TB, verb string, flags ...string) string {
	t.Helper()
	return c.engine.Docker(t, append(append([]string{verb}, flags...), c.Name)...)
}

// Wait waits for the container's end and returns its exit code.
func (c *Container) Wait(t testing.TB) string {
	t.Helper()
	return c.Do(t, "wait")
}

// Kill is docker kill for a container that may have ended already.
func (c *Container) Kill(t testing.TB) {
	t.Helper()
	// Whether it was in time is seen by the exit code.
	_ = c.engine.Command(t.Context(), "kill", c.Name).Run()
}
