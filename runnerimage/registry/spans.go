package registry

import (
	"fmt"
	"io"
)

const (
	// MaxSpan is the largest span that is read. A Spans holds, beside what the
	// client lends, as much memory as the span that it has given out.
	MaxSpan = 64 << 20
	// mergeGap is the widest gap between two spans that is fetched with them.
	// A request more costs a round trip of one connection of several: 10 ms at
	// the 3 MB/s that each of four has of 100 Mbit/s. It is kept at that low
	// end, because a patch pull is to fetch little more than what is new.
	mergeGap = 32 << 10
)

// Spans reads spans of a blob in their order. It is not safe for concurrent
// use.
type Spans struct {
	source *source
	window *window // over the spans and the narrow gaps between them
	spans  []Span  // not given out yet
	end    int64   // of the span before; 0 before the first
	buffer []byte
	err    error
}

// Next is the next span's bytes, all of them, unverified; io.EOF says that
// there are no more spans. The bytes are lent until the next call.
func (s *Spans) Next() ([]byte, error) {
	if s.err != nil {
		return nil, s.err
	}
	if len(s.spans) == 0 {
		s.err = io.EOF
		return nil, io.EOF
	}
	bytes, err := s.read(s.spans[0])
	if err != nil {
		s.err = fmt.Errorf("%s: %w", s.source.name, err)
		return nil, s.err
	}
	s.spans = s.spans[1:]
	s.source.client.progress(int64(len(bytes)))
	return bytes, nil
}

func (s *Spans) read(span Span) ([]byte, error) {
	if span.Length == 0 {
		return []byte{}, nil
	}
	if gap := span.Offset - s.end; s.end > 0 && gap <= mergeGap {
		if _, err := io.CopyN(io.Discard, s.window, gap); err != nil {
			return nil, err
		}
	}
	s.end = span.end()
	large := int64(cap(s.buffer)) > s.source.client.partSize // not worth holding on to
	if large || int64(cap(s.buffer)) < span.Length {
		s.buffer = make([]byte, span.Length)
	}
	s.buffer = s.buffer[:span.Length]
	_, err := io.ReadFull(s.window, s.buffer)
	return s.buffer, err
}

// Close breaks off what is still under way and waits for it.
func (s *Spans) Close() error {
	if s.err == nil {
		s.err = fmt.Errorf("%s: read after close", s.source.name)
	}
	return s.window.Close()
}

// joined checks spans of a blob of the size and joins those with narrow gaps
// between them.
func joined(spans []Span, size int64) ([]Span, error) {
	var list []Span
	end := int64(0) // of the span before
	for _, span := range spans {
		switch {
		case span.Length < 0 || span.Offset < 0 || span.Length > size || span.Offset > size-span.Length:
			return nil, fmt.Errorf("%w: a span of %d bytes at %d, and the blob has %d", ErrMismatch, span.Length, span.Offset, size)
		case span.Length > MaxSpan:
			return nil, fmt.Errorf("%w: a span of %d bytes, the limit is %d", ErrTooLarge, span.Length, MaxSpan)
		case span.Offset < end:
			return nil, fmt.Errorf("%w: the span at %d begins before the end of the one before it, %d", ErrMismatch, span.Offset, end)
		case span.Length == 0:
			continue
		}
		if last := len(list) - 1; last >= 0 && span.Offset-end <= mergeGap {
			list[last].Length = span.end() - list[last].Offset
		} else {
			list = append(list, span)
		}
		end = span.end()
	}
	return list, nil
}
