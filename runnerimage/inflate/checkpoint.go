package inflate

import (
	"bytes"
	"errors"
	"fmt"
	"io"
)

// A Checkpoint is the start of a block, from where Resume goes on.
type Checkpoint struct {
	In  int64 // byte of the source that holds the block's first bit
	Bit uint8 // which of its bits that is, 0–7
	Out int64 // content before the block

	// Window is the end of the member's content before the block, up to
	// 32 KiB.
	Window []byte
	// CRC and Size are the sums of the member's content before the block.
	CRC, Size uint32
}

var errCheckpoint = errors.New("no such checkpoint can be")

// OnBlock has f called at the start of every block, a member's first included,
// with In and Out of its Checkpoint. All content before the block was read by
// then. Read or WriteTo call f, which may call Checkpoint and nothing else.
func (z *Reader) OnBlock(f func(in, out int64)) { z.onBlock = f }

// Checkpoint is that of the block for which OnBlock's function is called. It is
// for that function alone.
func (z *Reader) Checkpoint() Checkpoint {
	at := z.position()
	return Checkpoint{
		In:     at / 8,
		Bit:    uint8(at % 8),
		Out:    z.before + int64(z.end),
		Window: bytes.Clone(z.window[max(z.oldest, z.end-min(z.end, history)):z.end]),
		CRC:    z.crc,
		Size:   z.size,
	}
}

// Resume returns a Reader of the content from c on; r begins with byte c.In.
// Where content, checkpoint and source do not belong together, the member's
// sums differ most likely, but nothing else is promised.
func Resume(r io.Reader, c Checkpoint) (*Reader, error) {
	if c.In < 0 || c.Bit > 7 || c.Out < int64(len(c.Window)) || len(c.Window) > history {
		return nil, fmt.Errorf("resume gzip at byte %d, bit %d: %w", c.In, c.Bit, errCheckpoint)
	}
	z := new(Reader)
	z.reset(r)
	z.loaded = c.In
	z.end = uint(copy(z.window[:], c.Window))
	z.read, z.summed = z.end, z.end
	z.before = c.Out - int64(z.end)
	z.crc, z.size = c.CRC, c.Size
	z.state = (*Reader).block
	z.take(uint(c.Bit))
	return z, z.err
}
