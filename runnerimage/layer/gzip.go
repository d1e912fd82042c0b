package layer

import (
	"io"

	"github.com/clipperregistry/runner/runnerimage/inflate"
)

// maxHistory is how far back DEFLATE refers.
const maxHistory = 32 << 10

// gunzip goes on at p, which is the start of the blob or of a block. The trail,
// if there is one, is told p and the places that follow: starts of blocks, when
// all before them was read.
func gunzip(r io.Reader, p Position, t *trail) (io.ReadCloser, error) {
	z, err := openGzip(r, p)
	if err != nil {
		return nil, err
	}
	if t != nil {
		t.add(p)
		z.OnBlock(func(in, out int64) {
			// There must be content between two places as well: then they take
			// no more memory than what is read ahead.
			if in-p.Blob >= t.every && out-p.begin >= maxHistory {
				p = positionOf(z.Checkpoint())
				t.add(p)
			}
		})
	}
	return io.NopCloser(z), nil
}

func openGzip(r io.Reader, p Position) (*inflate.Reader, error) {
	if p.at == gzipStart {
		return inflate.NewReader(r)
	}
	return inflate.Resume(r, inflate.Checkpoint{In: p.Blob, Bit: p.bit, Out: p.begin, Window: p.history, CRC: p.sum, Size: p.size})
}

func positionOf(c inflate.Checkpoint) Position {
	return Position{at: gzipBlock, Blob: c.In, bit: c.Bit, begin: c.Out, history: c.Window, sum: c.CRC, size: c.Size}
}
