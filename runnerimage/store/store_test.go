package store

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A chunk of the tests is told by its number: content, ID and what it is
// "encoded" to follow from it.
func content(n int) []byte {
	r := rand.New(rand.NewPCG(uint64(n), 0))
	b := make([]byte, 1+r.IntN(5000))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func idOf(n int) ID          { return sha256.Sum256(content(n)) }
func encoded(n int) []byte   { return encode(content(n)) }
func encode(c []byte) []byte { return append([]byte{'e'}, c...) }

func decode(encoded []byte, contentLength int) ([]byte, error) {
	if len(encoded) != contentLength+1 || encoded[0] != 'e' {
		return nil, errors.New("not encoded")
	}
	return encoded[1:], nil
}

func open(t testing.TB, dir string, o Options) *Dir {
	t.Helper()
	d, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func snapshot(t testing.TB, d *Dir) *Snapshot {
	t.Helper()
	s, err := d.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// commit writes a pack of chunks and gives its item.
func commit(t testing.TB, d *Dir, chunks ...int) Item {
	t.Helper()
	p, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	for _, n := range chunks {
		if err := p.Put(idOf(n), encoded(n), len(content(n))); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	for _, item := range items(t, d) {
		if item.Name == p.name {
			return item
		}
	}
	return Item{Kind: Packs, Name: p.name} // evicted already
}

func items(t testing.TB, d *Dir) []Item {
	t.Helper()
	items, err := d.List()
	if err != nil {
		t.Fatal(err)
	}
	return items
}

// names are the names of the files in a directory of the store.
func names(t testing.TB, d *Dir, dir string) string {
	t.Helper()
	files, err := os.ReadDir(d.join(dir))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, f := range files {
		all = append(all, f.Name())
	}
	return strings.Join(all, " ")
}

// has checks that a chunk is served, and right.
func has(t testing.TB, s *Snapshot, chunks ...int) {
	t.Helper()
	for _, n := range chunks {
		if got, err := s.ReadChunk(idOf(n), nil); err != nil || !bytes.Equal(got, encoded(n)) {
			t.Errorf("chunk %d: %d bytes, %v", n, len(got), err)
		}
		if !s.Has(idOf(n)) {
			t.Errorf("chunk %d is served, but not there", n)
		}
	}
}

// lacks checks that a chunk is not found.
func lacks(t testing.TB, s *Snapshot, chunks ...int) {
	t.Helper()
	for _, n := range chunks {
		if s.Has(idOf(n)) {
			t.Errorf("chunk %d is there", n)
		}
		if _, err := s.ReadChunk(idOf(n), nil); !errors.Is(err, ErrNotFound) {
			t.Errorf("chunk %d: %v, want ErrNotFound", n, err)
		}
	}
}

// verify checks how much damage there is.
func verify(t testing.TB, d *Dir, damaged int) Verified {
	t.Helper()
	var found []Damage
	v, err := d.Verify(context.Background(), decode, func(x Damage) { found = append(found, x) })
	if err != nil || v.Damaged != damaged || len(found) != damaged {
		t.Errorf("verified %+v, %v: %v; want %d damaged", v, err, found, damaged)
	}
	return v
}

func salvage(t testing.TB, d *Dir) Salvaged {
	t.Helper()
	s, err := d.Salvage(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func prune(t testing.TB, d *Dir, max int64) Pruned {
	t.Helper()
	p, err := d.Prune(context.Background(), max)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func flip(t testing.TB, path string, offset int64, mask byte) {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[offset] ^= mask
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

func age(t testing.TB, path string, by time.Duration) {
	t.Helper()
	when := time.Now().Add(-by)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

func TestOpen(t *testing.T) {
	for _, tt := range []struct {
		name  string
		found func(dir string) error
		o     Options
		want  error  // nil: it opens
		text  string // of the error
	}{
		{name: "missing", found: os.RemoveAll},
		{name: "empty", found: func(string) error { return nil }},
		{name: "a volume's root", found: func(dir string) error { return os.Mkdir(filepath.Join(dir, "lost+found"), 0o755) }},
		{name: "a founder died", found: func(dir string) error { return os.Mkdir(filepath.Join(dir, "packs"), 0o700) }},
		{name: "somebody's directory", found: func(dir string) error { return os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o600) },
			want: ErrForeign, text: `not empty ("thesis.tex")`},
		{name: "another version", found: func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "version"), []byte("clipper-runner store 2\n"), 0o600)
		}, want: ErrVersion, text: `"clipper-runner store 2\n", this program knows "clipper-runner store 1\n"`},
		{name: "an empty version", found: func(dir string) error { return os.WriteFile(filepath.Join(dir, "version"), nil, 0o600) }, want: ErrVersion},
		{name: "a file", found: func(dir string) error {
			return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600))
		}, want: syscall.ENOTDIR},
		{name: "none, read-only", found: os.RemoveAll, o: Options{ReadOnly: true}, want: ErrNoStore},
		{name: "somebody's directory, read-only", o: Options{ReadOnly: true}, found: func(dir string) error { return os.Mkdir(filepath.Join(dir, "src"), 0o700) },
			want: ErrForeign, text: `not empty ("src")`},
		{name: "empty, read-only", found: func(string) error { return nil }, o: Options{ReadOnly: true}, want: ErrNoStore},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "store")
			if err := errors.Join(os.Mkdir(dir, 0o755), tt.found(dir)); err != nil {
				t.Fatal(err)
			}
			d, err := Open(dir, tt.o)
			if tt.want != nil {
				if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.text) {
					t.Fatalf("%v, want %v with %s", err, tt.want, tt.text)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range []string{".", packsDir, blobsDir, tmpDir} {
				if info, err := os.Stat(d.join(name)); err != nil || info.Mode().Perm() != 0o700 {
					t.Errorf("%s: %v, %v", name, info.Mode(), err)
				}
			}
			if n := names(t, d, tmpDir); n != "" {
				t.Errorf("left in tmp: %s", n)
			}
			commit(t, d, 1)
			// An administrator frees space by hand.
			if err := os.RemoveAll(d.join(packsDir)); err != nil {
				t.Fatal(err)
			}
			lacks(t, snapshot(t, d), 1)
			d = open(t, dir, tt.o)
			commit(t, d, 2)
			has(t, snapshot(t, d), 2)
		})
	}
}

func TestChunks(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	before := snapshot(t, d)
	item := commit(t, d, 1, 2, 3, 2)
	if info, err := os.Stat(d.itemPath(item)); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the pack: %v, %v", info.Mode(), err)
	}
	lacks(t, before, 1) // it is a snapshot
	s := snapshot(t, d)
	has(t, s, 1, 2, 3)
	lacks(t, s, 4)
	if n := d.Chunks(item); n != 3 {
		t.Errorf("%d chunks, want 3", n)
	}
	var buf []byte
	for _, n := range []int{3, 1, 2} {
		var err error
		if buf, err = s.ReadChunk(idOf(n), buf); err != nil || !bytes.Equal(buf, encoded(n)) {
			t.Errorf("chunk %d into a used buffer: %v", n, err)
		}
	}
	if v := verify(t, d, 0); v.Packs != 1 || v.Chunks != 3 {
		t.Errorf("verified %+v", v)
	}
	if n := names(t, d, tmpDir); n != "" {
		t.Errorf("left in tmp: %s", n)
	}
}

func TestPackEnds(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	put := func(p *Pack, n int) error { return p.Put(idOf(n), encoded(n), len(content(n))) }
	for _, tt := range []struct {
		name string
		end  func(p *Pack) error
		want error
	}{
		{"nothing put", func(p *Pack) error { return p.Commit() }, nil},
		{"aborted", func(p *Pack) error { err := put(p, 1); p.Abort(); return err }, nil},
		{"put after abort", func(p *Pack) error { p.Abort(); return put(p, 1) }, errPackClosed},
		{"commit after abort", func(p *Pack) error { p.Abort(); return p.Commit() }, errPackClosed},
	} {
		p, err := d.NewPack()
		if err != nil {
			t.Fatal(err)
		}
		if err := tt.end(p); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v", tt.name, err)
		}
		p.Abort()
		if n := names(t, d, tmpDir) + names(t, d, packsDir); n != "" {
			t.Errorf("%s leaves %s", tt.name, n)
		}
	}
	p, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	defer p.Abort()
	for name, err := range map[string]error{
		"too large":       p.Put(ID{}, nil, MaxChunk+1),
		"negative length": p.Put(ID{}, nil, -1),
	} {
		if err == nil {
			t.Errorf("%s: put", name)
		}
	}
}

func TestManyPacks(t *testing.T) {
	// Enough for three rounds of loading; without sync, for speed.
	d := open(t, t.TempDir(), Options{})
	const packs = firstRound*7 + 1
	for n := range packs {
		path := d.packPath(d.newName())
		if err := os.WriteFile(path, packBytes(mark{byte(n)}, n, n+1), 0o600); err != nil {
			t.Fatal(err)
		}
		age(t, path, time.Duration(n)*time.Minute)
	}
	s := snapshot(t, d)
	has(t, s, 0)
	if len(s.packs) != firstRound {
		t.Errorf("%d packs were loaded for what the last used one has", len(s.packs))
	}
	lacks(t, s, packs+1)
	if len(s.pending) != 0 {
		t.Errorf("%d packs not looked at", len(s.pending))
	}
	for n := range packs + 1 {
		has(t, s, n)
	}
	held := 0
	for _, p := range s.packs {
		if p.f != nil {
			held++
		}
	}
	// Chunk n is in the packs n-1 and n, and the first that is found will do.
	if held < packs/2 || held > packs {
		t.Errorf("%d of %d packs are held", held, packs)
	}
}

// packBytes is a finished pack.
func packBytes(m mark, chunks ...int) []byte {
	b := appendHeader(nil, m)
	var entries []entry
	for _, n := range chunks {
		e := entry{idOf(n), int64(len(b)), uint32(len(encoded(n))), uint32(len(content(n)))}
		entries = append(entries, e)
		b = appendRecord(b, m, e, encoded(n))
	}
	end := int64(len(b))
	sortEntries(entries)
	return appendIndex(b, m, entries, end)
}

func TestBlobs(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	for _, name := range []string{"sha256-ab.toc", "A", strings.Repeat("x", 200)} {
		if _, err := d.Blob(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%s before it is put: %v", name, err)
		}
		for _, content := range []string{"", "first", "the second"} {
			if err := d.PutBlob(name, []byte(content)); err != nil {
				t.Error(err)
			}
			if got, err := d.Blob(name); err != nil || string(got) != content {
				t.Errorf("%s: %q, %v; want %q", name, got, err, content)
			}
		}
	}
	for _, name := range []string{"", ".", "..", ".hidden", "a/b", "../version", "a\x00", "é", "a b", strings.Repeat("x", 201)} {
		if err := d.PutBlob(name, nil); err == nil {
			t.Errorf("put a blob %q", name)
		}
		if _, err := d.Blob(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("blob %q: %v", name, err)
		}
	}
	// One name's content is not another's.
	if err := os.Rename(d.join(blobsDir, "A"), d.join(blobsDir, "B")); err != nil {
		t.Fatal(err)
	}
	if _, err := d.Blob("B"); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a blob under another name: %v", err)
	}
}

func TestReadOnly(t *testing.T) {
	dir := t.TempDir()
	w := open(t, dir, Options{})
	item := commit(t, w, 1, 2)
	if err := w.PutBlob("b", []byte("blob")); err != nil {
		t.Fatal(err)
	}
	age(t, w.itemPath(item), 48*time.Hour)
	flip(t, w.itemPath(item), headerSize+recordSize, 1) // chunk 1
	age(t, w.itemPath(item), 48*time.Hour)
	d := open(t, dir, Options{ReadOnly: true})
	readsButWritesNot(t, d)
	if names(t, d, packsDir) != item.Name+packExt {
		t.Errorf("in packs: %s", names(t, d, packsDir))
	}
	if list := items(t, d); !list[0].LastUsed.Before(time.Now().Add(-47 * time.Hour)) {
		t.Errorf("reading has touched %+v", list[0])
	}
}

// readsButWritesNot expects chunk 2 and the blob b, and chunk 1 damaged.
func readsButWritesNot(t *testing.T, d *Dir) {
	t.Helper()
	s := snapshot(t, d)
	has(t, s, 2)
	if _, err := s.ReadChunk(idOf(1), nil); !errors.Is(err, ErrCorrupt) {
		t.Errorf("the damaged chunk: %v", err)
	}
	if got, err := d.Blob("b"); err != nil || string(got) != "blob" {
		t.Errorf("blob: %q, %v", got, err)
	}
	s.Close()
	for range 2 { // it can drop nothing
		if v := verify(t, d, 1); v.Repaired != 0 {
			t.Errorf("repaired: %+v", v)
		}
	}
	_, packErr := d.NewPack()
	_, pruneErr := d.Prune(context.Background(), 0)
	_, tryErr := d.Try()
	for name, err := range map[string]error{
		"NewPack": packErr, "Prune": pruneErr, "Try": tryErr,
		"PutBlob": d.PutBlob("c", nil),
		"Remove":  d.Remove(items(t, d)[0]),
	} {
		if !errors.Is(err, ErrReadOnly) {
			t.Errorf("%s: %v, want ErrReadOnly", name, err)
		}
	}
}

func TestSalvageLeavesTheLiving(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	alive, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	defer alive.Abort()
	if err := alive.Put(idOf(1), encoded(1), len(content(1))); err != nil {
		t.Fatal(err)
	}
	if got := salvage(t, d); got != (Salvaged{}) {
		t.Errorf("salvaged %+v", got)
	}
	if p := prune(t, d, 0); len(p.Removed) != 0 || p.Left == 0 {
		t.Errorf("pruned %+v", p)
	}
	if err := alive.Commit(); err != nil {
		t.Fatal(err)
	}
	has(t, snapshot(t, d), 1)
}

func TestSalvageRemovesRubbish(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	for name, content := range map[string][]byte{
		d.newName() + packExt: nil,
		d.newName() + packExt: appendHeader(nil, mark{1}),
		d.newName() + packExt: []byte("no pack at all, but long enough to be one, and then some more of it"),
		d.newName() + blobExt: []byte("half a bl"),
		"foreign":             []byte("tmp is ours alone"),
	} {
		if err := os.WriteFile(d.join(tmpDir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got := salvage(t, d); got != (Salvaged{Removed: 5}) {
		t.Errorf("salvaged %+v", got)
	}
	if n := names(t, d, tmpDir) + names(t, d, packsDir); n != "" {
		t.Errorf("left: %s", n)
	}
}

// A writer that changes its lock for publishing lets go of it for an instant.
func TestPublishedBySomebodyElse(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	p, err := d.NewPack()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Put(idOf(1), encoded(1), len(content(1))); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(p.f.Name(), d.packPath(p.name)); err != nil {
		t.Fatal(err)
	}
	if err := p.Commit(); err != nil {
		t.Fatal(err)
	}
	has(t, snapshot(t, d), 1)
}

func TestErrors(t *testing.T) {
	wrap := func(err error) error { return &fs.PathError{Op: "x", Path: "y", Err: err} }
	for _, tt := range []struct {
		got  error
		want []error
	}{
		{writeError(wrap(syscall.ENOSPC)), []error{ErrNoSpace, syscall.ENOSPC}},
		{writeError(wrap(syscall.EDQUOT)), []error{ErrNoSpace}},
		{writeError(wrap(syscall.EROFS)), []error{ErrReadOnly}},
		{writeError(wrap(syscall.EACCES)), []error{ErrReadOnly}},
		{writeError(wrap(syscall.EPERM)), []error{ErrReadOnly}},
		{writeError(wrap(syscall.ESTALE)), []error{ErrNotFound}},
		{writeError(wrap(syscall.EIO)), []error{syscall.EIO}},
		{readError(wrap(syscall.ESTALE)), []error{ErrNotFound}},
		{readError(wrap(syscall.EIO)), []error{ErrCorrupt, errTransient, syscall.EIO}},
		{readError(wrap(os.ErrClosed)), []error{os.ErrClosed}},
	} {
		for _, want := range tt.want {
			if !errors.Is(tt.got, want) {
				t.Errorf("%v is no %v", tt.got, want)
			}
		}
	}
	if err := writeError(nil); err != nil {
		t.Errorf("nothing wrong: %v", err)
	}
	d := open(t, t.TempDir(), Options{})
	item := commit(t, d, 1)
	if err := errors.Join(d.Remove(item), nil); err != nil {
		t.Fatal(err)
	}
	if err := d.Remove(item); !errors.Is(err, ErrNotFound) {
		t.Errorf("removed twice: %v", err)
	}
}

func TestTry(t *testing.T) {
	clock := time.Now()
	d := open(t, t.TempDir(), Options{Now: func() time.Time {
		clock = clock.Add(7 * time.Millisecond)
		return clock
	}})
	if got, err := d.Try(); err != nil || got != (Trial{Excludes: true, Sync: 7 * time.Millisecond}) {
		t.Errorf("%+v, %v", got, err)
	}
	if n := names(t, d, tmpDir); n != "" {
		t.Errorf("left in tmp: %s", n)
	}
}

func TestCancelled(t *testing.T) {
	d := open(t, t.TempDir(), Options{})
	commit(t, d, 1)
	if err := os.WriteFile(d.join(tmpDir, "x"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(d.join(lockName)) // another process prunes
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lock(f, syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, salvageErr := d.Salvage(ctx)
	_, verifyErr := d.Verify(ctx, decode, func(Damage) {})
	_, pruneErr := d.Prune(ctx, 0)
	for name, err := range map[string]error{"Salvage": salvageErr, "Verify": verifyErr, "Prune": pruneErr} {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An evictor does not wait for it.
	d.max = 1
	if err := d.evict(); err != nil {
		t.Error(err)
	}
	has(t, snapshot(t, d), 1)
}

func ExampleDir() {
	dir, err := os.MkdirTemp("", "store-")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	d, err := Open(dir, Options{Max: 10 << 30})
	if err != nil {
		panic(err)
	}
	p, err := d.NewPack()
	if err != nil {
		panic(err)
	}
	defer p.Abort()
	id := sha256.Sum256([]byte("content"))
	if err := p.Put(id, []byte("its encoding"), len("content")); err != nil {
		panic(err)
	}
	if err := p.Commit(); err != nil {
		panic(err)
	}
	s, err := d.Snapshot()
	if err != nil {
		panic(err)
	}
	defer s.Close()
	encoded, err := s.ReadChunk(id, nil)
	fmt.Println(string(encoded), err)
	// Output: its encoding <nil>
}
