package fakehub_test

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v4"
	"github.com/google/go-github/v60/github"

	"github.com/clipperregistry/runner/test/fakehub"
)

// receiver is an App's webhook that verifies with go-github.
type receiver struct {
	*httptest.Server
	secret string
	answer func(http.ResponseWriter, *http.Request)

	mu      sync.Mutex
	got     []received
	refused []error
}

type received struct {
	guid, event string
	body        []byte
}

// receive starts one and makes it the App's. answer may be nil.
func (w *world) receive(t *testing.T, answer func(http.ResponseWriter, *http.Request)) *receiver {
	t.Helper()
	r := &receiver{secret: w.app.WebhookSecret, answer: answer}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	w.app.SetWebhook(r.URL)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err == nil {
		req.Body = io.NopCloser(bytes.NewReader(body))
		_, err = github.ValidatePayload(req, []byte(r.secret))
	}
	r.mu.Lock()
	if err != nil {
		r.refused = append(r.refused, err)
	} else {
		r.got = append(r.got, received{github.DeliveryID(req), github.WebHookType(req), body})
	}
	r.mu.Unlock()
	if r.answer != nil {
		r.answer(w, req)
	}
}

// events waits until nothing is on its way, and lists what came.
func (r *receiver) events(t *testing.T, w *world) []string {
	t.Helper()
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []string
	for _, got := range r.got {
		all = append(all, got.event)
	}
	r.got = nil
	return all
}

var ping = fakehub.Message{Event: "ping", Payload: []byte(`{"zen":"z","hook_id":1}`)}

// TestAttempts notes what came of deliveries.
func TestAttempts(t *testing.T) {
	w := start(t, fakehub.Config{DeliveryTimeout: 100 * time.Millisecond})
	r := w.receive(t, nil)
	base := r.URL
	slow := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			_, _ = io.Copy(io.Discard, r.Body)
			<-r.Context().Done()
		case "/broken":
			rw.WriteHeader(http.StatusServiceUnavailable)
		case "/elsewhere":
			http.Redirect(rw, r, "/", http.StatusFound)
		}
	}))
	defer slow.Close()
	for _, tt := range []struct {
		url    string
		fault  fakehub.Fault
		status string
		code   int
	}{
		{base, fakehub.Fault{}, "OK", 200},
		{slow.URL + "/slow", fakehub.Fault{}, "timed out", 0},
		{slow.URL + "/broken", fakehub.Fault{}, "Invalid HTTP Response: 503", 503},
		{slow.URL + "/elsewhere", fakehub.Fault{}, "Invalid HTTP Response: 302", 302},
		{"http://127.0.0.1:1/", fakehub.Fault{}, "failed to connect to host", 0},
		{base, fakehub.Unreachable, "failed to connect to host", 0},
		{base, fakehub.LostResponse, "timed out", 0},
		{base, fakehub.BadGateway, "Invalid HTTP Response: 502", 502},
	} {
		w.app.SetWebhook(tt.url)
		w.Fail("webhook/deliver", tt.fault, 1)
		if got := w.app.DeliverNow(ping); got.Status != tt.status || got.Code != tt.code {
			t.Errorf("%s: %q %d, want %q %d", tt.url, got.Status, got.Code, tt.status, tt.code)
		}
	}
	if got := r.events(t, w); len(got) != 2 {
		t.Errorf("%d came: the first, and the one whose answer was lost", len(got))
	}
}

// TestDeliveryLog pages through the log, and forgets after three days.
func TestDeliveryLog(t *testing.T) {
	w := start(t, fakehub.Config{})
	w.receive(t, nil)
	var sent []string
	for range 5 {
		sent = append(sent, w.app.DeliverNow(ping).GUID)
	}
	w.Fail("webhook/deliver", fakehub.BadGateway, 1)
	sent = append(sent, w.app.DeliverNow(ping).GUID)
	w.Fail("webhook/deliver", fakehub.Unreachable, 1)
	sent = append(sent, w.app.DeliverNow(ping).GUID)
	slices.Reverse(sent)
	var listed []string
	pages := 0
	for options := (&github.ListCursorOptions{PerPage: 3}); ; pages++ {
		all, resp, err := w.asApp.Apps.ListHookDeliveries(t.Context(), options)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range all {
			listed = append(listed, d.GetGUID())
		}
		if options.Cursor = resp.Cursor; resp.Cursor == "" {
			break
		}
	}
	if !slices.Equal(listed, sent) || pages != 2 {
		t.Errorf("%d pages listed %v, want %v", pages+1, listed, sent)
	}
	failed := w.list(t, "?status=failure")
	if len(failed) != 1 || failed[0].GetGUID() != sent[1] {
		t.Errorf("failures %v: what got no answer is none", failed)
	}
	id := w.list(t, "")[0].GetID()
	w.clock(t, 3*24*time.Hour-time.Minute)
	if left := w.list(t, ""); len(left) != 7 {
		t.Errorf("%d after almost three days", len(left))
	}
	w.clock(t, 2*time.Minute)
	if left := w.list(t, ""); len(left) != 0 {
		t.Errorf("%d after three days", len(left))
	}
	if _, _, err := w.asApp.Apps.GetHookDelivery(t.Context(), id); status(err) != http.StatusNotFound {
		t.Errorf("one that is forgotten: %v", err)
	}
}

// clock moves the hub's clock and, with it, that of the App's calls.
func (w *world) clock(t *testing.T, d time.Duration) {
	t.Helper()
	w.Advance(d)
	key, err := jwt.ParseRSAPrivateKeyFromPEM([]byte(w.app.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	now := w.Now()
	signed, err := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims{
		"iss": w.app.ClientID, "iat": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix()}).SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	base := w.asApp.BaseURL
	w.asApp = github.NewClient(nil).WithAuthToken(signed)
	w.asApp.BaseURL = base
}

// list lists deliveries.
func (w *world) list(t *testing.T, query string) []*github.HookDelivery {
	t.Helper()
	var all []*github.HookDelivery
	if _, err := call(t.Context(), w.asApp, http.MethodGet, "app/hook/deliveries"+query, nil, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestMessages sends what a network, or an attacker, can make of deliveries.
func TestMessages(t *testing.T) {
	w := start(t, fakehub.Config{})
	r := w.receive(t, nil)
	first := w.app.DeliverNow(ping).GUID
	if !w.app.Redeliver(first) || w.app.Redeliver("none") {
		t.Error("a redelivery")
	}
	second := w.app.Duplicate(first)
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	var guids []string
	for _, got := range r.got {
		guids = append(guids, got.guid)
	}
	if !slices.Equal(slices.Sorted(slices.Values(guids)), slices.Sorted(slices.Values([]string{first, first, second}))) {
		t.Errorf("GUIDs %v", guids)
	}
	r.events(t, w)
	large := fakehub.Padded(ping.Payload, 25<<20)
	w.app.DeliverNow(fakehub.Message{Event: "push", Payload: large, Delay: time.Millisecond})
	if len(large) != 25<<20 || len(r.got) != 1 || !bytes.Equal(r.got[0].body, large) {
		t.Errorf("%d bytes came as %d deliveries", len(large), len(r.got))
	}
	for name, m := range map[string]fakehub.Message{
		"unsigned":          {Event: "push", Payload: ping.Payload, Unsigned: true},
		"another's secret":  {Event: "push", Payload: ping.Payload, Secret: "x"},
		"a broken one":      {Event: "push", Payload: ping.Payload, Header: map[string]string{"X-Hub-Signature-256": "sha256=00"}},
		"another mediatype": {Event: "push", Payload: ping.Payload, ContentType: "text/plain"},
	} {
		before := len(r.refused)
		if w.app.DeliverNow(m); len(r.refused) != before+1 {
			t.Errorf("%s was taken", name)
		}
	}
	if w.app.DeliverNow(fakehub.Message{Event: "push", Payload: []byte(`{"`)}).Status != "OK" {
		t.Error("garbage was not delivered")
	}
}

// TestHold lets deliveries wait, and come in another order.
func TestHold(t *testing.T) {
	w := start(t, fakehub.Config{})
	r := w.receive(t, nil)
	w.Hold()
	for i := range 5 {
		w.app.Deliver(fakehub.Message{Event: fmt.Sprint("e", i), Payload: []byte("{}")})
	}
	if got := r.events(t, w); len(got) != 0 {
		t.Errorf("held: %v", got)
	}
	w.Release(fakehub.Backwards)
	if got := strings.Join(r.events(t, w), " "); got != "e4 e3 e2 e1 e0" {
		t.Errorf("released: %s", got)
	}
}

// TestCursor refuses one that is none.
func TestCursor(t *testing.T) {
	w := start(t, fakehub.Config{})
	_, _, err := w.asApp.Apps.ListHookDeliveries(t.Context(), &github.ListCursorOptions{Cursor: url.QueryEscape("?")})
	if status(err) != http.StatusUnprocessableEntity {
		t.Errorf("a cursor that is none: %v", err)
	}
}

func sorted(s []string) []string { return slices.Sorted(slices.Values(s)) }
