package published

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// Level is the level of compression that serves best: README.md has figures.
const Level = zstd.SpeedBetterCompression

// Result is what Write wrote.
type Result struct {
	Size   int64      // of the blob
	Digest oci.Digest // of the blob
	DiffID oci.Digest // of the archive
	// Annotations are for the layer's descriptor; nil if there is no TOC.
	Annotations map[string]string
	// Table is the TOC, and NoTOC why there is none.
	Table *toc.Table
	NoTOC error
}

// Write writes a layer in frames. The archive is the uncompressed layer, and
// comes out of the blob bit for bit. The same archive and level give the same
// bytes. A layer that a table cannot describe becomes an ordinary tar+zstd
// blob without a TOC, and Result.NoTOC says why: one with sparse files, whose
// content is not in the archive as it is; one that package layer refuses.
//
// An error is archive's or w's. Compression goes on in up to 4 goroutines,
// which have ended when Write returns.
func Write(w io.Writer, archive io.Reader, level zstd.EncoderLevel) (Result, error) {
	blob := &meter{w: w, sum: sha256.New()}
	f, err := newFramer(blob, level)
	if err != nil {
		return Result{}, err
	}
	c := newCutting(archive, f)
	err = c.read()
	if broken := f.finish(); broken != nil {
		err = fmt.Errorf("write layer: %w", broken)
	}
	if err != nil {
		return Result{}, err
	}
	r := Result{DiffID: digestOf(c.diffID)}
	encoded, err := c.finish()
	if err != nil {
		r.NoTOC = err
	} else {
		header := binary.LittleEndian.AppendUint32(nil, skippableMagic)
		header = binary.LittleEndian.AppendUint32(header, uint32(len(encoded)))
		r.Table = c.table.Table()
		r.Annotations = map[string]string{Annotation: annotate(blob.n+int64(len(header)), encoded)}
		if _, err := blob.Write(append(header, encoded...)); err != nil {
			return Result{}, fmt.Errorf("write layer: %w", err)
		}
	}
	r.Size, r.Digest = blob.n, digestOf(blob.sum)
	return r, nil
}

// meter counts and digests what passes.
type meter struct {
	w   io.Writer
	sum hash.Hash
	n   int64
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	m.sum.Write(p[:n])
	m.n += int64(n)
	return n, err
}

func digestOf(h hash.Hash) oci.Digest {
	return oci.Digest{Algorithm: "sha256", Hex: hex.EncodeToString(h.Sum(nil))}
}
