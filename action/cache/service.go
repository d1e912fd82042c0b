package cache

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// The service's calls: Twirp with JSON in snake_case, as GitHub's own toolkit
// (actions/toolkit, packages/cache) makes them.

const (
	tries = 4
	// firstPause is the one before the second try; each is twice the one before.
	firstPause = 500 * time.Millisecond
	// longestPause is what a service may ask for. A job does not wait longer for
	// a cache.
	longestPause = 10 * time.Second
	// callTimeout bounds one try.
	callTimeout = 20 * time.Second
	maxAnswer   = 64 << 10
)

// find asks for the entry with a key, else the newest that begins with one of
// prefixes, the first of which goes first. Neither entry nor error: there is
// none.
func (s *Service) find(ctx context.Context, key string, prefixes ...string) (*blob, error) {
	var answer struct {
		OK      bool   `json:"ok"`
		URL     string `json:"signed_download_url"`
		Matched string `json:"matched_key"`
	}
	question := map[string]any{"key": key, "version": storedForm()}
	if len(prefixes) > 0 {
		question["restore_keys"] = prefixes
	}
	if err := s.call(ctx, "GetCacheEntryDownloadURL", question, &answer); err != nil || !answer.OK {
		return nil, err
	}
	s.maskURL(answer.URL)
	return &blob{service: s, key: answer.Matched, url: answer.URL}, nil
}

// create makes an entry of what a reads; not done: another job has made it.
func (s *Service) create(ctx context.Context, key string, a *archive) (done bool, err error) {
	var place struct {
		OK  bool   `json:"ok"`
		URL string `json:"signed_upload_url"`
	}
	err = s.call(ctx, "CreateCacheEntry", map[string]any{"key": key, "version": storedForm()}, &place)
	if refused, ok := errors.AsType[*refusal](err); ok && refused.status == http.StatusConflict {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if !place.OK {
		return false, nil
	}
	s.maskURL(place.URL)
	if err := s.upload(ctx, place.URL, a); err != nil {
		return false, err
	}
	var end struct {
		OK bool `json:"ok"`
	}
	// The field is an int64, which JSON of protocol buffers writes as a string.
	err = s.call(ctx, "FinalizeCacheEntryUpload", map[string]any{"key": key, "version": storedForm(), "size_bytes": strconv.FormatInt(a.size, 10)}, &end)
	if err == nil && !end.OK {
		err = errors.New("the service does not take what was uploaded")
	}
	return err == nil, err
}

// maskURL keeps the signature of a URL, which is as good as a token, out of the
// job's log.
func (s *Service) maskURL(signed string) {
	u, err := url.Parse(signed)
	if err != nil || s.Mask == nil {
		return
	}
	if signature := u.Query().Get("sig"); signature != "" {
		s.Mask(signature)
		s.Mask(url.QueryEscape(signature))
	}
}

// refusal is an answer that says no.
type refusal struct {
	method string
	status int
	says   string
	after  time.Duration // Retry-After
}

func (r *refusal) Error() string {
	text := fmt.Sprintf("%s: status %d", r.method, r.status)
	if r.says != "" {
		text += ": " + r.says
	}
	if r.status == http.StatusTooManyRequests {
		text += " (GitHub lets a repository save 200 entries in a minute)"
	}
	return text
}

// pause says how long to wait before trying again; not again: another try makes
// no sense.
func (r *refusal) pause(backoff time.Duration) (wait time.Duration, again bool) {
	switch r.status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		wait = max(backoff, r.after)
		return wait, wait <= longestPause
	}
	return 0, false
}

// call makes one call, several times if it must.
func (s *Service) call(ctx context.Context, method string, question, answer any) error {
	body, err := json.Marshal(question)
	if err != nil {
		return err
	}
	backoff := firstPause
	for try := 1; ; try++ {
		err := s.try(ctx, method, body, answer)
		if err == nil || ctx.Err() != nil || try == tries {
			return err
		}
		wait := backoff // of a connection that broke
		if refused, ok := errors.AsType[*refusal](err); ok {
			if wait, ok = refused.pause(backoff); !ok {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(wait):
		}
		backoff *= 2
	}
}

func (s *Service) try(ctx context.Context, method string, body []byte, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	address := strings.TrimRight(s.URL, "/") + "/twirp/github.actions.results.api.v1.CacheService/" + method
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, address, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("%s: %w", method, plain(err))
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+s.Token)
	resp, err := s.client().Do(req)
	if err != nil {
		return fmt.Errorf("%s: %w", method, plain(err))
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("%s: %w", method, err)
	}
	if resp.StatusCode != http.StatusOK {
		r := &refusal{method: method, status: resp.StatusCode}
		var says struct {
			Message string `json:"msg"`
		}
		if json.Unmarshal(text, &says) == nil {
			r.says = strings.ReplaceAll(fmt.Sprintf("%.300s", says.Message), s.Token, "***")
		}
		if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
			r.after = time.Duration(min(seconds, 3600)) * time.Second
		}
		return r
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s: the answer is no JSON object of its form", method)
	}
	return nil
}

// client never follows a redirect: the token is for the service's host alone.
func (s *Service) client() *http.Client {
	c := &http.Client{}
	if s.HTTP != nil {
		*c = *s.HTTP
	}
	c.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return c
}

// plain is an error without the URL that net/http puts into it: a signed URL is
// as good as a token.
func plain(err error) error {
	if withURL, ok := errors.AsType[*url.Error](err); ok {
		return withURL.Err
	}
	return err
}
