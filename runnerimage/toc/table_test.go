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

// TestBadEntries has what no layer gives refused by the Writer, and by
// ParseTable in a table that somebody else made.
func TestBadEntries(t *testing.T) {
	bad := map[string]layer.Entry{"no type": {Name: "a"}, "unknown type": {Name: "a", Type: 10}}
	change := func(what string, e layer.Entry, changes ...func(*layer.Entry)) {
		for i, c := range changes {
			e := e
			c(&e)
			bad[fmt.Sprintf("%s %d", what, i)] = e
		}
	}
	fine := layer.Entry{Name: "a", Type: layer.Regular, ModTime: at(1, 0)}
	for _, name := range []string{"", "/a", "a/", "a//b", ".", "..", "a/..", "./a", "a/./b", "a\x00", "a/.wh.b", ".wh.", strings.Repeat("n", 256), strings.Repeat("n/", 2047) + "nn"} {
		change("name "+name, fine, func(e *layer.Entry) { e.Name = name })
		change("link "+name, layer.Entry{Name: "a", Type: layer.HardLink, ModTime: at(1, 0)}, func(e *layer.Entry) {
			if e.Link = name; strings.Contains(name, ".wh.") {
				e.Link = ""
			}
		})
	}
	for _, typ := range []layer.Type{layer.Symlink, layer.HardLink, layer.CharDevice, layer.BlockDevice, layer.FIFO, layer.Whiteout} {
		change("root", layer.Entry{Type: typ, Link: "x", Minor: 1}, func(*layer.Entry) {})
	}
	change("file", fine,
		func(e *layer.Entry) { e.Mode = 0o10000 },
		func(e *layer.Entry) { e.UID = math.MaxUint32 },
		func(e *layer.Entry) { e.GID = math.MaxUint32 },
		func(e *layer.Entry) { e.ModTime = at(-1, 999_999_999) },
		func(e *layer.Entry) { e.ModTime = at(math.MaxInt64/1_000_000_000+1, 0) },
		func(e *layer.Entry) { e.ModTime = time.Time{} },
		func(e *layer.Entry) { e.Xattrs = map[string]string{"": ""} },
		func(e *layer.Entry) { e.Xattrs = map[string]string{"a\x00": ""} },
		func(e *layer.Entry) { e.Xattrs = map[string]string{"trusted.overlay.opaque": "y"} },
		func(e *layer.Entry) { e.Xattrs = map[string]string{strings.Repeat("n", 256): ""} },
		func(e *layer.Entry) { e.Xattrs = map[string]string{"user.a": strings.Repeat("v", 64<<10+1)} },
		func(e *layer.Entry) { e.Size = 4<<40 + 1 },
	)
	change("symlink", layer.Entry{Name: "a", Type: layer.Symlink, ModTime: at(1, 0)},
		func(e *layer.Entry) {},
		func(e *layer.Entry) { e.Link = "x\x00" },
		func(e *layer.Entry) { e.Link = strings.Repeat("n", 4096) },
		func(e *layer.Entry) { e.Link, e.ModTime = "x", at(math.MinInt64/1_000_000_000-1, 0) },
	)
	change("device", layer.Entry{Name: "a", Type: layer.CharDevice, ModTime: at(1, 0)},
		func(e *layer.Entry) {},
		func(e *layer.Entry) { e.Major = 4096 },
		func(e *layer.Entry) { e.Minor = 1 << 20 },
	)
	for name, e := range bad {
		w := NewWriter()
		if err := w.Entry(&e, 0); err == nil {
			t.Errorf("%s: taken", name)
		}
		w.entries.append(&w.last, &e, 0)
		w.content += e.Size
		if _, err := ParseTable(unchecked(t, w)); !errors.Is(err, ErrTable) {
			t.Errorf("%s: parsed: %v", name, err)
		}
	}

	// These would be lost without a word.
	for name, e := range map[string]layer.Entry{
		"a directory's size":           {Name: "a", Type: layer.Directory, Size: 1},
		"a size below zero":            {Name: "a", Type: layer.Regular, Size: -1},
		"a file's link":                {Name: "a", Type: layer.Regular, Link: "b"},
		"a file's device number":       {Name: "a", Type: layer.Regular, Minor: 1},
		"a map without attributes":     {Name: "a", Type: layer.Regular, Xattrs: map[string]string{}},
		"a whiteout's mode":            {Name: "a", Type: layer.Whiteout, Mode: 1},
		"a whiteout's time":            {Name: "a", Type: layer.Whiteout, ModTime: at(1, 0)},
		"an opaque whiteout's content": {Name: "a", Type: layer.Opaque, Size: 1},
	} {
		if e.ModTime.IsZero() && !isWhiteout(e.Type) {
			e.ModTime = at(1, 0)
		}
		if err := NewWriter().Entry(&e, 0); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
}

// unchecked is what Bytes would be without a check; chunks cover the content.
func unchecked(t testing.TB, w *Writer) []byte {
	t.Helper()
	table := w.Table()
	for left := w.content - w.size; left > 0 && len(table.chunks) < 1<<17; {
		c := Chunk{Size: min(left, MaxChunk)}
		table.chunks, left = append(table.chunks, c), left-c.Size
	}
	b, err := encode(table, stateComplete)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestBadChunks(t *testing.T) {
	file := layer.Entry{Name: "a", Type: layer.Regular, Size: 1 << 30, ModTime: at(1, 0)}
	for name, c := range map[string]struct {
		format byte
		chunk  Chunk
	}{
		"empty":              {1, Chunk{}},
		"below zero":         {1, Chunk{Size: -1}},
		"too large":          {1, Chunk{Size: MaxChunk + 1}},
		"span too long":      {1, Chunk{Size: 1, Length: MaxSpan + 1}},
		"span before":        {1, Chunk{Size: 1, Offset: -1, Length: 1}},
		"span beyond":        {1, Chunk{Size: 1, Offset: math.MaxInt64, Length: 1}},
		"skip":               {1, Chunk{Size: 1, Length: 1, Skip: 4<<40 + 1}},
		"skip before":        {1, Chunk{Size: 1, Length: 1, Skip: -1}},
		"span without bytes": {1, Chunk{Size: 1, Offset: 1}},
		"skip without bytes": {1, Chunk{Size: 1, Skip: 1}},
		"length below zero":  {1, Chunk{Size: 1, Length: -1}},
		"span, no format":    {0, Chunk{Size: 1, Length: 1}},
	} {
		w := write(t, c.format, []told{{Entry: file}}, nil)
		if err := w.Chunk(c.chunk); err == nil {
			t.Errorf("%s: taken", name)
		}
		if strings.Contains(name, "without") || strings.Contains(name, "no format") {
			continue // the format cannot say it
		}
		w.chunks, w.size = append(w.chunks, c.chunk), c.chunk.Size
		if _, err := ParseTable(unchecked(t, w)); !errors.Is(err, ErrTable) {
			t.Errorf("%s: parsed: %v", name, err)
		}
	}
}

func TestChunksCoverTheContent(t *testing.T) {
	two := []told{{Entry: layer.Entry{Name: "a", Type: layer.Regular, Size: 5, ModTime: at(1, 0)}}}
	w := write(t, 0, two, []Chunk{{Size: 4}})
	if _, err := w.Bytes(); err == nil {
		t.Error("a table that lacks a byte of content is encoded")
	}
	if err := w.Chunk(Chunk{Size: 2}); err == nil {
		t.Error("a chunk beyond the content is taken")
	}
	for _, size := range []int64{1, 4, 6} {
		table := w.Table()
		table.chunks = []Chunk{{Size: size}}
		b, err := encode(table, stateComplete)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := ParseTable(b); !errors.Is(err, ErrTable) {
			t.Errorf("%d bytes of chunks for 5 of content: %v", size, err)
		}
	}
}

func TestBadLeads(t *testing.T) {
	empty := layer.Entry{Name: "a", Type: layer.Regular, ModTime: at(1, 0)}
	full := empty
	full.Size = 5
	for _, c := range []struct {
		entry *layer.Entry
		lead  int64
	}{{&empty, 512}, {&full, 1}, {&full, 507}, {&full, 511}, {&full, 507 + 513}, {&full, -5}, {&full, 507 + 4<<40}} {
		w := write(t, 0, []told{{full, 512}}, nil)
		if err := w.Entry(c.entry, c.lead); err == nil {
			t.Errorf("%d bytes of content, %d bytes behind other content: taken", c.entry.Size, c.lead)
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

func TestLimits(t *testing.T) {
	for name, change := range map[string]func(*limits){
		"entries":  func(l *limits) { l.entries = int64(len(every)) - 1 },
		"chunks":   func(l *limits) { l.chunks = int64(len(covering(0))) - 1 },
		"metadata": func(l *limits) { l.metadata = 3900 },
		"content":  func(l *limits) { l.content = 1 << 40 },
	} {
		w := NewWriter()
		change(&w.limits)
		var err error
		for _, e := range every {
			err = errors.Join(err, w.Entry(&e.Entry, e.lead))
		}
		for _, c := range covering(0) {
			err = errors.Join(err, w.Chunk(c))
		}
		if !errors.Is(err, layer.ErrTooMany) {
			t.Errorf("%s: written: %v", name, err)
		}
	}
	b := encoded(t, write(t, 0, every, covering(0)))
	for name, change := range map[string]func(*limits){
		"entries":  func(l *limits) { l.entries = int64(len(every)) - 1 },
		"chunks":   func(l *limits) { l.chunks = int64(len(covering(0))) - 1 },
		"metadata": func(l *limits) { l.metadata = 3900 },
		"content":  func(l *limits) { l.content = 1 << 40 },
		"body":     func(l *limits) { l.body = 4000 },
	} {
		l := standard
		change(&l)
		if _, err := decode(b, stateComplete, l); !errors.Is(err, ErrTable) {
			t.Errorf("%s: parsed: %v", name, err)
		}
	}
}

func TestSame(t *testing.T) {
	a := write(t, 0, every, covering(0)).Table()
	if err := Same(a, write(t, 3, every, covering(3)[:1]).Table()); err != nil {
		t.Errorf("the same entries, cut differently: %v", err)
	}
	for i, c := range []struct {
		at     int
		change func(*layer.Entry)
		say    string
	}{
		{1, func(e *layer.Entry) { e.Name = "else" }, "else"},
		{3, func(e *layer.Entry) { e.Type, e.Size = layer.Directory, 0 }, "type"},
		{7, func(e *layer.Entry) { e.Link = "t" }, "target"},
		{1, func(e *layer.Entry) { e.Mode = 0o755 }, "mode 1777, and 0755"},
		{1, func(e *layer.Entry) { e.UID = 8 }, "owner"},
		{1, func(e *layer.Entry) { e.GID = 8 }, "owner"},
		{3, func(e *layer.Entry) { e.Size = 8 }, "1000 bytes, and 8"},
		{9, func(e *layer.Entry) { e.Major = 8 }, "device"},
		{9, func(e *layer.Entry) { e.Minor = 8 }, "device"},
		{1, func(e *layer.Entry) { e.ModTime = at(1e9+2, 0) }, "time"},
		{4, func(e *layer.Entry) { e.Xattrs = map[string]string{"user.a": "y"} }, "extended attributes"},
	} {
		other := slices.Clone(every)
		c.change(&other[c.at].Entry)
		for j := range other {
			other[j].lead = 0
		}
		b := write(t, 0, other, nil).Table()
		for _, compare := range []func(a, b *Table) error{Same, SameToTheSecond} {
			if err := compare(a, b); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("entry %d, ", c.at)) || !strings.Contains(err.Error(), c.say) {
				t.Errorf("difference %d: %v", i, err)
			}
		}
	}
	less := write(t, 0, every[:len(every)-1], nil).Table()
	if err := Same(a, less); err == nil || !strings.Contains(err.Error(), "missing in the second") {
		t.Error(err)
	}
	if err := Same(less, a); err == nil || !strings.Contains(err.Error(), "missing in the first") {
		t.Error(err)
	}
	for _, up := range []time.Duration{0, time.Second - 1} {
		coarse := slices.Clone(every)
		for i := range coarse {
			coarse[i].lead = 0
			if !isWhiteout(coarse[i].Type) {
				coarse[i].ModTime = coarse[i].ModTime.Add(up).Truncate(time.Second)
			}
		}
		b := write(t, 0, coarse, nil).Table()
		if err := Same(a, b); err == nil || !strings.Contains(err.Error(), "entry 1, ") {
			t.Error(err)
		}
		if err := SameToTheSecond(a, b); err != nil {
			t.Error(err)
		}
	}
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
