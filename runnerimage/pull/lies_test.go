package pull_test

import (
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/toc"
	. "github.com/clipperregistry/runner/test/tarball"
)

// refused checks that a table was found to be wrong, each time again.
func refused(t *testing.T, run func() result) {
	t.Helper()
	for range 2 {
		if r := run(); !errors.Is(r.err, pull.ErrTable) || !errors.Is(r.err, registry.ErrMismatch) {
			t.Errorf("%v, want ErrTable", r.err)
		}
	}
}

// TestLies: whoever reads an archive to its end knows that its table lies, and
// does not forget it when the store could supply what the table says.
func TestLies(t *testing.T) {
	truth := system(1)
	changed := func(e ...Entry) []Entry { return append(system(1), e...) }
	for name, other := range map[string][]Entry{
		"mode":    append([]Entry{Dir("bin", Owner(7, 8), Mode(0o777))}, truth[1:]...),
		"content": system(2),
		"more":    changed(File("more", "x")),
		"entry":   changed(Dir("more")),
		"less":    truth[:len(truth)-2],
	} {
		t.Run(name, func(t *testing.T) {
			h, dir := newHost(t), t.TempDir()
			b := lie(t, truth, other)
			desc := h.push(t, b)
			refused(t, func() result { return h.run(t, dir, desc, pull.Options{Tables: true}) })
			h.run(t, dir, desc, pull.Options{}).check(t, b) // the archive is what it is
			h.run(t, dir, desc, pull.Options{Tables: true}).silent(t, b)
		})
	}
}

// TestLyingPodman is the same for a table in another cut.
func TestLyingPodman(t *testing.T) {
	each(t, []format{podman, stargz}, func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		b := f.build(t, Build(system(1)...))
		desc := h.push(t, b)
		// The blob is another one than its table is in, but for the table.
		other := f.build(t, Build(append([]Entry{Dir("bin", Mode(0o700))}, system(1)[1:]...)...))
		if f.name == podman.name {
			desc = h.push(t, graft(t, b, other))
			refused(t, func() result { return h.run(t, dir, desc, pull.Options{Tables: true}) })
			return
		}
		desc.Annotations = other.annotations // a table that is not in the blob is of no use
		h.run(t, dir, desc, pull.Options{Tables: true}).check(t, b)
	})
}

// TestClaimHeld: a claim that was believed is held against the archive as soon
// as that is read.
func TestClaimHeld(t *testing.T) {
	honest := inFrames(t, Build(system(2)...))
	lying := withTable(frameBytes(t, honest), twisted(t, honest, func(e *layer.Entry) { e.UID++ }, asTheyAre))
	for name, b := range map[string]blob{"honest": honest, "lying": lying} {
		t.Run(name, func(t *testing.T) {
			h, dir := newHost(t), t.TempDir()
			old := inFrames(t, Build(system(1)...))
			h.run(t, dir, h.push(t, old), pull.Options{Tables: true}).check(t, old)
			desc := h.push(t, b)
			again := func() result { return h.run(t, dir, desc, pull.Options{Tables: true}) }
			if r := again(); r.err != nil || r.stats.Claimed != 1 {
				t.Fatalf("%v, %+v", r.err, r.stats)
			}
			for _, pack := range files(t, dir, "packs/*.pack") {
				spoil(t, rand.New(rand.NewPCG(1, 1)), pack, 10)
			}
			h.set(-1, ignoring)
			if name == "lying" {
				if r := again(); !errors.Is(r.err, pull.ErrTable) {
					t.Fatalf("%v, want ErrTable", r.err)
				}
				h.set(-1, nil)
				refused(t, again)
				return
			}
			r := again()
			r.check(t, b)
			if r.stats.Claimed != 0 {
				t.Errorf("%+v", r.stats)
			}
			h.run(t, dir, desc, pull.Options{Offline: true}).silent(t, b)
		})
	}
}

// TestLyingSpans: spans that hold other content than the table says cost a
// reading of the whole, which the archive withstands or not.
func TestLyingSpans(t *testing.T) {
	old, archive := inFrames(t, Build(system(1)...)), inFrames(t, Build(system(2)...))
	for _, twist := range []struct {
		name string
		lies bool
		do   func(chunks []toc.Chunk) []toc.Chunk
	}{
		{"swapped", false, func(chunks []toc.Chunk) []toc.Chunk { // what is new is said to be where something else is
			for i := range chunks {
				chunks[i].Offset, chunks[i].Length, chunks[i].Skip = int64(i), 1, 0
			}
			return chunks
		}},
		{"other content", true, func(chunks []toc.Chunk) []toc.Chunk {
			for i := range chunks {
				chunks[i].ID[0] ^= byte(i & 1)
			}
			return chunks
		}},
	} {
		t.Run(twist.name, func(t *testing.T) {
			h, dir := newHost(t), t.TempDir()
			h.run(t, dir, h.push(t, old), pull.Options{Tables: true}).check(t, old)
			b := withTable(frameBytes(t, archive), twisted(t, archive, func(*layer.Entry) {}, twist.do))
			desc := h.push(t, b)
			if twist.lies {
				refused(t, func() result { return h.run(t, dir, desc, pull.Options{Tables: true}) })
				return
			}
			r := h.run(t, dir, desc, pull.Options{Tables: true})
			r.check(t, b)
			if r.sent < int64(len(b.bytes)) || r.stats.Claimed != 0 {
				t.Errorf("%d bytes of %d, %+v", r.sent, len(b.bytes), r.stats)
			}
			h.run(t, dir, desc, pull.Options{Tables: true}).silent(t, b)
		})
	}
}
