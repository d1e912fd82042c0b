package registry

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// window reads a large blob in its order and fetches the parts ahead of the
// reader on connections of their own. The part that the reader stands at may
// come straight from its connection (the head), so a reader never waits for
// memory that other blobs hold; the parts ahead fill buffers that the client
// lends, as far as it has any.
//
//	read │ head: connection → reader │ part: buffer │ part │ part │ … size
//	     └───────────────────────────┴─────────────────────────── next
type window struct {
	ctx    context.Context // governs the reading, as Client.Blob says
	cancel context.CancelFunc
	source *source
	head   *stream
	ahead  []*part // in order, from the head's end to next
	next   int64   // the first byte that nobody is at yet
	fills  sync.WaitGroup
	pace   pace
}

func openWindow(ctx context.Context, s *source) (*window, error) {
	ctx, cancel := context.WithCancel(ctx)
	w := &window{ctx: ctx, cancel: cancel, source: s}
	if err := w.openHead(s.client.partSize); err != nil {
		cancel()
		return nil, err
	}
	return w, nil
}

// openHead connects the reader itself to the next n bytes. Where ranges are
// not honoured these are all that are left, and nothing is fetched ahead.
func (w *window) openHead(n int64) error {
	head, err := openStream(w.ctx, w.source, w.next, min(w.next+n, w.source.size))
	if err != nil {
		return err
	}
	head.slow = w.pace.isSlow
	w.head, w.next = head, head.end
	return nil
}

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
			if errors.Is(err, errNoRanges) {
				w.giveUpParts()
				continue
			}
			if err != io.EOF {
				return 0, err
			}
			w.ahead = w.ahead[1:]
			w.giveBack(first)
		case w.next < w.source.size:
			// No memory is to be had: one request for several parts' worth
			// costs fewer round trips.
			if err := w.openHead(4 * w.source.client.partSize); err != nil {
				return 0, err
			}
		default:
			return 0, io.EOF
		}
	}
}

// launch begins to fetch parts ahead, as many as connections and memory allow.
func (w *window) launch() {
	busy := len(w.ahead)
	if w.head != nil {
		busy++
	}
	c := w.source.client
	for ; busy < c.parts && w.next < w.source.size && !w.source.isPlain(); busy++ {
		var buffer []byte
		select {
		case buffer = <-c.buffers:
		default:
			return
		}
		if buffer == nil {
			buffer = make([]byte, c.partSize)
		}
		ctx, cancel := context.WithCancel(w.ctx)
		to := min(w.next+c.partSize, w.source.size)
		part := &part{from: w.next, bytes: buffer[:to-w.next], more: make(chan struct{}, 1), cancel: cancel}
		w.ahead, w.next = append(w.ahead, part), to

		from := newStream(ctx, w.source, part.from, to)
		from.ranged, from.slow = true, w.pace.isSlow
		w.fills.Go(func() {
			part.fill(from)
			if from.changes == 0 && from.at == from.end {
				w.pace.add(from.got, from.spent)
			}
			from.Close()
		})
	}
}

// giveUpParts goes back to where the reader stands: the rest comes through the
// head alone.
func (w *window) giveUpParts() {
	w.next = w.ahead[0].from + int64(w.ahead[0].taken)
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
	w.source.client.buffers <- p.bytes[:cap(p.bytes)]
}

func (w *window) Close() error {
	w.cancel()
	if w.head != nil {
		w.head.Close()
		w.head = nil
	}
	w.fills.Wait()
	for _, part := range w.ahead {
		w.giveBack(part)
	}
	w.ahead, w.next = nil, w.source.size
	return nil
}

// part is a range that is fetched ahead: one goroutine fills it, the window's
// reader takes from it what is there.
type part struct {
	from   int64
	bytes  []byte
	taken  int           // the reader's
	more   chan struct{} // holds a token after filled or err changed
	cancel context.CancelFunc

	mu     sync.Mutex
	filled int
	err    error
}

func (p *part) fill(from io.Reader) {
	filled := 0
	for filled < len(p.bytes) {
		n, err := from.Read(p.bytes[filled:])
		filled += n
		p.mu.Lock()
		p.filled, p.err = filled, err
		p.mu.Unlock()
		select {
		case p.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// read waits for bytes; io.EOF says that all were taken.
func (p *part) read(ctx context.Context, into []byte) (int, error) {
	for {
		p.mu.Lock()
		filled, err := p.filled, p.err
		p.mu.Unlock()
		switch {
		case p.taken < filled:
			n := copy(into, p.bytes[p.taken:filled])
			p.taken += n
			return n, nil
		case p.taken == len(p.bytes):
			return 0, io.EOF
		case err != nil:
			return 0, err
		}
		select {
		case <-p.more:
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// pace knows how fast the parts of a blob come, to find the one that a slow
// front end holds up. Only parts that filled buffers count: their connections
// never waited for the reader.
type pace struct{ best atomic.Int64 } // bytes per second

func (p *pace) add(got int64, spent time.Duration) {
	rate := int64(float64(got) / max(spent, time.Microsecond).Seconds())
	for {
		best := p.best.Load()
		if rate <= best || p.best.CompareAndSwap(best, rate) {
			return
		}
	}
}

// isSlow says of a connection, after some time, that others were several times
// as fast.
func (p *pace) isSlow(got int64, spent time.Duration) bool {
	const (
		patience = 2 * time.Second
		factor   = 5
	)
	return spent >= patience && float64(got)/spent.Seconds()*factor < float64(p.best.Load())
}
