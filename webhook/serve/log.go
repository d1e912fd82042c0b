package serve

import (
	"io"
	"log/slog"
	"net/url"
	"os"

	"github.com/clipperregistry/runner/webhook/mask"
)

// redactor writes a log without secrets: those that the service was given, and
// what looks like one. Each Write is a whole record, as those of slog are.
type redactor struct {
	to    io.Writer
	known *mask.Mask
}

func (r redactor) Write(p []byte) (int, error) {
	if _, err := io.WriteString(r.to, r.redact(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}

func (r redactor) redact(text string) string { return mask.Redact(r.known.Hide(text)) }

// told is an error whose text has no secrets.
func (r redactor) told(err error) error {
	if err == nil {
		return nil
	}
	return redacted{err, r.redact(err.Error())}
}

type redacted struct {
	error
	text string
}

func (r redacted) Error() string { return r.text }

func (r redacted) Unwrap() error { return r.error }

// newRedactor knows the settings' secrets.
func newRedactor(to io.Writer, secrets ...string) redactor {
	if to == nil {
		to = os.Stderr
	}
	return redactor{to, mask.New(secrets...)}
}

// secrets are all that the settings have.
func (s *Settings) secrets() []string {
	secrets := append([]string{}, s.CookieKeys...)
	if u, err := url.Parse(s.Database); err == nil && u.User != nil {
		if password, set := u.User.Password(); set {
			secrets = append(secrets, password)
		}
	}
	for _, a := range s.Apps {
		secrets = append(append(secrets, a.Secrets...), a.ClientSecret, a.Key.PEM)
	}
	return secrets
}

// logger writes to a redactor.
func (s *Settings) logger(r redactor) *slog.Logger {
	if s.JSON {
		return slog.New(slog.NewJSONHandler(r, nil))
	}
	return slog.New(slog.NewTextHandler(r, nil))
}
