package registry

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"time"
)

// door is what every request passes through, those that go-containerregistry
// makes for logging in included. It keeps plain HTTP to where it is allowed,
// lets each host have so many requests at a time, breaks off silent
// connections, counts, and turns the answers that ask for another try into
// errors, so that all callers see them the same way.
type door struct {
	inner *http.Transport
	agent string
	stall time.Duration
	plain func(host string) bool
	turns turns

	requests, bytes atomic.Int64
}

func (d *door) RoundTrip(in *http.Request) (*http.Response, error) {
	if in.URL.Scheme != "https" && !(in.URL.Scheme == "http" && d.plain(in.URL.Host)) {
		if in.Body != nil {
			in.Body.Close()
		}
		return nil, &plainError{host: in.URL.Host}
	}
	b := &body{door: d, turn: d.turns.at(in.URL.Host)}
	if err := b.turn.take(in.Context()); err != nil {
		if in.Body != nil {
			in.Body.Close()
		}
		return nil, err
	}
	b.sent = time.Now()
	b.ctx, b.cancel = context.WithCancelCause(context.WithoutCancel(in.Context()))
	b.bind(in.Context())
	req := in.Clone(b.ctx)
	req.Header.Set("User-Agent", d.agent)
	d.requests.Add(1)

	b.silence = time.AfterFunc(d.stall, func() { b.cancel(errStalled) })
	resp, err := d.inner.RoundTrip(req)
	b.silence.Stop()
	if err != nil {
		err = stalledOr(b.ctx, err)
		b.unbind()
		b.cancel(nil)
		b.turn.end()
		return nil, err
	}
	b.inner, resp.Body = resp.Body, b
	b.turn.rest()
	if isPassing(resp.StatusCode) {
		defer b.Close()
		return nil, newAnswerError(resp)
	}
	return resp, nil
}

// isPassing says of a status that the same request may succeed later.
func isPassing(code int) bool {
	switch code {
	case http.StatusRequestTimeout, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	case http.StatusNotImplemented, http.StatusHTTPVersionNotSupported:
		return false
	}
	return code >= 500
}

// body is an answer's body that counts and does not stay silent for long. The
// time between reads is the reader's and does not count as silence.
type body struct {
	door    *door
	turn    *turn
	inner   io.ReadCloser
	sent    time.Time       // when the request's turn had come
	ctx     context.Context // the request's, which net/http keeps as well
	cancel  context.CancelCauseFunc
	unbind  func() bool
	silence *time.Timer
}

// bind makes ctx govern the reading, in place of the context before, which
// must have been let go by unbind. It is the request's at first.
func (b *body) bind(ctx context.Context) {
	b.unbind = context.AfterFunc(ctx, func() { b.cancel(context.Cause(ctx)) })
}

func (b *body) Read(p []byte) (int, error) {
	if err := b.turn.take(b.ctx); err != nil {
		return 0, stalledOr(b.ctx, err)
	}
	b.silence.Reset(b.door.stall)
	n, err := b.inner.Read(p)
	b.silence.Stop()
	b.turn.rest()
	b.door.bytes.Add(int64(n))
	if err != nil && err != io.EOF {
		err = stalledOr(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	b.silence.Stop()
	b.unbind()
	b.cancel(nil)
	defer b.turn.end()
	return b.inner.Close()
}

// stalledOr returns errStalled if that is why ctx ended, else err.
func stalledOr(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled {
		return errStalled
	}
	return err
}
