package layer

import (
	"archive/tar"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
)

// Position is where a Reader is in a layer, with what another Reader needs to
// go on there. The zero Position is the start of any layer.
//
// It belongs to the blob that it was taken from; nothing in it tells. Whoever
// keeps it keeps it together with the blob's digest, and from being changed.
type Position struct {
	// Blob counts the bytes of the blob before the first that is needed. In a
	// tar file it may be the size of the blob.
	Blob int64
	// Tar counts the bytes of the tar stream before the place.
	Tar int64
	// Rest counts the content bytes of the current entry behind the place: the
	// last that Next returned, of which Size less Rest bytes were read.
	Rest int64

	at      format
	begin   int64  // offset in the tar stream of what is at Blob
	bit     uint8  // 0–7: the first that is needed of the byte at Blob
	history []byte // decompressed bytes of the gzip member before, up to maxHistory

	sum, size uint32 // CRC-32 and length of the gzip member before
}

// format is what the blob holds at a Position.
type format uint8

const (
	anyLayer  format = iota // the start of one
	plainTar                // a tar stream, whatever came before
	gzipStart               // the header of the first member
	gzipBlock               // a block within a member
)

// Position is where the Reader is: behind the entries and content bytes that
// were read. It may be called at any time and is cheap.
//
// There is none if Limits.Checkpoints is not set; for zstd; after an error or
// the end of the layer; and while the current entry is a sparse file, or a
// whiteout with content, in which offsets of the tar stream mean little.
func (r *Reader) Position() (Position, bool) {
	if r.trail == nil || r.err != nil || !r.direct {
		return Position{}, false
	}
	p, ok := r.trail.newest()
	if !ok {
		return Position{}, false
	}
	p.Tar, p.Rest = r.trail.offset, r.left
	return p, true
}

// ResumeReader makes a Reader that stands where another one stood when it told
// its Position: Read reads the rest of the content of the entry that the other
// returned last, and Next returns the entry that follows. From there on both
// yield the same. r holds the bytes of the other's blob from byte p.Blob on. The
// digest of the whole is for whoever opened it to verify; the checksums of gzip
// are verified as if nothing had happened.
//
// The Limits count from here on, and so does Inflated, which includes the bytes
// between what is at p.Blob and the position: they are decompressed once more
// before ResumeReader returns. The Reader must be closed.
func ResumeReader(r io.Reader, p Position, limits Limits) (*Reader, error) {
	lr := &Reader{limits: limits.withDefaults(), direct: true}
	lr.blob = &blob{r: r}
	if limits.Checkpoints > 0 {
		lr.trail = &trail{every: limits.Checkpoints, offset: p.begin}
	}
	inflate, err := decompress(lr.blob, p, lr.trail)
	if err != nil {
		return nil, fmt.Errorf("read layer: %w", lr.blob.blame(lr.blob.explain(err)))
	}
	lr.inflate = inflate
	lr.stream = &explained{inflate, lr.blob, &lr.inflated}
	if lr.limits.ReadAhead > 0 {
		lr.ahead = readAhead(lr.stream, lr.limits.ReadAhead)
		lr.stream = lr.ahead
	}
	if lr.trail != nil {
		lr.trail.stream = lr.stream
		lr.stream = lr.trail
	}
	lr.tar = tar.NewReader(onlyReader{lr.stream})
	if err := lr.skipTo(p); err != nil {
		err = fmt.Errorf("read layer: go on at byte %d of its tar stream: %w", p.Tar, lr.blame(err))
		lr.Close()
		return nil, err
	}
	return lr, nil
}

// skipTo goes on to the tar offset of p. If that is within a file or its
// padding, the archive that is read starts with a made-up header of a file
// whose content ends where the real one's does, and whose first bytes are
// made up too, since the padding depends on the size.
func (r *Reader) skipTo(p Position) error {
	if _, err := io.CopyN(io.Discard, r.stream, p.Tar-p.begin); err == io.EOF {
		return malformed(io.ErrUnexpectedEOF)
	} else if err != nil {
		return malformed(err)
	}
	before := p.Tar % block
	if before+p.Rest == 0 {
		return nil
	}
	var start bytes.Buffer
	if err := tar.NewWriter(&start).WriteHeader(&tar.Header{Name: "rest", Size: before + p.Rest, Format: tar.FormatGNU}); err != nil {
		return malformed(err)
	}
	start.Write(make([]byte, before))
	r.tar = tar.NewReader(io.MultiReader(&start, onlyReader{r.stream}))
	if _, err := r.tar.Next(); err != nil {
		return malformed(err)
	}
	if _, err := io.CopyN(io.Discard, r.tar, before); err != nil {
		return malformed(err)
	}
	r.content, r.left = true, p.Rest
	return nil
}

// isDirect says that the bytes behind the header in the tar stream are the
// content of the entry and nothing else.
func isDirect(h *tar.Header, e *Entry) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return false
		}
	}
	return h.Typeflag != tar.TypeGNUSparse && (e.Type == Regular || h.Size == 0)
}

// A Position is stored so; numbers are little-endian:
//
//	 0  8  "CLIPPLAC"
//	 8  4  version, 1
//	12  1  what is at Blob, a format
//	13  1  its first bit
//	14  8  Blob
//	22  8  Tar
//	30  8  Rest
//	38  8  offset in the tar stream of what is at Blob
//	46  4  CRC-32 of the gzip member's content before it
//	50  4  length of the same, modulo 2³²
//	54  …  the last 32 KiB of the same, or all
const (
	positionMagic   = "CLIPPLAC"
	positionVersion = 1
	positionSize    = 54 // without the last

	maxOffset = 1 << 60 // so that no sum overflows
)

// MarshalBinary implements encoding.BinaryMarshaler. The result has at most
// 33 KiB.
func (p Position) MarshalBinary() ([]byte, error) {
	b := make([]byte, 0, positionSize+len(p.history))
	b = append(b, positionMagic...)
	b = binary.LittleEndian.AppendUint32(b, positionVersion)
	b = append(b, byte(p.at), p.bit)
	for _, n := range []int64{p.Blob, p.Tar, p.Rest, p.begin} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	b = binary.LittleEndian.AppendUint32(b, p.sum)
	b = binary.LittleEndian.AppendUint32(b, p.size)
	return append(b, p.history...), nil
}

// UnmarshalBinary implements encoding.BinaryUnmarshaler. It refuses what no
// Reader tells, as far as that can be seen without the blob.
func (p *Position) UnmarshalBinary(b []byte) error {
	if len(b) < positionSize || string(b[:8]) != positionMagic {
		return errors.New("not the position of a layer reader")
	}
	if version := binary.LittleEndian.Uint32(b[8:]); version != positionVersion {
		return fmt.Errorf("position of a layer reader in version %d, want %d", version, positionVersion)
	}
	number := func(at int) int64 { return int64(binary.LittleEndian.Uint64(b[at:])) }
	q := Position{
		at:      format(b[12]),
		bit:     b[13],
		Blob:    number(14),
		Tar:     number(22),
		Rest:    number(30),
		begin:   number(38),
		sum:     binary.LittleEndian.Uint32(b[46:]),
		size:    binary.LittleEndian.Uint32(b[50:]),
		history: bytes.Clone(b[positionSize:]),
	}
	if !q.possible() {
		return errors.New("position of a layer reader with impossible values")
	}
	*p = q
	return nil
}

func (p Position) possible() bool {
	for _, n := range []int64{p.Blob, p.Tar, p.Rest, p.begin} {
		if n < 0 || n > maxOffset {
			return false
		}
	}
	if p.bit > 7 || len(p.history) > maxHistory || p.begin > p.Tar {
		return false
	}
	member := p.bit != 0 || p.sum != 0 || p.size != 0 || len(p.history) > 0
	switch p.at {
	case anyLayer:
		return !member && p.Blob == 0 && p.Tar == 0 && p.Rest == 0
	case plainTar:
		return !member && p.Blob == p.Tar && p.Blob == p.begin
	case gzipStart:
		return !member && p.Blob == 0 && p.begin == 0
	case gzipBlock:
		return true
	}
	return false
}
