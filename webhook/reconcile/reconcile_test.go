package reconcile_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/accept"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/reconcile"
)

// lossy loses every fifth delivery: before it came, before it was stored, or
// the answer to one that was stored.
func lossy(to http.Handler) http.Handler {
	var n atomic.Int64
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch n.Add(1) % 15 {
		case 5:
			http.Error(w, "out of order", http.StatusServiceUnavailable)
		case 10:
			panic(http.ErrAbortHandler)
		case 0:
			to.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		default:
			to.ServeHTTP(w, r)
		}
	})
}

// TestLost: of 500 deliveries every fifth is lost, and after one pass all are
// there.
func TestLost(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		door, err := accept.New(accept.Config{Apps: []accept.App{{ID: w.app.ID, Secrets: []string{w.app.WebhookSecret}}}, Inbox: w.db, Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		service := httptest.NewUnstartedServer(lossy(door))
		service.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
		service.Start()
		defer service.Close()
		w.app.SetWebhook(service.URL + "/webhook")
		w.send(500)
		came := w.inbox()
		lost := 500 - came[webhook.Pushed]
		if lost < 60 || lost > 70 || came[webhook.Pulled] != 0 {
			t.Fatalf("before: %v", came)
		}
		registry := prometheus.NewRegistry()
		r := w.reconciler(func(c *reconcile.Config) { c.Metrics = registry })
		result, err := r.Pass(t.Context())
		if err != nil || result.Listed != 500 || result.Accepted != lost || result.Failed+result.Gone != 0 {
			t.Errorf("%+v, %v; %d were lost", result, err, lost)
		}
		w.complete()
		if n := w.Count("apps/get-webhook-delivery"); n != lost {
			t.Errorf("%d were fetched, of %d", n, lost)
		}
		if metrics, err := registry.Gather(); err != nil || len(metrics) != 3 {
			t.Errorf("%v, %v", metrics, err)
		}
		if r.Last().IsZero() {
			t.Error("it does not know when")
		}
		if result, err := r.Pass(t.Context()); err != nil || result.Accepted != 0 {
			t.Errorf("again: %+v, %v", result, err)
		}
		if n := w.Count("apps/get-webhook-delivery"); n != lost {
			t.Errorf("%d were fetched in the end", n)
		}
	})
}

// TestCursor: how far it came is known after a restart.
func TestCursor(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.app.SetWebhook(nowhere)
		w.send(150)
		if result, err := w.reconciler().Pass(t.Context()); err != nil || result.Accepted != 150 {
			t.Fatalf("%+v, %v", result, err)
		}
		w.Advance(time.Hour)
		w.send(3)
		if result, err := w.reconciler().Pass(t.Context()); err != nil || result.Accepted != 3 {
			t.Fatalf("%+v, %v", result, err)
		}
		w.send(2)
		w.restart()
		result, err := w.reconciler().Pass(t.Context())
		if err != nil || result.Listed != 5 || result.Accepted != 2 {
			t.Errorf("%+v, %v: want the 5 of the last minutes, of which 2 are new", result, err)
		}
		w.complete()
		// Nothing came for days, and then something did.
		w.Advance(80 * time.Hour)
		w.send(2)
		if result, err := w.reconciler().Pass(t.Context()); err != nil || result.Accepted != 2 {
			t.Errorf("%+v, %v", result, err)
		}
		w.complete()
		for _, odd := range []string{"yesterday", "2999-01-01T00:00:00Z"} {
			if err := w.db.SetCursor(t.Context(), fmt.Sprint("deliveries/", w.app.ID), odd); err != nil {
				t.Fatal(err)
			}
			if result, err := w.reconciler().Pass(t.Context()); err != nil || result.Listed < 2 {
				t.Errorf("with a cursor of %q: %+v, %v", odd, result, err)
			}
		}
	})
}

// TestPull: nobody can call the service, and everything comes.
func TestPull(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.app.SetWebhook(nowhere)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.reconciler(func(c *reconcile.Config) { c.Period = time.Millisecond }).Run(ctx)
		}()
		w.send(40)
		ticks := time.NewTicker(5 * time.Millisecond)
		defer ticks.Stop()
		for w.inbox()[webhook.Pulled] < 40 {
			<-ticks.C
		}
		cancel()
		<-done
		w.complete()
		for _, sent := range w.app.Deliveries() {
			d, err := w.db.Delivery(t.Context(), w.app.ID, sent.GUID)
			if err != nil || !same(d.Body, sent.Payload) {
				t.Errorf("%s is %s, and was sent as %s; %v", sent.GUID, d.Body, sent.Payload, err)
			}
		}
		if held, err := w.db.Hold(t.Context(), fmt.Sprint("deliveries/", w.app.ID), "another", time.Minute); err != nil || !held {
			t.Errorf("it did not leave the work to others: %v", err)
		}
	})
}

// same says whether two texts are one value of JSON.
func same(a, b []byte) bool {
	var x, y any
	return json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && reflect.DeepEqual(x, y)
}

// TestReplicas: one of two works.
func TestReplicas(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		if held, err := w.db.Hold(t.Context(), fmt.Sprint("deliveries/", w.app.ID), "another", time.Hour); err != nil || !held {
			t.Fatal(err)
		}
		idle := &counts{Inbox: w.db, held: make(chan struct{}, 100)}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			w.reconciler(func(c *reconcile.Config) { c.Inbox, c.Period = idle, time.Millisecond }).Run(ctx)
		}()
		for range 3 {
			<-idle.held
		}
		cancel()
		<-done
		if n := w.Count("apps/list-webhook-deliveries"); n != 0 {
			t.Errorf("%d requests, while another replica has the work", n)
		}
	})
}

type counts struct {
	reconcile.Inbox
	held chan struct{}
}

func (c *counts) Hold(ctx context.Context, name, who string, lease time.Duration) (bool, error) {
	held, err := c.Inbox.Hold(ctx, name, who, lease)
	select {
	case c.held <- struct{}{}:
	default:
	}
	return held, err
}

// TestBroken: passes break off in every way, and the last one makes it whole.
func TestBroken(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.app.SetWebhook(nowhere)
		w.send(230)
		r := w.reconciler()
		for name, fault := range map[string]fakehub.Fault{"502": fakehub.BadGateway, "reset": fakehub.Unreachable, "truncated": fakehub.Truncated} {
			for _, operation := range []string{"apps/list-webhook-deliveries", "apps/get-webhook-delivery"} {
				w.Fail(operation, fault, 7)
				if result, err := r.Pass(t.Context()); err == nil {
					t.Errorf("%s of %s: %+v and no error", name, operation, result)
				}
				w.Heal()
			}
		}
		w.restart()
		if _, err := w.reconciler().Pass(t.Context()); err != nil {
			t.Error(err)
		}
		w.complete()
	})
}

// TestOneCannot: one that cannot be fetched holds up no other, and is asked for
// until GitHub has forgotten it.
func TestOneCannot(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.app.SetWebhook(nowhere)
		w.send(20)
		bad := w.app.Deliveries()[4].ID
		r := w.reconciler(func(c *reconcile.Config) { c.GitHub = cannot{w.hub, bad} })
		for range 2 {
			if result, err := r.Pass(t.Context()); err == nil || result.Failed != 1 {
				t.Errorf("%+v, %v", result, err)
			}
			if n := w.inbox()[webhook.Pulled]; n != 19 {
				t.Errorf("%d are there", n)
			}
			w.Advance(time.Hour)
		}
		if result, err := w.reconciler().Pass(t.Context()); err != nil || result.Accepted != 1 {
			t.Errorf("when it can be: %+v, %v", result, err)
		}
		w.complete()
	})
}

// cannot fetch one delivery.
type cannot struct {
	*hub.Hub
	id int64
}

func (c cannot) Delivery(ctx context.Context, id int64) (webhook.Delivery, error) {
	if id == c.id {
		return webhook.Delivery{}, errors.New("GitHub answers 500")
	}
	return c.Hub.Delivery(ctx, id)
}

// TestGone: what GitHub has no payload of is passed over.
func TestGone(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.app.SetWebhook(nowhere)
		w.app.Deliver(fakehub.Message{Event: "push", Payload: []byte("no JSON")})
		w.send(3)
		result, err := w.reconciler().Pass(t.Context())
		if err != nil || result.Gone != 1 || result.Accepted != 3 {
			t.Errorf("%+v, %v", result, err)
		}
		w.TakeProblems() // of an answer without a payload
		w.complete()
	})
}

// TestLimit stops at once, and says until when.
func TestLimit(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.app.SetWebhook(nowhere)
		w.send(10)
		w.Fail("apps/get-webhook-delivery", fakehub.SecondaryLimit, -1)
		var limited *hub.Limited
		if _, err := w.reconciler().Pass(t.Context()); !errors.As(err, &limited) {
			t.Errorf("%v, want Limited", err)
		}
		if n := w.Count("apps/get-webhook-delivery"); n != 1 {
			t.Errorf("%d requests after the limit", n)
		}
	})
}

func TestNew(t *testing.T) {
	if _, err := reconcile.New(reconcile.Config{}); err == nil {
		t.Error("without GitHub and an inbox there is a reconciler")
	}
}
