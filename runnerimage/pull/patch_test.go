package pull_test

import (
	"fmt"
	"net/http"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/pull"
	. "github.com/clipperregistry/runner/test/tarball"
)

// update pushes two versions of a layer, and pulls the first; pullSecond pulls
// the other.
func update(t *testing.T, h *host, f format, dir string) (b blob, pullSecond func(o pull.Options) result) {
	t.Helper()
	old := f.build(t, Build(system(1)...))
	h.run(t, dir, h.push(t, old), pull.Options{Tables: true}).check(t, old)
	b = f.build(t, Build(system(2)...))
	desc := h.push(t, b)
	return b, func(o pull.Options) result { return h.run(t, dir, desc, o) }
}

// tableSize is how many bytes of the blob are its table, at the most.
func tableSize(t *testing.T, b blob) (n int64) {
	t.Helper()
	_, err := published.Open(oci.Descriptor{Size: int64(len(b.bytes)), Annotations: b.annotations}, func(offset, length int64) ([]byte, error) {
		n += length
		return b.bytes[offset:][:length], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPatch: of a new version comes what is new, and then nothing.
func TestPatch(t *testing.T) {
	each(t, tabled, func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		b, pullSecond := update(t, h, f, dir)
		r := pullSecond(pull.Options{Tables: true})
		r.check(t, b)
		// The file that has changed has 50,000 bytes, in a chunk with its
		// neighbours; podman's chunks of large files do not end with files.
		if most := tableSize(t, b) + 200_000; r.sent > most {
			t.Errorf("%d bytes of %d, want no more than %d", r.sent, len(b.bytes), most)
		}
		if r.stats.Claimed != 1 || r.stats.Fetched != r.sent || r.stats.Reused > int64(len(b.bytes))-tableSize(t, b)-50_000 || r.stats.Reused < int64(len(b.bytes))-r.sent {
			t.Errorf("%+v of %d bytes, %d sent", r.stats, len(b.bytes), r.sent)
		}
		again := pullSecond(pull.Options{Tables: true, Offline: true})
		again.silent(t, b)
		if again.stats.Claimed != 1 {
			t.Errorf("again: %+v", again.stats)
		}
	})
}

// TestPatchAfterPatch: a layer that was patched is as good a base as one that
// was read.
func TestPatchAfterPatch(t *testing.T) {
	each(t, tabled, func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		_, pullSecond := update(t, h, f, dir)
		pullSecond(pull.Options{Tables: true})
		third := f.build(t, Build(system(3)...))
		r := h.run(t, dir, h.push(t, third), pull.Options{Tables: true})
		r.check(t, third)
		if most := tableSize(t, third) + 200_000; r.sent > most {
			t.Errorf("%d bytes of %d, want no more than %d", r.sent, len(third.bytes), most)
		}
	})
}

// TestTablesOff: no table is believed, those in the store included.
func TestTablesOff(t *testing.T) {
	each(t, tabled, func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		b, pullSecond := update(t, h, f, dir)
		if r := pullSecond(pull.Options{Tables: true}); r.stats.Claimed != 1 {
			t.Fatalf("%+v", r.stats)
		}
		if r := pullSecond(pull.Options{Offline: true}); r.err == nil {
			t.Error("a claim was believed")
		}
		r := pullSecond(pull.Options{})
		r.check(t, b)
		want := pull.Stats{Fetched: int64(len(b.bytes))}
		if r.requests != 1 || r.stats != want {
			t.Errorf("%d requests, %+v, want %+v", r.requests, r.stats, want)
		}
		r = pullSecond(pull.Options{Tables: true})
		r.silent(t, b)
		if r.stats.Claimed != 0 {
			t.Error("the archive was read, and the claim stays")
		}
	})
}

// TestNoRanges: a registry without ranges gives the same, and each byte once.
func TestNoRanges(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter, *http.Request, func()){
		"200": ignoring, "416": refusing(http.StatusRequestedRangeNotSatisfiable), "501": refusing(http.StatusNotImplemented),
		"400": refusing(http.StatusBadRequest),
	} {
		t.Run(name, func(t *testing.T) {
			formats := []format{podman}
			if name == "200" {
				formats = tabled
			}
			each(t, formats, func(t *testing.T, f format) {
				h, dir := newHost(t), t.TempDir()
				b, pullSecond := update(t, h, f, dir)
				h.set(-1, answer)
				r := pullSecond(pull.Options{Tables: true})
				r.check(t, b)
				if most := 2; r.sent != int64(len(b.bytes)) || r.requests > most || name == "200" && r.requests > 1 || r.stats.Claimed != 0 {
					t.Errorf("%d bytes of %d by %d requests, %+v", r.sent, len(b.bytes), r.requests, r.stats)
				}
				pullSecond(pull.Options{Tables: true}).silent(t, b)
			})
		})
	}
}

// TestRangesEnd: a registry that gives the table and then no more ranges. What
// is read whole is held against the table, which then is no claim any more.
func TestRangesEnd(t *testing.T) {
	each(t, tabled, func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		b, pullSecond := update(t, h, f, dir)
		table := tableSize(t, b)
		h.set(-1, func(w http.ResponseWriter, r *http.Request, serve func()) {
			if _, sent := h.counts(); sent >= table {
				r.Header.Del("Range")
			}
			serve()
		})
		r := pullSecond(pull.Options{Tables: true})
		r.check(t, b)
		if r.stats.Fetched != int64(len(b.bytes))+table || r.stats.Claimed != 0 || r.stats.Reused != 0 {
			t.Errorf("%d bytes and a table of %d: %+v", len(b.bytes), table, r.stats)
		}
		pullSecond(pull.Options{Offline: true}).silent(t, b)
	})
}

// TestNotWorthwhile: where the store has next to nothing of a layer, the
// archive is read and held against the table.
func TestNotWorthwhile(t *testing.T) {
	each(t, tabled, func(t *testing.T, f format) {
		h, dir := newHost(t), t.TempDir()
		small := f.build(t, Build(File("a", random(9, 40_000))))
		h.run(t, dir, h.push(t, small), pull.Options{Tables: true}).check(t, small)
		b := f.build(t, Build(File("a", random(9, 40_000)), File("b", random(8, 400_000))))
		r := h.run(t, dir, h.push(t, b), pull.Options{Tables: true})
		r.check(t, b)
		if want := int64(len(b.bytes)) + tableSize(t, b); r.sent != want || r.stats.Claimed != 0 {
			t.Errorf("%d bytes, want %d; %+v", r.sent, want, r.stats)
		}
	})
}

// TestSharedSpan: a span that several chunks share comes as a whole if one of
// them is new. The others save nothing.
func TestSharedSpan(t *testing.T) {
	h, dir := newHost(t), t.TempDir()
	for version := range uint64(2) {
		entries := []Entry{File("new", random(70+version, 5000))}
		for i := range uint64(20) {
			entries = append(entries, File(fmt.Sprint(i), random(i, 30_000)))
		}
		b := stargzOf(t, Build(entries...), estargz.WithMinChunkSize(1<<20))
		r := h.run(t, dir, h.push(t, b), pull.Options{Tables: true})
		r.check(t, b)
		if r.stats.Claimed != 0 {
			t.Errorf("version %d: %+v", version, r.stats)
		}
	}
}
