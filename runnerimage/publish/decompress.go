package publish

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/inflate"
	format "github.com/clipperregistry/runner/runnerimage/layer"
)

// maxWindow bounds the memory of zstd. It is what zstd(1) accepts by default.
const maxWindow = 128 << 20

// decompress gives the tar stream of a blob, told by its bytes and not by its
// media type, as engines do. Whether it is the right one, the diff ID tells.
// Errors wrap layer.ErrFormat.
func decompress(blob io.Reader) (io.ReadCloser, error) {
	r := bufio.NewReaderSize(blob, 64<<10)
	start, err := r.Peek(4)
	if err != nil && err != io.EOF {
		return nil, err
	}
	switch {
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		z, err := inflate.NewReader(r)
		if err != nil {
			return nil, malformed(err)
		}
		return lenient{io.NopCloser(z)}, nil
	case bytes.Equal(start, []byte{0x28, 0xb5, 0x2f, 0xfd}), // RFC 8878, 3.1.1
		len(start) == 4 && start[0]&0xf0 == 0x50 && bytes.Equal(start[1:], []byte{0x2a, 0x4d, 0x18}): // a skippable frame, 3.1.2
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, malformed(err)
		}
		return lenient{z.IOReadCloser()}, nil
	}
	return io.NopCloser(r), nil
}

// lenient passes over bytes behind the last member or frame that start no
// other, as Docker and gzip(1) do.
type lenient struct{ io.ReadCloser }

func (l lenient) Read(p []byte) (int, error) {
	n, err := l.ReadCloser.Read(p)
	if errors.Is(err, inflate.ErrHeader) || errors.Is(err, zstd.ErrMagicMismatch) {
		err = io.EOF
	}
	if err != nil && err != io.EOF {
		err = malformed(err)
	}
	return n, err
}

func malformed(err error) error { return fmt.Errorf("%w: %w", format.ErrFormat, err) }
