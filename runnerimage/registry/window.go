package registry

import (
	"context"
	"errors"
	"io"
	"sync"
)

// window reads pieces of a large blob, or all of it, in their order, and
// fetches the parts ahead of the reader on connections of their own. The part
// that the reader stands at may come straight from its connection (the head),
// so a reader never waits for memory that other blobs hold; the parts ahead
// fill buffers that the client lends, as far as it has any.
//
//	read │ head: connection → reader │ part: buffer │ part │ part │ left
//	     └───────────────────────────┴── in order, across the gaps ─────
type window struct {
	ctx    context.Context // governs the reading, as Client.Blob says
	cancel context.CancelFunc
	source *source
	ranged bool // see source.open
	head   *stream
	ahead  []*part // in order, from the head's end to what is left
	left   []Span  // what nobody is at yet, in order
	fills  sync.WaitGroup
	pace   pace
}

// openWindow opens the blob from the offset on, and connects, so that what is
// missing or denied is known at once.
func openWindow(ctx context.Context, s *source, offset int64) (*window, error) {
	w := newWindow(ctx, s, []Span{{offset, s.size - offset}}, false)
	if err := w.openHead(s.client.partSize); err != nil {
		w.cancel()
		return nil, err
	}
	return w, nil
}

func newWindow(ctx context.Context, s *source, left []Span, ranged bool) *window {
	w := &window{source: s, left: left, ranged: ranged}
	w.ctx, w.cancel = context.WithCancel(ctx)
	return w
}

// openHead connects the reader itself to the next n bytes. Where ranges are
// not honoured these are all that are left, and nothing is fetched ahead.
func (w *window) openHead(n int64) error {
	next := w.take(n)
	head, err := openStream(w.ctx, w.source, next.Offset, next.end(), w.ranged)
	if err != nil {
		return err
	}
	if head.end > next.end() {
		w.left = nil
	}
	if w.source.honoursRanges() {
		head.slow = w.pace.isSlow
	}
	w.head = head
	return nil
}

// take takes n bytes, or what is left up to a gap, for one request.
func (w *window) take(n int64) Span {
	first := &w.left[0]
	next := Span{first.Offset, min(n, first.Length)}
	first.Offset += next.Length
	first.Length -= next.Length
	if first.Length == 0 {
		w.left = w.left[1:]
	}
	return next
}

// Read reads on, across the gaps.
func (w *window) Read(p []byte) (int, error) {
	for {
		w.launch()
		switch {
		case w.head != nil:
			n, err := w.head.Read(p)
			if err != io.EOF {
				return n, err
			}
			w.head.Close()
			w.head = nil
		case len(w.ahead) > 0:
			first := w.ahead[0]
			n, err := first.read(w.ctx, p)
			if err == nil {
				return n, nil
			}
			if errors.Is(err, ErrNoRanges) && !w.ranged {
				w.giveUpParts()
				continue
			}
			if err != io.EOF {
				return 0, err
			}
			w.ahead = w.ahead[1:]
			w.giveBack(first)
		case len(w.left) > 0:
			// Either nothing is known of ranges yet, or no memory is to be had:
			// then one request for several parts' worth costs fewer round trips.
			n := w.source.client.partSize
			if w.source.honoursRanges() {
				n *= 4
			}
			if err := w.openHead(n); err != nil {
				return 0, err
			}
		default:
			return 0, io.EOF
		}
	}
}

// launch begins to fetch parts ahead, as many as connections and memory allow,
// from a place that has honoured a range before.
func (w *window) launch() {
	busy := len(w.ahead)
	if w.head != nil {
		busy++
	}
	c := w.source.client
	for ; busy < c.parts && len(w.left) > 0 && w.source.honoursRanges(); busy++ {
		size := min(c.partSize, w.left[0].Length)
		buffer, lent := c.lend(size)
		if buffer == nil {
			return
		}
		next := w.take(size)
		ctx, cancel := context.WithCancel(w.ctx)
		part := &part{from: next.Offset, bytes: buffer, lent: lent, more: make(chan struct{}, 1), cancel: cancel}
		w.ahead = append(w.ahead, part)

		from := newStream(ctx, w.source, next.Offset, next.end(), true)
		from.slow = w.pace.isSlow
		w.fills.Go(func() {
			part.fill(from)
			if from.changes == 0 && from.at == from.end {
				w.pace.add(from.got, from.spent)
			}
			from.Close()
		})
	}
}

// smallParts is how often a small part goes into the largest.
const smallParts = 32

// lend gives memory for a part of the size, and says whether it is lent, or
// nil where there is none left. Small parts have memory of their own: thousands
// of small spans would else wait for few large buffers.
func (c *Client) lend(size int64) (buffer []byte, lent bool) {
	if size <= c.partSize/smallParts {
		return make([]byte, size), false
	}
	select {
	case buffer = <-c.buffers:
	default:
		return nil, false
	}
	if buffer == nil {
		buffer = make([]byte, c.partSize)
	}
	return buffer[:size], true
}

// giveUpParts goes back to where the reader stands: the rest comes through the
// head alone.
func (w *window) giveUpParts() {
	next := w.ahead[0].from + int64(w.ahead[0].taken)
	w.dropParts()
	w.left = []Span{{next, w.source.size - next}}
}

// dropParts breaks off the parts that are fetched ahead and waits for them.
func (w *window) dropParts() {
	for _, part := range w.ahead {
		part.cancel()
	}
	w.fills.Wait()
	for _, part := range w.ahead {
		w.giveBack(part)
	}
	w.ahead = nil
}

// giveBack returns a part's buffer, which nobody fills any more.
func (w *window) giveBack(p *part) {
	p.cancel()
	if p.lent {
		w.source.client.buffers <- p.bytes[:cap(p.bytes)]
	}
}

func (w *window) Close() error {
	w.cancel()
	if w.head != nil {
		w.head.Close()
		w.head = nil
	}
	w.dropParts()
	w.left = nil
	if !w.ranged {
		w.source.close()
	}
	return nil
}
