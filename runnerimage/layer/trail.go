package layer

import (
	"io"
	"slices"
	"sync"
)

// trail is the tar stream as the caller reads it. It knows how far that is, and
// the last place before from which the blob can be decompressed again. Read
// and newest are for the caller's goroutine, add for any.
type trail struct {
	stream io.Reader
	offset int64 // in the tar stream
	every  int64 // bytes of the blob between two places
	plain  bool  // the blob is the tar stream

	mu     sync.Mutex
	places []Position // in order; all but the first are ahead of offset
}

// Read implements io.Reader.
func (t *trail) Read(p []byte) (int, error) {
	n, err := t.stream.Read(p)
	t.offset += int64(n)
	t.mu.Lock()
	for len(t.places) > 1 && t.places[1].begin <= t.offset {
		t.places = slices.Delete(t.places, 0, 1)
	}
	t.mu.Unlock()
	return n, err
}

// add takes a place behind all others.
func (t *trail) add(p Position) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.places = append(t.places, p)
}

// newest is the last place that is not ahead of the caller. There is none if
// the blob's format has none.
func (t *trail) newest() (Position, bool) {
	if t.plain {
		return Position{at: plainTar, Blob: t.offset, begin: t.offset}, true
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.places) == 0 {
		return Position{}, false
	}
	return t.places[0], true
}
