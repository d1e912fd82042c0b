package pull_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/stock"
	. "github.com/clipperregistry/runner/test/tarball"
)

// random is content that does not compress.
func random(seed uint64, n int) string {
	b := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)}).Read(b)
	return string(b)
}

// text compresses.
func text(seed uint64, n int) string {
	return strings.Repeat(fmt.Sprintf("%s %d\n", random(seed, 300), seed), n/300+1)[:n]
}

// system is a version of a layer: version changes one file.
func system(version uint64) []Entry {
	entries := []Entry{
		Dir("bin", Owner(7, 8)), File("bin/large", random(1, 1_300_000), Mode(0o4755)), File("bin/changes", random(100+version, 50_000)),
		Symlink("bin/sh", "large"), HardLink("bin/hard", "bin/large"), Whiteout("gone"), Opaque("var"),
		File("empty", ""), File("zeros", strings.Repeat("\x00", 100_000)), File("xattr", "x", Xattr("user.a", "b")),
	}
	for i := range uint64(60) {
		entries = append(entries, File(fmt.Sprintf("lib/%d", i), text(i, int(i*300))))
	}
	return append(entries, File("lib/random", random(2, 300_000)), File("lib/last", random(3, 90_000)), Dir("last"))
}

// interval is between two checkpoints of these tests' small layers.
const interval = 256 << 10

// open opens the stock in a directory as a run does, until done is called.
func open(t *testing.T, dir string, o stock.Options) (s *stock.Stock, done func()) {
	t.Helper()
	if o.Warn == nil {
		o.Warn = func(text string) { t.Errorf("warning: %s", text) }
	}
	s, err := stock.Open(context.Background(), dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return s, s.Close
}

// result is what a run has got.
type result struct {
	lines    []string // one per entry, content included
	err      error
	stats    pull.Stats
	requests int   // for blobs
	sent     int64 // bytes of blobs
}

// run pulls a layer with the store in dir ("" is none), as one container does.
func (h *host) run(t *testing.T, dir string, desc oci.Descriptor, o pull.Options) result {
	t.Helper()
	if dir != "" {
		s, done := open(t, dir, stock.Options{})
		defer done()
		o.Stock = s
	}
	return h.pull(t, desc, o)
}

// pull pulls a layer.
func (h *host) pull(t *testing.T, desc oci.Descriptor, o pull.Options) (r result) {
	t.Helper()
	requests, sent := h.counts()
	puller := pull.New(newClient(t), h.ref(t), o)
	puller.SetInterval(interval)
	r.lines, r.err = read(puller.Layer(context.Background(), desc))
	r.stats = puller.Stats()
	r.requests, r.sent = h.counts()
	r.requests, r.sent = r.requests-requests, r.sent-sent
	alone(t)
	return r
}

// read reads a layer to its end, or to an error.
func read(entries pull.Entries, err error) ([]string, error) {
	if err != nil {
		return nil, err
	}
	lines, err := readOn(entries)
	if closed := entries.Close(); err == nil {
		err = closed
	}
	return lines, err
}

func readOn(entries interface {
	Next() (*layer.Entry, error)
	io.Reader
}) (lines []string, err error) {
	for {
		e, err := entries.Next()
		if err == io.EOF {
			return lines, nil
		}
		if err != nil {
			return lines, err
		}
		content := sha256.New()
		n, err := io.Copy(content, entries)
		if err != nil {
			return lines, err
		}
		lines = append(lines, fmt.Sprintf("%v %d %x", *e, n, content.Sum(nil)))
	}
}

// alone checks that all goroutines of the runner have ended.
func alone(t *testing.T) {
	t.Helper()
	var left []string
	buf := make([]byte, 256<<10)
	for range 1000 {
		left = strings.Split(string(buf[:runtime.Stack(buf, true)]), "\n\n")
		left = slices.DeleteFunc(left, func(stack string) bool {
			return strings.Contains(stack, "pull_test.") || !strings.Contains(stack, "/runnerimage/")
		})
		if len(left) == 0 {
			return
		}
		runtime.Gosched() // one whose last word was heard is on its way out
	}
	t.Errorf("there is still %s", strings.Join(left, "\n\n"))
}

// blob is a layer as a registry has it.
type blob struct {
	bytes       []byte
	annotations map[string]string
}

// known are the lines of the blobs that were read so far, by their digests.
var known = map[[sha256.Size]byte][]string{}

// lines are what a run must get of the blob.
func (b blob) lines(t *testing.T) []string {
	t.Helper()
	digest := sha256.Sum256(b.bytes)
	if lines, ok := known[digest]; ok {
		return lines
	}
	r, err := layer.NewReader(bytes.NewReader(b.bytes), layer.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines, err := readOn(r)
	if err != nil {
		t.Fatal(err)
	}
	known[digest] = lines
	return lines
}

// check checks that a run got all of the blob.
func (r result) check(t *testing.T, b blob) {
	t.Helper()
	if r.err != nil {
		t.Error(r.err)
	} else if want := b.lines(t); !slices.Equal(r.lines, want) {
		t.Errorf("%d entries, want %d, or others", len(r.lines), len(want))
	}
}

// silent checks that a run got all of the blob from the store.
func (r result) silent(t *testing.T, b blob) {
	t.Helper()
	r.check(t, b)
	want := pull.Stats{Reused: int64(len(b.bytes)), Claimed: r.stats.Claimed}
	if r.requests != 0 || r.stats != want {
		t.Errorf("%d requests, %+v, want %+v", r.requests, r.stats, want)
	}
}
