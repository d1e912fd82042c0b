package pull

import (
	"errors"
	"fmt"

	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// From where an assembly has its chunks: each from the store, from a region of
// another layer, from a range of the blob, or, where all else fails, from the
// blob read as a whole from that chunk on.

// span is a range of the blob with its bytes.
type span struct {
	registry.Span
	bytes []byte
}

// chunk appends the content of chunk i to buf, which is empty.
func (a *assembly) chunk(buf []byte, i int, c toc.Chunk) ([]byte, error) {
	if a.rest == nil {
		if content, ok := a.stored(buf, i, c); ok {
			return content, nil
		}
		if a.puller.Offline {
			return nil, fmt.Errorf("layer %s is not wholly %w", a.desc.Digest, ErrNotStored)
		}
		if a.layer != nil {
			content, err := a.fetch(buf, i, c)
			if err == nil {
				return a.fresh(content, c), nil
			}
			if !errors.Is(err, registry.ErrNoRanges) && !errors.Is(err, published.ErrFormat) {
				return nil, err
			}
		}
		if err := a.openRest(i); err != nil {
			return nil, err
		}
	}
	content, err := a.rest.chunk(buf, c)
	if err != nil {
		return nil, a.blame(err)
	}
	return a.fresh(content, c), nil
}

// stored appends the content of a chunk that need not be fetched.
func (a *assembly) stored(buf []byte, i int, c toc.Chunk) ([]byte, bool) {
	var err error
	switch at, has := a.plan.regions[i]; {
	case has:
		buf, err = at.read(a.puller.Stock, buf, c)
	case a.foreign:
		return nil, false
	default:
		buf, err = a.puller.Stock.Chunk(buf, c.ID, c.Size)
	}
	return buf, err == nil
}

// fresh keeps what was fetched.
func (a *assembly) fresh(content []byte, c toc.Chunk) []byte {
	if a.foreign {
		return content
	}
	if a.rest != nil && a.puller.Stock.Has(c.ID) {
		// Where one chunk was damaged others may be, and they are all at hand:
		// reading a damaged one makes the store forget it.
		a.scratch, _ = a.puller.Stock.Chunk(a.scratch[:0], c.ID, c.Size)
	}
	a.pack.Put(c.ID, content)
	return content
}

// fetch appends the content of a chunk that a range of the blob holds.
func (a *assembly) fetch(buf []byte, i int, c toc.Chunk) ([]byte, error) {
	at := registry.Span{Offset: c.Offset, Length: c.Length}
	if at.Length == 0 {
		return a.layer.Content(buf, i, nil)
	}
	if at != a.last.Span {
		a.last = span{}
		bytes, err := a.fetchSpan(at)
		if err != nil {
			return nil, err
		}
		a.last = span{at, bytes}
		a.fetched += at.Length
	}
	return a.layer.Content(buf, i, a.last.bytes)
}

// fetchSpan returns the bytes of a span; most were asked for ahead.
func (a *assembly) fetchSpan(at registry.Span) ([]byte, error) {
	if len(a.plan.spans) == 0 || a.plan.spans[0] != at {
		a.endSpans()
		return a.ranges.Read(a.ctx, at)
	}
	if a.spans == nil {
		a.spans = a.ranges.Spans(a.ctx, a.plan.spans)
	}
	a.plan.spans = a.plan.spans[1:]
	return a.spans.Next()
}

func (a *assembly) endSpans() {
	if a.spans != nil {
		a.spans.Close()
		a.spans = nil
	}
}
