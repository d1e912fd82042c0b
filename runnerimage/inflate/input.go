package inflate

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	bufferSize = 1 << 15
	bufferMask = bufferSize - 1

	// After a stored block another is likely: a sip of the source tells, and
	// most of its content need not pass through the buffer.
	sip = 4 << 10
)

// input is the source as bytes and bits. Once err is set, nothing more comes.
type input struct {
	src    io.Reader
	srcErr error // what ended src, for when the bytes before it are used up
	err    error
	loaded int64 // bytes of src, with those before it where it was resumed

	// bits holds nbits bits, the next one lowest, and above them zeros or the
	// bits that follow: bytes may be loaded over themselves. Behind them come
	// buffer[next:limit].
	bits        uint64
	nbits       uint
	next, limit uint
	sips        bool
	buffer      [bufferSize + 8]byte
}

func (in *input) reset(r io.Reader) {
	in.src, in.srcErr, in.err, in.loaded = r, nil, nil, 0
	in.bits, in.nbits, in.next, in.limit = 0, 0, 0, 0
	in.sips = false
}

// position is the number of bits of the source before the next one.
func (in *input) position() int64 {
	return (in.loaded-int64(in.limit-in.next))*8 - int64(in.nbits)
}

// has says that so many bytes need no waiting.
func (in *input) has(n uint) bool {
	return in.nbits/8+in.limit-in.next >= n || in.srcErr != nil
}

// take consumes up to 16 bits. Where they do not come it sets err and
// returns 0.
func (in *input) take(n uint) uint {
	if !in.want(n) {
		return 0
	}
	v := uint(in.bits & (1<<n - 1))
	in.bits >>= n
	in.nbits -= n
	return v
}

// want makes sure that there are n bits, of at most 56.
func (in *input) want(n uint) bool {
	return in.nbits >= n || in.refill(n)
}

func (in *input) refill(n uint) bool {
	for in.nbits < n {
		if in.limit-in.next >= 8 {
			in.bits |= binary.LittleEndian.Uint64(in.buffer[in.next:]) << in.nbits
			in.next += (63 - in.nbits) / 8
			in.nbits |= 56
			return true
		}
		if !in.byte() && !in.fill() {
			return false
		}
	}
	return true
}

// byte moves one from the buffer to the bits.
func (in *input) byte() bool {
	if in.next == in.limit {
		return false
	}
	in.bits |= uint64(in.buffer[in.next]) << in.nbits
	in.nbits += 8
	in.next++
	return true
}

// unload moves whole bytes back from the bits to the buffer. They are there
// still: bytes leave it in fill only.
func (in *input) unload() {
	in.next -= in.nbits / 8
	in.nbits %= 8
	in.bits &= 1<<in.nbits - 1
}

// fill reads src once, or until it gives something.
func (in *input) fill() bool {
	in.unload()
	in.limit = uint(copy(in.buffer[:], in.buffer[in.next:in.limit]))
	in.next = 0
	to := uint(bufferSize)
	if in.sips {
		to = min(to, in.limit+sip)
	}
	n := in.readSource(in.buffer[in.limit:to])
	in.limit += n
	return n > 0
}

// readSource reads src past the buffer, which must be empty then.
func (in *input) readSource(p []byte) uint {
	for range 100 {
		if in.srcErr != nil {
			in.err = in.srcErr
			if in.err == io.EOF {
				in.err = io.ErrUnexpectedEOF
			}
			return 0
		}
		n, err := in.src.Read(p)
		if n < 0 || n > len(p) {
			n, err = 0, errors.New("gzip: the source read more than it was asked for")
		}
		in.srcErr = err
		in.loaded += int64(n)
		if n > 0 {
			return uint(n)
		}
	}
	in.err = io.ErrNoProgress
	return 0
}

// corrupt ends the stream.
func (in *input) corrupt() {
	in.err = &CorruptError{(in.position() + 7) / 8}
}
