package published

import (
	"archive/tar"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/chunk"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// cutting cuts the archive into frames while it is read. Positions are those
// of the archive.
type cutting struct {
	source io.Reader
	failed error // of the source, but io.EOF
	diffID hash.Hash
	framer *framer
	cutter *chunk.Cutter
	table  *toc.Writer
	noTOC  error // from then on, frames are cut anywhere

	run   []byte // what is read and in no frame yet
	base  int64  // where it begins
	count int    // of frames

	inside bool  // content is being read, whose chunks are not known yet
	start  int64 // of the current file's content
	offset int64 // of it in the content stream
	size   int64 // of it
	end    int64 // of the last content that the cutter has

	// The open chunk.
	begin int64 // of its content; -1: none is there yet
	first int   // frame of its span; -1: none is put yet
	last  int   // frame of its span with content
	skip  int64
	cuts  []cut
}

// cut is a chunk and the frames that hold it.
type cut struct {
	chunk       toc.Chunk // without its span
	first, last int
}

// frameSize is how long a frame gets where no chunk tells.
const frameSize = 1 << 20

func newCutting(archive io.Reader, f *framer) *cutting {
	c := &cutting{source: archive, diffID: sha256.New(), framer: f, table: toc.NewWriter(), begin: -1, first: -1}
	c.table.SetFormat(byte(Frames))
	c.cutter = chunk.NewCutter(c.emit)
	return c
}

// read reads the archive to its end.
func (c *cutting) read() error {
	if c.noTOC = c.readEntries(); c.noTOC != nil {
		c.inside, c.begin, c.first = false, -1, -1
	}
	if c.failed == nil {
		io.Copy(io.Discard, struct{ io.Reader }{c}) // fails as c does
	}
	if c.failed != nil {
		return fmt.Errorf("write layer: %w", c.failed)
	}
	return c.frameTo(c.position())
}

func (c *cutting) readEntries() error {
	archive := tar.NewReader(c)
	buf := make([]byte, 64<<10)
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return c.cutter.Close()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", layer.ErrFormat, err)
		}
		if isSparse(h) {
			return fmt.Errorf("%.200q is sparse: its content is not in the archive as it is", h.Name)
		}
		e, err := layer.FromHeader(h)
		if err != nil {
			return err
		}
		if e == nil {
			continue
		}
		if err := c.entry(e, archive, buf); err != nil {
			return fmt.Errorf("%.200q: %w", e.Name, err)
		}
	}
}

// isSparse says that the archive has an entry's content without its holes:
// what archive/tar says only by giving more than there is.
func isSparse(h *tar.Header) bool {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return h.Typeflag == tar.TypeGNUSparse
}

// entry takes an entry, the content of which the archive stands before.
func (c *cutting) entry(e *layer.Entry, content io.Reader, buf []byte) error {
	var lead int64
	if e.Size > 0 {
		lead = c.position() - c.end
	}
	if err := c.table.Entry(e, lead); err != nil {
		return err
	}
	if e.Type != layer.Regular {
		return nil
	}
	if err := c.cutter.File(e.Size); err != nil {
		return err
	}
	c.offset, c.size, c.start, c.inside = c.offset+c.size, e.Size, c.position(), true
	defer func() { c.inside = false }()
	for at := c.start; at < c.start+e.Size; {
		n, err := content.Read(buf)
		if n > 0 {
			if c.begin < 0 {
				c.begin = at
			}
			if _, err := c.cutter.Write(buf[:n]); err != nil {
				return err
			}
			at += int64(n)
			c.end = at
		}
		if err != nil && at < c.start+e.Size {
			return fmt.Errorf("%w: %w", layer.ErrFormat, unexpected(err))
		}
	}
	return nil
}

// emit takes a chunk from the cutter: its span ends where its content does.
func (c *cutting) emit(ch chunk.Chunk) error {
	at := c.end // of a file before the current one
	if ch.End() > c.offset {
		at = c.start + ch.End() - c.offset
	}
	if err := c.content(at); err != nil {
		return err
	}
	c.cuts = append(c.cuts, cut{toc.Chunk{ID: ch.ID(), Size: int64(len(ch.Content)), Skip: c.skip}, c.first, c.last})
	c.first, c.begin = -1, -1
	if ch.End() > c.offset && ch.End() < c.offset+c.size {
		c.begin = at // the file goes on
	}
	return nil
}

// content puts the open chunk's content, up to a position, into its span.
func (c *cutting) content(end int64) error {
	if c.first < 0 {
		if c.begin-c.base > maxHead {
			if err := c.frameTo(c.begin); err != nil {
				return err
			}
		}
		c.first, c.skip = c.count, c.begin-c.base
	}
	if c.base < end {
		c.last = c.count
		return c.frameTo(end)
	}
	return nil
}

// Read reads the archive for archive/tar, and keeps what it read.
func (c *cutting) Read(p []byte) (int, error) {
	n, err := c.source.Read(p)
	c.diffID.Write(p[:n])
	c.run = append(c.run, p[:n]...)
	if err == nil && !c.inside && len(c.run) >= frameSize {
		err = c.flush()
	}
	if err != nil && err != io.EOF {
		c.failed = err
	}
	return n, err
}

// flush puts into frames what was read, while no content is. An open chunk's
// content goes first: what follows is in its span only if more content does.
func (c *cutting) flush() error {
	if c.begin >= 0 {
		if err := c.content(c.end); err != nil {
			return err
		}
	}
	return c.frameTo(c.position())
}

// position is how far the archive is read.
func (c *cutting) position() int64 { return c.base + int64(len(c.run)) }

// frameTo makes a frame of what is read up to a position.
func (c *cutting) frameTo(end int64) error {
	n := end - c.base
	if n == 0 {
		return nil
	}
	if err := c.framer.put(c.run[:n]); err != nil {
		return err
	}
	c.run = c.run[:copy(c.run, c.run[n:])]
	c.base = end
	c.count++
	return nil
}

// finish is the encoded table, once all frames are written, or why there is
// none.
func (c *cutting) finish() ([]byte, error) {
	if c.noTOC != nil {
		return nil, c.noTOC
	}
	starts := append([]int64{0}, c.framer.ends...)
	for _, cut := range c.cuts {
		ch := cut.chunk
		ch.Offset = starts[cut.first]
		ch.Length = starts[cut.last+1] - ch.Offset
		if err := c.table.Chunk(ch); err != nil {
			return nil, err
		}
	}
	encoded, err := c.table.Bytes()
	if err == nil && len(encoded) > maxTable {
		err = errors.New("its TOC is too long")
	}
	if err == nil {
		_, err = newFrames(c.table.Table()) // a reader would refuse it
	}
	return encoded, err
}
