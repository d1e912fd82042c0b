package published

import (
	"io"
	"runtime"

	"github.com/klauspost/compress/zstd"
)

// mostFramers is how many frames are compressed at a time, at the most: each
// takes some 10 MB.
const mostFramers = 4

// framer writes frames in the order in which they are put, and compresses them
// beside its caller. The bytes do not depend on how many work at it.
type framer struct {
	z    *zstd.Encoder
	out  io.Writer
	size int64   // of all frames written
	ends []int64 // of each frame in the blob

	free    chan *frame
	queue   chan *frame
	stopped chan struct{} // closed when nothing is written any more
	err     error         // why, once stopped is closed
}

// frame is a place for one that is on its way.
type frame struct {
	raw, packed []byte
	done        chan struct{}
}

func newFramer(out io.Writer, level zstd.EncoderLevel) (*framer, error) {
	framers := min(mostFramers, runtime.GOMAXPROCS(0))
	// Who fetches a chunk holds it against its ID, and who fetches the blob
	// against the digest: a checksum in each frame would be a third.
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(level), zstd.WithEncoderConcurrency(framers), zstd.WithEncoderCRC(false), zstd.WithWindowSize(maxFrame))
	if err != nil {
		return nil, err
	}
	f := &framer{z: z, out: out, free: make(chan *frame, framers), queue: make(chan *frame, framers), stopped: make(chan struct{})}
	for range framers {
		f.free <- &frame{}
	}
	go f.run()
	return f, nil
}

// run writes frames until the queue is closed or writing fails.
func (f *framer) run() {
	defer close(f.stopped)
	for fr := range f.queue {
		<-fr.done
		n, err := f.out.Write(fr.packed)
		if err != nil {
			f.err = err
			return
		}
		f.size += int64(n)
		f.ends = append(f.ends, f.size)
		f.free <- fr
	}
}

// put writes a frame, sooner or later. raw may be used again at once.
func (f *framer) put(raw []byte) error {
	select {
	case <-f.stopped:
		return f.err
	case fr := <-f.free:
		fr.raw, fr.done = append(fr.raw[:0], raw...), make(chan struct{})
		f.queue <- fr // there is room for all
		go func() {
			defer close(fr.done)
			fr.packed = f.z.EncodeAll(fr.raw, fr.packed[:0])
		}()
		return nil
	}
}

// finish waits until all frames are written, or until it is sure that they
// will not be.
func (f *framer) finish() error {
	close(f.queue)
	<-f.stopped
	for fr := range f.queue { // left by a failure
		<-fr.done
	}
	f.z.Close()
	return f.err
}
