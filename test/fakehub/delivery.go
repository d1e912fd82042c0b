package fakehub

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// delivery is a request to an App's webhook, on its way or sent.
type delivery struct {
	app           *App
	id            int64 // when it was sent
	guid          string
	event, action string
	install, repo int64
	header        map[string]string
	payload       []byte
	delay         time.Duration
	redelivery    bool

	at           time.Time
	took         time.Duration
	status       string // "OK", or what went wrong
	code         int    // 0: there was no answer
	answer       []byte
	answerHeader map[string]string
}

// again is the same delivery, to be sent once more.
func (d *delivery) again() *delivery {
	return &delivery{app: d.app, guid: d.guid, event: d.event, action: d.action, install: d.install, repo: d.repo, header: d.header, payload: d.payload, redelivery: true}
}

// newDelivery makes one from a body, which may be anything.
func (a *App) newDelivery(m Message) *delivery {
	var head struct {
		Action  string             `json:"action"`
		Install struct{ ID int64 } `json:"installation"`
		Repo    struct{ ID int64 } `json:"repository"`
	}
	_ = json.Unmarshal(m.Payload, &head) // what cannot be read is not there
	if m.GUID == "" {
		m.GUID = newGUID()
	}
	if m.ContentType == "" {
		m.ContentType = "application/json"
	}
	secret := a.hook.Secret
	if m.Secret != "" {
		secret = m.Secret
	}
	d := &delivery{app: a, guid: m.GUID, event: m.Event, action: head.Action, install: head.Install.ID, repo: head.Repo.ID, payload: m.Payload, delay: m.Delay}
	d.header = map[string]string{
		"Accept": "*/*", "Content-Type": m.ContentType, "User-Agent": "GitHub-Hookshot/fa4e000", "X-GitHub-Delivery": m.GUID, "X-GitHub-Event": m.Event,
		"X-GitHub-Hook-ID": strconv.FormatInt(a.ID+1, 10), "X-GitHub-Hook-Installation-Target-ID": strconv.FormatInt(a.ID, 10),
		"X-GitHub-Hook-Installation-Target-Type": "integration",
	}
	if a.hub.config.Enterprise {
		d.header["X-GitHub-Enterprise-Version"], d.header["X-GitHub-Enterprise-Host"] = "3.19.0", strings.TrimPrefix(a.hub.URL, "http://")
	}
	if secret != "" && !m.Unsigned {
		d.header["X-Hub-Signature"] = "sha1=" + mac(sha1.New, secret, m.Payload)
		d.header["X-Hub-Signature-256"] = "sha256=" + mac(sha256.New, secret, m.Payload)
	}
	for name, value := range m.Header {
		d.header[name] = value
	}
	return d
}

func mac(of func() hash.Hash, secret string, payload []byte) string {
	sum := hmac.New(of, []byte(secret))
	_, _ = sum.Write(payload) // never fails
	return hex.EncodeToString(sum.Sum(nil))
}

func newGUID() string {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	return fmt.Sprintf("%x-%x-11f0-%x-%x", b[:4], b[4:6], b[8:10], b[10:])
}

// outgoing is what is on its way.
type outgoing struct {
	pending int
	settled chan struct{} // closed when nothing is on its way
	holding bool
	held    []*delivery
}

func newOutgoing() outgoing {
	settled := make(chan struct{})
	close(settled)
	return outgoing{settled: settled}
}

func newSender() *http.Client {
	return &http.Client{
		Transport:     &http.Transport{DialContext: (&net.Dialer{Timeout: 10 * time.Second}).DialContext, MaxIdleConnsPerHost: 64},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// queue sends deliveries in their order, each beside those of other calls.
func (h *Hub) queue(deliveries ...*delivery) {
	if h.life.Err() != nil {
		return // it is being closed
	}
	if h.holding {
		h.held = append(h.held, deliveries...)
		return
	}
	if h.pending == 0 {
		h.settled = make(chan struct{})
	}
	h.pending += len(deliveries)
	h.running.Go(func() {
		for _, d := range deliveries {
			h.slots <- struct{}{}
			h.deliver(d)
			<-h.slots
		}
	})
}

// Settle waits until nothing is on its way.
func (h *Hub) Settle(ctx context.Context) error {
	for {
		h.mu.Lock()
		settled, pending := h.settled, h.pending
		h.mu.Unlock()
		if pending == 0 {
			return nil
		}
		select {
		case <-settled:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// deliver sends a delivery once and notes what came of it.
func (h *Hub) deliver(d *delivery) {
	h.mu.Lock()
	fault, _ := h.arrives("webhook/deliver")
	url := d.app.hook.URL
	h.mu.Unlock()
	if wait := d.delay + fault.Delay; wait > 0 {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-h.life.Done():
		}
		timer.Stop()
	}
	begun := time.Now()
	switch {
	case fault.acts() && !fault.Committed:
		d.status = "failed to connect to host"
	default:
		h.post(d, url)
	}
	switch {
	case fault.Status != 0:
		d.code, d.status = fault.Status, fmt.Sprintf("Invalid HTTP Response: %d", fault.Status)
	case fault.acts() && fault.Committed:
		d.code, d.status = 0, "timed out"
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d.id, d.at, d.took = h.next(), h.now(), time.Since(begun).Round(time.Millisecond)
	d.app.deliveries = append(d.app.deliveries, d)
	if h.pending--; h.pending == 0 {
		close(h.settled)
	}
}

func (h *Hub) post(d *delivery, url string) {
	ctx, cancel := context.WithTimeout(h.life, h.config.DeliveryTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(d.payload))
	if err != nil {
		d.status = err.Error()
		return
	}
	for name, value := range d.header {
		req.Header.Set(name, value)
	}
	resp, err := h.sender.Do(req)
	if err != nil {
		d.status = "failed to connect to host"
		if errors.Is(err, context.DeadlineExceeded) {
			d.status = "timed out"
		}
		return
	}
	defer resp.Body.Close()
	d.code, d.status, d.answerHeader = resp.StatusCode, "OK", map[string]string{}
	if d.code/100 != 2 {
		d.status = fmt.Sprintf("Invalid HTTP Response: %d", d.code)
	}
	d.answer, _ = io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // as much as came
	for name := range resp.Header {
		d.answerHeader[name] = resp.Header.Get(name)
	}
}
