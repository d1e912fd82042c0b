package hub

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// Made is an App that was just made from a manifest. GitHub tells its secrets
// this one time.
type Made struct {
	ID       int64
	Slug     string
	Name     string
	Owner    string // login of the organisation or person
	Page     string // of the App; below it is where it can be installed
	ClientID string

	// Secrets, which nobody prints.
	ClientSecret  string `json:"-"`
	WebhookSecret string `json:"-"`
	PrivateKey    []byte `json:"-"` // PEM
}

// String is for logs.
func (m Made) String() string { return fmt.Sprintf("App %d (%s)", m.ID, m.Slug) }

// GoString is for logs.
func (m Made) GoString() string { return m.String() }

// Hub is one for the App. Of c, App and Signer are its own.
func (m Made) Hub(c Config) (*Hub, error) {
	signer, err := ParseKey(m.PrivateKey)
	if err != nil {
		return nil, err
	}
	c.App, c.Signer = m.ID, signer
	return New(c)
}

// Convert trades the code that a browser brought back from GitHub's manifest
// page for the App and its secrets. A code serves once, and for an hour. After
// ErrLost it may be tried again: it is ErrGone then if GitHub had answered, and
// the secrets are lost. Of c, App and Signer are not needed.
func Convert(ctx context.Context, c Config, code string) (Made, error) {
	ctx, cancel := context.WithTimeout(ctx, cmp.Or(c.Timeout, 30*time.Second))
	defer cancel()
	if c.Transport == nil {
		c.Transport = http.DefaultTransport
	}
	var sent atomic.Bool
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteHeaders: func() { sent.Store(true) }})
	target := strings.TrimSuffix(cmp.Or(c.URL, "https://api.github.com"), "/") + "/app-manifests/" + url.PathEscape(code) + "/conversions"
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return Made{}, errors.New("trade the code of the manifest: the URL of the API is none") // the error has the code
	}
	req.Header.Set("Accept", "application/vnd.github+json")
	client := &http.Client{
		Transport:     &wire{next: c.Transport, now: time.Now},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	resp, err := client.Do(req)
	if err != nil {
		if failed := (*url.Error)(nil); errors.As(err, &failed) {
			err = failed.Err // it has the code in its URL
		}
		if sent.Load() {
			err = fmt.Errorf("%w: %w", ErrLost, err)
		}
		return Made{}, fmt.Errorf("trade the code of the manifest: %w", err)
	}
	defer resp.Body.Close()
	made, err := converted(resp)
	if err != nil {
		return Made{}, fmt.Errorf("trade the code of the manifest: %w", err)
	}
	return made, nil
}

func converted(resp *http.Response) (Made, error) {
	switch {
	case resp.StatusCode == http.StatusNotFound:
		return Made{}, fmt.Errorf("%w: the code is used up, or older than an hour", ErrGone)
	case resp.StatusCode == http.StatusUnprocessableEntity:
		return Made{}, fmt.Errorf("%w: the code", ErrInvalid)
	case resp.StatusCode != http.StatusCreated:
		return Made{}, fmt.Errorf("GitHub answers %s", resp.Status)
	}
	var in struct {
		ID            int64        `json:"id"`
		Slug          string       `json:"slug"`
		Name          string       `json:"name"`
		Owner         webhook.User `json:"owner"`
		Page          string       `json:"html_url"`
		ClientID      string       `json:"client_id"`
		ClientSecret  string       `json:"client_secret"`
		WebhookSecret string       `json:"webhook_secret"`
		PrivateKey    string       `json:"pem"`
	}
	if err := json.NewDecoder(resp.Body).Decode(&in); err != nil {
		return Made{}, fmt.Errorf("%w: %w", ErrLost, err)
	}
	if _, err := ParseKey([]byte(in.PrivateKey)); err != nil || in.ID <= 0 {
		return Made{}, fmt.Errorf("%w: there is no App with a key in the answer", ErrLost)
	}
	return Made{
		ID: in.ID, Slug: in.Slug, Name: in.Name, Owner: in.Owner.Login, Page: in.Page, ClientID: in.ClientID,
		ClientSecret: in.ClientSecret, WebhookSecret: in.WebhookSecret, PrivateKey: []byte(in.PrivateKey),
	}, nil
}
