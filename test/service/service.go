// Package service runs the webhook service for tests, as operators do: the
// command itself, in a process of its own, told by variables and by signals.
package service

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/clipperregistry/runner/test/postgres"
)

// Program is the command clipper-runner.
type Program struct{ path string }

// Build builds the command, of the module that is at root, into a directory.
func Build(root, dir string) (Program, error) {
	p := Program{filepath.Join(dir, "clipper-runner")}
	cmd := exec.Command("go", "build", "-o", p.path, "./cmd/clipper-runner")
	cmd.Dir, cmd.Env = root, append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return p, fmt.Errorf("%s: %w: %s", cmd, err, out)
	}
	return p, nil
}

// With runs something with the command of the module at root, and with a server
// of PostgreSQL, and takes both away. It returns the exit code.
func With(root string, run func(Program, *postgres.Server) (code int)) (code int) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	dir, err := os.MkdirTemp("", "service")
	if err != nil {
		fail(err)
		return code
	}
	defer func() { fail(os.RemoveAll(dir)) }()
	program, err := Build(root, dir)
	if err != nil {
		fail(err)
		return code
	}
	cluster, err := postgres.Start()
	if err != nil {
		fail(err)
		return code
	}
	defer func() { fail(cluster.Stop()) }()
	return run(program, cluster)
}

// At is the command that was built at a path.
func At(path string) Program { return Program{path} }

// Environment is this process's without what would set the service up, and
// with these variables, of which the last of a name counts.
func Environment(variables ...string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool {
		return slices.ContainsFunc([]string{"AWS_", "CLIPPER_", "OTEL_", "DOCKER_"}, func(p string) bool { return strings.HasPrefix(v, p) })
	})
	return append(append(env, "CLIPPER_WEBHOOK_LISTEN=127.0.0.1:0", "CLIPPER_WEBHOOK_ADMIN_LISTEN=127.0.0.1:0"), variables...)
}

// Server is a service that was started.
type Server struct {
	// Public and Admin are where it listens, host:port.
	Public, Admin string
	// PID is its process.
	PID int

	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended
}

// listening is the line with which the service says where it listens.
var listening = regexp.MustCompile(`msg=listening public=([0-9.:]+) admin=([0-9.:]+)`)

// Start starts the service and waits until it listens. What it says is added to
// a file, in whose directory it works. The caller ends it.
func (p Program) Start(env []string, log string) (*Server, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	s := &Server{cmd: exec.Command(p.path, "webhook", "serve"), ended: make(chan struct{})}
	s.cmd.Env, s.cmd.Dir, s.cmd.Stdout = env, filepath.Dir(log), out
	stderr, err := s.cmd.StderrPipe()
	if err == nil {
		err = s.cmd.Start()
	}
	if err != nil {
		return nil, errors.Join(err, out.Close())
	}
	s.PID = s.cmd.Process.Pid
	said := make(chan []string, 1)
	go func() {
		defer close(s.ended)
		for lines, more := bufio.NewReader(stderr), true; more; {
			line, err := lines.ReadString('\n')
			_, _ = out.WriteString(line) // to be read where something else failed
			if found := listening.FindStringSubmatch(line); found != nil {
				said <- found
			}
			more = err == nil
		}
		s.err = errors.Join(s.cmd.Wait(), out.Close())
	}()
	select {
	case found := <-said:
		s.Public, s.Admin = found[1], found[2]
		return s, nil
	case <-s.ended:
		return nil, fmt.Errorf("the service has ended (see %s): %w", log, s.err)
	case <-time.After(time.Minute):
		s.Kill()
		return nil, fmt.Errorf("the service does not listen; see %s", log)
	}
}

// Kill ends it as a power cut does, if it has not ended, and waits for that.
func (s *Server) Kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.ended
}

// patience is how long the service may take to end.
const patience = 25 * time.Second

// Stop ends it as operators do, and returns how it ended.
func (s *Server) Stop() error {
	if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-s.ended:
		return s.err
	case <-time.After(patience):
		s.Kill()
		return fmt.Errorf("it did not end within %s", patience)
	}
}

// Delivery is a line of `webhook deliveries list --json`.
type Delivery struct {
	GUID  string `json:"guid"`
	State string `json:"state"`
}

// Deliveries asks the command for the inbox, beside the running service.
func (p Program) Deliveries(ctx context.Context, env []string) (map[string]Delivery, error) {
	cmd := exec.CommandContext(ctx, p.path, "webhook", "deliveries", "list", "--json")
	cmd.Env, cmd.Stderr = env, os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		return nil, err
	}
	all := map[string]Delivery{}
	for lines := json.NewDecoder(stdout); err == nil; {
		var d Delivery
		if err = lines.Decode(&d); err == nil {
			all[d.GUID] = d
		}
	}
	if err == io.EOF {
		err = nil
	}
	return all, errors.Join(err, cmd.Wait())
}
