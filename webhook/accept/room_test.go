package accept

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

func from(addr string) func(*http.Request) {
	return func(r *http.Request) { r.RemoteAddr = addr }
}

// TestSuspects refuses who has failed often, and nobody else.
func TestSuspects(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := handler(t, &memory{})
		forged := header(headerSignature, sign("wrong", []byte(body)))
		status := func(want int, change ...func(*http.Request)) {
			t.Helper()
			if w := serve(h, request(body, change...)); w.Code != want {
				t.Errorf("%d, want %d", w.Code, want)
			}
		}
		for range failures {
			status(401, forged, from("[2001:db8::1]:1"))
		}
		status(429, from("[2001:db8::1]:1"))
		status(429, from("[2001:db8::ffff]:2")) // a neighbour, who is the same
		status(202, from("[2001:db8:0:1::1]:1"))
		status(200, from("192.0.2.9:1"))
		time.Sleep(forgiven)
		status(401, forged, from("[2001:db8::1]:1"))
		status(429, forged, from("[2001:db8::1]:1"))
		time.Sleep(forgiven)
		status(200, from("[2001:db8::1]:1")) // who had the wrong secret, and has the right one now
		for range failures {
			status(401, forged, from("[2001:db8::1]:1"))
		}
		status(429, from("[2001:db8::1]:1"))
		// Behind a proxy, clients are told apart.
		for range failures {
			status(401, forged, from("10.0.0.1:1"), header("X-Forwarded-For", "192.0.2.77"))
		}
		status(429, from("10.0.0.1:1"), header("X-Forwarded-For", "192.0.2.77"))
		status(200, from("10.0.0.1:1"), header("X-Forwarded-For", "192.0.2.77, 192.0.2.78"))
	})
}

func TestSuspectsAreFew(t *testing.T) {
	s := newSuspects(time.Now)
	first := netip.MustParseAddr("10.0.0.0")
	for range failures {
		s.failed(first)
	}
	for i, a := 0, first.Next(); i < 2*maxClients; i, a = i+1, a.Next() {
		if i == maxClients/2 {
			s.failed(first)
		}
		s.failed(a)
		if i == maxClients && !s.blocked(first) {
			t.Error("one that failed lately is forgotten")
		}
	}
	if len(s.clients) != maxClients || s.recent.Len() != maxClients {
		t.Errorf("%d and %d clients are remembered, want %d", len(s.clients), s.recent.Len(), maxClients)
	}
	if s.blocked(first) {
		t.Error("one that failed long ago is remembered")
	}
}

func TestClient(t *testing.T) {
	for _, tt := range []struct{ peer, forwarded, want string }{
		{"192.0.2.1:80", "", "192.0.2.1"},
		{"192.0.2.1:80", "198.51.100.1", "192.0.2.1"}, // whoever is no proxy may say what it likes
		{"10.0.0.1:80", "198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:80", "1.1.1.1, 198.51.100.1", "198.51.100.1"},
		{"10.0.0.1:80", "198.51.100.1, 10.0.0.2", "198.51.100.1"},
		{"10.0.0.1:80", "198.51.100.1:443", "198.51.100.1"},
		{"10.0.0.1:80", "nonsense", "10.0.0.1"},
		{"10.0.0.1:80", "", "10.0.0.1"},
		{"[::ffff:10.0.0.1]:80", "2001:db8::1", "2001:db8::1"},
		{"[fe80::1%eth0]:80", "", "fe80::1"},
		{"@", "", "invalid IP"},
	} {
		r := request(body, from(tt.peer), header("X-Forwarded-For", tt.forwarded))
		if got := newDoors(nil, nil).client(r).String(); got != tt.want {
			t.Errorf("%s for %q is %s, want %s", tt.peer, tt.forwarded, got, tt.want)
		}
	}
}

func TestHooks(t *testing.T) {
	h := handler(t, &memory{}, func(c *Config) {
		c.Hooks = []netip.Prefix{netip.MustParsePrefix("192.30.252.0/22"), netip.MustParsePrefix("2a0a:a440::/29")}
	})
	for addr, want := range map[string]int{
		"192.30.253.7:1": 202, "[2a0a:a441::1]:1": 202, "192.30.251.7:1": 403, "10.0.0.1:1": 403, "@": 403,
	} {
		id := strings.Trim(strings.NewReplacer(".", "-", ":", "-", "[", "", "]", "").Replace(addr), "@") + "x"
		if w := serve(h, request(body, from(addr), header(headerGUID, id))); w.Code != want {
			t.Errorf("%s: %d, want %d", addr, w.Code, want)
		}
	}
}

// TestLargeSeats has few large bodies in memory, while small ones pass.
func TestLargeSeats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		stored, most := 0, 0
		in := &memory{before: func(_ context.Context, d webhook.Delivery) error {
			if len(d.Body) <= small {
				return nil
			}
			mu.Lock()
			stored++
			most = max(most, stored)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			stored--
			mu.Unlock()
			return nil
		}}
		h := handler(t, in, func(c *Config) { c.LargeBodies = 2 })
		large := strings.Repeat("x", small+1)
		var wait sync.WaitGroup
		for i := range 6 {
			wait.Go(func() {
				r := request(large, header(headerGUID, fmt.Sprint("large", i)))
				if i%2 == 0 {
					r.ContentLength = -1
				}
				if w := serve(h, r); w.Code != http.StatusAccepted {
					t.Errorf("a large body: %d", w.Code)
				}
			})
		}
		synctest.Wait()
		if w := serve(h, request(body)); w.Code != http.StatusAccepted {
			t.Errorf("a small body meanwhile: %d", w.Code)
		}
		wait.Wait()
		if most != 2 {
			t.Errorf("%d large bodies at once, want 2", most)
		}
		// Whoever waits too long for a seat is told so.
		in.before = func(context.Context, webhook.Delivery) error { time.Sleep(10 * time.Second); return nil }
		codes := make(chan int, 3)
		for i := range 3 {
			wait.Go(func() { codes <- serve(h, request(large, header(headerGUID, fmt.Sprint("slow", i)))).Code })
		}
		if first := <-codes; first != http.StatusServiceUnavailable {
			t.Errorf("who waits too long for a seat: %d", first)
		}
		wait.Wait()
	})
}

// TestShare has one installation fill half of the room, and no more.
func TestShare(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		open := make(chan struct{})
		in := &memory{before: func(context.Context, webhook.Delivery) error { <-open; return nil }}
		h := handler(t, in, func(c *Config) { c.Memory = 4 * small })
		flood := body + strings.Repeat(" ", small-len(body)-1)
		codes := make(chan int, 3)
		for i := range 2 {
			go func() { codes <- serve(h, request(flood, header(headerGUID, fmt.Sprint("flood", i)))).Code }()
		}
		synctest.Wait()
		if w := serve(h, request(flood, header(headerGUID, "more"))); w.Code != http.StatusServiceUnavailable {
			t.Errorf("the flood's third: %d", w.Code)
		}
		other := strings.Replace(flood, `"id": 5`, `"id": 7`, 1)
		go func() { codes <- serve(h, request(other, header(headerGUID, "other"))).Code }()
		synctest.Wait()
		close(open)
		for range 3 {
			if code := <-codes; code != http.StatusAccepted {
				t.Errorf("%d", code)
			}
		}
		if w := serve(h, request(flood, header(headerGUID, "later"))); w.Code != http.StatusAccepted {
			t.Errorf("later: %d", w.Code)
		}
		if len(h.room.used) != 0 {
			t.Errorf("shares are left: %v", h.room.used)
		}
	})
}
