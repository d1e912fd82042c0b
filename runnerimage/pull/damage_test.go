package pull_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/pull"
	. "github.com/clipperregistry/runner/test/tarball"
)

// files are the files of a part of a store.
func files(t *testing.T, dir, pattern string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(list) == 0 {
		t.Fatalf("no %s, %v", pattern, err)
	}
	return list
}

// spoil writes bytes over a file, at places that differ from try to try.
func spoil(t *testing.T, r *rand.Rand, path string, times int) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for range times {
		b[r.IntN(len(b))] ^= byte(1 + r.IntN(255))
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// damages are what may become of a store between two runs.
var damages = []struct {
	name   string
	damage func(t *testing.T, r *rand.Rand, dir string)
}{
	{"a byte of a pack", func(t *testing.T, r *rand.Rand, dir string) { spoil(t, r, files(t, dir, "packs/*.pack")[0], 1) }},
	{"bytes of packs", func(t *testing.T, r *rand.Rand, dir string) {
		for _, pack := range files(t, dir, "packs/*.pack") {
			spoil(t, r, pack, 20)
		}
	}},
	{"bytes of tables", func(t *testing.T, r *rand.Rand, dir string) {
		for _, table := range files(t, dir, "blobs/*") {
			spoil(t, r, table, 3)
		}
	}},
	{"short packs", func(t *testing.T, r *rand.Rand, dir string) {
		for _, pack := range files(t, dir, "packs/*.pack") {
			info, err := os.Stat(pack)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(pack, r.Int64N(info.Size())); err != nil {
				t.Fatal(err)
			}
		}
	}},
	{"no packs", func(t *testing.T, _ *rand.Rand, dir string) {
		for _, pack := range files(t, dir, "packs/*") {
			os.Remove(pack)
		}
	}},
	{"no tables", func(t *testing.T, _ *rand.Rand, dir string) {
		for _, table := range files(t, dir, "blobs/*") {
			os.Remove(table)
		}
	}},
}

// TestDamage: what is damaged or gone is fetched again while the layer flows,
// and then the store is as good as new.
func TestDamage(t *testing.T) {
	each(t, []format{gzip, frames, podman}, func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		b, pullSecond := update(t, h, f, dir)
		pullSecond(pull.Options{Tables: true}).check(t, b)
		for i, d := range damages {
			tries := uint64(2)
			if strings.HasPrefix(d.name, "no ") { // which leaves nothing to chance
				tries = 1
			}
			for try := range tries {
				name := fmt.Sprintf("%s, seed %d %d", d.name, i, try)
				d.damage(t, rand.New(rand.NewPCG(uint64(i), try)), dir)
				if r := pullSecond(pull.Options{Tables: true}); r.err != nil || !slices.Equal(r.lines, b.lines(t)) {
					t.Fatalf("%s: %d entries, %v", name, len(r.lines), r.err)
				}
				mended := pullSecond(pull.Options{Tables: true})
				if mended.silent(t, b); t.Failed() {
					t.Fatalf("%s: not mended", name)
				}
			}
		}
	})
}

// TestDamageIsCheap: where the table has spans, only what is damaged comes.
func TestDamageIsCheap(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	b := inFrames(t, Build(system(1)...))
	desc := h.push(t, b)
	h.run(t, dir, desc, pull.Options{Tables: true}).check(t, b)
	spoil(t, rand.New(rand.NewPCG(1, 1)), files(t, dir, "packs/*.pack")[0], 1)
	r := h.run(t, dir, desc, pull.Options{Tables: true})
	r.check(t, b)
	if r.requests != 1 || r.sent > 512<<10 || r.stats.Reused != desc.Size-r.sent || r.stats.Claimed != 0 {
		t.Errorf("%d requests for %d bytes, %+v", r.requests, r.sent, r.stats)
	}
}

// TestEvictedIsFetchedTogether: chunks that are gone are not asked for one by
// one.
func TestEvictedIsFetchedTogether(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	b := inFrames(t, Build(system(1)...))
	desc := h.push(t, b)
	h.run(t, dir, desc, pull.Options{Tables: true}).check(t, b)
	os.Remove(files(t, dir, "packs/*.pack")[0])
	r := h.run(t, dir, desc, pull.Options{Tables: true})
	r.check(t, b)
	if r.requests > 2 {
		t.Errorf("%d requests", r.requests)
	}
}

// TestDamageOffline: nobody is asked, so it is an error; and afterwards the
// store can still be mended.
func TestDamageOffline(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	b := inFrames(t, Build(system(1)...))
	desc := h.push(t, b)
	h.run(t, dir, desc, pull.Options{}).check(t, b)
	spoil(t, rand.New(rand.NewPCG(1, 1)), files(t, dir, "packs/*.pack")[0], 1)
	if r := h.run(t, dir, desc, pull.Options{Offline: true}); !errors.Is(r.err, pull.ErrNotStored) || !strings.Contains(r.err.Error(), desc.Digest.Hex) || r.requests != 0 {
		t.Errorf("%v, %d requests", r.err, r.requests)
	}
	h.run(t, dir, desc, pull.Options{}).check(t, b)
	h.run(t, dir, desc, pull.Options{Offline: true}).silent(t, b)
}
