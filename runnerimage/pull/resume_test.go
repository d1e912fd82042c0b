package pull_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	. "github.com/clipperregistry/runner/test/tarball"
)

// large is a layer of several checkpoints.
func large() []Entry { return larger(2) }

// larger is a layer with this many times two megabytes.
func larger(times int) []Entry {
	entries := []Entry{Dir("d"), File("first", random(20, times*700_000)), Whiteout("gone")}
	for i := range 50 {
		entries = append(entries, File(fmt.Sprintf("d/%d", i), random(21+uint64(i), times*i*400)))
	}
	return append(entries, Symlink("s", "first"), File("last", random(19, times*900_000)), Dir("end", Mode(0o700)))
}

// TestCut: a pull that ends at any byte is taken up again, by as many runs as
// it takes.
func TestCut(t *testing.T) {
	each(t, append(slices.Clone(ordinary), frames), func(t *testing.T, f format) {
		h := newHost(t)
		b := f.build(t, Build(large()...))
		desc := h.push(t, b)
		r := rand.New(rand.NewPCG(1, 2))
		for range 3 {
			h.set(-1, nil)
			dir := t.TempDir()
			for _, cut := range []int64{r.Int64N(desc.Size / 4), r.Int64N(desc.Size / 3), r.Int64N(desc.Size / 3), -1} {
				h.set(cut, nil)
				got := h.run(t, dir, desc, pull.Options{Tables: true})
				if cut < 0 {
					got.check(t, b)
					// Of a zstd blob only the chunks are known, not the place.
					if f.name != zstd.name && got.stats.Fetched+got.stats.Reused < desc.Size {
						t.Errorf("%+v of %d bytes", got.stats, desc.Size)
					}
				} else if !errors.Is(got.err, registry.ErrUnreachable) {
					t.Fatalf("cut behind %d bytes: %v", cut, got.err)
				}
			}
			h.set(-1, nil)
			h.run(t, dir, desc, pull.Options{Offline: true, Tables: true}).silent(t, b)
		}
	})
}

// cutAt pulls a layer up to a byte.
func (h *host) cutAt(t *testing.T, dir string, b blob, at int64) (again func() result) {
	t.Helper()
	desc := h.push(t, b)
	h.set(at, nil)
	if r := h.run(t, dir, desc, pull.Options{}); !errors.Is(r.err, registry.ErrUnreachable) {
		t.Fatal(r.err)
	}
	h.set(-1, nil)
	return func() result { return h.run(t, dir, desc, pull.Options{}) }
}

// TestResumeSaves: what came before the cut comes from the store, but for less
// than what is between two checkpoints and what the reader was ahead.
func TestResumeSaves(t *testing.T) {
	each(t, []format{plain, gzip}, func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		b := f.build(t, Build(larger(4)...))
		size, cut := int64(len(b.bytes)), int64(len(b.bytes))*9/10
		r := h.cutAt(t, dir, b, cut)()
		r.check(t, b)
		if most := size - cut + 5<<20; r.sent > most || r.stats.Reused != size-r.sent || r.stats.Fetched != r.sent {
			t.Errorf("%d bytes of %d after a cut at %d, want no more than %d; %+v", r.sent, size, cut, most, r.stats)
		}
	})
}

// TestResumeOutlivesFaults: a registry that is away costs no checkpoint.
func TestResumeOutlivesFaults(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	b := gzip.build(t, Build(large()...))
	again := h.cutAt(t, dir, b, int64(len(b.bytes)-1000))
	h.set(0, nil)
	if r := again(); !errors.Is(r.err, registry.ErrUnreachable) {
		t.Fatal(r.err)
	}
	h.set(-1, nil)
	r := again()
	r.check(t, b)
	if r.stats.Reused == 0 {
		t.Errorf("%+v", r.stats)
	}
}

// TestResumeWrongBytes: what came before may have been wrong. That is found out
// in the end, and the next run begins anew.
func TestResumeWrongBytes(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	b := plain.build(t, Build(large()...))
	desc := h.push(t, b)
	h.set(int64(len(b.bytes)-1000), h.spoiled(1_000_000))
	if r := h.run(t, dir, desc, pull.Options{}); !errors.Is(r.err, registry.ErrUnreachable) {
		t.Fatal(r.err)
	}
	files(t, dir, "blobs/resume-*")
	h.set(-1, nil)
	if r := h.run(t, dir, desc, pull.Options{}); !errors.Is(r.err, registry.ErrMismatch) {
		t.Fatalf("%v, want ErrMismatch", r.err)
	}
	h.run(t, dir, desc, pull.Options{}).check(t, b)
	h.run(t, dir, desc, pull.Options{}).silent(t, b)
}

// TestResumeDamage: a checkpoint that is damaged, or that lacks chunks, is as
// good as none; damage that is seen only while the layer flows is mended.
func TestResumeDamage(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string){
		"checkpoint": func(t *testing.T, dir string) {
			spoil(t, rand.New(rand.NewPCG(1, 1)), files(t, dir, "blobs/resume-*")[0], 1)
		},
		"packs": func(t *testing.T, dir string) {
			for _, pack := range files(t, dir, "packs/*.pack") {
				os.Remove(pack)
			}
		},
		"chunk": func(t *testing.T, dir string) {
			for _, pack := range files(t, dir, "packs/*.pack") {
				spoil(t, rand.New(rand.NewPCG(1, 1)), pack, 3)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			h, dir := newHost(t), t.TempDir()
			b := gzip.build(t, Build(large()...))
			again := h.cutAt(t, dir, b, int64(len(b.bytes)-1000))
			damage(t, dir)
			r := again()
			r.check(t, b)
			if r.stats.Reused != 0 {
				t.Errorf("%+v", r.stats)
			}
			// A damaged chunk from behind the checkpoint is not looked at yet.
			again().check(t, b)
			again().silent(t, b)
			if left, _ := filepath.Glob(filepath.Join(dir, "blobs", "resume-*")); len(left) > 0 {
				t.Error("the checkpoint is still there")
			}
		})
	}
}

// TestResumeOfALiving: a run that finds the checkpoint of one that is on its
// way, whose chunks nobody sees yet, leaves it alone.
func TestResumeOfALiving(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	b := plain.build(t, Build(large()...))
	desc := h.push(t, b)
	s, done := open(t, dir, stock.Options{})
	defer done()
	puller := pull.New(newClient(t), h.ref(t), pull.Options{Stock: s})
	puller.SetInterval(interval)
	first, err := puller.Layer(context.Background(), desc)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for range 3 {
		if _, err := first.Next(); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, struct{ io.Reader }{first}); err != nil {
			t.Fatal(err)
		}
	}
	left := files(t, dir, "blobs/resume-*")
	other, doneOther := open(t, dir, stock.Options{})
	defer doneOther()
	second, err := pull.New(newClient(t), h.ref(t), pull.Options{Stock: other}).Layer(context.Background(), desc)
	if err != nil {
		t.Fatal(err)
	}
	if err := second.Close(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(left[0]); err != nil {
		t.Error(err)
	}
}

// TestCutIsNoEnd: a connection that ends without an answer is an error whose
// cause is an io.EOF, and not the end of the layer.
func TestCutIsNoEnd(t *testing.T) {
	h := newHost(t)
	var entries []Entry
	for i := range 20000 { // no content: every cut is between two entries
		entries = append(entries, Symlink(fmt.Sprint("d/", i), random(uint64(i), 20)))
	}
	b := blob{bytes: Gzip(Build(entries...))}
	desc := h.push(t, b)
	for _, dir := range []string{"", t.TempDir()} {
		var o pull.Options
		if dir != "" {
			s, done := open(t, dir, stock.Options{})
			defer done()
			o.Stock = s
		}
		h.set(desc.Size/2, nil)
		lines, err := read(pull.New(newPatientClient(t, 2), h.ref(t), o).Layer(context.Background(), desc))
		if !errors.Is(err, registry.ErrUnreachable) {
			t.Errorf("%d entries of %d, %v", len(lines), len(entries), err)
		}
	}
}
