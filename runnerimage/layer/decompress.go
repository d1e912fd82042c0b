package layer

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"strconv"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/inflate"
)

// maxWindow bounds the memory of zstd. It is what zstd(1) accepts by default
// and more than any of its levels asks for.
const maxWindow = 128 << 20

const block = 512 // of tar

// buffer is for what reads little at a time. Decompressors read more than that
// at once, and then past it.
const buffer = 16 << 10

// decompress reads the start of what b holds, which is the blob from p on, and
// returns the tar stream that starts there. A trail, if there is one, is told
// the places that follow.
func decompress(b *blob, p Position, t *trail) (io.ReadCloser, error) {
	r := bufio.NewReaderSize(b, buffer)
	switch p.at {
	case plainTar:
		return plain(r, t)
	case gzipStart, gzipBlock:
		return gunzip(r, p, t)
	}
	start, err := r.Peek(block)
	if err != nil && err != io.EOF {
		return nil, err
	}
	// A tar file goes first: its first entry may have any name.
	switch {
	case len(start) == 0, isTar(start):
		return plain(r, t)
	case bytes.HasPrefix(start, []byte{0x1f, 0x8b}):
		return gunzip(r, Position{at: gzipStart}, t)
	case isZstd(start):
		// Concurrency 1 decodes in the goroutine that reads.
		z, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderLowmem(true), zstd.WithDecoderMaxWindow(maxWindow))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case bytes.HasPrefix(start, []byte("BZh")):
		return nil, errors.New("the blob is compressed with bzip2, which image layers cannot be: build the image with gzip or zstd")
	case bytes.HasPrefix(start, []byte("\xfd7zXZ\x00")):
		return nil, errors.New("the blob is compressed with xz, which image layers cannot be: build the image with gzip or zstd")
	}
	first := start[:min(len(start), 16)]
	return nil, fmt.Errorf("the blob is neither tar nor gzip nor zstd: it starts with % x (%q)", first, first)
}

func plain(r io.Reader, t *trail) (io.ReadCloser, error) {
	if t != nil {
		t.plain = true
	}
	return io.NopCloser(r), nil
}

// isTar says whether a block is a header of tar with the right sum, or zeros.
func isTar(b []byte) bool {
	if len(b) < block {
		return false
	}
	var unsigned, signed int64 // old writers took characters as signed
	zeros := true
	for i, c := range b {
		zeros = zeros && c == 0
		if i >= 148 && i < 156 {
			c = ' '
		}
		unsigned += int64(c)
		signed += int64(int8(c))
	}
	if zeros {
		return true
	}
	sum, err := strconv.ParseInt(string(bytes.Trim(b[148:156], " \x00")), 8, 64)
	return err == nil && (sum == unsigned || sum == signed)
}

// isZstd knows a frame and a skippable frame: RFC 8878, 3.1.
func isZstd(b []byte) bool {
	return bytes.HasPrefix(b, []byte{0x28, 0xb5, 0x2f, 0xfd}) ||
		len(b) >= 4 && b[0]&0xf0 == 0x50 && bytes.Equal(b[1:4], []byte{0x2a, 0x4d, 0x18})
}

// isTrailer says that a decompressor found bytes after a member or frame that
// start no other.
func isTrailer(err error) bool {
	return errors.Is(err, inflate.ErrHeader) || errors.Is(err, zstd.ErrMagicMismatch)
}

// blob remembers how reading ended, so that a failure of the source and
// damage of what it holds stay two things.
type blob struct {
	r   io.Reader
	err error
}

func (b *blob) Read(p []byte) (int, error) {
	n, err := b.r.Read(p)
	if err != nil && err != io.EOF {
		b.err = err
	}
	return n, err
}

// explain is for an error of whoever reads the blob, in the same goroutine.
func (b *blob) explain(err error) error {
	if b.err != nil {
		return &sourceError{b.err}
	}
	return malformed(err)
}

// blame reads the rest of a blob that makes no sense: whoever verifies it
// below knows only at its end that these are not the layer's bytes, and then
// that is what is wrong.
func (b *blob) blame(err error) error {
	if _, other := io.Copy(io.Discard, onlyReader{b}); other != nil {
		return &sourceError{other}
	}
	return err
}

// sourceError is a failure of the source, which says nothing of the layer.
type sourceError struct{ err error }

func (e *sourceError) Error() string { return e.err.Error() }
func (e *sourceError) Unwrap() error { return e.err }

// malformed makes err an ErrFormat unless it says already what happened.
func malformed(err error) error {
	var source *sourceError
	if errors.As(err, &source) || errors.Is(err, ErrFormat) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrFormat, err)
}

// explained is the decompressed blob: it counts, and it explains errors
// where they happen.
type explained struct {
	r    io.Reader
	blob *blob
	n    *atomic.Int64
}

func (e *explained) Read(p []byte) (int, error) {
	n, err := e.r.Read(p)
	e.n.Add(int64(n))
	if err != nil && err != io.EOF {
		err = e.blob.explain(err)
	}
	return n, err
}
