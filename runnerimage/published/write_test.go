package published_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/toc"
	. "github.com/clipperregistry/runner/test/tarball"
)

func TestFramesAreDeterministic(t *testing.T) {
	for name, archive := range archives() {
		want, _ := frames(t, archive)
		again, _ := framesFrom(t, iotest.HalfReader(bytes.NewReader(archive)), published.Level)
		if !bytes.Equal(want.bytes, again.bytes) {
			t.Errorf("%s: other bytes when it is read in other pieces", name)
		}
	}
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	archive := archives()["everything"]
	want, _ := frames(t, archive)
	runtime.GOMAXPROCS(8)
	for range 3 {
		if again, _ := frames(t, archive); !bytes.Equal(want.bytes, again.bytes) {
			t.Error("other bytes on more processors")
		}
	}
}

// TestFramesOfNewVersions counts what a client of the version before fetches.
func TestFramesOfNewVersions(t *testing.T) {
	version := func(later time.Duration, change func(i int, content string) string) []byte {
		var all []Entry
		for i := range 400 {
			content := change(i, random(uint64(i), 500+i*37%9000))
			all = append(all, File(fmt.Sprintf("f%d", i), content, Time(time.Unix(1e9, 0).Add(later))))
		}
		return Build(append(all, File("large", change(400, random(400, 5<<20))))...)
	}
	same := func(_ int, content string) string { return content }
	old, _ := frames(t, version(0, same))
	has := map[toc.ID]bool{}
	for _, c := range old.open(t).Table().Chunks() {
		has[c.ID] = true
	}
	for name, tt := range map[string]struct {
		archive []byte
		most    int64
	}{
		"other times":   {version(time.Hour, same), 0},
		"a small file":  {version(time.Hour, func(i int, s string) string { return s + "more"[:4*b2i(i == 200)] }), 300 << 10},
		"in the large":  {version(time.Hour, func(i int, s string) string { return s[:len(s)/2] + "more"[:4*b2i(i == 400)] + s[len(s)/2:] }), 1 << 20},
		"a file gone":   {version(time.Hour, func(i int, s string) string { return s[:len(s)*b2i(i != 100)] }), 300 << 10},
		"all different": {version(0, func(i int, s string) string { return s[1:] }), 8 << 20},
	} {
		b, _ := frames(t, tt.archive)
		var fetched int64
		for _, c := range b.open(t).Table().Chunks() {
			if !has[c.ID] {
				fetched += c.Length
			}
		}
		if fetched > tt.most || fetched == 0 && tt.most > 0 {
			t.Errorf("%s: %d bytes to fetch, expected at most %d", name, fetched, tt.most)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}

// TestFramesWithoutTOC has layers that no table can describe: their blob is
// the archive all the same.
func TestFramesWithoutTOC(t *testing.T) {
	before := []Entry{File("before", random(1, 100_000)), Dir("d")}
	after := []Entry{File("after", random(2, 2<<20))}
	with := func(e Entry) []byte { return Build(slices.Concat(before, []Entry{e}, after)...) }
	for name, archive := range map[string][]byte{
		"sparse":              with(Sparse("sparse", 1<<40, []Fragment{{Offset: 5, Data: "x"}})),
		"sparse without hole": with(Sparse("sparse", 1, []Fragment{{Offset: 0, Data: "x"}})),
		"old GNU sparse":      with(File("sparse", "", Typeflag('S'), Format(8))),
		"unknown type":        with(File("x", "", Typeflag('?'))),
		"no name":             with(File("x\x00y", "", PAX("path", strings.Repeat("n", 300)))),
		"cut off":             with(File("x", ""))[:50_000],
		"cut off in a header": with(File("x", ""))[:700],
		"no archive":          []byte(random(3, 3<<20)),
		"garbage in between":  with(Raw([]byte(random(4, 512)))),
	} {
		b, r := frames(t, archive)
		if r.NoTOC == nil || r.Annotations != nil || r.Table != nil {
			t.Errorf("%s: it has a TOC: %+v", name, r)
		}
		if !bytes.Equal(decoded(t, b.bytes), archive) {
			t.Errorf("%s: the blob does not decode to the archive", name)
		}
		if got := fmt.Sprintf("sha256:%x", sha256.Sum256(archive)); r.DiffID.String() != got {
			t.Errorf("%s: diff ID %s, want %s", name, r.DiffID, got)
		}
	}
}

var errTest = errors.New("test")

type failing struct{ left int }

func (f *failing) Write(p []byte) (int, error) {
	if f.left -= len(p); f.left < 0 {
		return 0, errTest
	}
	return len(p), nil
}

func TestFramesFailWithTheirEnds(t *testing.T) {
	archive := Build(File("a", random(1, 5<<20)), File("b", "x"))
	for _, n := range []int{0, 100, 512, 600, 2 << 20, len(archive) - 1} {
		_, err := published.Write(io.Discard, io.MultiReader(bytes.NewReader(archive[:n]), iotest.ErrReader(errTest)), published.Level)
		if !errors.Is(err, errTest) {
			t.Errorf("reading fails after %d bytes: %v", n, err)
		}
	}
	b, _ := frames(t, archive)
	for _, n := range []int{0, 100, 1 << 20, len(b.bytes) - 1} {
		if _, err := published.Write(&failing{n}, bytes.NewReader(archive), published.Level); !errors.Is(err, errTest) {
			t.Errorf("writing fails after %d bytes: %v", n, err)
		}
	}
}
