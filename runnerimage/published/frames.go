package published

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// A layer in frames is an ordinary tar+zstd blob, made so that parts of it can
// be fetched and a new version shares most of them:
//
//	frame … frame  skippable frame
//
// Every frame is independent; one after the other they decode to the tar
// archive bit for bit, so the diff ID stays. The content stream is cut as
// package chunk cuts it. The span of a chunk is one frame as a rule: the
// archive from the end of the chunk before, with headers and padding, to the
// end of this chunk's content. More than maxHead bytes before the first
// content are in frames of their own, and so is what follows the last content;
// a run of headers between two files of a chunk may make its span several
// frames. The skippable frame (RFC 8878, 3.1.2) holds the encoded toc.Table,
// whose leads and skips tell where in a span the content is.
//
// An annotation of the descriptor binds the Table: where it is in the blob,
// how long, and its digest.
//
//	com.clipperregistry.toc: OFFSET:LENGTH:sha256:HEX
const (
	Annotation = "com.clipperregistry.toc"

	maxHead = 64 << 10
	// maxTable bounds the bytes of an encoded Table.
	maxTable = 128 << 20
	// maxFrame bounds the memory that a frame may ask for.
	maxFrame = 8 << 20
	// maxRun bounds what of the archive is decoded for one chunk.
	maxRun = 1 << 30

	skippableMagic = 0x184d2a5c
)

// annotate is the annotation for a table of the blob.
func annotate(offset int64, table []byte) string {
	return fmt.Sprintf("%d:%d:sha256:%x", offset, len(table), sha256.Sum256(table))
}

// parseAnnotation reads what annotate writes.
func parseAnnotation(s string) (offset, length int64, digest [sha256.Size]byte, err error) {
	fields := strings.Split(s, ":")
	if len(fields) != 4 || fields[2] != "sha256" || len(fields[3]) != hex.EncodedLen(len(digest)) {
		return 0, 0, digest, fmt.Errorf("annotation %.100q", s)
	}
	if offset, err = strconv.ParseInt(fields[0], 10, 64); err != nil {
		return 0, 0, digest, err
	}
	if length, err = strconv.ParseInt(fields[1], 10, 64); err != nil {
		return 0, 0, digest, err
	}
	_, err = hex.Decode(digest[:], []byte(fields[3]))
	return offset, length, digest, err
}

// openFrames reads the Table that the annotation names.
func openFrames(desc oci.Descriptor, read ReadFunc) (*toc.Table, error) {
	offset, length, digest, err := parseAnnotation(desc.Annotations[Annotation])
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if length <= 0 || length > maxTable {
		return nil, fmt.Errorf("%w: it has %d bytes, and may have %d", ErrFormat, length, maxTable)
	}
	encoded, err := read(offset, length)
	if err != nil {
		return nil, err
	}
	if got := sha256.Sum256(encoded); got != digest {
		return nil, fmt.Errorf("%w: its digest is sha256:%x, not sha256:%x", ErrFormat, got, digest)
	}
	table, err := toc.ParseTable(encoded)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if Format(table.Format()) != Frames {
		return nil, fmt.Errorf("%w: it is of %s", ErrFormat, Format(table.Format()))
	}
	return table, nil
}

// frames decodes the spans of a layer in frames.
type frames struct {
	chunks []toc.Chunk
	// pieces says of each chunk, from its start on, how long its pieces of
	// content are and the gaps between them in the archive, in turn: as
	// uvarints, as there is a piece for every file.
	pieces []byte
	starts []int
	idle   sync.Pool // of *zstd.Decoder
}

func newFrames(t *toc.Table) (*frames, error) {
	f := &frames{chunks: t.Chunks(), starts: make([]int, 1, len(t.Chunks())+1)}
	var end int64
	for i, c := range f.chunks {
		if c.Length == 0 || c.Offset < end {
			return nil, fmt.Errorf("%w: chunk %d is said to be at %d, %d bytes long, behind one that ends at %d", ErrFormat, i, c.Offset, c.Length, end)
		}
		end = c.Offset + c.Length
	}
	if err := f.lay(t.Entries()); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return f, nil
}

// lay finds the pieces of every chunk.
func (f *frames) lay(entries *toc.EntryReader) error {
	var next, run int64 // of the current chunk: content so far, archive so far
	for {
		e, lead, err := entries.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		for left := e.Size; left > 0; {
			c := f.chunks[len(f.starts)-1]
			switch {
			case next == 0:
				run = c.Skip
			case lead == 0:
				return fmt.Errorf("it does not tell where %.200q begins", e.Name)
			default:
				run += lead
				f.pieces = binary.AppendUvarint(f.pieces, uint64(lead))
			}
			n := min(left, c.Size-next)
			f.pieces = binary.AppendUvarint(f.pieces, uint64(n))
			left, next, run = left-n, next+n, run+n
			if run > maxRun {
				return fmt.Errorf("a chunk is strewn over %d bytes of the archive", run)
			}
			if next == c.Size {
				f.starts, next = append(f.starts, len(f.pieces)), 0
			}
		}
	}
}

func (f *frames) content(dst []byte, i int, span []byte) ([]byte, error) {
	z, err := f.decoder(span)
	if err != nil {
		return dst, err
	}
	defer f.idle.Put(z)
	skip := f.chunks[i].Skip
	for pieces := f.pieces[f.starts[i]:f.starts[i+1]]; len(pieces) > 0; {
		if _, err := io.CopyN(io.Discard, z, skip); err != nil {
			return dst, unexpected(err)
		}
		piece, n := binary.Uvarint(pieces)
		pieces = pieces[n:]
		start := len(dst)
		dst = append(dst, make([]byte, piece)...)
		if _, err := io.ReadFull(z, dst[start:]); err != nil {
			return dst, unexpected(err)
		}
		gap, n := binary.Uvarint(pieces) // 0 behind the last piece
		pieces, skip = pieces[n:], int64(gap)
	}
	return dst, nil
}

// decoder returns a decoder of the span, which decodes no more than what is
// read: its memory is that of one window.
func (f *frames) decoder(span []byte) (*zstd.Decoder, error) {
	in := struct{ io.Reader }{bytes.NewReader(span)} // hides what would have it decode the whole at once
	if z, ok := f.idle.Get().(*zstd.Decoder); ok {
		return z, z.Reset(in)
	}
	return zstd.NewReader(in, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxFrame))
}

// unexpected is for an end where there must be more.
func unexpected(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
