package bench

import (
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/stack"
)

// store is a directory of this machine, as a volume for runners.
type store string

func newStore(b *testing.B) store { return store(filepath.Join(lab.Scratch(b), "store")) }

// filledStore is a store that has an image.
func filledStore(b *testing.B, ref string) store {
	b.Helper()
	s := newStore(b)
	if out := lab.Run(b, stack.RunSpec{Image: ref, Via: stack.Runner, Flags: s.flags()}); out.Exit != 0 {
		b.Fatalf("%s exits %d: %s", ref, out.Exit, out.Stderr)
	}
	return s
}

func (s store) flags() []string { return []string{"--volume", string(s) + ":/.clipper-runner/store"} }

// run runs an image through the runner with the store.
func (s store) run(b *testing.B, ref string, command []string) (time.Duration, summary) {
	b.Helper()
	args := append([]string{"run", "--rm", "--network", "host", "--env", "CLIPPER_LOG=json"}, s.flags()...)
	took, log := output(b, append(append(args, viaRunner(ref)...), command...)...)
	return took, readSummary(b, log)
}

// copy copies the store.
func (s store) copy(b *testing.B) store {
	b.Helper()
	to := newStore(b)
	if out, err := exec.CommandContext(b.Context(), "cp", "-a", string(s), string(to)).CombinedOutput(); err != nil {
		b.Fatalf("copy the store: %v: %s", err, out)
	}
	return to
}

func (s store) remove(b *testing.B) {
	b.Helper()
	if err := os.RemoveAll(string(s)); err != nil {
		b.Fatal(err)
	}
}

// size is what the store takes on the disk.
func (s store) size(b *testing.B) (bytes int64) {
	b.Helper()
	err := filepath.WalkDir(string(s), func(path string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st syscall.Stat_t
		err = syscall.Lstat(path, &st)
		bytes += st.Blocks * 512
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	return bytes
}

// summary is what a runner says at the end of a layout.
type summary struct {
	Message string           `json:"msg"`
	Pulled  int64            `json:"bytes_pulled"`
	Reused  int64            `json:"bytes_reused"`
	Phases  map[string]int64 `json:"ms"`
}

func readSummary(b *testing.B, log string) summary {
	b.Helper()
	for line := range strings.Lines(log) {
		var s summary
		if err := json.Unmarshal([]byte(line), &s); err == nil && s.Message == "ready" {
			return s
		}
	}
	b.Fatalf("the runner gave no summary: %s", log)
	return summary{}
}

// BenchmarkWarm: an image that the store has, beside one that it has not, no
// store at all, and a copy of the tree, which is as much to write.
func BenchmarkWarm(b *testing.B) {
	for _, img := range []image{typical, large} {
		b.Run(img.name, func(b *testing.B) {
			built := made.get(b, img)
			loadRunner(b)
			lab.Engine.Pull(b, built.ref)
			filled := filledStore(b, built.ref)
			var none, empty, warm, copied sample
			inTurns(b,
				func() { none.add(coldRunner(b, built)) },
				func() {
					s := newStore(b)
					took, _ := s.run(b, built.ref, built.command)
					empty.add(took)
					s.remove(b)
				},
				func() {
					took, s := filled.run(b, built.ref, built.command)
					if s.Pulled > built.size/100 {
						b.Fatalf("a start from a store pulled %d bytes", s.Pulled)
					}
					warm.add(took)
				},
				func() { copied.add(copyAndRun(b, built)) })
			sameTree(b, built, built.ref, filled.flags()...)
			results.warm(img, none, empty, warm, copied)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(warm.median().Seconds(), "warm-s")
			b.ReportMetric(copied.median().Seconds(), "copy-s")
		})
	}
}

// copyAndRun copies the image's tree within a container, as copyTree does, and
// runs the image's command in the copy.
func copyAndRun(b *testing.B, img *built) time.Duration {
	b.Helper()
	return firstOutput(b, append([]string{"run", "--rm", "--network", "host", "--entrypoint", "/bin/sh", img.ref, "-ec",
		copyRoot + `exec chroot /copy "$@"`, "sh"}, img.command...)...)
}

// BenchmarkStoreSize: what a store takes that has one image.
func BenchmarkStoreSize(b *testing.B) {
	for _, img := range []image{typical, large} {
		b.Run(img.name, func(b *testing.B) {
			built := made.get(b, img)
			loadRunner(b)
			taken := filledStore(b, built.ref).size(b)
			results.storeSize(img, built, taken)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(taken)/float64(built.size), "of-pulled")
		})
	}
}
