package chunk

import (
	"errors"
	"fmt"
	"slices"

	"github.com/klauspost/compress/s2"
)

// ErrCorrupt says that stored bytes are no chunk's stored form.
var ErrCorrupt = errors.New("the stored chunk is corrupt")

// A chunk's stored form: one byte that names the encoding, then the content in
// it to the end. Zero names none, so that a hole in a file is no chunk.
const (
	encodingRaw = 1 // the content itself
	encodingS2  = 2 // one S2 block, https://github.com/klauspost/compress/tree/master/s2
)

// Encode appends the stored form of content to dst, which it must not overlap:
// S2 or raw, whichever is smaller. It is at most one byte longer than the
// content.
func Encode(dst, content []byte) []byte {
	start := len(dst)
	dst = slices.Grow(dst, 1+max(len(content), s2.MaxEncodedLen(len(content))))
	block := s2.Encode(dst[start+1:cap(dst)], content)
	if len(block) < len(content) {
		dst = dst[:start+1+len(block)]
		dst[start] = encodingS2
		return dst
	}
	return append(append(dst, encodingRaw), content...)
}

// Decode appends the content of a stored form to dst, which it must not
// overlap. Content longer than maxSize is corrupt, and no memory is taken for
// it. Whether it is the right content, only its ID can tell. Errors wrap
// ErrCorrupt and leave dst as it was.
func Decode(dst, stored []byte, maxSize int) ([]byte, error) {
	if len(stored) == 0 {
		return dst, fmt.Errorf("%w: it is empty", ErrCorrupt)
	}
	encoding, body := stored[0], stored[1:]
	switch encoding {
	case encodingRaw:
		if len(body) > maxSize {
			return dst, tooLong(len(body), maxSize)
		}
		return append(dst, body...), nil
	case encodingS2:
		return decodeS2(dst, body, maxSize)
	}
	return dst, fmt.Errorf("%w: no encoding has the number %d", ErrCorrupt, encoding)
}

func decodeS2(dst, block []byte, maxSize int) ([]byte, error) {
	size, err := s2.DecodedLen(block)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if size > maxSize {
		return dst, tooLong(size, maxSize)
	}
	start := len(dst)
	grown := slices.Grow(dst, size)[:start+size]
	if _, err := s2.Decode(grown[start:], block); err != nil {
		return dst, fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return grown, nil
}

func tooLong(size, maxSize int) error {
	return fmt.Errorf("%w: it holds %d bytes and may hold %d", ErrCorrupt, size, maxSize)
}
