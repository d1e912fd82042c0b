package accept

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clipperregistry/runner/webhook"
)

// memory is an inbox.
type memory struct {
	mu   sync.Mutex
	have map[string]webhook.Delivery
	// before is called with each delivery, and may fail it.
	before func(context.Context, webhook.Delivery) error
}

func (m *memory) Accept(ctx context.Context, d webhook.Delivery) (bool, error) {
	if m.before != nil {
		if err := m.before(ctx, d); err != nil {
			return false, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.have == nil {
		m.have = map[string]webhook.Delivery{}
	}
	_, known := m.have[d.GUID]
	if !known {
		m.have[d.GUID] = d
	}
	return !known, nil
}

var apps = []App{{ID: 1, Secrets: []string{"old", "new"}}, {ID: 2, Secrets: []string{"other"}}}

// handler is one for apps, with changes to its configuration.
func handler(t testing.TB, in *memory, change ...func(*Config)) *Handler {
	t.Helper()
	c := Config{Apps: apps, Inbox: in, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
	for _, f := range change {
		f(&c)
	}
	h, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

const (
	guid = "72d3162e-cc78-11e3-81ab-4c9367dc0958"
	body = `{"action": "opened", "installation": {"id": 5}, "repository": {"id": 6, "full_name": "octo/cat"}, "sender": {"login": "mona"}}`
)

// request is a delivery as GitHub sends it, with changes.
func request(content string, change ...func(*http.Request)) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/webhook", strings.NewReader(content))
	r.RemoteAddr = "192.0.2.1:4711"
	for name, value := range map[string]string{
		"Content-Type": "application/json", "User-Agent": "GitHub-Hookshot/044aadd",
		headerGUID: guid, headerEvent: "pull_request", headerHook: "292430182", headerSignature: sign("new", []byte(content)),
	} {
		r.Header.Set(name, value)
	}
	for _, f := range change {
		f(r)
	}
	return r
}

func header(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func without(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }

func serve(h http.Handler, r *http.Request) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestAccept(t *testing.T) {
	in := &memory{}
	now := time.Date(2026, 11, 21, 0, 0, 0, 0, time.UTC)
	h := handler(t, in, func(c *Config) { c.Now = func() time.Time { return now } })
	w := serve(h, request(body))
	if got := strings.TrimSpace(w.Body.String()); w.Code != http.StatusAccepted || got != `{"delivery":"`+guid+`"}` {
		t.Errorf("%d %s", w.Code, got)
	}
	want := webhook.Delivery{
		App: 1, GUID: guid, Event: "pull_request", HookID: 292430182, Source: webhook.Pushed, Received: now, Body: []byte(body),
		Head: webhook.Head{Action: "opened", Installation: 5, Repository: 6, FullName: "octo/cat", Sender: "mona"},
	}
	if got := in.have[guid]; !reflect.DeepEqual(got, want) {
		t.Errorf("stored\n%+v, want\n%+v", got, want)
	}
	if w := serve(h, request(body)); w.Code != http.StatusOK || len(in.have) != 1 {
		t.Errorf("the same again: %d, and there are %d", w.Code, len(in.have))
	}
	for secret, app := range map[string]int64{"old": 1, "new": 1, "other": 2} {
		w := serve(h, request(body, header(headerGUID, secret), header(headerSignature, sign(secret, []byte(body)))))
		if w.Code != http.StatusAccepted || in.have[secret].App != app {
			t.Errorf("signed with %s: %d, of App %d, want %d", secret, w.Code, in.have[secret].App, app)
		}
	}
	// A body that is no JSON was signed all the same.
	if w := serve(h, request("Zen", header(headerGUID, "zen"))); w.Code != http.StatusAccepted || string(in.have["zen"].Body) != "Zen" {
		t.Errorf("no JSON: %d", w.Code)
	}
}

// TestRefuse is what no delivery of GitHub's looks like. Nothing of it is
// stored, and the answer tells nothing.
func TestRefuse(t *testing.T) {
	sha1 := "sha1=" + strings.Repeat("0", 40)
	for _, tt := range []struct {
		name   string
		r      *http.Request
		status int
	}{
		{"no signature", request(body, without(headerSignature)), 401},
		{"another secret's", request(body, header(headerSignature, sign("wrong", []byte(body)))), 401},
		{"another body's", request(body, header(headerSignature, sign("new", []byte("other")))), 401},
		{"an empty secret's", request(body, header(headerSignature, sign("", []byte(body)))), 401},
		{"SHA-1", request(body, header(headerSignature, sha1)), 401},
		{"only the old header", request(body, without(headerSignature), header("X-Hub-Signature", sha1)), 401},
		{"a short one", request(body, header(headerSignature, "sha256=00")), 401},
		{"no digits", request(body, header(headerSignature, "sha256="+strings.Repeat("x", 64))), 401},
		{"no algorithm", request(body, header(headerSignature, strings.TrimPrefix(sign("new", []byte(body)), "sha256="))), 401},
		{"two signatures", request(body, func(r *http.Request) { r.Header.Add(headerSignature, sign("wrong", []byte(body))) }), 400},
		{"a form", request(body, header("Content-Type", "application/x-www-form-urlencoded")), 415},
		{"no type", request(body, without("Content-Type")), 415},
		{"an encoding", request(body, header("Content-Encoding", "br")), 415},
		{"no gzip", request(body, header("Content-Encoding", "gzip")), 400},
		{"no GUID", request(body, without(headerGUID)), 400},
		{"a GUID with a path", request(body, header(headerGUID, "../a")), 400},
		{"a long GUID", request(body, header(headerGUID, strings.Repeat("a", 65))), 400},
		{"no event", request(body, without(headerEvent)), 400},
		{"an event with a line", request(body, header(headerEvent, "push\npull")), 400},
		{"a large body", request(body, func(r *http.Request) { r.ContentLength = MaxBody + 1 }), 413},
		{"GET", request(body, func(r *http.Request) { r.Method = http.MethodGet }), 405},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := &memory{}
			var log bytes.Buffer
			w := serve(handler(t, in, func(c *Config) { c.Log = slog.New(slog.NewTextHandler(&log, nil)) }), tt.r)
			if w.Code != tt.status {
				t.Errorf("%d, want %d", w.Code, tt.status)
			}
			if got := strings.TrimSpace(w.Body.String()); got != http.StatusText(tt.status) {
				t.Errorf("it tells %q", got)
			}
			if len(in.have) > 0 {
				t.Error("it is stored")
			}
			for _, secret := range []string{"new", "old", "other"} {
				if right := strings.TrimPrefix(sign(secret, []byte(body)), "sha256="); strings.Contains(log.String(), right) {
					t.Errorf("the log tells how to sign: %s", log.String())
				}
			}
		})
	}
}

func TestNew(t *testing.T) {
	registry := prometheus.NewRegistry()
	for _, tt := range []struct {
		name string
		c    Config
		ok   bool
	}{
		{"no App", Config{Inbox: &memory{}}, false},
		{"no secret", Config{Inbox: &memory{}, Apps: []App{{ID: 1}}}, false},
		{"an empty secret", Config{Inbox: &memory{}, Apps: []App{{ID: 1, Secrets: []string{"a", ""}}}}, false},
		{"one secret of two Apps", Config{Inbox: &memory{}, Apps: []App{{ID: 1, Secrets: []string{"a"}}, {ID: 2, Secrets: []string{"a"}}}}, false},
		{"no inbox", Config{Apps: apps}, false},
		{"all", Config{Inbox: &memory{}, Apps: apps, Metrics: registry}, true},
		{"metrics that are there", Config{Inbox: &memory{}, Apps: apps, Metrics: registry}, false},
	} {
		if _, err := New(tt.c); err == nil != tt.ok {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// TestSlowInbox answers while GitHub still listens.
func TestSlowInbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := &memory{before: func(ctx context.Context, _ webhook.Delivery) error {
			<-ctx.Done()
			return ctx.Err()
		}}
		start := time.Now()
		w := serve(handler(t, in), request(body))
		if w.Code != http.StatusServiceUnavailable || w.Header().Get("Retry-After") == "" {
			t.Errorf("%d %v", w.Code, w.Header())
		}
		if took := time.Since(start); took != Patience {
			t.Errorf("it took %v, want %v", took, Patience)
		}
	})
}

func TestBrokenInbox(t *testing.T) {
	in := &memory{before: func(context.Context, webhook.Delivery) error { return errors.New("the disk is full") }}
	if w := serve(handler(t, in), request(body)); w.Code != http.StatusServiceUnavailable {
		t.Errorf("%d", w.Code)
	}
}

// TestHangUp stores a delivery whose sender did not wait.
func TestHangUp(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	in := &memory{before: func(inner context.Context, _ webhook.Delivery) error {
		cancel()
		return inner.Err()
	}}
	if w := serve(handler(t, in), request(body).WithContext(ctx)); w.Code != http.StatusAccepted {
		t.Errorf("%d", w.Code)
	}
}

func TestDrain(t *testing.T) {
	in := &memory{}
	h := handler(t, in)
	in.before = func(context.Context, webhook.Delivery) error {
		h.Drain()
		if w := serve(h, request(body, header(headerGUID, "late"))); w.Code != http.StatusServiceUnavailable || w.Header().Get("Connection") != "close" {
			t.Errorf("what comes: %d", w.Code)
		}
		return nil
	}
	if w := serve(h, request(body)); w.Code != http.StatusAccepted || len(in.have) != 1 {
		t.Errorf("what was begun with: %d", w.Code)
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	h := handler(t, &memory{}, func(c *Config) { c.Metrics = registry })
	serve(h, request(body))
	serve(h, request(body))
	serve(h, request(body, without(headerSignature)))
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, f := range families {
		for _, m := range f.Metric {
			name := f.GetName()
			for _, l := range m.Label {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + float64(m.GetHistogram().GetSampleCount())
		}
	}
	want := map[string]float64{
		"clipper_webhook_answers_total 202": 1, "clipper_webhook_answers_total 200": 1, "clipper_webhook_answers_total 401": 1,
		"clipper_webhook_accept_seconds": 2, "clipper_webhook_body_bytes_total": 2 * float64(len(body)), "clipper_webhook_deliveries_total": 1,
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// FuzzServe sends anything. Nothing panics, and nothing unsigned is stored.
func FuzzServe(f *testing.F) {
	f.Add("POST", "application/json", "", guid, "push", sign("new", []byte(body)), "10.0.0.1", body)
	f.Add("POST", "application/json; charset=utf-8", "gzip", guid, "push", "sha256=", "::1, x", "\x1f\x8b\x08\x00")
	f.Add("GET", "", "", "", "", "", "", "")
	f.Fuzz(func(t *testing.T, method, mediaType, encoding, id, event, signature, forwarded, content string) {
		in := &memory{}
		h := handler(t, in, func(c *Config) { c.Proxies = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} })
		r := request(content, func(r *http.Request) {
			r.Method = method
			r.Header = http.Header{"Content-Type": {mediaType}, "Content-Encoding": {encoding}, "X-Forwarded-For": {forwarded},
				headerSignature: {signature}}
			r.Header.Set(headerGUID, id)
			r.Header.Set(headerEvent, event)
		})
		w := serve(h, r)
		signed := strings.EqualFold(signature, sign("new", []byte(content))) || strings.EqualFold(signature, sign("old", []byte(content))) ||
			strings.EqualFold(signature, sign("other", []byte(content)))
		if stored := len(in.have) > 0; stored != (w.Code < 300) || stored && encoding != "gzip" && !signed {
			t.Errorf("%d, stored %v, signed %v", w.Code, stored, signed)
		}
	})
}
