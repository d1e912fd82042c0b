package published_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/toc"
	. "github.com/clipperregistry/runner/test/tarball"
)

// frames writes a layer in frames.
func frames(t testing.TB, archive []byte) (blob, published.Result) {
	t.Helper()
	return framesFrom(t, bytes.NewReader(archive), published.Level)
}

func framesFrom(t testing.TB, archive io.Reader, level zstd.EncoderLevel) (blob, published.Result) {
	t.Helper()
	var out bytes.Buffer
	r, err := published.Write(&out, archive, level)
	if err != nil {
		t.Fatal(err)
	}
	b := newBlob(out.Bytes(), r.Annotations)
	if got := fmt.Sprintf("sha256:%x", sha256.Sum256(b.bytes)); r.Digest.String() != got || r.Size != int64(out.Len()) {
		t.Fatalf("%d bytes with %s are said to be %d with %s", out.Len(), got, r.Size, r.Digest)
	}
	b.desc.Digest = r.Digest
	return b, r
}

func symlinks(n int) (all []Entry) {
	for i := range n {
		all = append(all, Symlink(fmt.Sprintf("link%d", i), "target"))
	}
	return all
}

// archives have headers, content and what is neither in every order that
// makes frames end elsewhere.
func archives() map[string][]byte {
	tiny, large := File("tiny", "x"), File("large", random(9, 700_000))
	var small []Entry
	for i := range 300 {
		small = append(small, File(fmt.Sprintf("small%d", i), random(uint64(i), 1000+i*13%3000)))
	}
	return map[string][]byte{
		"everything":                  Build(everything()...),
		"no bytes":                    {},
		"no entries":                  Build(),
		"no content":                  Build(symlinks(3000)...),
		"no end mark":                 Unended(tiny),
		"no padding":                  Unended(large)[:512+700_000],
		"a byte":                      Build(tiny),
		"small files":                 Build(small...),
		"a large file":                Build(large),
		"large after tiny":            Build(tiny, large, tiny),
		"many headers first":          Build(append(symlinks(3000), tiny)...),
		"some headers first":          Build(append(symlinks(100), tiny)...),
		"many headers between":        Build(slices.Concat([]Entry{tiny}, symlinks(5000), []Entry{tiny}, symlinks(5000), small)...),
		"many headers before a large": Build(slices.Concat([]Entry{tiny}, symlinks(3000), []Entry{large, tiny})...),
		"many headers last":           Build(append([]Entry{tiny}, symlinks(3000)...)...),
		"content that is no file's":   Build(File(".wh..wh.plnk/x", "y"), tiny, File(".wh..wh.aufs", random(1, 3<<20)), tiny, File(".wh.gone", random(2, 2<<20))),
		"much behind the end":         append(Build(tiny), random(3, 3<<20)...),
		"zeros":                       Build(File("zeros", strings.Repeat("\x00", 2<<20)), tiny),
		"GNU names":                   Build(File(strings.Repeat("long/", 50)+"x", "x", Format(8)), tiny),
	}
}

func TestFrames(t *testing.T) {
	for name, archive := range archives() {
		t.Run(name, func(t *testing.T) {
			b, r := frames(t, archive)
			if r.NoTOC != nil {
				t.Fatal(r.NoTOC)
			}
			if got := fmt.Sprintf("sha256:%x", sha256.Sum256(archive)); r.DiffID.String() != got {
				t.Errorf("diff ID %s, want %s", r.DiffID, got)
			}
			if !bytes.Equal(decoded(t, b.bytes), archive) {
				t.Error("the blob does not decode to the archive")
			}
			b.checkAgainstArchive(t, toTheNanosecond)
			l := b.open(t)
			if l.Format() != published.Frames || !slices.Equal(l.Table().Chunks(), r.Table.Chunks()) {
				t.Errorf("format %s, chunks %+v", l.Format(), l.Table().Chunks())
			}
			b.checkCut(t, l)
			b.checkSpans(t, l)
		})
	}
}

func decoded(t *testing.T, b []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	archive, err := z.DecodeAll(b, nil)
	if err != nil {
		t.Fatal(err)
	}
	return archive
}

// checkCut checks that chunks are those of package chunk.
func (b blob) checkCut(t *testing.T, l *published.Layer) {
	t.Helper()
	var want, got []toc.ID
	cutter := chunk.NewCutter(func(c chunk.Chunk) error {
		want = append(want, toc.ID(c.ID()))
		return nil
	})
	entries, content := b.archive(t)
	for _, e := range entries {
		if e.Type != layer.Regular {
			continue
		}
		if err := cutter.File(e.Size); err != nil {
			t.Fatal(err)
		}
		if _, err := cutter.Write(content[:e.Size]); err != nil {
			t.Fatal(err)
		}
		content = content[e.Size:]
	}
	if err := cutter.Close(); err != nil {
		t.Fatal(err)
	}
	for _, c := range l.Table().Chunks() {
		got = append(got, c.ID)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d chunks, want %d others", len(got), len(want))
	}
}

// checkSpans checks that spans are whole frames that end with the chunk, and
// hold little else.
func (b blob) checkSpans(t *testing.T, l *published.Layer) {
	t.Helper()
	var end int64
	for i, c := range l.Table().Chunks() {
		if c.Offset < end {
			t.Errorf("chunk %d at %d, where the one before ends at %d", i, c.Offset, end)
		}
		end = c.Offset + c.Length
		span := decoded(t, b.bytes[c.Offset:end])
		content, err := l.Content(nil, i, b.bytes[c.Offset:end])
		if err != nil {
			t.Fatal(err)
		}
		if c.Skip > 64<<10 || len(content) > 0 && span[len(span)-1] != content[len(content)-1] {
			t.Errorf("chunk %d of %d bytes is %d bytes behind the beginning of a span of %d", i, c.Size, c.Skip, len(span))
		}
	}
}

// TestFramesForZstd has zstd(1) decode a blob, and a TOC on its own.
func TestFramesForZstd(t *testing.T) {
	for name, archive := range map[string][]byte{"everything": Build(everything()...), "nothing": {}} {
		b, _ := frames(t, archive)
		for _, args := range [][]string{{"-dc"}, {"-dc", "-M8MB"}} {
			cmd := exec.Command("zstd", args...)
			cmd.Stdin = bytes.NewReader(b.bytes)
			if got, err := cmd.Output(); err != nil || !bytes.Equal(got, archive) {
				t.Errorf("%s: zstd %s: %d bytes, %v", name, args, len(got), err)
			}
		}
	}
}

func TestFramesOneRequest(t *testing.T) {
	b, _ := frames(t, Build(everything()...))
	requests := 0
	l, err := published.Open(b.desc, func(offset, length int64) ([]byte, error) {
		requests++
		return b.read(offset, length)
	})
	if err != nil || requests != 1 {
		t.Errorf("%d requests, %v", requests, err)
	}
	again, err := published.Load(b.desc, l.Raw())
	if err != nil {
		t.Fatal(err)
	}
	if err := toc.Same(l.Table(), again.Table()); err != nil || !bytes.Equal(b.content(t, l), b.content(t, again)) || again.Format() != published.Frames {
		t.Errorf("loaded is not what was opened: %v", err)
	}
}

func TestFramesWrongBytes(t *testing.T) {
	b, _ := frames(t, Build(File("a", random(1, 50_000)), File("b", random(2, 5000)), File("large", random(3, 70_000))))
	l := b.open(t)
	c := l.Table().Chunks()[0]
	span := b.bytes[c.Offset:][:c.Length]
	next := l.Table().Chunks()[1]
	for name, wrong := range map[string][]byte{
		"flipped":   slices.Concat(span[:1000], []byte{span[1000] ^ 1}, span[1001:]),
		"zeros":     make([]byte, len(span)),
		"another":   slices.Concat(b.bytes[next.Offset:][:next.Length], span)[:len(span)],
		"short":     slices.Concat(Zstd([]byte("short")), skippable(len(span)))[:len(span)],
		"cut off":   span[:len(span)-1],
		"nothing":   nil,
		"too much":  append(bytes.Clone(span), 0),
		"no window": slices.Concat([]byte{0x28, 0xb5, 0x2f, 0xfd, 0x00, 0xf8}, span)[:len(span)], // 2 TiB
	} {
		got, err := l.Content([]byte("before"), 0, wrong)
		if err == nil || string(got) != "before" || len(wrong) == len(span) && !errors.Is(err, published.ErrFormat) {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if got, err := l.Content([]byte("before"), 0, span); err != nil || string(got) != "before"+random(1, 50_000)+random(2, 5000) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// skippable is a skippable frame of so many bytes of content.
func skippable(n int) []byte {
	b := binary.LittleEndian.AppendUint32([]byte{0x50, 0x2a, 0x4d, 0x18}, uint32(n))
	return append(b, make([]byte, n)...)
}

func TestContentAtTheSameTime(t *testing.T) {
	b, _ := frames(t, Build(everything()...))
	l := b.open(t)
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for i, c := range l.Table().Chunks() {
				if _, err := l.Content(nil, i, b.bytes[c.Offset:][:c.Length]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
}
