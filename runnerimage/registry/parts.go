package registry

import (
	"context"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// part is a range that is fetched ahead: one goroutine fills it, the window's
// reader takes from it what is there.
type part struct {
	from   int64
	bytes  []byte
	lent   bool          // by the client
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
