package publish

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"unicode"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
)

// ErrArguments says that a source, target or option cannot be what was meant.
// What else goes wrong wraps an error of the registry room.
var ErrArguments = errors.New("bad arguments")

var errPlain = errors.New("plain HTTP is not allowed")

// known are the errors that say already what happened.
var known = []error{
	registry.ErrDenied, registry.ErrNotFound, registry.ErrUnreachable, registry.ErrMismatch,
	registry.ErrTooLarge, registry.ErrInsecure, registry.ErrUnsupported, ErrArguments,
}

// explain makes the error of a request that go-containerregistry has given up:
// which repository, what happened, and what to do. Its text is fit for logs,
// which the cause's is not.
func (a *access) explain(ctx context.Context, ref oci.Reference, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("%s: %w", ref.Name(), context.Cause(ctx))
	}
	if failed, ok := errors.AsType[*url.Error](err); ok {
		err = failed.Err // without the URL
	}
	for _, kind := range known {
		if errors.Is(err, kind) {
			return err
		}
	}
	hint, kind := a.judge(ref, err)
	return fmt.Errorf("%s: %w: %s (%s)", ref.Name(), kind, a.keychain.words(err), hint)
}

func (a *access) judge(ref oci.Reference, err error) (hint string, kind error) {
	if _, ok := errors.AsType[*tls.CertificateVerificationError](err); ok {
		return "its certificate must be for this host and signed by a known CA; CLIPPER_CA_CERTS adds one", registry.ErrUnreachable
	}
	if answer, ok := errors.AsType[*transport.Error](err); ok {
		return a.judgeAnswer(ref, answer.StatusCode)
	}
	if errors.Is(err, http.ErrSchemeMismatch) {
		return "the registry speaks plain HTTP; if that is wanted, list the host in CLIPPER_INSECURE_REGISTRIES", registry.ErrInsecure
	}
	return "check the host's name, the network and the proxy settings", registry.ErrUnreachable
}

func (a *access) judgeAnswer(ref oci.Reference, code int) (hint string, kind error) {
	switch {
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		if !a.keychain.hasLogin(ref.Host()) {
			return "asked anonymously: docker login " + ref.Host() + ", or set CLIPPER_CREDENTIALS", registry.ErrDenied
		}
		return "the credentials do not allow to push there, or do not fit", registry.ErrDenied
	case code == http.StatusNotFound:
		return "check the name; some registries want a repository made before the first push", registry.ErrNotFound
	case code == http.StatusTooManyRequests, code == http.StatusRequestTimeout, code >= 500:
		return "the registry is in trouble or limits the rate; try later", registry.ErrUnreachable
	}
	return "is this a registry of OCI images?", registry.ErrUnsupported
}

// queries finds the queries of URLs, which may be signatures.
var queries = regexp.MustCompile(`\?[^\s"']+`)

// words is an error's text without what must not be shown: one line, no query
// of a URL, no secret that was ever sent.
func (k *keychain) words(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	text = k.redact(queries.ReplaceAllString(text, "?…"))
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
