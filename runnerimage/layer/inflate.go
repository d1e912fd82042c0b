package layer

import (
	"bufio"
	"io"

	"github.com/klauspost/compress/flate"
)

// maxHistory is how far back DEFLATE refers.
const maxHistory = 32 << 10

// inflate decompresses the DEFLATE stream (RFC 1951) at r and takes no byte
// behind its end. A stream that has ended may be given to save its memory.
func inflate(r *bufio.Reader, ended io.Reader) io.Reader {
	if z, ok := ended.(flate.Resetter); ok {
		if err := z.Reset(r, nil); err == nil {
			return ended
		}
	}
	return flate.NewReader(r)
}

// inflateFrom decompresses the rest of a DEFLATE stream from p on, which is its
// start or between two blocks. It calls between, if there is one, behind every
// block but the last, with the place there: what was decompressed before may
// still wait to be read. The history of the place is only lent.
func inflateFrom(r *source, p Position, between func(Position)) io.Reader {
	options := []flate.ReaderOpt{flate.WithResumeFrom(flate.InflateCheckpoint{
		CompressedOffset:   p.Blob,
		BitOffset:          p.bit,
		UncompressedOffset: p.begin,
		Window:             p.history,
	})}
	if between == nil {
		return flate.NewReaderOpts(r.Reader, options...)
	}
	// flate counts twice the bytes that it has taken, but not yet used, when a
	// stored block begins. Its count then is beyond what was taken at all, and
	// stays too high by that for good; klauspost/compress 1.20.3 does so.
	var excess int64
	return flate.NewReaderOpts(r.Reader, append(options, flate.WithEobCallback(func(c flate.InflateCheckpoint) {
		excess = max(excess, c.CompressedOffset-r.taken())
		if !c.Final {
			between(Position{at: gzipBlock, Blob: c.CompressedOffset - excess, bit: c.BitOffset, begin: c.UncompressedOffset, history: c.Window})
		}
	}))...)
}
