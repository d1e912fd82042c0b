package fakehub

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// hookConfig is the App's webhook as its operations show it.
type hookConfig struct {
	URL         string `json:"url"`
	ContentType string `json:"content_type"`
	Secret      string `json:"secret,omitempty"`
	InsecureSSL string `json:"insecure_ssl"`
}

// show hides the secret.
func (h hookConfig) show() hookConfig {
	if h.Secret != "" {
		h.Secret = "********"
	}
	return h
}

func (c *call) getHook() (any, error) { return c.app.hook.show(), nil }

func (c *call) updateHook() (any, error) {
	var in struct {
		URL         *string `json:"url"`
		ContentType *string `json:"content_type"`
		Secret      *string `json:"secret"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	for _, set := range []struct{ from, to *string }{{in.URL, &c.app.hook.URL}, {in.ContentType, &c.app.hook.ContentType}, {in.Secret, &c.app.hook.Secret}} {
		if set.from != nil {
			*set.to = *set.from
		}
	}
	return c.getHook()
}

// remembered is how long deliveries can be asked for
// (https://docs.github.com/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks).
func (h *Hub) remembered() time.Duration {
	if h.config.Enterprise {
		return 7 * 24 * time.Hour
	}
	return 3 * 24 * time.Hour
}

// remembers lists the App's deliveries, the newest first.
func (a *App) remembers() []*delivery {
	var found []*delivery
	for _, d := range slices.Backward(a.deliveries) {
		if a.hub.now().Sub(d.at) < a.hub.remembered() {
			found = append(found, d)
		}
	}
	return found
}

// listDeliveries answers a page that begins at a cursor. A failure is an answer
// of 400 to 599, as the parameter's description says: what got no answer is
// none.
func (c *call) listDeliveries() (any, error) {
	size, all := 30, c.app.remembers()
	if n, err := strconv.Atoi(c.query("per_page")); err == nil && n > 0 {
		size = min(n, 100)
	}
	all = slices.DeleteFunc(all, func(d *delivery) bool {
		switch c.query("status") {
		case "success":
			return d.code < 200 || d.code > 399
		case "failure":
			return d.code < 400 || d.code > 599
		}
		return false
	})
	if cursor := c.query("cursor"); cursor != "" {
		from, err := strconv.ParseInt(cursor, 36, 64)
		if err != nil {
			return nil, refuse(http.StatusUnprocessableEntity, "Invalid cursor")
		}
		all = slices.DeleteFunc(all, func(d *delivery) bool { return d.id > from })
	}
	if len(all) > size {
		c.header.Set("Link", c.link("next", map[string]string{"cursor": strconv.FormatInt(all[size].id, 36)}))
		all = all[:size]
	}
	shown := []object{}
	for _, d := range all {
		shown = append(shown, d.show())
	}
	return shown, nil
}

func (d *delivery) show() object {
	shown := object{"id": d.id, "guid": d.guid, "delivered_at": d.at.Format(time.RFC3339Nano), "redelivery": d.redelivery, "duration": d.took.Seconds(), "status": d.status,
		"status_code": d.code, "event": d.event, "action": nullable(d.action), "installation_id": nil, "repository_id": nil, "throttled_at": nil}
	if d.install != 0 {
		shown["installation_id"] = d.install
	}
	if d.repo != 0 {
		shown["repository_id"] = d.repo
	}
	return shown
}

func (c *call) delivery() (*delivery, error) {
	id := c.id("delivery_id")
	return find(c.app.remembers(), func(d *delivery) bool { return d.id == id })
}

// getDelivery answers what was sent, spelled anew, and what was answered.
func (c *call) getDelivery() (any, error) {
	d, err := c.delivery()
	if err != nil {
		return nil, err
	}
	var payload any
	if json.Unmarshal(d.payload, &payload) != nil {
		payload = nil // it was sent by a test, as garbage
	}
	shown := d.show()
	shown["url"] = c.app.hook.URL
	shown["request"] = object{"headers": d.header, "payload": payload}
	shown["response"] = object{"headers": d.answerHeader, "payload": string(d.answer)}
	return shown, nil
}

func (c *call) redeliver() (any, error) {
	d, err := c.delivery()
	if err != nil {
		return nil, err
	}
	c.hub.queue(d.again())
	return object{}, nil
}
