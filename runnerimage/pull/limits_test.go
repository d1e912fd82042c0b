package pull_test

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/toc"
	. "github.com/clipperregistry/runner/test/tarball"
)

// TestLargeForeignChunks: a publisher's chunks are cut anew, however large they
// are, and go to the reader in pieces.
func TestLargeForeignChunks(t *testing.T) {
	version := func(n uint64) []Entry {
		return []Entry{File("new", random(50+n, 2000)), File("a", random(30, 2_200_000)), File("zeros", strings.Repeat("\x00", 3<<19)), File("b", random(60+n, 300_000))}
	}
	each(t, []format{podman, stargz}, func(t *testing.T, f format) { // eStargz in chunks of 1 MiB
		h, dir := newHost(t), t.TempDir()
		for n := range uint64(2) {
			b := f.build(t, Build(version(n)...))
			r := h.run(t, dir, h.push(t, b), pull.Options{Tables: true})
			r.check(t, b)
			if r.stats.Claimed != int64(n) {
				t.Errorf("version %d: %+v", n, r.stats)
			}
			h.run(t, dir, h.push(t, b), pull.Options{Tables: true}).silent(t, b)
		}
	})
}

// joined makes one chunk of the first n, whose content is given.
func joined(n int, content string) func([]toc.Chunk) []toc.Chunk {
	return func(chunks []toc.Chunk) []toc.Chunk {
		first, last := chunks[0], chunks[n-1]
		first.Length = last.Offset + last.Length - first.Offset
		for _, c := range chunks[1:n] {
			first.Size += c.Size
		}
		first.ID = chunk.IDOf([]byte(content[:first.Size]))
		return append([]toc.Chunk{first}, chunks[n:]...)
	}
}

// TestLargeOwnChunks: a table that says to be of the runner's own cut and is
// not is of no use. The store gets what the cutter makes of the archive.
func TestLargeOwnChunks(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	content := random(1, 3_000_000)
	honest := inFrames(t, Build(File("a", content)))
	h.run(t, dir, h.push(t, honest), pull.Options{Tables: true}).check(t, honest)
	b := withTable(frameBytes(t, honest), twisted(t, honest, func(*layer.Entry) {}, joined(10, content)))
	desc := h.push(t, b)
	r := h.run(t, dir, desc, pull.Options{Tables: true})
	r.check(t, b)
	if r.sent < desc.Size || r.stats.Claimed != 0 {
		t.Errorf("%d bytes of %d, %+v", r.sent, desc.Size, r.stats)
	}
	h.run(t, dir, desc, pull.Options{Offline: true}).silent(t, b)
}

// TestOtherCut: a table of the runner's own format in another cut is right, but
// the store has no such chunks.
func TestOtherCut(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	content := random(1, 300_000)
	honest := inFrames(t, Build(File("a", content)))
	if table, err := toc.ParseTable(tableOf(t, honest)); err != nil || len(table.Chunks()) < 2 {
		t.Fatal("the content is one chunk", err)
	}
	b := withTable(frameBytes(t, honest), twisted(t, honest, func(*layer.Entry) {}, joined(2, content)))
	desc := h.push(t, b)
	h.run(t, dir, desc, pull.Options{Tables: true}).check(t, b)
	h.run(t, dir, desc, pull.Options{Offline: true}).silent(t, b)
}

// TestWrongSizes: a table that lies about the sizes of chunks harms neither
// the layer nor the chunks that the store has.
func TestWrongSizes(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	old := inFrames(t, Build(system(1)...))
	oldDesc := h.push(t, old)
	h.run(t, dir, oldDesc, pull.Options{Tables: true}).check(t, old)
	archive := inFrames(t, Build(system(2)...))
	b := withTable(frameBytes(t, archive), twisted(t, archive, func(*layer.Entry) {}, func(chunks []toc.Chunk) []toc.Chunk {
		for i := 0; i+1 < len(chunks); i += 2 {
			moved := chunks[i].Size / 2
			chunks[i].Size, chunks[i+1].Size = chunks[i].Size-moved, chunks[i+1].Size+moved
		}
		return chunks
	}))
	desc := h.push(t, b)
	refused(t, func() result { return h.run(t, dir, desc, pull.Options{Tables: true}) })
	h.run(t, dir, oldDesc, pull.Options{Offline: true}).silent(t, old)
}
