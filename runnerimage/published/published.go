// Package published reads what a layer's publisher says of it: a table of
// contents that the descriptor's annotations bind, and the chunks that ranges
// of the blob hold.
//
// What comes in is a descriptor and a function that reads ranges of its blob.
// What goes out is a toc.Table in the publisher's cut, and the content of each
// chunk from the bytes of its span. Promised is that the table is the one that
// the annotation names, that content has its chunk's ID, and that memory stays
// bounded for any input. Not promised is that the table tells the truth about
// the archive: only who reads the whole blob can say that (Layer.Same).
//
// Three formats are known. zstd:chunked and eStargz are read as others write
// them; Frames, the runner's own, is read and written (Write). Each is an
// ordinary layer for whoever knows nothing of this.
package published

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

var (
	// ErrNone says that the descriptor tells of no TOC of a known format.
	ErrNone = errors.New("the layer has no published TOC")
	// ErrFormat says that the TOC is damaged, lies about the blob, or is of an
	// unknown version. The layer may still be fine: the caller reads it whole.
	ErrFormat = errors.New("the layer's published TOC is of no use")
)

// ReadFunc reads length bytes of the blob from offset on, all of them or an
// error. Open hands the error to its caller, and never asks for bytes beyond
// the descriptor's size.
type ReadFunc func(offset, length int64) ([]byte, error)

// Format is how the bytes of a span become content. The numbers are in Tables
// that stores keep.
type Format byte

const (
	Frames      Format = 1 // the runner's own, cut as package chunk cuts
	ZstdChunked Format = 2
	EStargz     Format = 3
)

// String is the format's name for people.
func (f Format) String() string {
	switch f {
	case Frames:
		return "Clipper frames"
	case ZstdChunked:
		return "zstd:chunked"
	case EStargz:
		return "eStargz"
	}
	return fmt.Sprintf("format %d", byte(f))
}

// A known format is told by one of its annotations. The first that a
// descriptor has counts.
var known = []struct {
	annotation string
	format     Format
	open       func(oci.Descriptor, ReadFunc) (*toc.Table, error)
}{
	{Annotation, Frames, openFrames},
	{zstdChunkedPodman + "checksum", ZstdChunked, openZstdChunked},
	{zstdChunkedEStargz + "checksum", ZstdChunked, openZstdChunked},
	{eStargzDigest, EStargz, openEStargz},
}

// A decoder knows a format's spans. It is safe for concurrent use.
type decoder interface {
	// content appends the content of chunk i, which has a span, to dst. It
	// need not verify the ID; its errors are about the bytes. Neither dst nor
	// span is kept behind the call, but a decoder may keep what it decoded.
	content(dst []byte, i int, span []byte) ([]byte, error)
}

func newDecoder(t *toc.Table) (decoder, error) {
	switch Format(t.Format()) {
	case Frames:
		return newFrames(t)
	case ZstdChunked:
		return newZstdChunked(t), nil
	case EStargz:
		return newEStargz(t), nil
	}
	return nil, fmt.Errorf("%w: unknown %s", ErrFormat, Format(t.Format()))
}

// Has reports whether a descriptor tells of a TOC, which Open may still find
// to be of no use.
func Has(desc oci.Descriptor) bool {
	for _, k := range known {
		if desc.Annotations[k.annotation] != "" {
			return true
		}
	}
	return false
}

// Layer is a layer of which a TOC is published. It is safe for concurrent use.
type Layer struct {
	table   *toc.Table
	raw     []byte
	decoder decoder
}

// Open reads the TOC that the descriptor tells of, with one range request or
// a few.
func Open(desc oci.Descriptor, read ReadFunc) (*Layer, error) {
	for _, k := range known {
		if desc.Annotations[k.annotation] == "" {
			continue
		}
		table, err := k.open(desc, within(desc, read))
		if err != nil {
			return nil, fmt.Errorf("read the %s TOC of layer %s: %w", k.format, desc.Digest, err)
		}
		raw, err := table.Bytes()
		if err != nil {
			return nil, fmt.Errorf("keep the %s TOC of layer %s: %w", k.format, desc.Digest, err)
		}
		return newLayer(desc, table, raw)
	}
	return nil, ErrNone
}

// within lets nobody ask for bytes that the blob does not have, and takes
// nothing that was not asked for.
func within(desc oci.Descriptor, read ReadFunc) ReadFunc {
	return func(offset, length int64) ([]byte, error) {
		if offset < 0 || length < 0 || offset > desc.Size-length {
			return nil, fmt.Errorf("%w: it is said to be at %d, %d bytes long, in a blob of %d bytes", ErrFormat, offset, length, desc.Size)
		}
		b, err := read(offset, length)
		if err == nil && int64(len(b)) != length {
			err = fmt.Errorf("%d bytes of the blob at %d asked for, %d read", length, offset, len(b))
		}
		return b, err
	}
}

// Load is Open without a request: raw is what Raw returned. Whoever kept it
// answers for it.
func Load(desc oci.Descriptor, raw []byte) (*Layer, error) {
	table, err := toc.ParseTable(raw)
	if err != nil {
		return nil, fmt.Errorf("load the TOC of layer %s: %w: %w", desc.Digest, ErrFormat, err)
	}
	return newLayer(desc, table, raw)
}

func newLayer(desc oci.Descriptor, table *toc.Table, raw []byte) (*Layer, error) {
	l := &Layer{table: table, raw: raw}
	for i, c := range table.Chunks() {
		if c.Offset > desc.Size-c.Length {
			return nil, fmt.Errorf("layer %s: %w: chunk %d is said to be at %d, %d bytes long, in a blob of %d bytes", desc.Digest, ErrFormat, i, c.Offset, c.Length, desc.Size)
		}
	}
	var err error
	if l.decoder, err = newDecoder(table); err != nil {
		return nil, fmt.Errorf("layer %s: %w", desc.Digest, err)
	}
	return l, nil
}

// Format is that of the blob.
func (l *Layer) Format() Format { return Format(l.table.Format()) }

// Table is the layer's table of contents in the publisher's cut.
func (l *Layer) Table() *toc.Table { return l.table }

// Raw is the encoded Table, for Load.
func (l *Layer) Raw() []byte { return l.raw }

// Same returns nil if the archive, whose table in any cut is given, has the
// entries that the publisher's has, as far as the format can tell: some who
// write the others keep whole seconds. Chunks are not looked at.
func (l *Layer) Same(archive *toc.Table) error {
	if l.Format() == Frames {
		return toc.Same(l.table, archive)
	}
	return toc.SameToTheSecond(l.table, archive)
}

// Content appends the content of chunk i to dst. The span is the bytes of the
// blob at the chunk's Offset, Length of them; several chunks may share one. A
// chunk of zeros has none. Content that does not have the chunk's ID is an
// ErrFormat: either these are not the bytes of the blob or the table lies.
func (l *Layer) Content(dst []byte, i int, span []byte) ([]byte, error) {
	c := l.table.Chunks()[i]
	if int64(len(span)) != c.Length {
		return dst, fmt.Errorf("chunk %d: %d bytes for a span of %d", i, len(span), c.Length)
	}
	all := slices.Grow(dst, int(c.Size))
	if c.Length == 0 {
		all = append(all, make([]byte, c.Size)...)
	} else {
		var err error
		if all, err = l.decoder.content(all, i, span); err != nil {
			return dst, fmt.Errorf("chunk %d: %w: %w", i, ErrFormat, err)
		}
	}
	if content := all[len(dst):]; int64(len(content)) != c.Size || sha256.Sum256(content) != c.ID {
		return dst, fmt.Errorf("chunk %d: %w: its span does not hold %d bytes with the ID %x", i, ErrFormat, c.Size, c.ID)
	}
	return all, nil
}
