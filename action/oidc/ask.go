package oidc

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/clipperregistry/runner/runnerimage/credentials"
)

const (
	attempts  = 3
	pause     = 500 * time.Millisecond // before the second attempt; twice that before the third
	asking    = time.Minute            // for the whole of a login
	maxPause  = 10 * time.Second       // of those that a service asks for
	answering = 20 * time.Second       // for one answer
	maxAnswer = 1 << 20
)

// asker asks the services for one login, and knows its secrets.
type asker struct {
	http *http.Client
	mask func(string)

	mu      sync.Mutex
	secrets []string
}

// secret masks values in the job's log and keeps them out of errors.
func (a *asker) secret(values ...string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, v := range values {
		if v == "" || slices.Contains(a.secrets, v) {
			continue
		}
		if a.mask != nil {
			a.mask(v)
		}
		a.secrets = append(a.secrets, v)
	}
	// Longest first: a secret that contains another must be taken out first, or
	// its rest stays.
	slices.SortStableFunc(a.secrets, func(v, w string) int { return len(w) - len(v) })
}

func (a *asker) redact(s string) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, v := range a.secrets {
		s = strings.ReplaceAll(s, v, "***")
	}
	return s
}

// form makes the POST of a form.
func form(values url.Values) (body []byte, header http.Header) {
	return []byte(values.Encode()), http.Header{"Content-Type": {"application/x-www-form-urlencoded"}}
}

// post sends body to an address until it is answered, and reads the answer
// into out. what names the call in errors.
func (a *asker) post(ctx context.Context, what, address string, body []byte, header http.Header, out any) error {
	err := a.retry(ctx, func() (time.Duration, error) {
		return a.postOnce(ctx, address, body, header, out)
	})
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

func (a *asker) postOnce(ctx context.Context, address string, body []byte, header http.Header, out any) (wait time.Duration, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return 0, fmt.Errorf("%w: its address is not a URL", credentials.ErrSettings) // the error would quote it
	}
	req.Header = header.Clone()
	req.Header.Set("Accept", "application/json")
	resp, err := a.http.Do(req)
	if err != nil {
		var withURL *url.Error
		if errors.As(err, &withURL) {
			err = withURL.Err // without the URL
		}
		return 0, fmt.Errorf("%w from %s: %w", ErrUnreachable, req.URL.Host, err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, fmt.Errorf("%w from %s: %w", ErrUnreachable, req.URL.Host, err)
	}
	if resp.StatusCode != http.StatusOK {
		return retryAfter(resp.Header), a.refusal(resp.StatusCode, answer)
	}
	if err := json.Unmarshal(answer, out); err != nil {
		// The decoder's own words may quote the answer.
		return 0, &misunderstood{req.URL.Host}
	}
	return 0, nil
}

// retry asks again where waiting may help, a bounded number of times.
func (a *asker) retry(ctx context.Context, ask func() (wait time.Duration, err error)) error {
	for n := 0; ; n++ {
		wait, err := ask()
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err == nil || n == attempts-1 || !temporary(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(max(pause<<n, wait)):
		}
	}
}

func temporary(err error) bool {
	var refused *refusal
	if errors.As(err, &refused) {
		return refused.status >= 500 || refused.status == http.StatusTooManyRequests || refused.status == http.StatusRequestTimeout
	}
	var misread *misunderstood
	return errors.Is(err, ErrUnreachable) && !errors.As(err, &misread)
}

// retryAfter is how long a service wants to be left alone; its dates are not
// read.
func retryAfter(h http.Header) time.Duration {
	seconds, err := strconv.ParseUint(h.Get("Retry-After"), 10, 16)
	if err != nil {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxPause)
}

// misunderstood is an answer of a form that is not the service's.
type misunderstood struct{ host string }

func (m *misunderstood) Error() string        { return "no usable answer from " + m.host }
func (m *misunderstood) Is(target error) bool { return target == ErrUnreachable }

// refusal is an answer other than 200.
type refusal struct {
	status        int
	code, message string
}

func (r *refusal) Error() string {
	s := "status " + strconv.Itoa(r.status)
	if r.code != "" {
		s += " " + r.code
	}
	if r.message != "" {
		s += ": " + r.message
	}
	return s
}

// Is tells a refusal from a service that is in trouble itself.
func (r *refusal) Is(target error) bool {
	if temporary(r) {
		return target == ErrUnreachable
	}
	return target == credentials.ErrRefused
}

// refusal reads the errors of OAuth services ("error" is a word), of Google's
// APIs ("error" is an object) and of registries ("errors" is a list). Some
// quote the request, so secrets are taken out, and before the text is
// shortened: half a secret could not be found.
func (a *asker) refusal(status int, answer []byte) *refusal {
	var body struct {
		Error       json.RawMessage
		Description string `json:"error_description"`
		Errors      []struct{ Code, Message string }
		Message     string
	}
	r := &refusal{status: status}
	if json.Unmarshal(answer, &body) == nil {
		var object struct{ Status, Message string }
		switch {
		case json.Unmarshal(body.Error, &r.code) == nil:
			r.message = body.Description
		case json.Unmarshal(body.Error, &object) == nil:
			r.code, r.message = object.Status, object.Message
		case len(body.Errors) > 0:
			r.code, r.message = body.Errors[0].Code, body.Errors[0].Message
		}
		if r.message == "" {
			r.message = body.Message
		}
	}
	r.code, r.message = credentials.Printable(a.redact(r.code), 60), credentials.Printable(a.redact(r.message), 300)
	return r
}
