// Package accept takes deliveries in. In comes a POST of GitHub's, out goes a
// [webhook.Delivery] to an [Inbox], and GitHub is answered with success only
// when the inbox has it for good. Nothing of a body is acted upon here, and
// nothing is said about why a request was refused: whoever has the secret can
// read the log.
//
// The order of a request is that of its price: what the headers betray costs
// nothing, then the body is read under a bound of memory that all requests
// share, then its signature is checked, and only then is it looked into, for
// the few words that it is filed under. The signature covers the body and
// nothing else: the GUID and the event's name, which come in headers, are taken
// as a claim that whoever decides about the delivery checks.
package accept

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clipperregistry/runner/webhook"
)

// MaxBody is the largest body that is taken: GitHub sends none above 25 MB.
const MaxBody = 25<<20 + 64<<10

// Patience is how long a body may take to come, and then a commit: GitHub waits
// 10 s for its answer.
const Patience = 8 * time.Second

// Inbox keeps deliveries. What Accept returns without an error for is safe;
// fresh is false for a GUID that it had already.
type Inbox interface {
	Accept(ctx context.Context, d webhook.Delivery) (fresh bool, err error)
}

// App is a GitHub App that sends deliveries.
type App struct {
	ID int64
	// Secrets are all that it may sign with now: two while one replaces the
	// other.
	Secrets []string
}

// Config says what a Handler accepts, from whom, and into what.
type Config struct {
	Apps  []App // at least one, each with a secret of its own
	Inbox Inbox

	// Hooks are the networks that deliveries may come from, as GitHub names
	// them at /meta; none is any.
	Hooks []netip.Prefix
	// Proxies are the networks whose X-Forwarded-For is believed. The default
	// are private networks and this machine.
	Proxies []netip.Prefix

	// Memory is how many bytes all bodies together may take while they are
	// small; there may be LargeBodies large ones beside. The defaults are 64 MiB
	// and 4.
	Memory      int64
	LargeBodies int64

	// Metrics takes the handler's counters; nil takes none.
	Metrics prometheus.Registerer
	// Log is told why requests were refused. The default is slog.Default.
	Log *slog.Logger
	// Now is the clock. The default is time.Now.
	Now func() time.Time
}

// Handler answers POST requests for webhooks. It is safe for concurrent use.
type Handler struct {
	keys     keys
	inbox    Inbox
	doors    doors
	room     *room
	suspects *suspects
	metrics  *metrics
	log      *slog.Logger
	now      func() time.Time
	draining atomic.Bool
}

// New makes a handler. It fails for an App without a secret: such a handler
// would accept everybody's deliveries.
func New(c Config) (*Handler, error) {
	keys, err := newKeys(c.Apps)
	if err != nil {
		return nil, fmt.Errorf("accept deliveries: %w", err)
	}
	if c.Inbox == nil {
		return nil, errors.New("accept deliveries: no inbox")
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	metrics, err := newMetrics(c.Metrics)
	if err != nil {
		return nil, fmt.Errorf("accept deliveries: %w", err)
	}
	return &Handler{
		keys: keys, inbox: c.Inbox, doors: newDoors(c.Hooks, c.Proxies), room: newRoom(c.Memory, c.LargeBodies),
		suspects: newSuspects(c.Now), metrics: metrics, log: c.Log, now: c.Now,
	}, nil
}

// Drain has the handler refuse what comes from now on; what it has begun with
// goes on. Stop the server after it.
func (h *Handler) Drain() { h.draining.Store(true) }

// refusal is an answer that is not success.
type refusal struct {
	status int
	why    error
	// suspect counts it against the client.
	suspect bool
}

func (r *refusal) Error() string { return r.why.Error() }

func refuse(status int, format string, args ...any) *refusal {
	return &refusal{status: status, why: fmt.Errorf(format, args...)}
}

// ServeHTTP answers 202 for a delivery that is new and 200 for one that was
// there, each with its GUID.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	start := h.now()
	status, guid := h.serve(w, r)
	h.metrics.answered(status, h.now().Sub(start))
	if guid == "" {
		if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "60")
		}
		http.Error(w, http.StatusText(status), status)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(struct { // whom it does not reach hears nothing
		Delivery string `json:"delivery"`
	}{guid})
}

// serve takes a delivery in and returns the status to answer with; the GUID is
// empty if it was refused.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) (status int, guid string) {
	client := h.doors.client(r)
	status, guid, err := h.take(w, r, client)
	if err == nil {
		return status, guid
	}
	var no *refusal
	if !errors.As(err, &no) {
		no = &refusal{status: http.StatusServiceUnavailable, why: err}
	}
	if no.suspect {
		h.suspects.failed(client)
	}
	h.log.WarnContext(r.Context(), "delivery refused", "status", no.status, "client", client, "guid", short(r.Header.Get(headerGUID)), "error", no.why)
	return no.status, ""
}

func (h *Handler) take(w http.ResponseWriter, r *http.Request, client netip.Addr) (status int, guid string, err error) {
	switch {
	case r.Method != http.MethodPost:
		w.Header().Set("Allow", http.MethodPost)
		return 0, "", refuse(http.StatusMethodNotAllowed, "method %s", short(r.Method))
	case h.draining.Load():
		w.Header().Set("Connection", "close")
		return 0, "", refuse(http.StatusServiceUnavailable, "the service ends")
	case !h.doors.open(client):
		return 0, "", refuse(http.StatusForbidden, "the client is in none of the networks that may deliver")
	case h.suspects.blocked(client):
		return 0, "", refuse(http.StatusTooManyRequests, "too many of the client's deliveries were not signed")
	}
	head, err := readHeaders(r)
	if err != nil {
		return 0, "", err
	}
	body, app, release, err := h.readBody(w, r, head)
	defer release()
	if err != nil {
		return 0, "", err
	}
	h.suspects.passed(client)
	h.metrics.bytes.Add(float64(len(body)))

	d := webhook.Delivery{
		App: app, GUID: head.guid, Event: head.event, HookID: head.hook, Source: webhook.Pushed,
		Received: h.now(), Body: body, Head: webhook.ParseHead(body),
	}
	status, err = h.store(r.Context(), d)
	return status, d.GUID, err
}

// store hands a delivery to the inbox, within the share of memory that its
// installation may have.
func (h *Handler) store(ctx context.Context, d webhook.Delivery) (status int, err error) {
	leave, ok := h.room.enter(d.App, d.Installation, len(d.Body))
	if !ok {
		return 0, refuse(http.StatusServiceUnavailable, "installation %d has too many deliveries under way", d.Installation)
	}
	defer leave()
	// It is stored even if GitHub hangs up meanwhile.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), Patience)
	defer cancel()
	fresh, err := h.inbox.Accept(ctx, d)
	switch {
	case err != nil:
		return 0, refuse(http.StatusServiceUnavailable, "store it: %w", err)
	case fresh:
		h.metrics.fresh.Inc()
		return http.StatusAccepted, nil
	}
	return http.StatusOK, nil
}

// short is a stranger's text for the log.
func short(s string) string { return strconv.QuoteToASCII(s[:min(len(s), 64)]) }
