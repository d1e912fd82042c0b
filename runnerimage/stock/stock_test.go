package stock_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/clipperregistry/runner/runnerimage/store"
)

// warnings are what a stock has told.
type warnings struct {
	mu   sync.Mutex
	list []string
}

func (w *warnings) add(text string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.list = append(w.list, text)
}

// open opens a stock that ends with the test. It may not warn, unless o says
// who is told.
func open(t *testing.T, dir string, o stock.Options) *stock.Stock {
	t.Helper()
	if o.Warn == nil {
		o.Warn = func(text string) { t.Errorf("warning: %s", text) }
	}
	s, err := stock.Open(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// content is a chunk's that does not compress.
func content(seed uint64, n int) []byte {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed)}).Read(b)
	return b
}

// put stores chunks in one pack.
func put(t *testing.T, s *stock.Stock, chunks ...[]byte) {
	t.Helper()
	pack := s.NewPack()
	for _, c := range chunks {
		pack.Put(chunk.IDOf(c), c)
	}
	if !pack.Commit() {
		t.Error("the chunks are not stored")
	}
}

// has checks that a stock gives a chunk.
func has(t *testing.T, s *stock.Stock, want []byte) {
	t.Helper()
	id := chunk.IDOf(want)
	got, err := s.Chunk([]byte("before"), id, int64(len(want)))
	if !s.Has(id) || err != nil || string(got) != "before"+string(want) {
		t.Errorf("chunk of %d bytes: %d bytes, %v", len(want), len(got), err)
	}
}

// lacks checks that a stock has a chunk no more.
func lacks(t *testing.T, s *stock.Stock, c []byte, why error) {
	t.Helper()
	got, err := s.Chunk([]byte("before"), chunk.IDOf(c), int64(len(c)))
	if !errors.Is(err, why) || string(got) != "before" {
		t.Errorf("%d bytes, %v, want %v", len(got), err, why)
	}
	if s.Has(chunk.IDOf(c)) {
		t.Error("Has says that it is there")
	}
}

func packs(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, "packs", "*.pack"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// TestChunks: the next run has what this one has committed.
func TestChunks(t *testing.T) {
	dir := t.TempDir()
	all := [][]byte{content(1, 100), content(2, chunk.MaxSize), bytes.Repeat([]byte("text "), 20000), {7}}
	s := open(t, dir, stock.Options{})
	lacks(t, s, all[0], store.ErrNotFound)
	put(t, s, all...)
	next := open(t, dir, stock.Options{})
	for _, c := range all {
		has(t, next, c)
	}
	put(t, next, all...)
	put(t, next)
	if n := len(packs(t, dir)); n != 1 {
		t.Errorf("%d packs: what is there was stored again", n)
	}
}

// TestChunkSizes: a wrong size is the caller's fault, and not the chunk's.
func TestChunkSizes(t *testing.T) {
	dir := t.TempDir()
	c := bytes.Repeat([]byte("text "), 1000)
	put(t, open(t, dir, stock.Options{}), c)
	s := open(t, dir, stock.Options{})
	for _, size := range []int64{0, 4999, 5001, 64 << 20} {
		if got, err := s.Chunk(nil, chunk.IDOf(c), size); err == nil || len(got) > 0 {
			t.Errorf("size %d: %d bytes, %v", size, len(got), err)
		}
	}
	has(t, s, c)
}

// TestDamagedChunk: what is damaged is forgotten, by other runs too, and can
// be stored again.
func TestDamagedChunk(t *testing.T) {
	dir := t.TempDir()
	sound, damaged := content(1, 1000), content(2, 1000)
	put(t, open(t, dir, stock.Options{}), sound, damaged)
	pack := packs(t, dir)[0]
	b, err := os.ReadFile(pack)
	if err != nil {
		t.Fatal(err)
	}
	b[bytes.Index(b, damaged[100:200])] ^= 1
	if err := os.WriteFile(pack, b, 0o600); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, stock.Options{})
	lacks(t, s, damaged, store.ErrCorrupt)
	has(t, s, sound)
	next := open(t, dir, stock.Options{})
	lacks(t, next, damaged, store.ErrNotFound)
	put(t, next, damaged)
	has(t, open(t, dir, stock.Options{}), damaged)
}

// TestWrongContent: a chunk that has another's ID is forgotten, too.
func TestWrongContent(t *testing.T) {
	dir := t.TempDir()
	d, err := store.Open(dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	pack, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	for i, stored := range [][]byte{chunk.Encode(nil, []byte("other")), {9, 9}, {}, chunk.Encode(nil, make([]byte, chunk.MaxSize+1))} {
		if err := pack.Put(chunk.IDOf(content(uint64(i), 5)), stored, 5); err != nil {
			t.Fatal(err)
		}
	}
	if err := pack.Commit(); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir, stock.Options{})
	for i := range uint64(4) {
		lacks(t, s, content(i, 5), store.ErrCorrupt)
	}
}

// TestWarnOnce: after the first write that fails nothing more is written, and
// what is there is read.
func TestWarnOnce(t *testing.T) {
	for name, spoil := range map[string]func(dir string) error{
		"tmp is gone": func(dir string) error { return os.RemoveAll(filepath.Join(dir, "tmp")) },
		"tmp is a file": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, "tmp")), os.WriteFile(filepath.Join(dir, "tmp"), nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			put(t, open(t, dir, stock.Options{}), content(1, 10))
			var told warnings
			s := open(t, dir, stock.Options{Warn: told.add})
			begun := []*stock.Pack{s.NewPack(), s.NewPack()}
			for i, pack := range begun {
				pack.Put(chunk.IDOf(content(uint64(20+i), 10)), content(uint64(20+i), 10))
			}
			if err := spoil(dir); err != nil {
				t.Fatal(err)
			}
			for _, pack := range begun {
				if pack.Commit() {
					t.Error("Commit says that the chunk is stored")
				}
			}
			var all sync.WaitGroup
			for i := range uint64(8) {
				all.Go(func() {
					pack := s.NewPack()
					pack.Put(chunk.IDOf(content(2+i, 10)), content(2+i, 10))
					if pack.Commit() {
						t.Error("Commit says that the chunk is stored")
					}
					s.Put(stock.Table, digest(int(i)), []byte("table"))
					s.Drop(stock.Table, digest(int(i)))
				})
			}
			all.Wait()
			if len(told.list) != 1 || !strings.Contains(told.list[0], "nothing more of this run") {
				t.Errorf("%q", told.list)
			}
			if files, err := os.ReadDir(filepath.Join(dir, "blobs")); err != nil || len(files) > 0 {
				t.Errorf("%v, %v", files, err)
			}
			has(t, s, content(1, 10))
		})
	}
}

// TestMax: a pack that is larger than the store may be is not stored, and the
// least recently used goes where there is no more room.
func TestMax(t *testing.T) {
	dir := t.TempDir()
	var told warnings
	s := open(t, dir, stock.Options{Max: 100_000, Warn: told.add})
	pack := s.NewPack()
	for i := range uint64(30) {
		pack.Put(chunk.IDOf(content(i, 5000)), content(i, 5000))
	}
	if pack.Commit() || len(told.list) != 1 || !strings.Contains(told.list[0], "no space") {
		t.Errorf("%q", told.list)
	}

	dir = t.TempDir()
	for i := range uint64(5) {
		put(t, open(t, dir, stock.Options{Max: 100_000}), content(i, 30_000))
	}
	// Those that are open have looked at nothing, and so keep nothing.
	if n := len(packs(t, dir)); n != 3 {
		t.Errorf("%d packs of 30,000 bytes, want 3", n)
	}
	has(t, open(t, dir, stock.Options{}), content(4, 30_000))
}

// TestFoundIsKept: what a run has found is not evicted by others before Close.
func TestFoundIsKept(t *testing.T) {
	dir := t.TempDir()
	put(t, open(t, dir, stock.Options{}), content(1, 30_000))
	s := open(t, dir, stock.Options{})
	if !s.Has(chunk.IDOf(content(1, 30_000))) {
		t.Fatal("it is not there")
	}
	put(t, open(t, dir, stock.Options{Max: 70_000}), content(2, 30_000))
	put(t, open(t, dir, stock.Options{Max: 70_000}), content(3, 30_000))
	has(t, s, content(1, 30_000))
	has(t, open(t, dir, stock.Options{}), content(1, 30_000))
	s.Close()
	if s.Has(chunk.IDOf(content(1, 30_000))) {
		t.Error("found after Close")
	}
}
