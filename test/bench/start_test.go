package bench

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/inflate"
	"github.com/clipperregistry/runner/test/stack"
)

// BenchmarkStart: an image that the machine does not have, both ways.
func BenchmarkStart(b *testing.B) {
	for _, img := range []image{small, typical, large} {
		b.Run(img.name, func(b *testing.B) {
			built := made.get(b, img)
			loadRunner(b)
			var docker, runner sample
			inTurns(b, func() { docker.add(coldDocker(b, built)) }, func() { runner.add(coldRunner(b, built)) })
			results.start(img, built, docker, runner, sameTree(b, built, built.ref))

			b.ReportMetric(0, "ns/op")
			b.ReportMetric(docker.median().Seconds(), "docker-s")
			b.ReportMetric(runner.median().Seconds(), "runner-s")
		})
	}
}

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

// BenchmarkLimit: what no runner can beat while it inflates with this library
// and writes to this disk, and does both.
func BenchmarkLimit(b *testing.B) {
	built := made.get(b, large)
	lab.Engine.Pull(b, built.ref)
	var inflated, copied sample
	for range *rounds {
		inflated.add(inflateAlone(b, built))
		copied.add(copyTree(b, built))
	}
	results.limits(large, inflated, copied)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(inflated.median().Seconds(), "inflate-s")
	b.ReportMetric(copied.median().Seconds(), "copy-s")
}

// inflateAlone only inflates the image's layers.
func inflateAlone(b *testing.B, img *built) time.Duration {
	b.Helper()
	start := time.Now()
	for _, path := range img.blobs {
		f, err := os.Open(path)
		if err != nil {
			b.Fatal(err)
		}
		defer f.Close()
		r, err := inflate.NewReader(f)
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
	out := lab.Run(b, stack.RunSpec{Image: img.ref, Via: stack.Direct, User: "0", Entrypoint: []string{"/bin/sh", "-ec",
		"start=$(date +%s%N); " + copyRoot + "echo $(($(date +%s%N) - start))"}})
	ns, err := strconv.ParseInt(strings.TrimSpace(out.Stdout), 10, 64)
	if err != nil {
		b.Fatalf("exit %d: %v: %s", out.Exit, err, out.Stderr)
	}
	return time.Duration(ns)
}

// copyRoot is a part of a shell script.
const copyRoot = `
	mkdir /copy
	for name in /*; do
		case $name in /copy | /dev | /proc | /sys) ;; *) cp -a "$name" /copy/ ;; esac
	done
	`

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
