package chunk

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"math"
)

const (
	smallFile = 64 << 10 // files below share chunks

	minGroup = 16 << 10
	midGroup = 68 << 10 // from here on a group ends more readily
	maxGroup = 256 << 10

	minFileChunk = 32 << 10
	midFileChunk = 96 << 10
	maxFileChunk = 512 << 10
)

// A Cutter cuts a content stream. The caller announces every regular file with
// File and writes its content; Close ends the stream. How the content is
// distributed over calls of Write changes nothing. It keeps at most one chunk
// in memory.
//
// The first error, the Cutter's own or emit's, ends its work: every later call
// returns it.
type Cutter struct {
	emit func(Chunk) error
	err  error

	offset int64  // of the open chunk in the stream
	open   []byte // content of the open chunk

	large bool   // the file is cut alone
	size  int64  // of the file
	left  int64  // of its content, still to be written
	crc   uint32 // of the small file so far
	sum   uint64 // of the last bytes of the large file
}

// NewCutter returns a Cutter that calls emit for each chunk in the order of the
// stream. The content is lent to emit until it returns.
func NewCutter(emit func(Chunk) error) *Cutter {
	return &Cutter{emit: emit, open: make([]byte, 0, maxFileChunk)}
}

// State is what a Cutter has taken in between two chunks: enough for another
// one to go on with the same cuts. Its form is the runner's own and may change
// from one version to the next.
type State struct {
	Offset int64  // of the open chunk in the stream
	Open   []byte // the open chunk's content so far
	Large  bool
	Size   int64
	Left   int64
	CRC    uint32
	Sum    uint64
}

// State returns a copy of the Cutter's state.
func (c *Cutter) State() State {
	return State{c.offset, bytes.Clone(c.open), c.large, c.size, c.left, c.crc, c.sum}
}

// ResumeCutter returns a Cutter that goes on where s was taken.
func ResumeCutter(s State, emit func(Chunk) error) (*Cutter, error) {
	if len(s.Open) > maxFileChunk || s.Offset < 0 || s.Left < 0 || s.Left > s.Size || s.Size > math.MaxInt64-s.Offset-int64(len(s.Open)) {
		return nil, fmt.Errorf("cut content: no cutter was ever in this state")
	}
	c := NewCutter(emit)
	c.open = append(c.open, s.Open...)
	c.offset, c.large, c.size, c.left, c.crc, c.sum = s.Offset, s.Large, s.Size, s.Left, s.CRC, s.Sum
	return c, nil
}

// File announces the next regular file and its size in bytes. The file before
// it must be complete.
func (c *Cutter) File(size int64) error {
	switch {
	case c.err != nil:
		return c.err
	case c.left > 0:
		return c.incomplete()
	case size < 0 || size > math.MaxInt64-c.offset-int64(len(c.open)):
		return c.fail(fmt.Errorf("cut content: no file is %d bytes long here", size))
	}
	c.large = size >= smallFile
	c.size, c.left, c.crc = size, size, 0
	if c.large || int64(len(c.open))+size > maxGroup {
		return c.end(nil)
	}
	return nil
}

// Write takes the next part of the announced file's content.
func (c *Cutter) Write(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if int64(len(p)) > c.left {
		return 0, c.fail(fmt.Errorf("cut content: a file of %d bytes has more content", c.size))
	}
	if c.large {
		return c.writeLarge(p)
	}
	return c.writeSmall(p)
}

// Close ends the stream and its last chunk. The last file must be complete.
func (c *Cutter) Close() error {
	if c.err == nil && c.left > 0 {
		return c.incomplete()
	}
	return c.end(nil)
}

func (c *Cutter) writeSmall(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	c.crc = crc32.Update(c.crc, castagnoli, p)
	c.open = append(c.open, p...)
	c.left -= int64(len(p))
	if c.left == 0 && c.groupEnds() {
		return len(p), c.end(nil)
	}
	return len(p), nil
}

// groupEnds decides behind a small file whether its group ends there. It asks
// only the file: whichever files come before it in another version of the
// layer, the same files tend to end groups, and what follows is the same again.
// A file ends a group as likely as it is long, so that the size of groups does
// not depend on the size of files.
func (c *Cutter) groupEnds() bool {
	per := uint64(128 << 10) // a group ends once in so many bytes
	if len(c.open) >= midGroup {
		per = 32 << 10
	}
	return len(c.open) >= minGroup && uint64(c.crc)*per < uint64(c.size)<<32
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (c *Cutter) writeLarge(p []byte) (int, error) {
	written := 0
	for written < len(p) {
		n, ends := c.scan(p[written:])
		part := p[written : written+n]
		written += n
		c.left -= int64(n)
		if !ends {
			c.open = append(c.open, part...)
		} else if err := c.end(part); err != nil {
			return written, err
		}
	}
	return written, nil
}

// scan finds how much of p, content of a large file, belongs to the open chunk,
// and whether the chunk ends there. The last 64 bytes before a cut decide,
// whatever lies before them, so that behind a change the cuts soon are where
// they were.
func (c *Cutter) scan(p []byte) (n int, ends bool) {
	length := len(c.open)
	rest := int64(length) + c.left // of the file, from the chunk's beginning
	// The end of the file is kept together too: behind a cut lies at least a
	// minimum.
	last := int(min(maxFileChunk, rest-minFileChunk))
	limit := last
	if rest <= maxFileChunk {
		limit = int(rest)
	}
	n = min(len(p), max(0, minFileChunk-window-length))
	for _, stage := range [...]struct {
		until int
		below uint64
	}{
		{minFileChunk, 0}, // no cut yet, but the sum's window fills
		{midFileChunk, math.MaxUint64 / (192 << 10)},
		{maxFileChunk, math.MaxUint64 / (48 << 10)},
	} {
		until := min(stage.until, last, length+len(p)) - length
		if until <= n {
			continue
		}
		sum, added, found := roll(c.sum, p[n:until], stage.below)
		n, c.sum = n+added, sum
		if found {
			return n, true
		}
	}
	n = min(len(p), limit-length)
	return n, length+n == limit
}

// end emits the open chunk, to which more still belongs, and opens the next.
func (c *Cutter) end(more []byte) error {
	if c.err != nil {
		return c.err
	}
	content := more // spares a copy
	if len(c.open) > 0 {
		content = append(c.open, more...)
	}
	if len(content) == 0 {
		return nil
	}
	if err := c.emit(Chunk{c.offset, content}); err != nil {
		return c.fail(err)
	}
	c.offset += int64(len(content))
	c.open = c.open[:0]
	return nil
}

func (c *Cutter) incomplete() error {
	return c.fail(fmt.Errorf("cut content: %d bytes of a file of %d bytes are missing", c.left, c.size))
}

func (c *Cutter) fail(err error) error {
	c.err = err
	return err
}
