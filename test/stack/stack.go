// Package stack is what the end-to-end tests stand on: a Docker Engine spoken
// to through the docker command line, a real registry, images built from
// layers, Debian trees built from real packages, and programs built for the
// inside of containers.
//
// A Config goes in; a Stack comes out whose methods do one thing each and fail
// the test, saying what to do, when a part is missing. It never skips. What a
// test makes is removed when the test ends: containers, pulled images,
// volumes. The registry keeps what was pushed until it ends.
package stack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Config names the parts that exist already.
type Config struct {
	// DockerHost is the engine's address. Required.
	DockerHost string
	// Registry is the host:port of a registry that speaks plain HTTP and
	// keeps nothing we need later. Default: docker-registry is started on a
	// free port, with its storage in Scratch.
	Registry string
	// Scratch is a directory on a fast file system. Required.
	Scratch string
	// Root is the module's directory, which has dist/ and the sources.
	Root string
}

// Stack is safe for concurrent use.
type Stack struct {
	// Registry is the registry's host:port.
	Registry string
	// Engine is the engine of Config.DockerHost.
	Engine *Engine

	scratch  string
	root     string
	registry *exec.Cmd // nil when it was there already

	mu      sync.Mutex
	made    map[string]*once                // files made once per process, by path
	layers  map[string]func() (blob, error) // of files, compressed once per process
	counter int
}

// once is the making of one thing that several tests need.
type once struct {
	sync.Once
	err error
}

// Open connects the parts and starts the registry if none is named. The
// caller closes the Stack.
func Open(ctx context.Context, cfg Config) (*Stack, error) {
	if cfg.DockerHost == "" || cfg.Scratch == "" {
		return nil, errors.New("the end-to-end tests need DOCKER_HOST (a Docker Engine) and CLIPPER_TEST_SCRATCH (a directory on a fast file system): run `make test`, which sets both up")
	}
	s := &Stack{Registry: cfg.Registry, scratch: cfg.Scratch, root: cfg.Root, made: map[string]*once{}, layers: map[string]func() (blob, error){}}
	s.Engine = &Engine{Host: cfg.DockerHost, image: filepath.Join(cfg.Root, "dist", "runner-image-amd64.tar")}
	if out, err := s.Engine.Command(ctx, "version", "--format", "{{.Server.Version}}").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("no Docker Engine answers at %s (run `make test`, which starts one): %w: %s", cfg.DockerHost, err, out)
	}
	if err := os.MkdirAll(cfg.Scratch, 0o755); err != nil {
		return nil, err
	}
	if s.Registry == "" {
		if err := s.startRegistry(); err != nil {
			return nil, err
		}
	}
	return s, s.awaitRegistry(ctx)
}

// Close ends what Open started and removes the programs. The Debian trees stay.
func (s *Stack) Close() error {
	if err := os.RemoveAll(s.programs()); err != nil {
		return err
	}
	if s.registry == nil {
		return nil
	}
	if err := s.registry.Process.Kill(); err != nil {
		return fmt.Errorf("stop docker-registry: %w", err)
	}
	_ = s.registry.Wait() // killed, so its status says nothing
	return os.RemoveAll(filepath.Join(s.scratch, "registry"))
}

func (s *Stack) startRegistry() error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	s.Registry = listener.Addr().String()
	if err := listener.Close(); err != nil {
		return err
	}
	dir := filepath.Join(s.scratch, "registry")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	config := filepath.Join(dir, "config.yml")
	text := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage: {filesystem: {rootdirectory: %q}}\nhttp: {addr: %q}\n", filepath.Join(dir, "data"), s.Registry)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		return err
	}
	s.registry = exec.Command("docker-registry", "serve", config)
	s.registry.Stderr = os.Stderr
	if err := s.registry.Start(); err != nil {
		return fmt.Errorf("start docker-registry (run `make test`, which installs it): %w", err)
	}
	return nil
}

func (s *Stack) awaitRegistry(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	for {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.Registry+"/v2/", nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			return response.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no registry answers at %s (run `make test`, which starts one): %w", s.Registry, err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// Scratch makes a directory for one test on the fast file system.
func (s *Stack) Scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(s.scratch, "test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	return dir
}

// Program builds a command of this module without cgo, for the inside of
// containers, and returns its path. pkg is relative to the module's root.
func (s *Stack) Program(t testing.TB, pkg string) string {
	t.Helper()
	return s.ProgramFor(t, pkg, "amd64")
}

// programs is where this process's programs and layers are, which Close removes: the next
// process may have other sources.
func (s *Stack) programs() string {
	return filepath.Join(s.scratch, fmt.Sprintf("programs-%d", os.Getpid()))
}

// ProgramFor is Program for another architecture.
func (s *Stack) ProgramFor(t testing.TB, pkg, arch string) string {
	t.Helper()
	name := filepath.Join(s.programs(), filepath.Base(pkg)+"-"+arch)
	return s.once(t, name, func(file string) error {
		build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", file, "./"+pkg)
		build.Dir = s.root
		build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w: %s", pkg, err, out)
		}
		return nil
	})
}

// once makes the file at path if nothing has made it yet, in this process or
// before, and returns path.
func (s *Stack) once(t testing.TB, path string, build func(temporary string) error) string {
	t.Helper()
	s.mu.Lock()
	one := s.made[path]
	if one == nil {
		one = new(once)
		s.made[path] = one
	}
	s.mu.Unlock()
	one.Do(func() {
		if _, err := os.Stat(path); err == nil {
			return
		}
		temporary := fmt.Sprintf("%s.%d", path, os.Getpid())
		if one.err = os.MkdirAll(filepath.Dir(path), 0o755); one.err != nil {
			return
		}
		if one.err = build(temporary); one.err == nil {
			one.err = os.Rename(temporary, path)
		}
	})
	if one.err != nil {
		t.Fatal(one.err)
	}
	return path
}

// unique is a name that nothing else of this machine has.
func (s *Stack) unique() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.counter++
	return fmt.Sprintf("clipper-e2e-%d-%d", os.Getpid(), s.counter)
}

// environ is the process's environment without the variables named.
func environ(without ...string) []string {
	var kept []string
next:
	for _, variable := range os.Environ() {
		for _, name := range without {
			if strings.HasPrefix(variable, name+"=") {
				continue next
			}
		}
		kept = append(kept, variable)
	}
	return kept
}
