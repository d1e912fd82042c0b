package published_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"go.podman.io/storage/pkg/chunked/compressor"

	"github.com/clipperregistry/runner/runnerimage/published"
	. "github.com/clipperregistry/runner/test/tarball"
)

// podman compresses a tar file as Podman, Buildah and skopeo do.
func podman(t *testing.T, archive []byte) blob {
	t.Helper()
	var out bytes.Buffer
	annotations := map[string]string{}
	z, err := compressor.ZstdCompressor(&out, annotations, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return newBlob(out.Bytes(), annotations)
}

func toTheNanosecond(t time.Time) time.Time { return t }

// random is content that does not compress.
func random(seed uint64, n int) string {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 0))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return string(b)
}

// everything is what an archive may have and every publisher takes.
func everything() []Entry {
	long := strings.Repeat("long/", 60)
	at := func(s, ns int64) Option { return Time(time.Unix(s, ns)) }
	return []Entry{
		Dir("./", Mode(0o700)), Dir("a", Mode(0o41777)), Dir("/abs", Owner(1<<31, 7)), Dir("b/../c"),
		File("a/empty", ""), File("a/text", "text\n", Mode(0o106755), Owner(1000, 100)), File("a/<&>\u2028é", "x"),
		HardLink("a/link", "a/text", Mode(0o600), Owner(5, 6), at(5, 0)), Symlink("a/symlink", "../../x", at(-7, 0)), Symlink("dangling", "/"),
		Char("dev/null", 1, 3, Mode(0o666)), Block("dev/sda", 8, 1<<19), FIFO("fifo"), Char("hidden", 0, 0),
		Whiteout("gone"), Opaque("a"), File("a/.wh.full", "a whiteout with content"), File(".wh..wh.plnk", "of aufs"),
		File("xattr", "x", Xattr("user.a", "\x00\xff"), Xattr("user.empty", ""), Xattr("trusted.no", "x"), PAX("comment", "no")),
		File(long+"name", "long", at(1<<33, 0)), File("early", "", at(-5, 0)), File("epoch", "", at(0, 0)), File("late", "", at(1<<34, 0)),
		File("time/.3", "", at(1e9, 3e8)), File("time/.5", "", at(1e9, 5e8)), File("time/.7", "", at(1e9, 7e8+1)), File("time/0.7", "", at(0, 7e8)),
		File("random", random(1, 300_000)), File("repeats", strings.Repeat("text\n", 100_000)), File("zeros", strings.Repeat("\x00", 5000)),
		File("holes", random(2, 5000)+strings.Repeat("\x00", 5000)+random(3, 70_000)+strings.Repeat("\x00", 3<<20)),
		File("holes2", strings.Repeat("\x00", 1<<20)+"x"+strings.Repeat("\x00", 1500)), File("blocks", random(4, 1024)),
		Dir("last"), Symlink("last/symlink", "x"),
	}
}

func TestZstdChunkedOfPodman(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"nothing":        nil,
		"no content":     {Dir("a"), Symlink("b", "a"), File("empty", "")},
		"one file":       {File("a", "text")},
		"ends with data": {Dir("a"), File("b", random(1, 200_000))},
		"everything":     everything(),
	} {
		t.Run(name, func(t *testing.T) {
			b := podman(t, Build(entries...))
			b.checkAgainstArchive(t, toTheNanosecond)
			if f := b.open(t).Format(); f != published.ZstdChunked {
				t.Error(f)
			}
		})
	}
}

// TestZstdChunkedOfOldSkopeo has the annotations that skopeo 1.9 wrote.
func TestZstdChunkedOfOldSkopeo(t *testing.T) {
	b := podman(t, Build(everything()...))
	for name, value := range b.desc.Annotations {
		delete(b.desc.Annotations, name)
		b.desc.Annotations[strings.Replace(name, "io.github.containers", "io.containers", 1)] = value
	}
	b.checkAgainstArchive(t, toTheNanosecond)
	if f := b.open(t).Format(); f != published.ZstdChunked {
		t.Error(f)
	}
}

func TestZstdChunkedHoles(t *testing.T) {
	zeros := strings.Repeat("\x00", 5<<20+5000)
	b := podman(t, Build(File("a", random(1, 2000)+zeros+"end"), File("b", zeros)))
	holes, spans := 0, int64(0)
	for _, c := range b.open(t).Table().Chunks() {
		if c.Length == 0 {
			holes++
		}
		spans += c.Length
		if c.Skip != 0 {
			t.Errorf("%+v", c)
		}
	}
	// The second file is one chunk to Podman, and none that it calls a hole.
	if holes != 6 || spans == 0 {
		t.Errorf("%d holes, %d bytes in spans", holes, spans)
	}
	b.checkAgainstArchive(t, toTheNanosecond)
}

// TestZstdChunkedOneRequest proves that nothing but the TOC is read.
func TestZstdChunkedOneRequest(t *testing.T) {
	b := podman(t, Build(everything()...))
	requests := 0
	failure := errors.New("no route to host")
	_, err := published.Open(b.desc, func(int64, int64) ([]byte, error) {
		requests++
		return nil, failure
	})
	if !errors.Is(err, failure) || errors.Is(err, published.ErrFormat) || requests != 1 {
		t.Errorf("%d requests, %v", requests, err)
	}
	_, err = published.Open(b.desc, func(offset, length int64) ([]byte, error) {
		requests++
		return b.read(offset, length)
	})
	if err != nil || requests != 2 {
		t.Errorf("%d requests, %v", requests-1, err)
	}
}

func TestZstdChunkedNamesThatJSONCannotHold(t *testing.T) {
	for _, e := range []Entry{File("latin-1 \xe9", ""), Symlink("a", "\xe9"), HardLink("a", "\xe9"), File("a", "", Xattr("user.\xe9", ""))} {
		podman(t, Build(e)).refused(t, "JSON cannot hold")
	}
}

func TestZstdChunkedAnnotations(t *testing.T) {
	const prefix = "io.github.containers.zstd-chunked.manifest-"
	good := podman(t, Build(File("a", "text")))
	position := good.desc.Annotations[prefix+"position"]
	for _, tt := range []struct{ checksum, position, reason string }{
		{"sha256:" + strings.Repeat("0", 64), "", "annotated digest"},
		{"sha256:" + strings.Repeat("0", 62), "", "SHA-256"},
		{"sha256:" + strings.Repeat("x", 64), "", "invalid byte"},
		{"sha512:" + strings.Repeat("0", 128), "", "SHA-256"},
		{"", "100:8:9:2", "position"},
		{"", "100:8:9", "position"},
		{"", position + ":1", "position"},
		{"", "-100:8:9:1", "position"},
		{"", "100:8: 9:1", "position"},
		{"", "7:8:9:1", "not within"},
		{"", "100:0:9:1", "not within"},
		{"", "100:999999:9:1", "not within"},
		{"", "9223372036854775807:9:9:1", "not within"},
		{"", "100:67108865:9:1", "larger"},
		{"", "100:8:536870913:1", "larger"},
		{"", "100:18446744073709551615:9:1", "position"},
	} {
		b := newBlob(good.bytes, map[string]string{prefix + "checksum": good.desc.Annotations[prefix+"checksum"], prefix + "position": position})
		if tt.checksum != "" {
			b.desc.Annotations[prefix+"checksum"] = tt.checksum
		}
		if tt.position != "" {
			b.desc.Annotations[prefix+"position"] = tt.position
		}
		b.refused(t, tt.reason)
	}
}

func TestZstdChunkedWrongBytes(t *testing.T) {
	b := podman(t, Build(File("a", random(1, 100_000))))
	l := b.open(t)
	c := l.Table().Chunks()[0]
	span := bytes.Clone(b.bytes[c.Offset:][:c.Length])
	for name, span := range map[string][]byte{
		"flipped": append(bytes.Clone(span[:50]), append([]byte{span[50] ^ 1}, span[51:]...)...),
		"zeros":   make([]byte, len(span)),
		"another": append(Zstd([]byte(random(2, int(c.Size)))), make([]byte, len(span))...)[:len(span)],
		"short":   append(Zstd([]byte("short")), make([]byte, len(span))...)[:len(span)],
	} {
		if got, err := l.Content([]byte("before"), 0, span); !errors.Is(err, published.ErrFormat) || string(got) != "before" {
			t.Errorf("%s: %q, %v", name, got[:6], err)
		}
	}
	if got, err := l.Content([]byte("before"), 0, span); err != nil || string(got) != "before"+random(1, 100_000)[:c.Size] {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}
