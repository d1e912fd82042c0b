package fakehub

import (
	"bytes"
	"slices"
	"time"
)

// Message is a delivery that a test makes up. Only its event and payload must
// be there.
type Message struct {
	Event   string
	Payload []byte // anything
	GUID    string // default: a new one
	// Secret signs it. Default: the App's.
	Secret      string
	Unsigned    bool
	ContentType string            // default: application/json
	Header      map[string]string // in place of its own
	Delay       time.Duration
}

// Attempt is a delivery that was sent, or could not be.
type Attempt struct {
	ID            int64
	GUID          string
	Event, Action string
	// Status is "OK", or what GitHub notes; Code 0: there was no answer.
	Status     string
	Code       int
	Redelivery bool
	Took       time.Duration
	Header     map[string]string
	Payload    []byte
	Answer     []byte
}

// Deliver sends a message to the App's webhook, once, and does not wait for it.
func (a *App) Deliver(m Message) (guid string) {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	d := a.newDelivery(m)
	a.hub.queue(d)
	return d.guid
}

// DeliverNow sends a message and waits for its end.
func (a *App) DeliverNow(m Message) Attempt {
	h := a.hub
	h.mu.Lock()
	d := a.newDelivery(m)
	if h.pending == 0 {
		h.settled = make(chan struct{})
	}
	h.pending++
	h.mu.Unlock()
	h.deliver(d)
	return d.attempt()
}

// Ping sends what GitHub sends to a webhook that is new.
func (a *App) Ping() (guid string) {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	hook := object{"type": "App", "id": a.ID + 1, "name": "web", "active": true, "app_id": a.ID, "events": []string{}, "config": a.hook.show()}
	d := a.newDelivery(Message{Event: "ping", Payload: a.hub.describe("ping", "", object{"zen": "Keep it logically awesome.", "hook_id": a.ID + 1, "hook": hook})})
	a.hub.queue(d)
	return d.guid
}

// Redeliver sends a delivery again, with its GUID, as a person can.
func (a *App) Redeliver(guid string) bool { return a.repeat(guid, false) != "" }

// Duplicate sends what a delivery said with another GUID: the same fact, told
// twice. It returns the GUID, or "" if there was no such delivery.
func (a *App) Duplicate(guid string) string { return a.repeat(guid, true) }

func (a *App) repeat(guid string, new bool) string {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	i := slices.IndexFunc(a.deliveries, func(d *delivery) bool { return d.guid == guid })
	if i < 0 {
		return ""
	}
	d := a.deliveries[i].again()
	if new {
		d = a.newDelivery(Message{Event: d.event, Payload: d.payload})
	}
	a.hub.queue(d)
	return d.guid
}

// Deliveries lists all attempts, in the order in which they ended, those too
// that GitHub would have forgotten.
func (a *App) Deliveries() []Attempt {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	var all []Attempt
	for _, d := range a.deliveries {
		all = append(all, d.attempt())
	}
	return all
}

func (d *delivery) attempt() Attempt {
	return Attempt{d.id, d.guid, d.event, d.action, d.status, d.code, d.redelivery, d.took, d.header, d.payload, d.answer}
}

// Hold keeps deliveries until they are released.
func (h *Hub) Hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.holding = true
}

// Release sends what was held, one after the other, in another order if
// shuffle says so (rand.Shuffle; nil: as it happened).
func (h *Hub) Release(shuffle func(n int, swap func(i, j int))) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held := h.held
	h.holding, h.held = false, nil
	if shuffle != nil {
		shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
	}
	if len(held) > 0 {
		h.queue(held...)
	}
}

// Backwards is an order for Release: the last first.
func Backwards(n int, swap func(i, j int)) {
	for i := range n / 2 {
		swap(i, n-1-i)
	}
}

// Padded makes an object so large, with a member that says nothing.
func Padded(payload []byte, size int) []byte {
	before, after := []byte(`{"padding":"`), slices.Concat([]byte(`",`), bytes.TrimSpace(payload)[1:])
	return slices.Concat(before, bytes.Repeat([]byte("x"), max(0, size-len(before)-len(after))), after)
}
