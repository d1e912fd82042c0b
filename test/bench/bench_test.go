// Package bench measures what the runner promises in figures, against the same
// engine and registry that the end-to-end tests use, and prints them as
// Markdown tables:
//
//   - how long an image takes from the command to its program's first output,
//     by `docker pull` and `docker run` and through the runner, cold both ways;
//   - what a restart costs over a restart of a plain container;
//   - how large the runner image is, and how much memory the runner takes.
//
// What is compared runs in turns, so that a slow minute of the machine hits
// both; a figure is the median with the lowest and the highest. Before each
// turn nothing of the image is on the machine but what the registry keeps, and
// the disk has nothing left to write; taking the former turn away is not timed.
// Registry and engine are on one machine: the network is as good as none.
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
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/klauspost/compress/gzip"
	"golang.org/x/sys/unix"

	builder "github.com/clipperregistry/runner/runnerimage/image"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/treediff"
)

var rounds = flag.Int("rounds", 5, "how often everything is measured")

// memoryRounds are enough for a peak, of which the highest counts.
const memoryRounds = 2

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

// BenchmarkStart: an image that the machine does not have, both ways.
func BenchmarkStart(b *testing.B) {
	for _, img := range []image{small, typical, large} {
		b.Run(img.name, func(b *testing.B) {
			built := made.get(b, img)
			loadRunner(b)
			var docker, runner sample
			inTurns(b, func() { docker.add(coldDocker(b, built)) }, func() { runner.add(coldRunner(b, built)) })
			results.start(img, built, docker, runner, sameTree(b, built))

			b.ReportMetric(0, "ns/op")
			b.ReportMetric(docker.median().Seconds(), "docker-s")
			b.ReportMetric(runner.median().Seconds(), "runner-s")
		})
	}
}

// BenchmarkLimit: what no runner can beat while it inflates with this library
// and writes to this disk, and does both.
func BenchmarkLimit(b *testing.B) {
	built := made.get(b, large)
	lab.Engine.Pull(b, built.ref)
	var inflated, copied sample
	for range *rounds {
		inflated.add(inflate(b, built))
		copied.add(copyTree(b, built))
	}
	results.limits(large, inflated, copied)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(inflated.median().Seconds(), "inflate-s")
	b.ReportMetric(copied.median().Seconds(), "copy-s")
}

// BenchmarkRestart: `docker start` of a container that has run before.
func BenchmarkRestart(b *testing.B) {
	built := made.get(b, small)
	loadRunner(b)
	lab.Engine.Pull(b, built.ref)
	plainName, runnerName := unique("plain"), unique("runner")
	for name, args := range map[string][]string{
		plainName:  append([]string{built.ref}, built.command...),
		runnerName: append(viaRunner(built.ref), built.command...),
	} {
		removeAtEnd(b, name)
		firstOutput(b, append([]string{"run", "--network", "host", "--name", name}, args...)...)
	}
	const times = 4 // it is short
	var plain, runner sample
	for range times {
		inTurns(b,
			func() { plain.add(firstOutput(b, "start", "--attach", plainName)) },
			func() { runner.add(firstOutput(b, "start", "--attach", runnerName)) })
	}
	results.restart(plain, runner)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64((runner.median() - plain.median()).Milliseconds()), "more-ms")
}

// BenchmarkImage: the runner image's size, and how long the engine pulls it.
func BenchmarkImage(b *testing.B) {
	// The time of its files makes it an image that the engine does not have.
	img, err := builder.Build(builder.Config{
		Version: "bench", Time: time.Now(),
		Platforms: map[string]builder.Programs{"linux/amd64": {
			Runner: filepath.Join(root, "dist/linux-amd64/runner"), Applet: filepath.Join(root, "dist/linux-amd64/applet"),
		}},
	}, "linux/amd64")
	if err != nil {
		b.Fatalf("run `make image` first: %v", err)
	}
	ref, err := name.ParseReference(lab.Registry+"/bench/runner:latest", name.Insecure)
	if err != nil {
		b.Fatal(err)
	}
	if err := remote.Write(ref, img, remote.WithContext(b.Context())); err != nil {
		b.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		b.Fatal(err)
	}
	var pull sample
	for range *rounds {
		settle()
		start := time.Now()
		pullAll(b, ref.String())
		pull.add(time.Since(start))
		lab.Engine.Docker(b, "rmi", "--force", ref.String())
	}
	size := compressed(manifest)
	results.image(size, pull)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(size)/(1<<20), "MiB")
}

// BenchmarkMemory: the most memory that the runner held until it executed the
// program, page cache not counted.
func BenchmarkMemory(b *testing.B) {
	peak := lab.Program(b, "test/bench/peak")
	for _, img := range []image{small, large, many} {
		b.Run(img.name, func(b *testing.B) {
			built := made.get(b, img)
			var highest int64
			for range memoryRounds {
				out := lab.Run(b, stack.RunSpec{
					Image: built.ref, Via: stack.Runner, Entrypoint: []string{"/peak"}, User: "0",
					Flags: []string{"--volume", peak + ":/peak:ro"},
				})
				kib, err := strconv.ParseInt(strings.TrimSpace(out.Stdout), 10, 64)
				if err != nil {
					b.Fatalf("exit %d: %v: %s", out.Exit, err, out.Stderr)
				}
				highest = max(highest, kib<<10)
			}
			results.memory(img, built, highest)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(highest)/(1<<20), "MiB")
		})
	}
}

// inTurns calls both once per round, each first as often as second.
func inTurns(b *testing.B, one, other func()) {
	b.Helper()
	for round := range *rounds {
		turns := []func(){one, other}
		if round%2 == 1 {
			slices.Reverse(turns)
		}
		for _, measure := range turns {
			settle()
			measure()
		}
	}
}

// settle waits until the disk has nothing left to write.
func settle() { unix.Sync() }

// coldDocker pulls and runs an image and takes it away again.
func coldDocker(b *testing.B, img *built) time.Duration {
	b.Helper()
	start := time.Now()
	pullAll(b, img.ref)
	took := time.Since(start) + firstOutput(b, append([]string{"run", "--rm", "--network", "host", img.ref}, img.command...)...)
	lab.Engine.Docker(b, "rmi", "--force", img.ref)
	return took
}

// coldRunner runs an image through the runner. The tree goes with the
// container.
func coldRunner(b *testing.B, img *built) time.Duration {
	b.Helper()
	return firstOutput(b, append(append([]string{"run", "--rm", "--network", "host"}, viaRunner(img.ref)...), img.command...)...)
}

func viaRunner(ref string) []string {
	return []string{"--env", "CLIPPER_MAGIC_IMAGE=" + ref, stack.RunnerImage}
}

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
	return took
}

// loadRunner sees that the engine has the runner image that was built last.
func loadRunner(b *testing.B) {
	b.Helper()
	img := made.get(b, small)
	if out := lab.Run(b, stack.RunSpec{Image: img.ref, Via: stack.Runner}); out.Exit != 0 {
		b.Fatalf("%s exits %d: %s", img.ref, out.Exit, out.Stderr)
	}
}

// sameTree compares what the two ways gave and returns what it was. The
// engine makes or touches these paths with every container.
func sameTree(b *testing.B, img *built) []treediff.Node {
	b.Helper()
	lab.Engine.Pull(b, img.ref)
	snapshot := func(via stack.Via) []treediff.Node {
		nodes := lab.Snapshot(b, stack.RunSpec{Image: img.ref, Via: via})
		for i := range nodes {
			switch nodes[i].Path {
			case ".", ".dockerenv", "etc", "etc/mtab":
				nodes[i].MTime = 0
			}
		}
		return nodes
	}
	want := snapshot(stack.Direct)
	if differences := treediff.Diff(want, snapshot(stack.Runner)); len(differences) > 0 {
		b.Fatalf("what is measured is not the image: %d differences, the first is %s", len(differences), differences[0])
	}
	return want
}

// inflate only inflates the image's layers.
func inflate(b *testing.B, img *built) time.Duration {
	b.Helper()
	start := time.Now()
	for _, path := range img.blobs {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		r, err := gzip.NewReader(f)
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, r); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}

// copyTree only copies the image's tree, from the layers beneath a container
// to its own.
func copyTree(b *testing.B, img *built) time.Duration {
	b.Helper()
	settle()
	out := lab.Run(b, stack.RunSpec{Image: img.ref, Via: stack.Direct, User: "0", Entrypoint: []string{"/bin/sh", "-ec", `
		mkdir /copy
		start=$(date +%s%N)
		for name in /*; do
			case $name in /copy | /dev | /proc | /sys) ;; *) cp -a "$name" /copy/ ;; esac
		done
		echo $(($(date +%s%N) - start))`}})
	ns, err := strconv.ParseInt(strings.TrimSpace(out.Stdout), 10, 64)
	if err != nil {
		b.Fatalf("exit %d: %v: %s", out.Exit, err, out.Stderr)
	}
	return time.Duration(ns)
}

// unique is a container's name that nobody else has.
func unique(what string) string { return fmt.Sprintf("clipper-bench-%d-%s", os.Getpid(), what) }

// removeAtEnd removes a container, if it was made, when the benchmark ends.
func removeAtEnd(b *testing.B, container string) {
	b.Cleanup(func() {
		cmd := exec.Command("docker", "rm", "--force", container)
		cmd.Env = append(os.Environ(), "DOCKER_HOST="+lab.Engine.Host)
		if out, err := cmd.CombinedOutput(); err != nil && !strings.Contains(string(out), "No such container") {
			b.Errorf("remove %s: %v: %s", container, err, out)
		}
	})
}
