package inflate

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io"
)

var (
	// ErrHeader says that the source does not start with a gzip header, if
	// NewReader or Reset return it; if Read or WriteTo do, that bytes follow
	// the last member which start no other. All content was read then.
	ErrHeader = errors.New("gzip: invalid header")
	// ErrChecksum says that a member's content is not what was compressed: its
	// CRC-32 or its size differ.
	ErrChecksum = errors.New("gzip: invalid checksum")
)

// CorruptError says that the source holds no DEFLATE stream.
type CorruptError struct {
	Offset int64 // in the source: where reading was when it showed
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("gzip: corrupt input before offset %d", e.Offset)
}

// A Reader reads the content of all members of a gzip stream. It is for one
// goroutine; the zero Reader is to be Reset first.
//
// Errors come behind the content before them, and stay: io.EOF after a member
// where the source ends; io.ErrUnexpectedEOF where it ends elsewhere; those
// above; and what the source returned, as it is.
type Reader struct {
	input
	tables

	state   func(*Reader) bool // reads what comes next; false: with err, or before it would wait
	final   bool               // the block is the member's last
	isFixed bool               // the tables are the fixed codes
	stored  uint               // bytes of a stored block that are to come
	onBlock func(in, out int64)

	crc  uint32 // of the member's content
	size uint32 // of it, as far as gzip counts

	// Content is window[oldest:end]. The caller has what is before read, the
	// sums what is before summed. Behind end anything may be written.
	oldest, read, summed, end uint
	before                    int64 // content before window[0]
	window                    [windowSize + 16]byte
}

const (
	windowSize = 1 << 17
	windowMask = windowSize - 1
	history    = 1 << 15 // how far matches reach back

	// A symbol starts below full: its content and what is written behind it
	// stay in the window.
	full = windowSize - 320
)

// NewReader reads the header of the first member. The Reader reads no more of
// r than its buffer holds, but may have read behind the last member when it
// finds its end.
func NewReader(r io.Reader) (*Reader, error) {
	z := new(Reader)
	if err := z.Reset(r); err != nil {
		return nil, err
	}
	return z, nil
}

// Reset makes of the Reader what NewReader returns, without OnBlock.
func (z *Reader) Reset(r io.Reader) error {
	z.reset(r)
	z.state = (*Reader).header
	z.header()
	if z.err == io.EOF {
		z.err = io.ErrUnexpectedEOF
	}
	return z.err
}

func (z *Reader) reset(r io.Reader) {
	z.input.reset(r)
	z.onBlock = nil
	z.crc, z.size = 0, 0
	z.oldest, z.read, z.summed, z.end, z.before = 0, 0, 0, 0, 0
}

// Read reads what was inflated already, or inflates up to 128 KiB.
func (z *Reader) Read(p []byte) (int, error) {
	if len(p) == 0 {
		return 0, nil
	}
	if !z.inflate() {
		return 0, z.err
	}
	n := copy(p, z.window[z.read:z.end])
	z.read += uint(n)
	return n, nil
}

// WriteTo writes all that is left to w, in pieces of up to 128 KiB and without
// copying.
func (z *Reader) WriteTo(w io.Writer) (int64, error) {
	var total int64
	for z.inflate() {
		piece := z.window[z.read:z.end]
		n, err := w.Write(piece)
		total += int64(n)
		z.read += uint(n)
		if err == nil && n < len(piece) {
			err = io.ErrShortWrite
		}
		if err != nil {
			return total, err
		}
	}
	if z.err == io.EOF {
		return total, nil
	}
	return total, z.err
}

// inflate makes sure that there is content to read, unless an error is what
// comes next. It goes on until the window is full or the source would have to
// be asked.
func (z *Reader) inflate() bool {
	if z.read < z.end {
		return true
	}
	z.slide()
	for z.err == nil && z.end < full && z.state(z) {
	}
	z.sum()
	return z.read < z.end
}

// slide makes room in the window.
func (z *Reader) slide() {
	if z.end <= windowSize*3/4 {
		return
	}
	by := z.end - history
	copy(z.window[:history], z.window[by:z.end])
	z.before += int64(by)
	z.end, z.read, z.summed = history, history, history
	z.oldest -= min(z.oldest, by)
}

// sum takes the new content into the member's sums.
func (z *Reader) sum() {
	news := z.window[z.summed:z.end]
	z.crc = crc32.Update(z.crc, crc32.IEEETable, news)
	z.size += uint32(len(news))
	z.summed = z.end
}
