package pull_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/stock"
	. "github.com/clipperregistry/runner/test/tarball"
)

// TestManyPullers: runs that share a store disturb each other no more than the
// layers of one run do.
func TestManyPullers(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	var blobs []blob
	var descs []oci.Descriptor
	for version, f := range []format{gzip, zstd, frames, podman, stargz, frames, podman} {
		b := f.build(t, Build(system(uint64(version))...))
		blobs, descs = append(blobs, b), append(descs, h.push(t, b))
	}
	var runs sync.WaitGroup
	for range 3 {
		s, done := open(t, dir, stock.Options{})
		defer done()
		puller := pull.New(newClient(t), h.ref(t), pull.Options{Stock: s, Tables: true})
		for i, desc := range descs {
			want := blobs[i].lines(t)
			runs.Go(func() {
				if lines, err := read(puller.Layer(context.Background(), desc)); err != nil || !slices.Equal(lines, want) {
					t.Errorf("%d entries, %v", len(lines), err)
				}
			})
		}
	}
	runs.Wait()
	alone(t)
	for i, desc := range descs {
		h.run(t, dir, desc, pull.Options{Tables: true, Offline: true}).silent(t, blobs[i])
	}
}

// TestStoreTakesNoMore: a store that becomes full or cannot be written in the
// middle of a layer costs a warning, and what it has is still read.
func TestStoreTakesNoMore(t *testing.T) {
	for name, c := range map[string]struct {
		o     stock.Options
		spoil func(t *testing.T, dir string)
	}{
		"full": {o: stock.Options{Max: 1 << 20}},
		"gone": {spoil: func(t *testing.T, dir string) {
			if err := os.Rename(filepath.Join(dir, "tmp"), filepath.Join(t.TempDir(), "tmp")); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, []format{gzip, frames, podman}, func(t *testing.T, f format) {
				h, dir := newHost(t), t.TempDir()
				var warnings []string
				c.o.Warn = func(text string) { warnings = append(warnings, text) }
				s, done := open(t, dir, c.o)
				defer done()
				if c.spoil != nil {
					c.spoil(t, dir)
				}
				for version := range uint64(2) {
					b := f.build(t, Build(system(version)...))
					h.pull(t, h.push(t, b), pull.Options{Stock: s, Tables: true}).check(t, b)
				}
				if len(warnings) != 1 || !strings.Contains(warnings[0], "nothing more") {
					t.Errorf("warnings: %q", warnings)
				}
				if tables, _ := filepath.Glob(filepath.Join(dir, "blobs", "toc-*")); len(tables) > 0 {
					t.Error("there is a table whose chunks are not stored")
				}
			})
		})
	}
}

// TestEvictedMeanwhile: what another run evicts is fetched.
func TestEvictedMeanwhile(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	b := frames.build(t, Build(system(1)...))
	desc := h.push(t, b)
	h.run(t, dir, desc, pull.Options{Tables: true}).check(t, b)
	s, done := open(t, dir, stock.Options{})
	defer done()
	os.Remove(files(t, dir, "packs/*.pack")[0]) // the run has listed it
	if r := h.pull(t, desc, pull.Options{Stock: s, Tables: true, Offline: true}); !errors.Is(r.err, pull.ErrNotStored) {
		t.Errorf("%v, want ErrNotStored", r.err)
	}
	h.pull(t, desc, pull.Options{Stock: s, Tables: true}).check(t, b)
}
