package toc

import (
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// told is an entry and its lead.
type told struct {
	layer.Entry
	lead int64
}

// every is one of every kind, with a chunk that ends in no place of note.
var every = []told{
	{Entry: layer.Entry{Type: layer.Directory, Mode: 0o755, ModTime: at(1e9, 0)}},
	{Entry: layer.Entry{Name: "etc", Type: layer.Directory, Mode: 0o1777, UID: 7, GID: 1e9, ModTime: at(1e9, 1)}},
	{Entry: layer.Entry{Name: "etc/empty", Type: layer.Regular, ModTime: at(0, 0)}},
	{layer.Entry{Name: "etc/passwd", Type: layer.Regular, Mode: 0o644, Size: 1000, ModTime: at(math.MaxInt64/1_000_000_000, 0)}, 2048},
	{layer.Entry{Name: "etc/pass", Type: layer.Regular, Mode: 0o4755, Size: 1 << 40, ModTime: at(5, 999_999_999), Xattrs: map[string]string{"user.b": "", "user.a": "\x00\xff", "security.capability": "x"}}, 24 + 512},
	{Entry: layer.Entry{Name: "etc/pass", Type: layer.Regular, Size: 5, ModTime: at(5, 0)}},
	{layer.Entry{Name: "z/" + strings.Repeat(strings.Repeat("n", 255)+"/", 15) + "x", Type: layer.Regular, Size: 512, ModTime: at(5, 0)}, 507 + 512*9},
	{Entry: layer.Entry{Name: "l", Type: layer.Symlink, Link: "../../any/./thing", Mode: 0o777, ModTime: at(-5, 7)}},
	{Entry: layer.Entry{Name: "h", Type: layer.HardLink, Link: "etc/passwd", ModTime: at(5, 0)}},
	{Entry: layer.Entry{Name: "c", Type: layer.CharDevice, Major: 4095, Minor: 1<<20 - 1, ModTime: at(5, 0)}},
	{Entry: layer.Entry{Name: "b", Type: layer.BlockDevice, ModTime: at(5, 0)}},
	{Entry: layer.Entry{Name: "p", Type: layer.FIFO, ModTime: at(5, 0)}},
	{Entry: layer.Entry{Name: "\xff\n", Type: layer.Whiteout}},
	{Entry: layer.Entry{Name: "etc", Type: layer.Opaque}},
	{Entry: layer.Entry{Type: layer.Opaque}},
	{Entry: layer.Entry{Name: ".wh.x", Type: layer.Opaque}},
}

func at(sec, nsec int64) time.Time { return time.Unix(sec, nsec).UTC() }

// covering are chunks for the content of every, with spans if there is a
// format.
func covering(format byte) (chunks []Chunk) {
	left := int64(1000 + 1<<40 + 5 + 512)
	for i := byte(1); left > 0; i++ {
		c := Chunk{ID: ID{i, 31: i}, Size: min(left, MaxChunk-int64(i))}
		if format != 0 && i%3 > 0 {
			c.Offset, c.Length, c.Skip = int64(i%7)*1e12, MaxSpan-int64(i), int64(i%2)*1024
		}
		chunks, left = append(chunks, c), left-c.Size
	}
	return chunks
}

func write(t testing.TB, format byte, entries []told, chunks []Chunk) *Writer {
	t.Helper()
	w := NewWriter()
	w.SetFormat(format)
	for _, e := range entries {
		if err := w.Entry(&e.Entry, e.lead); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range chunks {
		if err := w.Chunk(c); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func encoded(t testing.TB, w *Writer) []byte {
	t.Helper()
	b, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func parsed(t testing.TB, b []byte) *Table {
	t.Helper()
	table, err := ParseTable(b)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func entriesOf(t testing.TB, table *Table) (all []told) {
	t.Helper()
	r := table.Entries()
	for {
		e, lead, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, told{*e, lead})
	}
}

func TestTableGivesBackWhatItTook(t *testing.T) {
	for _, format := range []byte{0, 3} {
		chunks := covering(format)
		b := encoded(t, write(t, format, every, chunks))
		table := parsed(t, b)
		if got := entriesOf(t, table); !reflect.DeepEqual(got, every) {
			t.Errorf("entries: %+v", got)
		}
		if !slices.Equal(table.Chunks(), chunks) {
			t.Error("other chunks")
		}
		if table.Format() != format || table.Len() != len(every) || table.Size() != 1000+1<<40+5+512 {
			t.Errorf("format %d, %d entries, %d bytes", table.Format(), table.Len(), table.Size())
		}
		again, err := table.Bytes()
		if err != nil || !slices.Equal(again, b) || !slices.Equal(encoded(t, write(t, format, every, chunks)), b) {
			t.Errorf("the same table gives other bytes: %v", err)
		}
	}
}

func TestTableWithoutAnything(t *testing.T) {
	table := parsed(t, encoded(t, NewWriter()))
	if table.Len() != 0 || table.Size() != 0 || len(table.Chunks()) != 0 || entriesOf(t, table) != nil {
		t.Errorf("%+v", table)
	}
}

func TestReadersAreIndependent(t *testing.T) {
	table := parsed(t, encoded(t, write(t, 0, every, covering(0))))
	a, b := table.Entries(), table.Entries()
	for i, want := range every {
		x, lead, err := a.Next()
		if err != nil || !reflect.DeepEqual(told{*x, lead}, want) {
			t.Fatalf("entry %d: %+v, %v", i, x, err)
		}
		if i%2 > 0 {
			continue
		}
		want = every[i/2]
		if x, lead, err = b.Next(); err != nil || !reflect.DeepEqual(told{*x, lead}, want) {
			t.Fatalf("entry %d of the other reader: %+v, %v", i/2, x, err)
		}
	}
}

func TestSnapshots(t *testing.T) {
	chunks := covering(3)[:5]
	first := every[:4]
	want := encoded(t, write(t, 3, first, nil).chunked(t, Chunk{Size: 999, Length: 1}, Chunk{Size: 1}))
	for entries := range len(first) + 1 {
		w := write(t, 3, first[:entries], nil)
		if entries == len(first) {
			w.chunked(t, Chunk{Size: 999, Length: 1})
		}
		before := w.Table()
		snapshot, err := w.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseTable(snapshot); !errors.Is(err, ErrTable) {
			t.Errorf("a snapshot passes for a table: %v", err)
		}
		if w, err = ResumeWriter(snapshot); err != nil {
			t.Fatal(err)
		}
		if table := w.Table(); !reflect.DeepEqual(entriesOf(t, table), entriesOf(t, before)) || !slices.Equal(table.Chunks(), before.Chunks()) || table.Format() != 3 {
			t.Errorf("%d entries: resumed with %+v", entries, table)
		}
		for _, e := range first[entries:] {
			if err := w.Entry(&e.Entry, e.lead); err != nil {
				t.Fatal(err)
			}
		}
		if entries < len(first) {
			w.chunked(t, Chunk{Size: 999, Length: 1})
		}
		if got := encoded(t, w.chunked(t, Chunk{Size: 1})); !slices.Equal(got, want) {
			t.Errorf("interrupted after %d entries: other bytes", entries)
		}
		if before.Len() != entries || len(entriesOf(t, before)) != entries {
			t.Errorf("a table of %d entries has %d as the Writer goes on", entries, before.Len())
		}
	}
	if _, err := ResumeWriter(want); !errors.Is(err, ErrTable) {
		t.Errorf("a table passes for a snapshot: %v", err)
	}
	if err := write(t, 3, every, chunks).Table().Complete(); err == nil {
		t.Error("a table that lacks chunks is complete")
	}
}

func (w *Writer) chunked(t testing.TB, chunks ...Chunk) *Writer {
	t.Helper()
	for _, c := range chunks {
		if err := w.Chunk(c); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

// many writes a layer of so many small files.
func many(t testing.TB, entries int) *Writer {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	w := NewWriter()
	for i := range entries {
		e := layer.Entry{Type: layer.Regular, Mode: 0o644, ModTime: at(1.7e9+r.Int64N(1e6), 0), Size: r.Int64N(9000)}
		e.Name = fmt.Sprintf("srv/app/node_modules/package-%d/dist/module-%x.js", i/40, r.Uint32())
		if err := w.Entry(&e, 0); err != nil {
			t.Fatal(err)
		}
		for w.content-w.size > 80<<10 || i == entries-1 && w.content > w.size {
			w.chunked(t, Chunk{ID: ID{byte(i), byte(i >> 8), byte(i >> 16)}, Size: min(80<<10, w.content-w.size)})
		}
	}
	return w
}

// TestTableMemory holds what a table of 500,000 files takes, and what is live
// while it is read.
func TestTableMemory(t *testing.T) {
	const most = 32 << 20
	b := encoded(t, many(t, 500_000))
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC() // pools give up what they keep
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := live()
	table := parsed(t, b)
	r := table.Entries()
	for i := 0; ; i++ {
		_, _, err := r.Next()
		if err == io.EOF {
			break
		}
		if i%100_000 == 99_999 {
			if took := live() - before; took > most {
				t.Errorf("%d bytes at entry %d, more than %d", took, i, most)
			}
		}
	}
	t.Logf("%d bytes encoded, %d in memory", len(b), live()-before)
	runtime.KeepAlive(b)
	runtime.KeepAlive(table)
}

func BenchmarkTable(b *testing.B) {
	w := many(b, 500_000)
	raw := encoded(b, w)
	b.Run("encode", func(b *testing.B) {
		for b.Loop() {
			encoded(b, w)
		}
	})
	b.Run("snapshot", func(b *testing.B) {
		for b.Loop() {
			if _, err := w.Snapshot(); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			parsed(b, raw)
		}
	})
	b.Run("iterate", func(b *testing.B) {
		b.ReportAllocs()
		table := parsed(b, raw)
		for b.Loop() {
			for r := table.Entries(); ; {
				if _, _, err := r.Next(); err == io.EOF {
					break
				}
			}
		}
	})
}
