package toc

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// The encoded form of a Table. README.md says it byte by byte.
//
//	table = 0  8  "CLIPTABL"
//	        8  4  version, 1
//	       12  1  format of the spans
//	       13  1  state: 0 complete, 1 snapshot
//	       14  8  length of the body B
//	       22  …  the body as one zstd frame, which ends the table
//
//	body  = lengths of the columns, 8 bytes each, then the columns: those of
//	        the entries, and those of the chunks
const (
	tableMagic   = "CLIPTABL"
	tableVersion = 1
	headerSize   = 22

	stateComplete = 0
	stateSnapshot = 1

	// The columns of the chunks, behind those of the entries.
	idColumn        = columnCount
	chunkSizeColumn = columnCount + 1
	spanColumn      = columnCount + 2
	bodyParts       = columnCount + 3

	// window is that of the zstd frames which are written, and maxFrame what a
	// frame may ask for. An encoder takes twice its window.
	window   = 1 << 20
	maxFrame = 8 << 20
	// mostPerByte bounds what a byte of a frame decodes to: a block takes 4
	// at least and holds 128 KiB at most.
	mostPerByte = 32 << 10
)

// encode is the form of the table in one of the states.
func encode(t *Table, state byte) ([]byte, error) {
	body := t.body()
	if int64(len(body)) > standard.body {
		return nil, fmt.Errorf("%w: a table of contents of %d bytes, more than %d", layer.ErrTooMany, len(body), standard.body)
	}
	level := zstd.SpeedBetterCompression
	if state == stateSnapshot {
		level = zstd.SpeedFastest // read once, at most
	}
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(level), zstd.WithWindowSize(window))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	b := binary.LittleEndian.AppendUint32([]byte(tableMagic), tableVersion)
	b = append(b, t.format, state)
	b = binary.LittleEndian.AppendUint64(b, uint64(len(body)))
	return z.EncodeAll(body, b), nil
}

func (t *Table) body() []byte {
	parts := make([][]byte, 0, bodyParts)
	parts = append(parts, t.entries[:]...)
	parts = append(parts, t.chunkColumns()...)
	size := 0
	for _, p := range parts {
		size += 8 + len(p)
	}
	body := make([]byte, 0, size)
	for _, p := range parts {
		body = binary.LittleEndian.AppendUint64(body, uint64(len(p)))
	}
	return append(body, slices.Concat(parts...)...)
}

// chunkColumns encodes the chunks: IDs; sizes; and of each with a span how far
// its offset is from the end of the span before, its length and its skip.
func (t *Table) chunkColumns() [][]byte {
	var all [bodyParts - columnCount][]byte
	var end int64
	for _, c := range t.chunks {
		all[0] = append(all[0], c.ID[:]...)
		all[1] = binary.AppendUvarint(all[1], uint64(c.Size))
		if t.format == 0 {
			continue
		}
		all[2] = binary.AppendUvarint(all[2], uint64(c.Length))
		if c.Length > 0 {
			all[2] = binary.AppendVarint(all[2], c.Offset-end)
			all[2] = binary.AppendUvarint(all[2], uint64(c.Skip))
			end = c.Offset + c.Length
		}
	}
	return all[:]
}

// ParseTable reads what Bytes wrote. The bytes may be a stranger's: what it
// returns is in order throughout, and memory is bounded by the limits of a
// layer, which no error exceeds either.
func ParseTable(b []byte) (*Table, error) { return decode(b, stateComplete, standard) }

func decode(b []byte, state byte, l limits) (*Table, error) {
	format, body, err := unpack(b, state, l)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	parts, err := split(body)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	t := &Table{format: format, entries: columns(parts[:columnCount]).clip()}
	if err := t.scan(l); err != nil {
		return nil, err
	}
	if err := t.readChunks(parts[idColumn], parts[chunkSizeColumn], parts[spanColumn], l); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTable, err)
	}
	if t.size > t.content || t.size < t.content && state == stateComplete {
		return nil, fmt.Errorf("%w: chunks of %d bytes for files of %d", ErrTable, t.size, t.content)
	}
	return t, nil
}

// unpack checks the header and decompresses the body.
func unpack(b []byte, state byte, l limits) (format byte, body []byte, err error) {
	if len(b) < headerSize || string(b[:8]) != tableMagic {
		return 0, nil, errors.New("it does not begin as one")
	}
	if v := binary.LittleEndian.Uint32(b[8:]); v != tableVersion {
		return 0, nil, fmt.Errorf("version %d, not %d", v, tableVersion)
	}
	if b[13] != state {
		return 0, nil, fmt.Errorf("state %d, not %d", b[13], state)
	}
	size := binary.LittleEndian.Uint64(b[14:])
	if size > uint64(l.body) || size > uint64(len(b))*mostPerByte {
		return 0, nil, fmt.Errorf("%d bytes in %d are announced", size, len(b))
	}
	z, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxFrame), zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		return 0, nil, err
	}
	defer z.Close()
	body, err = z.DecodeAll(b[headerSize:], make([]byte, 0, size))
	if err == nil && uint64(len(body)) != size {
		err = fmt.Errorf("%d bytes where %d are announced", len(body), size)
	}
	return b[12], body, err
}

// split finds the columns of a body.
func split(body []byte) ([][]byte, error) {
	if len(body) < 8*bodyParts {
		return nil, fmt.Errorf("a body of %d bytes", len(body))
	}
	parts := make([][]byte, bodyParts)
	rest := body[8*bodyParts:]
	for i := range parts {
		n := binary.LittleEndian.Uint64(body[8*i:])
		if n > uint64(len(rest)) {
			return nil, fmt.Errorf("column %d of %d bytes", i, n)
		}
		parts[i], rest = rest[:n], rest[n:]
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%d bytes behind the last column", len(rest))
	}
	return parts, nil
}

// scan reads all entries, checks and counts them.
func (t *Table) scan(l limits) error {
	r := t.Entries()
	var bytes int64
	for {
		var e layer.Entry
		before := r.last.size
		lead, err := r.read(&e)
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if err = checkEntry(&e); err == nil {
			err = checkLead(lead, &e, before)
		}
		if err == nil {
			bytes += metadata(&e)
			err = l.check(int64(t.count)+1, bytes, t.content, e.Size)
		}
		if err != nil {
			return fmt.Errorf("%w: entry %d, %.200q: %w", ErrTable, t.count, e.Name, err)
		}
		t.count++
		t.content += e.Size
	}
}

func (t *Table) readChunks(ids, sizes, spans []byte, l limits) error {
	n := len(ids) / len(ID{})
	if len(ids)%len(ID{}) != 0 || int64(n) > l.chunks || n > len(sizes) {
		return fmt.Errorf("%d bytes of IDs", len(ids))
	}
	t.chunks = make([]Chunk, n)
	size, span := cursor{b: sizes}, cursor{b: spans}
	var end int64
	for i := range t.chunks {
		c := Chunk{ID: ID(ids[i*len(ID{}):]), Size: size.int63()}
		if t.format != 0 {
			if c.Length = span.int63(); c.Length > 0 {
				c.Offset = end + span.varint()
				c.Skip = span.int63()
				end = c.Offset + c.Length
			}
		}
		if size.damaged || span.damaged {
			return fmt.Errorf("the columns of the chunks end early, at chunk %d", i)
		}
		if err := checkChunk(c, t.format); err != nil {
			return err
		}
		t.size += c.Size
		if t.size > t.content {
			return fmt.Errorf("chunks of more than %d bytes, which is what the files have", t.content)
		}
		t.chunks[i] = c
	}
	if len(size.b)+len(span.b) > 0 {
		return errors.New("the columns of the chunks go on behind the last chunk")
	}
	return nil
}
