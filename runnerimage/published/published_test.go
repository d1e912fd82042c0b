package published_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/toc"
	. "github.com/clipperregistry/runner/test/tarball"
)

func TestNone(t *testing.T) {
	never := func(offset, length int64) ([]byte, error) {
		t.Errorf("%d bytes at %d asked for", length, offset)
		return nil, errTest
	}
	for _, annotations := range []map[string]string{nil, {"com.clipperregistry.other": "0:0"}, {published.Annotation: ""}} {
		desc := oci.Descriptor{Size: 100, Annotations: annotations}
		if _, err := published.Open(desc, never); published.Has(desc) || !errors.Is(err, published.ErrNone) {
			t.Errorf("%v: %v", annotations, err)
		}
	}
	for _, key := range []string{
		published.Annotation, "containerd.io/snapshot/stargz/toc.digest",
		"io.github.containers.zstd-chunked.manifest-checksum", "io.containers.zstd-chunked.manifest-checksum",
	} {
		desc := oci.Descriptor{Size: 100, Annotations: map[string]string{key: "nonsense"}}
		if _, err := published.Open(desc, never); !published.Has(desc) || !errors.Is(err, published.ErrFormat) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// TestOurFramesFirst has a layer that somebody else tells of, too.
func TestOurFramesFirst(t *testing.T) {
	b, _ := frames(t, Build(File("a", "x")))
	b.desc.Annotations["containerd.io/snapshot/stargz/toc.digest"] = "nonsense"
	if l := b.open(t); l.Format() != published.Frames {
		t.Error(l.Format())
	}
}

func TestReadErrors(t *testing.T) {
	b, _ := frames(t, Build(File("a", "x")))
	if _, err := published.Open(b.desc, func(offset, length int64) ([]byte, error) { return nil, errTest }); !errors.Is(err, errTest) || errors.Is(err, published.ErrFormat) {
		t.Error(err)
	}
	if _, err := published.Open(b.desc, func(offset, length int64) ([]byte, error) { return b.bytes[offset:][:length-1], nil }); err == nil {
		t.Error("fewer bytes than asked for are taken")
	}
}

// withTable is a blob with a table of ours behind content.
func withTable(content, table []byte) blob {
	annotation := fmt.Sprintf("%d:%d:sha256:%x", len(content), len(table), sha256.Sum256(table))
	return newBlob(append(bytes.Clone(content), table...), map[string]string{published.Annotation: annotation})
}

// tableOf makes a table of two files of 5 bytes.
func tableOf(t testing.TB, format byte, lead int64, chunks ...toc.Chunk) []byte {
	t.Helper()
	w := toc.NewWriter()
	w.SetFormat(format)
	for _, name := range []string{"a", "b"} {
		if err := w.Entry(&layer.Entry{Name: name, Type: layer.Regular, Size: 5, ModTime: time.Unix(0, 0)}, lead); err != nil {
			t.Fatal(err)
		}
		if lead > 0 {
			lead = 507 + 512 // padding and a header
		}
	}
	for _, c := range chunks {
		if err := w.Chunk(c); err != nil {
			t.Fatal(err)
		}
	}
	b, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFramesRefused(t *testing.T) {
	content := make([]byte, 100)
	whole := toc.Chunk{Size: 10, Offset: 10, Length: 20}
	for reason, b := range map[string]blob{
		"format 9":         withTable(content, tableOf(t, 9, 512, whole)),
		"it is of eStargz": withTable(content, tableOf(t, 3, 512, whole)),
		"format 0":         withTable(content, tableOf(t, 0, 512, toc.Chunk{Size: 10})),
		"malformed":        withTable(content, tableOf(t, 1, 512, whole)[1:]),
		"in a blob of":     withTable(content, tableOf(t, 1, 512, toc.Chunk{Size: 10, Offset: 10, Length: 1000})),
		"does not tell":    withTable(content, tableOf(t, 1, 0, whole)),
		"strewn":           withTable(content, tableOf(t, 1, 512, toc.Chunk{Size: 10, Offset: 10, Length: 20, Skip: 1 << 30})),
		"behind one that":  withTable(content, tableOf(t, 1, 512, toc.Chunk{Size: 5, Offset: 10, Length: 20}, toc.Chunk{Size: 5, Offset: 29, Length: 20})),
		"0 bytes long":     withTable(content, tableOf(t, 1, 512, toc.Chunk{Size: 10})),
	} {
		t.Run(reason, func(t *testing.T) { b.refused(t, reason) })
	}
}

func TestFramesAnnotations(t *testing.T) {
	table := tableOf(t, 1, 512, toc.Chunk{Size: 10, Offset: 10, Length: 20})
	good := withTable(make([]byte, 100), table)
	good.open(t)
	digest := fmt.Sprintf("sha256:%x", sha256.Sum256(table))
	length := fmt.Sprint(len(table))
	for annotation, reason := range map[string]string{
		"":                                     "no published TOC",
		"nonsense":                             "annotation",
		"100:" + length + ":" + digest[:70]:    "annotation",
		"100:" + length + ":" + digest + ":":   "annotation",
		"100:" + length + ":md5:" + digest[7:]: "annotation",
		"100:" + length + ":sha256:" + strings.Repeat("x", 64): "encoding/hex",
		"x:" + length + ":" + digest:                           "parsing",
		"100:x:" + digest:                                      "parsing",
		"100:99999999999999999999:" + digest:                   "out of range",
		"101:" + length + ":" + digest:                         "in a blob of",
		"-1:" + length + ":" + digest:                          "in a blob of",
		"100:0:" + digest:                                      "may have",
		"100:-1:" + digest:                                     "may have",
		"9223372036854775807:" + length + ":" + digest:         "in a blob of",
		"0:134217729:" + digest:                                "may have",
		"99:" + length + ":" + digest:                          "its digest is",
		"100:" + length + ":sha256:" + strings.Repeat("0", 64): "its digest is",
	} {
		b := newBlob(good.bytes, map[string]string{published.Annotation: annotation})
		_, err := published.Open(b.desc, b.read)
		if err == nil || !strings.Contains(err.Error(), reason) || annotation != "" && !errors.Is(err, published.ErrFormat) {
			t.Errorf("%s: %v, want %q", annotation, err, reason)
		}
	}
}

func TestLoadRefuses(t *testing.T) {
	desc := oci.Descriptor{Size: 100}
	whole := toc.Chunk{Size: 10, Offset: 10, Length: 20}
	if _, err := published.Load(desc, tableOf(t, 1, 512, whole)); err != nil {
		t.Error(err)
	}
	for what, raw := range map[string][]byte{
		"nothing":         nil,
		"without a span":  tableOf(t, 0, 0, toc.Chunk{Size: 10}),
		"unknown format":  tableOf(t, 9, 512, whole),
		"of another blob": tableOf(t, 1, 512, toc.Chunk{Size: 10, Offset: 90, Length: 20}),
	} {
		if _, err := published.Load(desc, raw); !errors.Is(err, published.ErrFormat) {
			t.Errorf("%s: %v", what, err)
		}
	}
}

// TestFrameBomb has spans that decode to more than they should: only what the
// chunk needs is decoded, in the memory of a window.
func TestFrameBomb(t *testing.T) {
	var bomb bytes.Buffer
	z, err := zstd.NewWriter(&bomb, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithWindowSize(4<<20))
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 1 << 10 {
		if _, err := z.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	id := toc.ID(sha256.Sum256(make([]byte, 10)))
	b := withTable(bomb.Bytes(), tableOf(t, 1, 512, toc.Chunk{ID: id, Size: 10, Length: int64(bomb.Len()), Skip: 512}))
	l := b.open(t)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := l.Content(nil, 0, bomb.Bytes()); err != nil {
		t.Error(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 32<<20 {
		t.Errorf("%d bytes of memory for a chunk of 10", took)
	}
}

// FuzzFrames proves that any bytes are written so that they come out again,
// and that a TOC says what the archive says.
func FuzzFrames(f *testing.F) {
	for name, archive := range archives() {
		if len(archive) < 8<<10 {
			f.Add(archive)
		} else if name == "everything" {
			f.Add(archive[:8<<10])
		}
	}
	f.Add(Build(Sparse("s", 1<<40, []Fragment{{Offset: 5, Data: "x"}})))
	f.Add(Build(Global("path", "x"), File("a", "b", Size(1<<40))))
	f.Fuzz(func(t *testing.T, archive []byte) {
		b, r := framesFrom(t, bytes.NewReader(archive), zstd.SpeedFastest)
		if !bytes.Equal(decoded(t, b.bytes), archive) {
			t.Fatal("the blob does not decode to the archive")
		}
		if r.NoTOC == nil {
			b.checkAgainstArchive(t, toTheNanosecond)
		}
	})
}

// FuzzFramesTOC proves that any table is of no use or can be worked with.
func FuzzFramesTOC(f *testing.F) {
	frame := Zstd([]byte("0123456789"))
	id := toc.ID(sha256.Sum256([]byte("56789")))
	f.Add(tableOf(f, 1, 512, toc.Chunk{Size: 10, Length: int64(len(frame))}), frame)
	f.Add(tableOf(f, 1, 512, toc.Chunk{ID: id, Size: 5, Length: int64(len(frame)), Skip: 5}, toc.Chunk{Size: 5, Offset: int64(len(frame)), Length: 5}), frame)
	f.Fuzz(func(t *testing.T, table, content []byte) {
		checkFuzzed(t, withTable(content, table))
	})
}
