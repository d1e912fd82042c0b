package registry

import (
	"context"
	"errors"
	"io"
	"time"
)

// stream reads the bytes [at, end) of a source in their order. When a
// connection fails it goes on from the byte reached on another one.
type stream struct {
	ctx      context.Context // governs the reading, as Client.Blob says
	source   *source
	at, end  int64
	ranged   bool // see source.open
	patience patience

	// slow, if not nil, says of a connection that it is worth another one.
	slow    func(got int64, spent time.Duration) bool
	changes int

	body  *body
	got   int64         // bytes of this connection
	spent time.Duration // time in its reads
}

// openStream opens a stream and connects it, so that what is missing or denied
// is known at once. Its end is the blob's where ranges are not honoured, unless
// ranged says that this is an ErrNoRanges.
func openStream(ctx context.Context, s *source, from, to int64, ranged bool) (*stream, error) {
	st := newStream(ctx, s, from, to, ranged)
	for st.body == nil && st.at < st.end {
		end, err := st.connect()
		if err == nil {
			st.end = end
			break
		}
		if errors.Is(err, ErrNoRanges) {
			return nil, err
		}
		if err := st.patience.wait(ctx, err); err != nil {
			return nil, s.withMirrors(err)
		}
	}
	return st, nil
}

func newStream(ctx context.Context, s *source, from, to int64, ranged bool) *stream {
	return &stream{ctx: ctx, source: s, at: from, end: to, ranged: ranged, patience: patience{client: s.client, place: s.place}}
}

func (s *stream) connect() (int64, error) {
	answer, end, err := s.source.open(s.ctx, s.at, s.end, s.ranged)
	if err != nil {
		return 0, err
	}
	// Waiting for its turn does not make a connection slow.
	s.body, s.got, s.spent = answer, 0, time.Since(answer.sent)
	return end, nil
}

func (s *stream) Read(p []byte) (int, error) {
	for {
		if s.at == s.end {
			return 0, io.EOF
		}
		if s.body == nil {
			if _, err := s.connect(); errors.Is(err, ErrNoRanges) {
				return 0, err
			} else if err != nil {
				if err := s.patience.wait(s.ctx, err); err != nil {
					return 0, s.source.withMirrors(err)
				}
				continue
			}
		}
		n, err := s.readOnce(p[:min(int64(len(p)), s.end-s.at)])
		if n > 0 {
			s.patience.progress()
		}
		if err != nil {
			s.disconnect()
			if s.at == s.end {
				return n, nil
			}
			if err == io.EOF {
				err = errShort
			}
			if err := s.patience.wait(s.ctx, err); err != nil {
				return n, s.source.withMirrors(err)
			}
		}
		if n > 0 {
			return n, nil
		}
	}
}

func (s *stream) readOnce(p []byte) (int, error) {
	const mostChanges = 3
	began := time.Now()
	n, err := s.body.Read(p)
	s.at += int64(n)
	s.got += int64(n)
	s.spent += time.Since(began)
	if err == nil && s.at < s.end && s.slow != nil && s.changes < mostChanges && s.slow(s.got, s.spent) {
		s.changes++
		s.disconnect()
	}
	return n, err
}

func (s *stream) disconnect() {
	if s.body != nil {
		s.body.Close()
		s.body = nil
	}
}

func (s *stream) Close() error {
	s.disconnect()
	return nil
}
