package published

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/inflate"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// maxWindow bounds the memory of zstd. Podman and the estargz package ask for
// 8 MiB at most.
const maxWindow = 32 << 20

// members decodes spans of gzip members or of zstd frames, told apart by their
// first bytes. Behind a chunk a span may hold what the tar file has between
// files, which is passed over.
type members struct {
	chunks []toc.Chunk
	idle   sync.Pool // of *inflater

	// A span of several chunks is decoded once, up to its end in ends. kept is
	// the last one, which starts at offset.
	ends   map[int64]int64
	mu     sync.Mutex
	offset int64
	kept   []byte
}

func newMembers(t *toc.Table) *members {
	m := &members{chunks: t.Chunks(), ends: make(map[int64]int64)}
	m.idle.New = func() any { return new(inflater) }
	var last toc.Chunk
	for _, c := range m.chunks {
		if c.Length == 0 {
			continue
		}
		// The TOC of eStargz may be too large to be kept; it is in few chunks.
		if end := c.Skip + c.Size; last.Length > 0 && c.Offset == last.Offset && end <= maxSkip+maxChunk {
			m.ends[c.Offset] = end
		}
		last = c
	}
	return m
}

func (m *members) content(dst []byte, i int, span []byte) ([]byte, error) {
	c := m.chunks[i]
	end, shared := m.ends[c.Offset]
	if !shared || c.Skip+c.Size > end {
		return m.decode(dst, span, c.Skip, c.Size)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.kept == nil || m.offset != c.Offset {
		decoded, err := m.decode(m.kept[:0], span, 0, end)
		if err != nil {
			m.kept = nil
			return dst, err
		}
		m.offset, m.kept = c.Offset, decoded
	}
	return append(dst, m.kept[c.Skip:][:c.Size]...), nil
}

// decode appends size bytes of a decoded span to dst, those behind skip.
func (m *members) decode(dst, span []byte, skip, size int64) ([]byte, error) {
	z := m.idle.Get().(*inflater)
	defer m.idle.Put(z)
	defer z.close()
	r, err := z.open(span)
	if err != nil {
		return dst, err
	}
	if _, err := io.CopyN(io.Discard, r, skip); err != nil {
		return dst, err
	}
	all := slices.Grow(dst, int(size))[:len(dst)+int(size)]
	if _, err := io.ReadFull(r, all[len(dst):]); err != nil {
		return dst, err
	}
	return all, nil
}

// inflater is a decoder of one span at a time.
type inflater struct {
	span bytes.Reader
	gzip *inflate.Reader
	zstd *zstd.Decoder
}

func (z *inflater) open(span []byte) (io.Reader, error) {
	z.span.Reset(span)
	switch {
	case bytes.HasPrefix(span, []byte{0x1f, 0x8b}):
		if z.gzip == nil {
			z.gzip = new(inflate.Reader)
		}
		return z.gzip, z.gzip.Reset(&z.span)
	case !bytes.HasPrefix(span, []byte{0x28, 0xb5, 0x2f, 0xfd}):
		return nil, fmt.Errorf("the span is neither gzip nor zstd: it starts with % x", span[:min(len(span), 4)])
	case z.zstd == nil:
		var err error
		z.zstd, err = newZstdReader(&z.span)
		return z.zstd, err
	}
	return z.zstd, z.zstd.Reset(&z.span)
}

// close lets go of the span.
func (z *inflater) close() {
	z.span.Reset(nil)
	if z.zstd != nil {
		_ = z.zstd.Reset(nil) // there is nothing to fail
	}
}

// newZstdReader decodes in the goroutine that reads, so that whoever forgets
// the decoder leaves nothing behind.
func newZstdReader(r io.Reader) (*zstd.Decoder, error) {
	return zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
}
