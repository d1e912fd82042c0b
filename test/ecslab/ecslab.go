// Package ecslab is a small world for tests of what deploys to ECS, runs tasks
// and watches them: an ecsfake with the SDK's clients, and containers that run
// a script.
package ecslab

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// Main runs a package's tests with a stack; root is the module's directory.
func Main(m *testing.M, root string, lab **stack.Stack) (code int) {
	flag.Parse()
	s, err := open(root)
	if err != nil {
		fmt.Fprintln(os.Stderr, "the tests' stack:", err)
		return 1
	}
	defer func() {
		if err := s.Close(); err != nil {
			fmt.Fprintln(os.Stderr, "the tests' stack:", err)
			code = 1
		}
	}()
	*lab = s
	return m.Run()
}

// Open is Main for a package of which one test needs a stack.
func Open(t *testing.T, root string) *stack.Stack {
	t.Helper()
	s, err := open(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func open(root string) (*stack.Stack, error) {
	return stack.Open(context.Background(), stack.Config{
		DockerHost: os.Getenv("DOCKER_HOST"), Registry: os.Getenv("CLIPPER_TEST_REGISTRY"), Scratch: os.Getenv("CLIPPER_TEST_SCRATCH"), Root: root,
	})
}

// Pace asks as often as a test wants to know.
var Pace = watch.Pace{First: 50 * time.Millisecond, Most: 100 * time.Millisecond}

// World is a fake with clients, and an image that is a shell.
type World struct {
	*ecsfake.Fake
	ECS   *awsecs.Client
	Image string
	// Missing is a reference of no image.
	Missing string
}

// Start starts a world in which ECS's own waits are a hundredth. The runner
// image is the one that was built last, whatever the engine has of its name.
func Start(t *testing.T, lab *stack.Stack, change ...func(*ecsfake.Config)) *World {
	t.Helper()
	config := ecsfake.Config{Dir: lab.Scratch(t), Speed: 100, Images: map[string]string{stack.RunnerImage: lab.PushRunner(t)}}
	for _, c := range change {
		c(&config)
	}
	f, err := ecsfake.Start(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	busybox, err := os.ReadFile("/usr/bin/busybox")
	if err != nil {
		t.Fatal(err)
	}
	parts := []tarball.Entry{tarball.Dir("bin"), tarball.Dir("tmp"), tarball.Dir("etc"), tarball.File("bin/busybox", string(busybox), tarball.Mode(0o755))}
	for _, name := range []string{"sh", "sleep", "cat", "false", "true"} {
		parts = append(parts, tarball.Symlink("bin/"+name, "busybox"))
	}
	image := lab.Push(t, "ecslab/shell", stack.Image{Layers: []stack.Layer{stack.Tar(tarball.Build(parts...))}, Config: v1.Config{Env: []string{"PATH=/bin"}}})
	return &World{Fake: f, ECS: awsecs.NewFromConfig(f.Config()), Image: image, Missing: lab.Registry + "/ecslab/nothing:1"}
}

// Logs are CloudWatch Logs of every region.
func (w *World) Logs(string) watch.LogReader { return cloudwatchlogs.NewFromConfig(w.Config()) }

// Script is a container that runs a script and logs to the group /app. more
// has further members.
func (w *World) Script(name, script string, more map[string]any) map[string]any {
	c := map[string]any{
		"name": name, "image": w.Image, "command": []string{"sh", "-c", script}, "memory": 64, "stopTimeout": 2,
		"logConfiguration": map[string]any{"logDriver": "awslogs", "options": map[string]string{
			"awslogs-group": "/app", "awslogs-region": "eu-central-1", "awslogs-stream-prefix": "p", "awslogs-create-group": "true"}},
	}
	for name, value := range more {
		c[name] = value
	}
	return c
}

// Definition is a task definition of these containers.
func Definition(t *testing.T, family string, containers ...map[string]any) *ecs.Definition {
	t.Helper()
	text, err := json.Marshal(map[string]any{"family": family, "containerDefinitions": containers})
	if err != nil {
		t.Fatal(err)
	}
	def, err := ecs.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return def
}
