package accept

import (
	"compress/gzip"
	"context"
	"errors"
	"io"
	"net/http"
	"os"
)

// small is up to what a body is small: all that is common is.
const small = 1 << 20

// readBody reads a body and finds out whose it is. The caller calls release
// when it needs the body no longer, and also after an error.
func (h *Handler) readBody(w http.ResponseWriter, r *http.Request, head headers) (body []byte, app int64, release func(), err error) {
	ctx, cancel := context.WithTimeout(r.Context(), Patience)
	defer cancel()
	seat, err := h.room.sit(ctx, head)
	if err != nil {
		return nil, 0, seat.release, refuse(http.StatusServiceUnavailable, "wait for room for its body: %w", err)
	}
	// A recorder of a test has no deadlines.
	_ = http.NewResponseController(w).SetReadDeadline(h.now().Add(Patience))
	var from io.Reader = http.MaxBytesReader(w, r.Body, MaxBody)
	if head.gzip {
		z, err := gzip.NewReader(from)
		if err != nil {
			return nil, 0, seat.release, unreadable(err)
		}
		from = z
	}
	signed := h.keys.sums()
	body, err = seat.read(ctx, from, head, signed)
	if err != nil {
		return nil, 0, seat.release, unreadable(err)
	}
	app, err = h.keys.signer(signed, head.signature)
	if err != nil {
		return nil, 0, seat.release, &refusal{status: http.StatusUnauthorized, why: err, suspect: true}
	}
	return body, app, seat.release, nil
}

var errTooLarge = errors.New("its body is too large")

// unreadable is the refusal of a body that could not be read: whoever sends
// many such is as suspect as one who signs wrongly.
func unreadable(err error) *refusal {
	no := &refusal{status: http.StatusBadRequest, why: err, suspect: true}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, errTooLarge), errors.As(err, &tooLarge):
		no.status = http.StatusRequestEntityTooLarge
	case errors.Is(err, os.ErrDeadlineExceeded):
		no.status = http.StatusRequestTimeout
	case errors.Is(err, context.DeadlineExceeded):
		no.status, no.suspect = http.StatusServiceUnavailable, false
	}
	return no
}

// read reads a body to its end, and each piece into the signatures as it
// comes. One whose length is known is read to where it stays.
func (s *seat) read(ctx context.Context, from io.Reader, head headers, signed sums) ([]byte, error) {
	size := int64(16 << 10)
	if head.length >= 0 && !head.gzip {
		size = head.length + 1 // to see that it ends
	}
	body := make([]byte, 0, size)
	for {
		if len(body) == cap(body) {
			if len(body) > MaxBody {
				return nil, errTooLarge
			}
			if err := s.grow(ctx, 2*len(body)); err != nil {
				return nil, err
			}
			body = append(make([]byte, 0, min(2*len(body), MaxBody+1)), body...)
		}
		n, err := from.Read(body[len(body):cap(body)])
		signed.write(body[len(body) : len(body)+n])
		body = body[:len(body)+n]
		switch {
		case err == nil:
		case errors.Is(err, io.EOF):
			if len(body) > MaxBody {
				return nil, errTooLarge
			}
			return body, nil
		default:
			return nil, err
		}
	}
}
