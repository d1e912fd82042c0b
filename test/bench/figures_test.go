package bench

import (
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	builder "github.com/clipperregistry/runner/runnerimage/image"
	"github.com/clipperregistry/runner/test/stack"
)

// BenchmarkImage: the runner image's size, and how long the engine pulls it.
func BenchmarkImage(b *testing.B) {
	// The time of its files makes it an image that the engine does not have.
	img, err := builder.Build(builder.Config{
		Version: "bench", Time: time.Now(),
		Platforms: map[string]builder.Programs{"linux/amd64": {
			Runner: filepath.Join(root, "dist/linux-amd64/runner"), Applet: filepath.Join(root, "dist/linux-amd64/applet"),
			Loader: filepath.Join(root, "dist/linux-amd64/loader"),
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
	pushed := &built{ref: ref.String(), layers: manifest.Layers}
	for range *rounds {
		settle()
		start := time.Now()
		lab.Engine.Docker(b, "pull", pushed.ref)
		pull.add(time.Since(start))
		removeImage(b, pushed)
	}
	size := compressed(manifest)
	results.image(size, pull)
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(float64(size)/(1<<20), "MiB")
}

// memoryRounds are enough for a peak, of which the highest counts.
const memoryRounds = 2

// BenchmarkMemory: the most memory that the runner held until it executed the
// program, page cache not counted.
func BenchmarkMemory(b *testing.B) {
	for _, img := range []image{large, models, many} {
		b.Run(img.name, func(b *testing.B) {
			built := made.get(b, img, gzipped)
			var none, empty, warm, fromPublished int64
			for range memoryRounds {
				s := newStore(b)
				none = max(none, peak(b, built.ref))
				fromPublished = max(fromPublished, peak(b, made.get(b, img, published).ref))
				empty = max(empty, peak(b, built.ref, s.flags()...))
				warm = max(warm, peak(b, built.ref, s.flags()...))
				s.remove(b)
			}
			results.memory(img, none, fromPublished, empty, warm)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(max(none, fromPublished, empty, warm))/(1<<20), "MiB")
		})
	}
}

// peak runs an image through the runner and returns the most memory that it
// took.
func peak(b *testing.B, ref string, flags ...string) (bytes int64) {
	b.Helper()
	program := lab.Program(b, "test/bench/peak")
	out := lab.Run(b, stack.RunSpec{
		Image: ref, Via: stack.Runner, Entrypoint: []string{"/peak"}, User: "0",
		Flags: append([]string{"--volume", program + ":/peak:ro"}, flags...),
	})
	kib, err := strconv.ParseInt(strings.TrimSpace(out.Stdout), 10, 64)
	if err != nil {
		b.Fatalf("exit %d: %v: %s", out.Exit, err, out.Stderr)
	}
	return kib << 10
}
