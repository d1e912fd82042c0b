// Package bench measures what the runner promises in figures, against the same
// engine and registry that the end-to-end tests use, and prints them as
// Markdown tables:
//
//   - how long an image takes from the command to its program's first output,
//     by `docker pull` and `docker run` and through the runner, cold both ways;
//   - how long it takes with a store, beside copying the tree and nothing else;
//   - how long an update takes over a slow link, by the engine and through the
//     runner with a store, which both have the version before;
//   - what a restart costs over a restart of a plain container;
//   - how large the runner image and a store are, and how much memory the
//     runner takes.
//
// What is compared runs in turns, so that a slow minute of the machine hits
// both; a figure is the median with the lowest and the highest. Before each
// turn nothing of the image is on the machine but what the registry keeps, or
// what the row says, and the disk has nothing left to write; taking the former
// turn away is not timed. Registry and engine are on one machine: the network
// is as good as none, the slow link aside.
//
//	go test ./test/bench -run '^$' -bench . -benchtime 1x -timeout 4h [-rounds N]
//
// Choose with -bench, such as -bench Start/small. The environment is that of
// package e2e (`make bench` sets it up).
package bench

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/treediff"
)

var rounds = flag.Int("rounds", 5, "how often everything is measured")

// Set by TestMain before the first benchmark. Benchmarks run one by one.
var (
	lab     *stack.Stack
	made    *images
	results = new(report)
)

const root = "../.."

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	fail := func(err error) {
		if err != nil {
			fmt.Fprintln(os.Stderr, "benchmarks:", err)
			code = 1
		}
	}
	scratch := os.Getenv("CLIPPER_TEST_SCRATCH")
	s, err := stack.Open(context.Background(), stack.Config{
		DockerHost: os.Getenv("DOCKER_HOST"), Registry: os.Getenv("CLIPPER_TEST_REGISTRY"), Scratch: scratch, Root: root,
	})
	if err != nil {
		fail(err)
		return code
	}
	defer func() { fail(s.Close()) }()
	dir, err := os.MkdirTemp(scratch, "bench-")
	if err != nil {
		fail(err)
		return code
	}
	defer func() { fail(os.RemoveAll(dir)) }()
	lab, made = s, &images{dir: dir, made: map[string]*built{}}
	code = m.Run()
	if code == 0 {
		results.print(os.Stdout)
	}
	return code
}

// inTurns calls all of them once per round, and each of them first as often
// as any other.
func inTurns(b *testing.B, turns ...func()) {
	b.Helper()
	for range *rounds {
		for _, measure := range turns {
			settle()
			measure()
		}
		turns = append(turns[1:], turns[0])
	}
}

// settle waits until the disk has nothing left to write.
func settle() { unix.Sync() }

// pullAll pulls an image of which the engine has no layer.
func pullAll(b *testing.B, ref string) {
	b.Helper()
	if out := lab.Engine.Docker(b, "pull", ref); strings.Contains(out, "Already exists") || strings.Contains(out, "Image is up to date") {
		b.Fatalf("the engine has layers of %s already, so this is no cold start: remove the images that share them", ref)
	}
}

// firstOutput runs a docker command and returns the time until its first
// output. It returns when the command has ended.
func firstOutput(b *testing.B, args ...string) time.Duration {
	b.Helper()
	took, _ := output(b, args...)
	return took
}

// output is firstOutput that also returns what came on standard error.
func output(b *testing.B, args ...string) (first time.Duration, log string) {
	b.Helper()
	cmd := exec.CommandContext(b.Context(), "docker", args...)
	cmd.Env = append(os.Environ(), "DOCKER_HOST="+lab.Engine.Host)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	_, readErr := io.ReadFull(stdout, make([]byte, 1))
	took := time.Since(start)
	_, _ = io.Copy(io.Discard, stdout) // or the program could not end
	if err := cmd.Wait(); err != nil || readErr != nil {
		b.Fatalf("docker %s: %v, first output: %v: %s", strings.Join(args, " "), err, readErr, stderr.String())
	}
	return took, stderr.String()
}

// loadRunner sees that the engine has the runner image that was built last.
func loadRunner(b *testing.B) {
	b.Helper()
	img := made.get(b, small)
	if out := lab.Run(b, stack.RunSpec{Image: img.ref, Via: stack.Runner}); out.Exit != 0 {
		b.Fatalf("%s exits %d: %s", img.ref, out.Exit, out.Stderr)
	}
}

// sameTree compares an image as the engine runs it with what the runner makes
// of ref, and returns what both are. The engine makes or touches the paths
// whose time does not count with every container.
func sameTree(b *testing.B, img *built, ref string, flags ...string) []treediff.Node {
	b.Helper()
	lab.Engine.Pull(b, img.ref)
	snapshot := func(spec stack.RunSpec) []treediff.Node {
		nodes := lab.Snapshot(b, spec)
		for i := range nodes {
			switch nodes[i].Path {
			case ".", ".dockerenv", "etc", "etc/mtab":
				nodes[i].MTime = 0
			}
		}
		return nodes
	}
	want := snapshot(stack.RunSpec{Image: img.ref, Via: stack.Direct})
	got := snapshot(stack.RunSpec{Image: ref, Via: stack.Runner, Flags: flags})
	if differences := treediff.Diff(want, got); len(differences) > 0 {
		b.Fatalf("what is measured is not the image: %d differences, the first is %s", len(differences), differences[0])
	}
	return want
}
