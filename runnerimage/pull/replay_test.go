package pull_test

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/stock"
	. "github.com/clipperregistry/runner/test/tarball"
)

// TestReplay: the second run asks for nothing, whatever the first one read.
func TestReplay(t *testing.T) {
	each(t, slices.Concat(ordinary, tabled), func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		b := f.build(t, Build(system(1)...))
		desc := h.push(t, b)
		first := h.run(t, dir, desc, pull.Options{Tables: true})
		first.check(t, b)
		if first.stats.Fetched < desc.Size || first.stats.Reused != 0 || first.stats.Claimed != 0 {
			t.Errorf("the first run: %+v of %d bytes", first.stats, desc.Size)
		}
		h.run(t, dir, desc, pull.Options{}).silent(t, b)
		h.run(t, dir, desc, pull.Options{Tables: true}).silent(t, b)
		h.run(t, dir, desc, pull.Options{Offline: true}).silent(t, b)
	})
}

// TestSmallLayers: nothing is too small to be kept.
func TestSmallLayers(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	for _, entries := range [][]Entry{nil, {Dir("a")}, {File("a", "")}, {File("a", "x")}, {Symlink("a", "b"), File("c", "xyz"), Dir("d")}} {
		b := blob{bytes: Gzip(Build(entries...))}
		desc := h.push(t, b)
		h.run(t, dir, desc, pull.Options{}).check(t, b)
		h.run(t, dir, desc, pull.Options{}).silent(t, b)
	}
	b := blob{bytes: []byte{}} // to Docker a layer without entries
	desc := h.push(t, b)
	h.run(t, dir, desc, pull.Options{}).check(t, b)
	h.run(t, dir, desc, pull.Options{}).silent(t, b)
}

// TestNoStore: without a store the blob is read, each time.
func TestNoStore(t *testing.T) {
	each(t, slices.Concat(ordinary, tabled), func(t *testing.T, f format) {
		h := newHost(t)
		b := f.build(t, Build(system(1)...))
		desc := h.push(t, b)
		for range 2 {
			r := h.run(t, "", desc, pull.Options{Tables: true})
			r.check(t, b)
			if want := (pull.Stats{Fetched: desc.Size}); r.requests != 1 || r.stats != want {
				t.Errorf("%d requests, %+v, want %+v", r.requests, r.stats, want)
			}
		}
	})
}

// TestOffline: what is not there is an error, and nobody is asked.
func TestOffline(t *testing.T) {
	h := newHost(t)
	desc := h.push(t, inFrames(t, Build(system(1)...)))
	for _, dir := range []string{"", t.TempDir()} {
		if r := h.run(t, dir, desc, pull.Options{Tables: true, Offline: true}); !errors.Is(r.err, pull.ErrNotStored) || r.requests != 0 {
			t.Errorf("%q: %v, %d requests", dir, r.err, r.requests)
		}
	}
}

// TestPassedOver: content that nobody reads is recorded like the rest.
func TestPassedOver(t *testing.T) {
	each(t, []format{gzip, frames}, func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		b := f.build(t, Build(system(1)...))
		desc := h.push(t, b)
		for range 2 { // the recording, and the replay
			s, done := open(t, dir, stock.Options{})
			puller := pull.New(newClient(t), h.ref(t), pull.Options{Stock: s})
			entries, err := puller.Layer(context.Background(), desc)
			if err != nil {
				t.Fatal(err)
			}
			for n := 0; ; n++ {
				_, err := entries.Next()
				if err == io.EOF {
					break
				}
				if err != nil {
					t.Fatal(err)
				}
				if n%3 == 0 {
					entries.Read(make([]byte, 100))
				}
			}
			entries.Close()
			done()
		}
		h.run(t, dir, desc, pull.Options{}).silent(t, b)
	})
}

// TestOneContent: content is in the store once, whatever it was compressed with.
func TestOneContent(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	archive := Build(system(1)...)
	for i, f := range slices.Concat(ordinary, tabled) {
		b := f.build(t, archive)
		h.run(t, dir, h.push(t, b), pull.Options{Tables: true}).check(t, b)
		packs, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
		if err != nil {
			t.Fatal(err)
		}
		// The eStargz archive has entries of its own, and so chunks.
		if want := 1; f.name != stargz.name && len(packs) != want {
			t.Errorf("after %d formats, %s the last, there are %d packs", i+1, f.name, len(packs))
		}
	}
	left, err := os.ReadDir(filepath.Join(dir, "tmp"))
	if err != nil || len(left) > 0 {
		t.Errorf("%d files are unfinished, %v", len(left), err)
	}
}
