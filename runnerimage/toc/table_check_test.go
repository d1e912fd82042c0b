package toc

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

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
