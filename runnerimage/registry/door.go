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
// breaks off silent connections, counts, and turns the answers that ask for
// another try into errors, so that all callers see them the same way.
type door struct {
	inner *http.Transport
	agent string
	stall time.Duration
	plain func(host string) bool

	requests, bytes atomic.Int64
}

func (d *door) RoundTrip(in *http.Request) (*http.Response, error) {
	if in.URL.Scheme != "https" && !(in.URL.Scheme == "http" && d.plain(in.URL.Host)) {
		if in.Body != nil {
			in.Body.Close()
		}
		return nil, &plainError{host: in.URL.Host}
	}
	ctx, cancel := context.WithCancelCause(in.Context())
	req := in.Clone(ctx)
	req.Header.Set("User-Agent", d.agent)
	d.requests.Add(1)

	silence := time.AfterFunc(d.stall, func() { cancel(errStalled) })
	resp, err := d.inner.RoundTrip(req)
	silence.Stop()
	if err != nil {
		err = stalledOr(ctx, err)
		cancel(nil)
		return nil, err
	}
	resp.Body = &body{door: d, inner: resp.Body, ctx: ctx, cancel: cancel, silence: silence}
	if isPassing(resp.StatusCode) {
		defer resp.Body.Close()
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
	inner   io.ReadCloser
	ctx     context.Context // the request's, which net/http keeps as well
	cancel  context.CancelCauseFunc
	silence *time.Timer
}

func (b *body) Read(p []byte) (int, error) {
	b.silence.Reset(b.door.stall)
	n, err := b.inner.Read(p)
	b.silence.Stop()
	b.door.bytes.Add(int64(n))
	if err != nil && err != io.EOF {
		err = stalledOr(b.ctx, err)
	}
	return n, err
}

func (b *body) Close() error {
	b.silence.Stop()
	b.cancel(nil)
	return b.inner.Close()
}

// stalledOr returns errStalled if that is why ctx ended, else err.
func stalledOr(ctx context.Context, err error) error {
	if context.Cause(ctx) == errStalled {
		return errStalled
	}
	return err
}
