// Package fakehub is a strict GitHub for tests: an HTTP server that answers the
// calls of a GitHub App's real clients, keeps a small world of repositories,
// and sends signed deliveries to the App's webhook.
//
// It is strict on both sides. Every request is held against GitHub's own
// description of its API (package spec); what that does not allow is refused as
// GitHub refuses it, and kept as a Problem of the caller. Every answer and every
// event is held against it too: what is not as described is a Problem of the
// fake. Tests assert that Hub.Problems is empty.
//
// JSON Web Tokens are verified, tokens are scoped by repositories and
// permissions and expire by the hub's clock, limits are kept. What no test asks
// for is not copied: members of answers that the world does not know are null,
// or the least value that the description allows; and every repository is
// private, so that a token without it is told that it does not exist.
package fakehub

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/clipperregistry/runner/test/fakehub/spec"
)

// Config is what a Hub is made of.
type Config struct {
	// Address is where it listens. Default: 127.0.0.1, a free port.
	Address string
	// Enterprise makes it a GitHub Enterprise Server 3.19: the API is below
	// /api/v3, workflow dispatches do not return their run, deliveries may take
	// 30 s, and there are no limits.
	Enterprise bool
	// Stateless makes installation tokens long (about 520 characters), where a
	// request does not say otherwise.
	Stateless bool
	// Limits are GitHub's own where they are zero.
	Limits Limits
	// DeliveryTimeout is how long a receiver may take. Default: 10 s.
	DeliveryTimeout time.Duration
	// Senders is how many deliveries are on their way at once. Default: 16.
	Senders int
	// Poll is how long the Actions service waits for a message. Default: 50 s.
	Poll time.Duration
	// SessionLife is how long a session of a scale set is kept that nobody polls.
	// Default: 1 min.
	SessionLife time.Duration
	// Silent leaves statistics out of scale sets; sessions and messages have them.
	Silent bool
	// Unchecked leaves answers and events unchecked, for benchmarks.
	Unchecked bool
}

// Hub is a running one. Its methods, and those of all that it hands out, are
// safe for concurrent use.
type Hub struct {
	// URL is where people are, and where the OAuth pages are.
	URL string
	// APIURL is what clients are given: URL, or its /api/v3.
	APIURL string

	config     Config
	spec       map[string]*spec.Operation
	operations map[string]operation
	server     *http.Server
	mux        *http.ServeMux // of pages
	sender     *http.Client
	life       context.Context
	die        context.CancelFunc
	running    sync.WaitGroup
	slots      chan struct{} // of senders

	// mu guards all that follows. Calls hold it while they are answered.
	mu     sync.Mutex
	skew   time.Duration // of the hub's clock
	serial int64
	traffic
	budgets
	world
	outgoing
}

// world is what there is on the hub.
type world struct {
	accounts map[string]*account // by login
	repos    map[string]*Repo    // by full name
	former   map[string]*Repo    // by a full name that they had
	apps     []*App
	installs map[int64]*Installation
	tokens   map[string]*token
	created  map[string]made // from manifests, by the code of their conversion
	runners  []*runner
	consents map[string]consent // by code or refresh token
	archives map[string]archive // by the key that opens them
	browser  *account           // who sits at it
	scales   scales
}

// Start starts a hub with nothing on it.
func Start(config Config) (*Hub, error) {
	operations, err := spec.Load()
	if err != nil {
		return nil, err
	}
	h := &Hub{config: config.withDefaults(), spec: operations, serial: 1000, traffic: newTraffic(), budgets: newBudgets()}
	h.world = world{accounts: map[string]*account{}, repos: map[string]*Repo{}, former: map[string]*Repo{}, installs: map[int64]*Installation{},
		tokens: map[string]*token{}, created: map[string]made{}, consents: map[string]consent{}, archives: map[string]archive{}, scales: newScales()}
	h.outgoing = newOutgoing()
	h.slots = make(chan struct{}, h.config.Senders)
	h.life, h.die = context.WithCancel(context.Background())
	if err := h.routes(); err != nil {
		return nil, err
	}
	listener, err := new(net.ListenConfig).Listen(h.life, "tcp", h.config.Address)
	if err != nil {
		return nil, err
	}
	h.URL = "http://" + listener.Addr().String()
	h.APIURL = h.URL
	if h.config.Enterprise {
		h.APIURL += "/api/v3"
	}
	h.sender = newSender()
	h.server = &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	h.running.Go(func() { _ = h.server.Serve(listener) })
	return h, nil
}

func (c Config) withDefaults() Config {
	if c.Address == "" {
		c.Address = "127.0.0.1:0"
	}
	if c.DeliveryTimeout == 0 {
		c.DeliveryTimeout = 10 * time.Second
		if c.Enterprise {
			c.DeliveryTimeout = 30 * time.Second
		}
	}
	if c.Senders == 0 {
		c.Senders = 16
	}
	if c.Poll == 0 {
		c.Poll = 50 * time.Second
	}
	if c.SessionLife == 0 {
		c.SessionLife = time.Minute
	}
	c.Limits = c.Limits.withDefaults()
	return c
}

// Close ends the server and all deliveries that are on their way.
func (h *Hub) Close() error {
	h.mu.Lock() // what is not queued now, is not
	h.die()
	h.mu.Unlock()
	err := h.server.Close()
	h.running.Wait()
	h.sender.CloseIdleConnections()
	return err
}

// Advance moves the hub's clock: tokens expire, deliveries are forgotten, the
// hours of limits pass, and to the clients their own clocks are wrong.
func (h *Hub) Advance(d time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.skew += d
}

// Now is the hub's time.
func (h *Hub) Now() time.Time {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.now()
}

func (h *Hub) now() time.Time { return time.Now().Add(h.skew).UTC() }

// next is a number that nothing on this hub has.
func (h *Hub) next() int64 {
	h.serial++
	return h.serial
}

// routes enters all operations and pages.
func (h *Hub) routes() error {
	h.operations = map[string]operation{}
	for _, o := range operations {
		if described := h.spec[o.id]; described == nil || described.Event() {
			return fmt.Errorf("GitHub's description has no operation %s", o.id)
		}
		h.operations[o.id] = o
	}
	h.mux = http.NewServeMux()
	h.pages()
	h.mux.HandleFunc("/", h.nowhere)
	return nil
}
