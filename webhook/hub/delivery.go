package hub

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// Sent is one time that GitHub has sent a delivery, or tried to. What is sent
// again keeps its GUID and gets another ID.
type Sent struct {
	ID     int64          `json:"id"`
	GUID   string         `json:"guid"`
	Event  string         `json:"event"`
	At     webhook.Moment `json:"delivered_at"` // by GitHub's clock
	Status string         `json:"status"`       // "OK", or what went wrong
	Code   int            `json:"status_code"`  // of the answer, 0 if there was none
}

// Deliveries are those that GitHub has sent since a time, and tried to, the
// latest first. Whether it believes that one arrived is not asked: not all that
// failed are in GitHub's list of failures. It remembers three days, an
// Enterprise Server seven.
func (h *Hub) Deliveries(ctx context.Context, since time.Time) iter.Seq2[Sent, error] {
	all := flat(pages[[]Sent](ctx, h, request{path: "app/hook/deliveries"}), "list deliveries", func(page []Sent) []Sent { return page })
	return func(yield func(Sent, error) bool) {
		for s, err := range all {
			// One without a time that can be read is as late as those around it.
			if at := s.At.Time(); err == nil && !at.IsZero() && at.Before(since) {
				return
			}
			if !yield(s, err) {
				return
			}
		}
	}
}

// Delivery fetches what was sent, with the body as GitHub remembers it: the
// same value, which nobody has signed. That it is GitHub's is known from the
// connection. It fails with ErrGone if GitHub has forgotten it.
func (h *Hub) Delivery(ctx context.Context, id int64) (webhook.Delivery, error) {
	var whole struct {
		Sent
		Request struct {
			Headers map[string]any  `json:"headers"`
			Payload json.RawMessage `json:"payload"`
		} `json:"request"`
	}
	_, err := h.do(ctx, request{method: http.MethodGet, path: "app/hook/deliveries/" + strconv.FormatInt(id, 10), out: &whole})
	if err == nil && (len(whole.Request.Payload) == 0 || whole.Request.Payload[0] != '{' || whole.GUID == "" || whole.Event == "") {
		err = fmt.Errorf("GitHub has no payload of it: %w", ErrGone)
	}
	if err != nil {
		return webhook.Delivery{}, fmt.Errorf("fetch delivery %d: %w", id, err)
	}
	d := webhook.Delivery{
		App: h.app, GUID: whole.GUID, Event: whole.Event, Source: webhook.Pulled, Received: h.now(),
		Body: whole.Request.Payload, Head: webhook.ParseHead(whole.Request.Payload),
	}
	for name, value := range whole.Request.Headers {
		if strings.EqualFold(name, "X-GitHub-Hook-ID") {
			d.HookID, _ = strconv.ParseInt(fmt.Sprint(value), 10, 64) // 0 is unknown
		}
	}
	return d, nil
}

// Redeliver has GitHub send a delivery again, under its GUID.
func (h *Hub) Redeliver(ctx context.Context, id int64) error {
	path := "app/hook/deliveries/" + strconv.FormatInt(id, 10) + "/attempts"
	// The inbox takes it once, however often it comes.
	if _, err := h.do(ctx, request{method: http.MethodPost, path: path, again: true}); err != nil {
		return fmt.Errorf("have delivery %d sent again: %w", id, err)
	}
	return nil
}
