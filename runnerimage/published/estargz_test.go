package published_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/containerd/stargz-snapshotter/estargz"
	"github.com/containerd/stargz-snapshotter/estargz/zstdchunked"
	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/published"
	. "github.com/clipperregistry/runner/test/tarball"
)

const stargzDigest = "containerd.io/snapshot/stargz/toc.digest"

// nerdctl converts a tar file as nerdctl and stargz-snapshotter do.
func nerdctl(t *testing.T, archive []byte, opts ...estargz.Option) blob {
	t.Helper()
	source := io.NewSectionReader(bytes.NewReader(archive), 0, int64(len(archive)))
	built, err := estargz.Build(source, append([]estargz.Option{estargz.WithParallelism(2)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(built)
	if err != nil {
		t.Fatal(err)
	}
	if err := built.Close(); err != nil {
		t.Fatal(err)
	}
	return newBlob(b, map[string]string{stargzDigest: built.TOCDigest().String()})
}

// buildKit compresses a tar file as BuildKit does: bit by bit what it was,
// and then the TOC.
func buildKit(t *testing.T, archive []byte, minChunk int) blob {
	t.Helper()
	var out bytes.Buffer
	w := estargz.NewWriter(&out)
	w.MinChunkSize = minChunk
	if err := w.AppendTarLossLess(bytes.NewReader(archive)); err != nil {
		t.Fatal(err)
	}
	digest, err := w.Close()
	if err != nil {
		t.Fatal(err)
	}
	return newBlob(out.Bytes(), map[string]string{stargzDigest: digest.String()})
}

// zstdCompression is the estargz package's own zstd:chunked.
type zstdCompression struct {
	*zstdchunked.Compressor
	*zstdchunked.Decompressor
}

// nerdctlZstd converts a tar file as nerdctl does with --zstdchunked.
func nerdctlZstd(t *testing.T, archive []byte, opts ...estargz.Option) blob {
	t.Helper()
	metadata := map[string]string{}
	compression := zstdCompression{&zstdchunked.Compressor{CompressionLevel: zstd.SpeedDefault, Metadata: metadata}, &zstdchunked.Decompressor{}}
	b := nerdctl(t, archive, append(opts, estargz.WithCompression(compression))...)
	maps.Copy(b.desc.Annotations, metadata)
	return b
}

// toTheSecond rounds as the estargz package does.
func toTheSecond(t time.Time) time.Time {
	if t.Unix() == 0 {
		return time.Unix(0, 0).UTC()
	}
	return t.Round(time.Second)
}

func names(t *testing.T, l *published.Layer) []string {
	t.Helper()
	var all []string
	for r := l.Table().Entries(); ; {
		e, _, err := r.Next()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, e.Name)
	}
}

func TestEStargz(t *testing.T) {
	for name, entries := range map[string][]Entry{
		"nothing":        nil,
		"no content":     {Dir("a"), Symlink("b", "a"), File("empty", "")},
		"ends with data": {Dir("a"), File("b", random(1, 200_000))},
		"aligned":        {Dir("a"), File("b", random(1, 1<<16))},
		"a path twice":   {File("a", "one"), Dir("b"), File("a", "two, longer"), Symlink("b", "a")},
		"everything":     everything(),
	} {
		archive := Build(entries...)
		for publisher, b := range map[string]blob{
			"nerdctl":          nerdctl(t, archive, estargz.WithChunkSize(1<<16)),
			"nerdctl, packed":  nerdctl(t, archive, estargz.WithChunkSize(1<<16), estargz.WithMinChunkSize(1<<14)),
			"nerdctl, zstd":    nerdctlZstd(t, archive, estargz.WithChunkSize(1<<16)),
			"BuildKit":         buildKit(t, archive, 0),
			"BuildKit, packed": buildKit(t, archive, 1<<20),
			"without end mark": buildKit(t, Unended(entries...), 0),
		} {
			t.Run(name+"/"+publisher, func(t *testing.T) {
				b.checkAgainstArchive(t, toTheSecond)
				if f := b.open(t).Format(); f != published.EStargz {
					t.Error(f)
				}
			})
		}
	}
}

// TestEStargzTOCIsAFile proves that the TOC is in the tree when a reader of
// the tar file comes to it, and only then.
func TestEStargzTOCIsAFile(t *testing.T) {
	archive := Build(File("a", "text"), Dir("b"))
	for _, tt := range []struct {
		b    blob
		want string
	}{
		{nerdctl(t, archive), ".no.prefetch.landmark a b stargz.index.json"},
		{nerdctl(t, archive, estargz.WithPrioritizedFiles([]string{"a"})), "a .prefetch.landmark b stargz.index.json"},
		{nerdctlZstd(t, archive), ".no.prefetch.landmark a b"},
		{buildKit(t, archive, 0), "a b"},
		{buildKit(t, Unended(File("a", "text"), Dir("b")), 0), "a b stargz.index.json"},
	} {
		if got := strings.Join(names(t, tt.b.open(t)), " "); got != tt.want {
			t.Errorf("%s, want %s", got, tt.want)
		}
	}
}

// TestEStargzPrioritized has content before the first member that the TOC
// knows of.
func TestEStargzPrioritized(t *testing.T) {
	archive := Build(append(everything(), File("first", "text"), File("second", random(9, 70_000)))...)
	b := nerdctl(t, archive, estargz.WithMinChunkSize(1<<20), estargz.WithPrioritizedFiles([]string{"first", "second"}))
	b.checkAgainstArchive(t, toTheSecond)
	if c := b.open(t).Table().Chunks()[0]; c.Offset != 0 || c.Skip == 0 {
		t.Errorf("%+v", c)
	}
}

// TestEStargzLargeTOC has a TOC that is several chunks, and that is not within
// what is read first.
func TestEStargzLargeTOC(t *testing.T) {
	var entries []Entry
	for i := range 200 {
		entries = append(entries, Dir(fmt.Sprint(i), Xattr("user.a", strings.Repeat(random(uint64(i), 1<<10), 1<<6))))
	}
	b := buildKit(t, Unended(append(entries, File("a", "text"))...), 0)
	b.checkAgainstArchive(t, toTheSecond)
	l := b.open(t)
	if n := len(l.Table().Chunks()); n != 3 {
		t.Errorf("%d chunks, want those of a file and two of the TOC", n)
	}
}

func TestEStargzRequests(t *testing.T) {
	b := buildKit(t, Build(File("a", random(1, 100_000)), File("b", random(2, 200_000)), Dir("c")), 0)
	var got []string
	_, err := published.Open(b.desc, func(offset, length int64) ([]byte, error) {
		got = append(got, fmt.Sprint(b.desc.Size-offset-length, " from the end"))
		return b.read(offset, length)
	})
	if err != nil || len(got) != 2 || got[0] != "0 from the end" {
		t.Errorf("%q, %v", got, err)
	}
	for fail := range 2 {
		failure := errors.New("no route to host")
		requests := 0
		_, err := published.Open(b.desc, func(offset, length int64) ([]byte, error) {
			if requests++; requests > fail {
				return nil, failure
			}
			return b.read(offset, length)
		})
		if !errors.Is(err, failure) || errors.Is(err, published.ErrFormat) {
			t.Error(err)
		}
	}
}

// TestEStargzAnyOrder reads the chunks of shared spans backwards and from
// several goroutines.
func TestEStargzAnyOrder(t *testing.T) {
	var entries []Entry
	for i := range 100 {
		entries = append(entries, File(fmt.Sprint(i), random(uint64(i), 100+i*40)))
	}
	b := nerdctl(t, Build(entries...), estargz.WithMinChunkSize(1<<14))
	l := b.open(t)
	chunks := l.Table().Chunks()
	done := make(chan error)
	for range 4 {
		go func() {
			for i, c := range slices.Backward(chunks) {
				if _, err := l.Content(nil, i, b.bytes[c.Offset:][:c.Length]); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	// A damaged span is an error, and no content of the good one.
	c := chunks[len(chunks)/2]
	if _, err := l.Content(nil, len(chunks)-1, b.bytes[chunks[len(chunks)-1].Offset:][:chunks[len(chunks)-1].Length]); err != nil {
		t.Error(err)
	}
	if got, err := l.Content(nil, len(chunks)/2, make([]byte, c.Length)); !errors.Is(err, published.ErrFormat) || len(got) > 0 {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// stargz puts a TOC behind content, with the footer that the name asks for.
func stargz(content []byte, json, footer string) blob {
	b := append(bytes.Clone(content), Gzip(Build(File("stargz.index.json", json)))...)
	if footer == "" {
		footer = string(estargz.CreateGzipFooter(fmt.Appendf(nil, "SG\x16\x00%016xSTARGZ", len(content))))
	}
	return newBlob(append(b, footer...), map[string]string{stargzDigest: digestOf(json)})
}

func TestEStargzFooters(t *testing.T) {
	content := Gzip(Unended(Dir("a")))
	json := `{"version":1,"entries":[{"type":"dir","name":"a/","mode":493}]}`
	footer := func(extra string, a ...any) string {
		return string(estargz.CreateGzipFooter(fmt.Appendf(nil, extra, a...)))
	}
	for _, good := range []string{"", footer("%016xSTARGZ", len(content))} {
		if got := strings.Join(names(t, stargz(content, json, good).open(t)), " "); got != "a stargz.index.json" {
			t.Error(got)
		}
	}
	for name, bad := range map[string]string{
		"none":         "no footer",
		"other magic":  footer("SG\x16\x00%016xSTARGY", len(content)),
		"other field":  footer("SH\x16\x00%016xSTARGZ", len(content)),
		"no number":    footer("SG\x16\x00%15sxSTARGZ", "x"),
		"negative":     footer("SG\x16\x00-%015xSTARGZ", 1),
		"no TOC":       footer("SG\x16\x00%016xSTARGZ", 1),
		"behind end":   footer("SG\x16\x00%016xSTARGZ", 1<<40),
		"external TOC": footer("SG\x16\x00%016xSTARGZ", uint64(1<<64-1)),
	} {
		t.Run(name, func(t *testing.T) { stargz(content, json, bad).refused(t, "") })
	}
}

func TestEStargzRefused(t *testing.T) {
	content := Gzip(Unended(File("a", "text")))
	json := `{"version":1,"entries":[]}`
	other := stargz(content, json, "")
	other.desc.Annotations[stargzDigest] = digestOf("other")
	other.refused(t, "annotated digest")
	other.desc.Annotations[stargzDigest] = "sha256:"
	other.refused(t, "SHA-256")
	other.bytes, other.desc.Size = nil, 0
	other.refused(t, "SHA-256")

	tiny := newBlob([]byte("x"), map[string]string{stargzDigest: digestOf(json)})
	tiny.refused(t, "footer")

	stargz([]byte("these bytes are no member"), json, "").refused(t, "gzip")
	stargz(Gzip([]byte(strings.Repeat("no archive ", 100))), json, "").refused(t, "tar")
	stargz(append(content, make([]byte, 33<<20)...), json, "").refused(t, "before the TOC")
	stargz(bytes.Repeat(Gzip(bytes.Repeat(Unended(Dir("a")), 1<<11)), 64), json, "").refused(t, "larger")

	misnamed := append(bytes.Clone(content), Gzip(Build(File("index.json", json)))...)
	misnamed = append(misnamed, estargz.CreateGzipFooter(fmt.Appendf(nil, "SG\x16\x00%016xSTARGZ", len(content)))...)
	newBlob(misnamed, map[string]string{stargzDigest: digestOf(json)}).refused(t, "named")
}
