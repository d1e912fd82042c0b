package store

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"io/fs"
	"slices"
)

// The formats, byte by byte. Numbers are unsigned and little-endian, every
// CRC is CRC-32C (Castagnoli). README.md says the same for people.
//
//	pack    = header record… index trailer
//
//	header  =  0  8  "CLIPPACK"
//	           8  4  version, 1
//	          12  8  mark: random, the pack's own
//	          20  4  CRC of bytes 0–19
//
//	record  =  0  8  mark
//	           8 32  ID
//	          40  4  stored length S
//	          44  4  content length
//	          48  4  CRC of the stored bytes
//	          52  4  CRC of bytes 0–51
//	          56  S  stored bytes
//
//	index   = entry…, by ascending ID, each ID once
//
//	entry   =  0 32  ID
//	          32  8  offset of its record
//	          40  4  stored length
//	          44  4  content length
//
//	trailer =  0  8  "CLIPTAIL"
//	           8  4  version, 1
//	          12  8  mark
//	          20  8  offset of the index
//	          28  8  number of entries
//	          36  4  CRC of the index
//	          40  4  CRC of bytes 0–39
//
//	blob    =  0  8  "CLIPBLOB"
//	           8  4  version, 1
//	          12  8  content length C
//	          20  4  CRC of the blob's name followed by its content
//	          24  4  CRC of bytes 0–23
//	          28  C  content
//
// A pack says everything twice: with a sound trailer the index finds every
// record and the header is not needed; without, the records are walked from
// the header on. The mark keeps content apart from form: nobody who has bytes
// stored can guess it, so none of them can pass for a record or a trailer.
const (
	// FormatVersion is the version that this package reads and writes.
	FormatVersion = 1

	headerSize     = 24
	recordSize     = 56 // without the stored bytes
	entrySize      = 48
	trailerSize    = 44
	blobHeaderSize = 28

	packMagic    = "CLIPPACK"
	trailerMagic = "CLIPTAIL"
	blobMagic    = "CLIPBLOB"
)

const (
	// MaxChunk is the largest stored or content length of a chunk.
	MaxChunk = 64 << 20
	// MaxBlob is the largest blob.
	MaxBlob = 1 << 30
)

var (
	le         = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

func crc(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// sealed appends the CRC of b to b.
func sealed(b []byte) []byte { return le.AppendUint32(b, crc(b)) }

// unsealed reports whether b ends with the CRC of what is before.
func unsealed(b []byte) bool {
	n := len(b) - 4
	return le.Uint32(b[n:]) == crc(b[:n])
}

type mark [8]byte

// entry is a chunk in a pack.
type entry struct {
	id              ID
	offset          int64
	stored, content uint32
}

func (e entry) end() int64 { return e.offset + recordSize + int64(e.stored) }

func appendHeader(b []byte, m mark) []byte {
	h := le.AppendUint32([]byte(packMagic), FormatVersion)
	return append(b, sealed(append(h, m[:]...))...)
}

func readHeader(r io.ReaderAt) (m mark, err error) {
	b := make([]byte, headerSize)
	if _, err := r.ReadAt(b, 0); err != nil {
		return m, readError(err)
	}
	if !unsealed(b) || string(b[:8]) != packMagic || le.Uint32(b[8:]) != FormatVersion {
		return m, corrupt("the header")
	}
	return mark(b[12:20]), nil
}

func appendRecord(b []byte, m mark, e entry, encoded []byte) []byte {
	start := len(b)
	b = append(append(b, m[:]...), e.id[:]...)
	b = le.AppendUint32(b, e.stored)
	b = le.AppendUint32(b, e.content)
	b = le.AppendUint32(b, crc(encoded))
	b = le.AppendUint32(b, crc(b[start:]))
	return append(b, encoded...)
}

// parseRecord reads what is before the stored bytes, and gives their CRC.
func parseRecord(b []byte, m mark) (e entry, sum uint32, err error) {
	if !unsealed(b[:recordSize]) || mark(b[:8]) != m {
		return e, 0, corrupt("a record's head")
	}
	e = entry{id: ID(b[8:40]), stored: le.Uint32(b[40:]), content: le.Uint32(b[44:])}
	if e.stored > MaxChunk || e.content > MaxChunk {
		return e, 0, corrupt("a record's length")
	}
	return e, le.Uint32(b[48:]), nil
}

func appendIndex(b []byte, m mark, entries []entry, offset int64) []byte {
	start := len(b)
	for _, e := range entries {
		b = append(b, e.id[:]...)
		b = le.AppendUint64(b, uint64(e.offset))
		b = le.AppendUint32(b, e.stored)
		b = le.AppendUint32(b, e.content)
	}
	sum := crc(b[start:])
	t := le.AppendUint32([]byte(trailerMagic), FormatVersion)
	t = append(t, m[:]...)
	t = le.AppendUint64(t, uint64(offset))
	t = le.AppendUint64(t, uint64(len(entries)))
	t = le.AppendUint32(t, sum)
	return append(b, sealed(t)...)
}

// readIndex reads the index of a finished pack.
func readIndex(r io.ReaderAt, size int64) (m mark, entries []entry, err error) {
	if size < headerSize+trailerSize {
		return m, nil, corrupt("the trailer")
	}
	var t [trailerSize]byte
	if _, err := r.ReadAt(t[:], size-trailerSize); err != nil {
		return m, nil, readError(err)
	}
	if !unsealed(t[:]) || string(t[:8]) != trailerMagic || le.Uint32(t[8:]) != FormatVersion {
		return m, nil, corrupt("the trailer")
	}
	offset, count, room := le.Uint64(t[20:]), le.Uint64(t[28:]), uint64(size-trailerSize)
	if offset < headerSize || offset > room || (room-offset)%entrySize != 0 || (room-offset)/entrySize != count {
		return m, nil, corrupt("the trailer")
	}
	sum := crc32.New(castagnoli)
	in := bufio.NewReaderSize(io.TeeReader(io.NewSectionReader(r, int64(offset), int64(room-offset)), sum), 64<<10)
	var b [entrySize]byte
	for range count {
		if _, err := io.ReadFull(in, b[:]); err != nil {
			return m, nil, readError(err)
		}
		e := entry{ID(b[:32]), int64(le.Uint64(b[32:])), le.Uint32(b[40:]), le.Uint32(b[44:])}
		if n := len(entries); n > 0 && bytes.Compare(entries[n-1].id[:], e.id[:]) >= 0 ||
			e.stored > MaxChunk || e.content > MaxChunk ||
			e.offset < headerSize || e.offset > int64(offset) || e.end() > int64(offset) {
			return m, nil, corrupt("the index")
		}
		entries = append(entries, e)
	}
	if sum.Sum32() != le.Uint32(t[36:]) {
		return m, nil, corrupt("the index")
	}
	return mark(t[12:20]), entries, nil
}

// walk finds the records of a pack without its index, until one is torn or
// the index begins, and says where the last one ends. It never looks for a
// record anywhere but where the one before ends. With thorough, stored bytes
// are read too and damaged chunks left out. Entries are ordered by ID.
func walk(r io.ReaderAt, size int64, thorough bool) (m mark, entries []entry, end int64, err error) {
	if m, err = readHeader(r); err != nil {
		return m, nil, 0, err
	}
	var b [recordSize]byte
	var buf []byte
	seen := map[ID]bool{}
	for end = headerSize; end+recordSize <= size; {
		if _, err := r.ReadAt(b[:], end); err != nil {
			break
		}
		e, _, err := parseRecord(b[:], m)
		if e.offset = end; err != nil || e.end() > size {
			break
		}
		end = e.end()
		if thorough {
			if buf, err = readRecord(r, m, e.id, e.offset, e.stored, buf); err != nil {
				continue
			}
		}
		if !seen[e.id] {
			seen[e.id] = true
			entries = append(entries, e)
		}
	}
	sortEntries(entries)
	return m, entries, end, nil
}

func sortEntries(entries []entry) {
	slices.SortFunc(entries, func(a, b entry) int { return bytes.Compare(a.id[:], b.id[:]) })
}

// readRecord reads the stored bytes of a chunk into buf, which grows if it
// must.
func readRecord(r io.ReaderAt, m mark, id ID, offset int64, stored uint32, buf []byte) ([]byte, error) {
	n := recordSize + int(stored)
	buf = slices.Grow(buf[:0], n)[:n]
	if _, err := r.ReadAt(buf, offset); err != nil {
		return nil, readError(err)
	}
	e, sum, err := parseRecord(buf, m)
	if err != nil {
		return nil, err
	}
	if e.id != id || e.stored != stored || crc(buf[recordSize:]) != sum {
		return nil, corrupt("a record")
	}
	// The caller's next buffer is this one from its beginning.
	return buf[:copy(buf, buf[recordSize:])], nil
}

func blobHead(name string, content []byte) []byte {
	h := le.AppendUint32([]byte(blobMagic), FormatVersion)
	h = le.AppendUint64(h, uint64(len(content)))
	h = le.AppendUint32(h, crc32.Update(crc([]byte(name)), castagnoli, content))
	return sealed(h)
}

// parseBlob finds the content in a blob's file.
func parseBlob(name string, b []byte) ([]byte, error) {
	if len(b) < blobHeaderSize || !bytes.Equal(b[:blobHeaderSize], blobHead(name, b[blobHeaderSize:])) {
		return nil, corrupt("the blob")
	}
	return b[blobHeaderSize:], nil
}

func corrupt(what string) error { return fmt.Errorf("%s: %w", what, ErrCorrupt) }

// errTransient marks damage that may be gone when it is looked at again, so
// nobody writes it down.
var errTransient = errors.New("cannot be read")

// readError says what a failed read means: less than there must be is damage,
// and so is for now what the disk cannot read.
func readError(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return corrupt("cut off")
	case vanished(err):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	case errors.Is(err, fs.ErrClosed):
		return err
	}
	return fmt.Errorf("%w: %w: %w", ErrCorrupt, errTransient, err)
}
