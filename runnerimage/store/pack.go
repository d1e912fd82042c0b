package store

import (
	"errors"
	"fmt"
	"os"
	"sync"
)

// Pack is a pack in writing. It is seen by nobody before Commit, and costs
// one file however many chunks it takes. It is safe for concurrent use.
type Pack struct {
	d    *Dir
	name string

	mu      sync.Mutex
	f       *os.File // nil once it is committed or aborted
	mark    mark
	entries []entry
	ids     map[ID]bool
	end     int64 // where the next record goes
	buf     []byte
	err     error // a Put that failed
}

var errPackClosed = errors.New("the pack is committed or aborted")

// NewPack begins a pack. The caller ends it with Commit or Abort.
func (d *Dir) NewPack() (*Pack, error) {
	f, name, err := d.create(packExt)
	if err != nil {
		return nil, fmt.Errorf("begin a pack: %w", err)
	}
	p := &Pack{d: d, name: name, f: f, ids: map[ID]bool{}, end: headerSize}
	d.random(p.mark[:])
	if _, err := f.Write(appendHeader(nil, p.mark)); err != nil {
		p.Abort()
		return nil, fmt.Errorf("begin a pack: %w", writeError(err))
	}
	return p, nil
}

// Put appends a chunk: what its content is encoded to, and the content's
// length. Once Put has returned, the chunk outlives the process; Commit lets
// it outlive the machine too. A chunk that the pack has already is ignored.
//
// After an error the pack takes no more, but what it has can be committed.
func (p *Pack) Put(id ID, encoded []byte, contentLength int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.f == nil:
		return errPackClosed
	case p.err != nil:
		return p.err
	case p.ids[id]:
		return nil
	case len(encoded) > MaxChunk || contentLength < 0 || contentLength > MaxChunk:
		return fmt.Errorf("put chunk %x: %d bytes of %d: a chunk has at most %d", id, len(encoded), contentLength, MaxChunk)
	}
	e := entry{id: id, offset: p.end, stored: uint32(len(encoded)), content: uint32(contentLength)}
	// Larger than the store may be, it would be evicted as soon as it is done.
	if size := e.end() + int64(len(p.entries)+1)*entrySize + trailerSize; p.d.max > 0 && size > p.d.max {
		p.err = fmt.Errorf("put chunk %x: %w: its limit is %d bytes", id, ErrNoSpace, p.d.max)
		return p.err
	}
	p.buf = appendRecord(p.buf[:0], p.mark, e, encoded)
	if _, err := p.f.WriteAt(p.buf, p.end); err != nil {
		p.err = fmt.Errorf("put chunk %x: %w", id, writeError(err))
		return p.err
	}
	p.end = e.end()
	p.ids[id] = true
	p.entries = append(p.entries, e)
	return nil
}

// Commit makes the pack durable and visible, then keeps the store within its
// limit. A pack without chunks is aborted. After an error, take it that the
// chunks are not stored.
func (p *Pack) Commit() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.f == nil:
		return errPackClosed
	case len(p.entries) == 0:
		p.abort()
		return nil
	}
	tmp := p.f.Name()
	sortEntries(p.entries)
	err := seal(p.f, p.mark, p.entries, p.end)
	if err == nil {
		err = p.d.publish(p.f, tmp, p.d.packPath(p.name))
	}
	if err != nil {
		p.abort()
		return fmt.Errorf("commit a pack: %w", err)
	}
	err = p.f.Close()
	p.f, p.entries, p.ids, p.buf = nil, nil, nil, nil
	if err != nil {
		return fmt.Errorf("commit a pack: %w", writeError(err))
	}
	return p.d.evict()
}

// Abort gives the pack up. It does nothing after Commit.
func (p *Pack) Abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.abort()
}

func (p *Pack) abort() {
	if p.f == nil {
		return
	}
	os.Remove(p.f.Name())
	p.f.Close()
	p.f, p.entries, p.ids, p.buf = nil, nil, nil, nil
}

// seal puts index and trailer behind the records.
func seal(f *os.File, m mark, entries []entry, end int64) error {
	// What a failed or torn write left behind may be longer.
	if err := f.Truncate(end); err != nil {
		return writeError(err)
	}
	_, err := f.WriteAt(appendIndex(nil, m, entries, end), end)
	return writeError(err)
}
