package layer

import "io"

// piece is the size of one buffer of the read-ahead.
const piece = 256 << 10

// ahead reads r in a goroutine of its own, into a ring of buffers that
// bounds how far it gets.
type ahead struct {
	full    chan filled
	empty   chan []byte
	quit    chan struct{}
	stopped chan struct{}

	now  filled // what Read hands out
	rest []byte // of now.data
}

type filled struct {
	data []byte
	err  error // after data
}

func readAhead(r io.Reader, size int) *ahead {
	n := max(2, size/piece)
	a := &ahead{
		full:    make(chan filled, n),
		empty:   make(chan []byte, n),
		quit:    make(chan struct{}),
		stopped: make(chan struct{}),
	}
	for range n {
		a.empty <- nil // made when first used: most layers are small
	}
	go a.run(r)
	return a
}

func (a *ahead) run(r io.Reader) {
	defer close(a.stopped)
	for {
		var buf []byte
		select {
		case buf = <-a.empty:
		case <-a.quit:
			return
		}
		if buf == nil {
			buf = make([]byte, piece)
		}
		f := a.fill(r, buf[:piece])
		a.full <- f // has room for every buffer there is
		if f.err != nil {
			return
		}
	}
}

// fill fills the buffer, or less when the reader of the other side has
// nothing left to do.
func (a *ahead) fill(r io.Reader, buf []byte) filled {
	n := 0
	for {
		m, err := r.Read(buf[n:])
		n += m
		if err != nil || n == len(buf) || n >= piece/4 && len(a.full) == 0 {
			return filled{buf[:n], err}
		}
		select {
		case <-a.quit:
			return filled{buf[:n], errClosed}
		default:
		}
	}
}

// Read implements io.Reader.
func (a *ahead) Read(p []byte) (int, error) {
	for len(a.rest) == 0 {
		if a.now.err != nil {
			return 0, a.now.err
		}
		if a.now.data != nil {
			a.empty <- a.now.data
		}
		a.now = <-a.full
		a.rest = a.now.data
	}
	n := copy(p, a.rest)
	a.rest = a.rest[n:]
	return n, nil
}

// stop ends the goroutine and waits for it. Read must not be called any more.
func (a *ahead) stop() {
	close(a.quit)
	<-a.stopped
}
