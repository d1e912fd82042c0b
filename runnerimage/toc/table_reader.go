package toc

import (
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// EntryReader yields the entries of a Table in their order. It is for one
// goroutine.
type EntryReader struct {
	columns [columnCount]cursor
	last    previous
}

func newEntryReader(cs columns) *EntryReader {
	r := &EntryReader{}
	for i := range cs {
		r.columns[i].b = cs[i]
	}
	return r
}

// Next returns the next entry, which the caller may keep, and its lead as
// Writer.Entry was told it. Behind the last entry it returns io.EOF.
func (r *EntryReader) Next() (*layer.Entry, int64, error) {
	e := new(layer.Entry)
	lead, err := r.read(e)
	if err != nil {
		return nil, 0, err
	}
	return e, lead, nil
}

// read reads the next entry into e, which must be empty. Every error but
// io.EOF is found by decode already.
func (r *EntryReader) read(e *layer.Entry) (lead int64, err error) {
	if len(r.columns[headColumn].b) == 0 {
		return 0, r.end()
	}
	head := r.columns[headColumn].b[0]
	r.columns[headColumn].b = r.columns[headColumn].b[1:]
	e.Type = layer.Type(head & typeMask)
	if head&unknownFlags != 0 || isWhiteout(e.Type) && head != byte(e.Type) {
		return 0, fmt.Errorf("%w: an entry's head is %#x", ErrTable, head)
	}
	e.Name = r.name()
	if isLink(e.Type) {
		e.Link = r.columns[linkColumn].text()
	}
	if !isWhiteout(e.Type) {
		r.dress(e, head)
	}
	if isDevice(e.Type) {
		e.Major, e.Minor = r.columns[deviceColumn].uint32(), r.columns[deviceColumn].uint32()
	}
	if e.Type == layer.Regular {
		if e.Size = r.columns[sizeColumn].int63(); e.Size > 0 {
			lead = unpackLead(min(r.columns[leadColumn].int63(), maxLead), r.last.size)
			r.last.size = e.Size
		}
	}
	if head&withXattrs != 0 {
		e.Xattrs = r.xattrs()
	}
	for i := range r.columns {
		if r.columns[i].damaged {
			return 0, fmt.Errorf("%w: column %d ends early", ErrTable, i)
		}
	}
	return lead, nil
}

// end is io.EOF if every column is used up.
func (r *EntryReader) end() error {
	for i := range r.columns {
		if n := len(r.columns[i].b); n > 0 {
			return fmt.Errorf("%w: column %d has %d bytes for no entry", ErrTable, i, n)
		}
	}
	return io.EOF
}

func (r *EntryReader) name() string {
	n := r.columns[sharedColumn].int63()
	rest := r.columns[nameColumn].take(r.columns[lengthColumn].int63())
	if n > int64(len(r.last.name)) {
		r.columns[sharedColumn].damaged = true
		return ""
	}
	switch {
	case len(rest) == 0:
		r.last.name = r.last.name[:n]
	default:
		r.last.name = r.last.name[:n] + string(rest)
	}
	return r.last.name
}

// dress gives an entry its attributes, times included.
func (r *EntryReader) dress(e *layer.Entry, head byte) {
	if head&withAttributes != 0 {
		c := &r.columns[attributeColumn]
		r.last.mode, r.last.uid, r.last.gid = c.uint32(), c.uint32(), c.uint32()
	}
	e.Mode, e.UID, e.GID = r.last.mode, r.last.uid, r.last.gid
	if head&withTime != 0 {
		c := &r.columns[timeColumn]
		r.last.sec, r.last.nsec = r.last.sec+c.varint(), c.int63()
		if r.last.nsec >= int64(time.Second) {
			c.damaged = true
		}
	}
	e.ModTime = time.Unix(r.last.sec, r.last.nsec).UTC()
}

func (r *EntryReader) xattrs() map[string]string {
	c := &r.columns[xattrColumn]
	n := c.int63()
	if n == 0 || n > int64(len(c.b)) { // each takes two bytes at least
		c.damaged = true
		return nil
	}
	all := make(map[string]string)
	for range n {
		name := c.text()
		if _, twice := all[name]; twice {
			c.damaged = true
		}
		all[name] = c.text()
	}
	return all
}

// cursor reads a column. What is not there is zero, and the column damaged.
type cursor struct {
	b       []byte
	damaged bool
}

func (c *cursor) uvarint() uint64 {
	v, n := binary.Uvarint(c.b)
	if n <= 0 {
		c.b, c.damaged = nil, true
		return 0
	}
	c.b = c.b[n:]
	return v
}

func (c *cursor) varint() int64 {
	v := c.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// int63 reads a number that fits int64.
func (c *cursor) int63() int64 {
	v := c.uvarint()
	if v > 1<<63-1 {
		c.damaged = true
		return 0
	}
	return int64(v)
}

func (c *cursor) uint32() uint32 {
	v := c.uvarint()
	if v > 1<<32-1 {
		c.damaged = true
		return 0
	}
	return uint32(v)
}

func (c *cursor) take(n int64) []byte {
	if n > int64(len(c.b)) {
		c.b, c.damaged = nil, true
		return nil
	}
	taken := c.b[:n]
	c.b = c.b[n:]
	return taken
}

func (c *cursor) text() string { return string(c.take(c.int63())) }
