package rootfs

import (
	"context"
	"fmt"
	"io"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// chunk is a piece of content on its way to a worker.
type chunk struct {
	data []byte
	size int // index into chunkSizes
}

// chunkSizes are the capacities of chunks: most files are small.
var chunkSizes = [...]int64{4 << 10, 64 << 10}

// largestChunk is the size up to which a file is written in one piece.
const largestChunk = 64 << 10

// read reads the next n bytes, then waits for room in the queues. A chunk
// that is being read counts for nothing there, so that layers which wait for
// the network hold up no other.
func (w *Writer) read(ctx context.Context, e *layer.Entry, content io.Reader, n int64) (*chunk, error) {
	size := 0
	for chunkSizes[size] < n {
		size++
	}
	c, ok := w.chunks[size].Get().(*chunk)
	if !ok {
		c = &chunk{data: make([]byte, chunkSizes[size]), size: size}
	}
	c.data = c.data[:n]
	if _, err := io.ReadFull(content, c.data); err != nil {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("read content of %q: %w", "/"+e.Name, err)
	}
	if err := w.room.Acquire(ctx, chunkSizes[size]); err != nil {
		return nil, err
	}
	return c, nil
}

// release gives a chunk and its room back.
func (w *Writer) release(c *chunk) {
	w.room.Release(chunkSizes[c.size])
	w.chunks[c.size].Put(c)
}
