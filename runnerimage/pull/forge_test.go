package pull_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/toc"
	. "github.com/clipperregistry/runner/test/tarball"
)

// Tables that their publisher has forged.

// frameBytes are the frames of a blob, without its table.
func frameBytes(t *testing.T, b blob) []byte {
	t.Helper()
	var offset int
	if _, err := fmt.Sscanf(b.annotations[published.Annotation], "%d:", &offset); err != nil {
		t.Fatal(err)
	}
	return b.bytes[:offset-8]
}

// withTable puts a table behind frames.
func withTable(frames, table []byte) blob {
	b := bytes.Clone(frames)
	b = binary.LittleEndian.AppendUint32(b, 0x184d2a5c)
	b = binary.LittleEndian.AppendUint32(b, uint32(len(table)))
	annotation := fmt.Sprintf("%d:%d:sha256:%x", len(b), len(table), sha256.Sum256(table))
	return blob{append(b, table...), map[string]string{published.Annotation: annotation}}
}

// tableOf is the encoded table of a blob.
func tableOf(t *testing.T, b blob) []byte {
	t.Helper()
	l, err := published.Open(oci.Descriptor{Size: int64(len(b.bytes)), Annotations: b.annotations}, func(offset, length int64) ([]byte, error) {
		return b.bytes[offset:][:length], nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return l.Raw()
}

// lie is a blob of an archive with the table of another.
func lie(t *testing.T, archive, other []Entry) blob {
	t.Helper()
	return withTable(frameBytes(t, inFrames(t, Build(archive...))), tableOf(t, inFrames(t, Build(other...))))
}

// twisted is the table of a blob with other entries and chunks.
func twisted(t *testing.T, b blob, entry func(*layer.Entry), do func([]toc.Chunk) []toc.Chunk) []byte {
	t.Helper()
	table, err := toc.ParseTable(tableOf(t, b))
	if err != nil {
		t.Fatal(err)
	}
	chunks := do(slices.Clone(table.Chunks()))
	w := toc.NewWriter()
	w.SetFormat(table.Format())
	for r := table.Entries(); ; {
		e, lead, err := r.Next()
		if err != nil {
			break
		}
		if e.Type == layer.Regular {
			entry(e)
		}
		if err := w.Entry(e, lead); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range chunks {
		if err := w.Chunk(c); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := w.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// graft puts the table of another zstd:chunked blob into one.
func graft(t *testing.T, b, other blob) blob {
	t.Helper()
	const prefix = "io.github.containers.zstd-chunked.manifest-"
	cut := func(b blob) (at int, rest string) {
		if _, err := fmt.Sscanf(b.annotations[prefix+"position"], "%d:%s", &at, &rest); err != nil {
			t.Fatal(err)
		}
		return at, rest
	}
	at, _ := cut(b)
	from, rest := cut(other)
	grafted := blob{append(bytes.Clone(b.bytes[:at]), other.bytes[from:]...), map[string]string{}}
	grafted.annotations[prefix+"position"] = fmt.Sprintf("%d:%s", at, rest)
	grafted.annotations[prefix+"checksum"] = other.annotations[prefix+"checksum"]
	return grafted
}

func asTheyAre(chunks []toc.Chunk) []toc.Chunk { return chunks }
