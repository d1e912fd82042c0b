package registry

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// The errors that callers tell apart. oci.ErrNoPlatform is one more.
var (
	// ErrDenied: the registry refused the credentials, or their absence. It
	// does not say whether the image exists.
	ErrDenied = errors.New("access denied")
	// ErrNotFound: the registry has no such manifest or blob.
	ErrNotFound = errors.New("not found")
	// ErrUnreachable: the network or the registry gave no usable answer in the
	// end.
	ErrUnreachable = errors.New("registry out of reach")
	// ErrMismatch: the bytes are not those of the digest or descriptor.
	ErrMismatch = errors.New("content mismatch")
	// ErrTooLarge: a manifest or config is beyond 16 MiB, or a span beyond
	// MaxSpan.
	ErrTooLarge = errors.New("too large")
	// ErrInsecure: only plain HTTP is to be had, from a host not listed for it.
	ErrInsecure = errors.New("plain HTTP not allowed")
	// ErrUnsupported: the reference names something that is no image of a
	// known form.
	ErrUnsupported = errors.New("unsupported image")
	// ErrNoRanges: the registry does not give out pieces of the blob. The whole
	// of it is to be had: see Ranges.Whole.
	ErrNoRanges = errors.New("ranges are not honoured")
	// ErrNotStored: the shelf lacks a document of the image.
	ErrNotStored = errors.New("not stored")
)

var (
	errStalled = errors.New("the connection went silent")
	// errShort: a body ended cleanly before the blob's size.
	errShort = errors.New("the blob ends early")
)

// plainError is a request that would have gone over plain HTTP.
type plainError struct{ host string }

func (e *plainError) Error() string { return "plain HTTP to " + e.host + " is not allowed" }
func (e *plainError) Unwrap() error { return ErrInsecure }

// answerError is an answer with a status that was not asked for.
type answerError struct {
	code  int
	host  string        // who answered
	said  string        // the registry's code and message
	after time.Duration // Retry-After
}

func (e *answerError) Error() string {
	text := fmt.Sprintf("HTTP %d %s", e.code, http.StatusText(e.code))
	if e.host != "" {
		text += " from " + e.host
	}
	if e.said != "" {
		text += ": " + e.said
	}
	return text
}

// newAnswerError reads what the answer says. It does not close the body.
func newAnswerError(resp *http.Response) *answerError {
	const most = 8 << 10
	text, _ := io.ReadAll(io.LimitReader(resp.Body, most)) // what there is of it
	e := &answerError{code: resp.StatusCode, after: retryAfter(resp.Header.Get("Retry-After"))}
	if resp.Request != nil {
		e.host = resp.Request.URL.Host
	}
	var said transport.Error
	if json.Unmarshal(bytes.TrimSpace(text), &said) == nil {
		e.said = diagnosis(said.Errors)
	}
	return e
}

// diagnosis is the first of a registry's diagnostics.
func diagnosis(list []transport.Diagnostic) string {
	if len(list) == 0 {
		return ""
	}
	return strings.Trim(string(list[0].Code)+": "+list[0].Message, ": ")
}

// retryAfter reads the header in its two forms; 0 is none.
func retryAfter(header string) time.Duration {
	if seconds, err := strconv.ParseUint(header, 10, 31); err == nil {
		return time.Duration(seconds) * time.Second
	}
	if when, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(when))
	}
	return 0
}

// asAnswer finds the answer in err, ours or go-containerregistry's.
func asAnswer(err error) (*answerError, bool) {
	if answer, ok := errors.AsType[*answerError](err); ok {
		return answer, true
	}
	if foreign, ok := errors.AsType[*transport.Error](err); ok {
		answer := &answerError{code: foreign.StatusCode, said: diagnosis(foreign.Errors)}
		if foreign.Request != nil {
			answer.host = foreign.Request.URL.Host
		}
		return answer, true
	}
	return nil, false
}

// failure is an error of this package: what it was about, why, and what to do.
// Its text is fit for logs; the cause's need not be, and is not printed.
type failure struct {
	kind  error
	text  string
	cause error
}

func (f *failure) Error() string   { return f.text }
func (f *failure) Unwrap() []error { return []error{f.kind, f.cause} }

// explain makes the error of a place that is given up on.
func (c *Client) explain(ctx context.Context, p place, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", p, context.Cause(ctx))
	}
	if f, ok := errors.AsType[*failure](err); ok {
		return f
	}
	hint, kind := c.judge(p, err)
	text := p.String() + ": " + kind.Error()
	if words := c.words(err); words != kind.Error() {
		text += ": " + strings.TrimPrefix(words, kind.Error()+": ")
	}
	if hint != "" {
		text += " (" + hint + ")"
	}
	if errors.Is(err, io.EOF) {
		// A connection that was closed is no end of what was read from it.
		err = io.ErrUnexpectedEOF
	}
	return &failure{kind: kind, text: text, cause: err}
}

// judge finds which of the sentinels err is, and what a person can do.
func (c *Client) judge(p place, err error) (hint string, kind error) {
	for _, kind := range []error{ErrMismatch, ErrTooLarge, ErrUnsupported} {
		if errors.Is(err, kind) {
			return "", kind
		}
	}
	// Loopback is tried over both HTTPS and HTTP, and the errors come together:
	// the certificate tells more than a TLS server's answer to plain HTTP.
	if isUntrusted(err) {
		return "its certificate must be for this host and signed by a known CA; CLIPPER_CA_CERTS adds one", ErrUnreachable
	}
	if answer, ok := asAnswer(err); ok {
		return c.judgeAnswer(p, answer.code)
	}
	listIt := "if that is wanted, list the host in CLIPPER_INSECURE_REGISTRIES"
	// Logging in, go-containerregistry tries plain HTTP with private addresses
	// too; that this was held back is not the reason that HTTPS failed.
	_, direct := err.(*plainError)
	if plain, ok := errors.AsType[*plainError](err); ok && (direct || plain.host != p.host) {
		return listIt, ErrInsecure
	}
	if errors.Is(err, http.ErrSchemeMismatch) && !c.plainAllowed(p.host) {
		return "the registry speaks plain HTTP; " + listIt, ErrInsecure
	}
	if errors.Is(err, errShort) {
		return "", ErrMismatch
	}
	if isLoopback(p.host) && errors.Is(err, syscall.ECONNREFUSED) {
		return "localhost is this container; name the registry by an address that reaches it from here", ErrUnreachable
	}
	return "check the host's name, the network and the proxy settings", ErrUnreachable
}

func (c *Client) judgeAnswer(p place, code int) (hint string, kind error) {
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden, code == http.StatusPaymentRequired, code == http.StatusUnavailableForLegalReasons:
		if p.mirror || p.foreign != nil || !c.hasLogin(p.host) {
			return "missing or private, and asked for anonymously: check the name, or set CLIPPER_CREDENTIALS", ErrDenied
		}
		return "missing or private, or the credentials do not fit: check the name and CLIPPER_CREDENTIALS", ErrDenied
	case code == http.StatusNotFound, code == http.StatusGone:
		return "check the name, the tag and the digest", ErrNotFound
	case code == http.StatusTooManyRequests:
		return "the registry limits the rate: log in with CLIPPER_CREDENTIALS, use CLIPPER_MIRRORS, or try later", ErrUnreachable
	case code >= 500 && code != http.StatusNotImplemented, code == http.StatusRequestTimeout, code == http.StatusTooEarly:
		return "the registry is in trouble; try later", ErrUnreachable
	}
	return "is this a container registry?", ErrUnsupported
}

// OutOfReach says of an error of this package that the registry could not be
// asked: there was no connection, it went silent, or the registry was in
// trouble or limited the rate until the last try. What was refused, is missing,
// or came from somebody with a wrong certificate or with wrong bytes is not out
// of reach; nor is what the caller broke off, except by a deadline.
func OutOfReach(err error) bool {
	if f, ok := errors.AsType[*failure](err); ok {
		return f.kind == ErrUnreachable && !isUntrusted(f.cause)
	}
	return errors.Is(err, context.DeadlineExceeded)
}

func isUntrusted(err error) bool {
	_, ok := errors.AsType[*tls.CertificateVerificationError](err)
	return ok
}

// isLasting says of an error that trying again would not mend it.
func (c *Client) isLasting(p place, err error) bool {
	if isUntrusted(err) {
		return true
	}
	if answer, ok := asAnswer(err); ok {
		return !isPassing(answer.code)
	}
	if _, ok := errors.AsType[*failure](err); ok {
		return true
	}
	_, kind := c.judge(p, err)
	return kind != ErrUnreachable && !errors.Is(err, errShort)
}

// queries finds the queries of URLs, which may be signatures.
var queries = regexp.MustCompile(`\?[^\s"']+`)

// words is an error's text without what must not be shown: one line, no query
// of a URL, no secret that was ever sent.
func (c *Client) words(err error) string {
	text := err.Error()
	if answer, ok := asAnswer(err); ok {
		text = answer.Error()
	} else if failed, ok := errors.AsType[*url.Error](err); ok {
		text = failed.Err.Error()
	}
	text, _, _ = strings.Cut(text, "\n")
	text = queries.ReplaceAllString(text, "?…")
	c.mu.Lock()
	for secret := range c.secrets {
		text = strings.ReplaceAll(text, secret, "***")
	}
	c.mu.Unlock()
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '.'
	}, text)
	const most = 300
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
