package bench

import (
	"encoding/json"
	"io/fs"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

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

// run runs an image through the runner with the store, and returns what the
// runner says of it.
func (s store) run(b *testing.B, over connection, ref string, command []string) (measurement, summary) {
	b.Helper()
	args := slices.Concat([]string{"run", "--rm", "--network", "host", "--env", "CLIPPER_LOG=json"}, s.flags(), viaRunner(ref), command)
	cmd := lab.Engine.Command(b.Context(), args...)
	log := new(strings.Builder)
	cmd.Stderr = log
	return untilOutput(b, over, cmd), readSummary(b, log.String())
}

// copy copies the store.
func (s store) copy(b *testing.B) store {
	b.Helper()
	to := newStore(b)
	stack.Output(b, exec.CommandContext(b.Context(), "cp", "-a", string(s), string(to)))
	return to
}

func (s store) remove(b *testing.B) {
	b.Helper()
	removeAll(b, string(s))
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

// BenchmarkStoreSize: what a store takes that has one image.
func BenchmarkStoreSize(b *testing.B) {
	for _, img := range []image{typical, large} {
		b.Run(img.name, func(b *testing.B) {
			built := made.get(b, img, gzipped)
			loadRunner(b)
			taken := filledStore(b, built.ref).size(b)
			results.storeSize(img, built, taken)
			b.ReportMetric(0, "ns/op")
			b.ReportMetric(float64(taken)/float64(built.size), "of-pulled")
		})
	}
}
