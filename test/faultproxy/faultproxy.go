// Package faultproxy stands between a client and a real registry: it counts
// and records what is asked, passes it on, and spoils answers where a test
// has told it to.
//
// In come a registry's address and Rules, each a Fault with the requests that
// it is for; out goes the address of a server. What no rule is for is passed
// on unchanged. Only tests import it.
package faultproxy

import (
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
)

// Kind is what a request is for.
type Kind string

const (
	Ping     Kind = "ping"
	Manifest Kind = "manifest"
	Blob     Kind = "blob"
)

// Rule spoils some of the requests of one kind.
type Rule struct {
	Kind Kind
	// Path is a part of the URL's path, such as a digest; "" is every path.
	Path string
	// Skip is how many requests of this kind and path pass before the rule
	// begins; Times is how many it is for then, 0 for all.
	Skip, Times int
	Fault       Fault
}

// Request is one that came in.
type Request struct {
	Kind Kind
	Path string
	// Redirected is a request to the second host that Redirect sends to.
	Redirected           bool
	Range, Authorization string
}

// Proxy is safe for concurrent use.
type Proxy struct {
	// Addr is its host:port.
	Addr string

	upstream *url.URL
	client   *http.Transport
	closed   chan struct{}
	second   *httptest.Server // where Redirect sends to

	mu       sync.Mutex
	rules    []*Rule
	seen     map[*Rule]int
	requests []Request
	bytes    int64
	gate     chan struct{}
	frost    *frost
	tickets  map[string]int // signed URLs, and how often they are good yet
}

// Start starts a proxy before the registry at upstream, a URL without a path,
// that ends with the test. It speaks plain HTTP.
func Start(t testing.TB, upstream string, rules ...Rule) *Proxy {
	t.Helper()
	to, err := url.Parse(upstream)
	if err != nil {
		t.Fatal(err)
	}
	p := &Proxy{
		upstream: to, closed: make(chan struct{}), seen: map[*Rule]int{}, tickets: map[string]int{},
		client: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16},
	}
	p.Add(rules...)
	front := listen(http.HandlerFunc(p.serve))
	p.second = listen(http.HandlerFunc(p.serveSecond))
	p.Addr = front.Listener.Addr().String()
	t.Cleanup(func() {
		close(p.closed)
		front.Close()
		p.second.Close()
		p.client.CloseIdleConnections()
	})
	return p
}

func listen(handler http.Handler) *httptest.Server {
	server := httptest.NewUnstartedServer(handler)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // clients that try HTTPS first
	server.Start()
	return server
}

// Add adds rules. The first one that is for a request spoils it.
func (p *Proxy) Add(rules ...Rule) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, rule := range rules {
		p.rules = append(p.rules, &rule)
	}
}

// Through returns the reference ref as it is reached through the proxy.
func (p *Proxy) Through(ref string) string {
	_, repository, _ := strings.Cut(ref, "/")
	return p.Addr + "/" + repository
}

// Counts returns how many requests for manifests and blobs have come in.
func (p *Proxy) Counts() (manifests, blobs int64) {
	for _, request := range p.Requests() {
		switch {
		case request.Kind == Manifest:
			manifests++
		case request.Kind == Blob && !request.Redirected:
			blobs++
		}
	}
	return manifests, blobs
}

// Requests returns all that has come in.
func (p *Proxy) Requests() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]Request(nil), p.requests...)
}

// Bytes returns how many bytes of blobs have gone out.
func (p *Proxy) Bytes() int64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bytes
}

// Hold makes requests for blobs wait until the function it returns is called.
func (p *Proxy) Hold(t testing.TB) (release func()) {
	t.Helper()
	gate := make(chan struct{})
	release = sync.OnceFunc(func() { close(gate) })
	t.Cleanup(release)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gate = gate
	return release
}

// frost is what FreezeAfter has set up.
type frost struct {
	left             int64
	reached, thawing chan struct{}
}

// FreezeAfter lets n more bytes of blobs go out and then nothing more until
// thaw is called. reached is closed when that is so. It replaces what an
// earlier call has set up, which must have thawed.
func (p *Proxy) FreezeAfter(t testing.TB, n int64) (reached <-chan struct{}, thaw func()) {
	t.Helper()
	f := &frost{left: n, reached: make(chan struct{}), thawing: make(chan struct{})}
	thaw = sync.OnceFunc(func() {
		p.mu.Lock()
		p.frost = nil
		p.mu.Unlock()
		close(f.thawing)
	})
	t.Cleanup(thaw)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.frost = f
	return f.reached, thaw
}

// allowance takes up to n bytes from the frost. None are left when it returns
// 0 and what to wait for.
func (p *Proxy) allowance(n int) (int, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f := p.frost
	if f == nil {
		p.bytes += int64(n)
		return n, nil
	}
	if f.left == 0 {
		select {
		case <-f.reached:
		default:
			close(f.reached)
		}
		return 0, f.thawing
	}
	n = int(min(int64(n), f.left))
	f.left -= int64(n)
	p.bytes += int64(n)
	return n, nil
}

func kindOf(path string) Kind {
	switch {
	case strings.Contains(path, "/manifests/"):
		return Manifest
	case strings.Contains(path, "/blobs/"):
		return Blob
	}
	return Ping
}

// note records a request and finds the fault for it, if there is one.
func (p *Proxy) note(r *http.Request, redirected bool) (Fault, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	request := Request{
		Kind: kindOf(r.URL.Path), Path: r.URL.Path, Redirected: redirected,
		Range: r.Header.Get("Range"), Authorization: r.Header.Get("Authorization"),
	}
	p.requests = append(p.requests, request)
	if redirected {
		return nil, nil
	}
	var gate <-chan struct{}
	if request.Kind == Blob {
		gate = p.gate
	}
	var fault Fault
	for _, rule := range p.rules {
		if rule.Kind != request.Kind || !strings.Contains(request.Path, rule.Path) {
			continue
		}
		nth := p.seen[rule]
		p.seen[rule]++
		if fault == nil && nth >= rule.Skip && (rule.Times == 0 || nth < rule.Skip+rule.Times) {
			fault = rule.Fault
		}
	}
	return fault, gate
}

func (p *Proxy) serve(w http.ResponseWriter, r *http.Request) {
	fault, gate := p.note(r, false)
	if gate != nil {
		select {
		case <-gate:
		case <-r.Context().Done():
			return
		case <-p.closed:
			return
		}
	}
	x := &exchange{proxy: p, w: w, r: r}
	if fault == nil {
		fault = pass
	}
	fault(x)
}

// serveSecond is the host that Redirect sends to.
func (p *Proxy) serveSecond(w http.ResponseWriter, r *http.Request) {
	p.note(r, true)
	ticket := r.URL.Query().Get("signature")
	p.mu.Lock()
	left := p.tickets[ticket]
	p.tickets[ticket] = max(left-1, 0)
	p.mu.Unlock()
	x := &exchange{proxy: p, w: w, r: r}
	if left == 0 {
		Status(http.StatusForbidden)(x)
		return
	}
	pass(x)
}

// exchange is one request with its answer.
type exchange struct {
	proxy *Proxy
	w     http.ResponseWriter
	r     *http.Request
}

// ask passes the request on. Without an answer the client gets a 502.
func (x *exchange) ask() *http.Response {
	request := x.r.Clone(x.r.Context())
	request.URL.Scheme, request.URL.Host = x.proxy.upstream.Scheme, x.proxy.upstream.Host
	request.RequestURI = ""
	response, err := x.proxy.client.RoundTrip(request)
	if err != nil {
		http.Error(x.w, err.Error(), http.StatusBadGateway)
		return nil
	}
	return response
}

// head sends the answer's status and header.
func (x *exchange) head(response *http.Response) {
	for name, values := range response.Header {
		x.w.Header()[name] = values
	}
	x.w.WriteHeader(response.StatusCode)
}

// body sends what body holds, counted and as fast as a frost allows. It
// returns false when the client is gone.
func (x *exchange) body(body io.Reader) bool {
	buffer := make([]byte, 32<<10)
	for {
		n, err := body.Read(buffer)
		if !x.send(buffer[:n]) {
			return false
		}
		if err != nil {
			return err == io.EOF
		}
	}
}

func (x *exchange) send(data []byte) bool {
	if kindOf(x.r.URL.Path) != Blob {
		_, err := x.w.Write(data)
		return err == nil
	}
	for len(data) > 0 {
		n, thawing := x.proxy.allowance(len(data))
		if n == 0 {
			x.flush()
			if !x.wait(thawing) {
				return false
			}
			continue
		}
		if _, err := x.w.Write(data[:n]); err != nil {
			return false
		}
		data = data[n:]
	}
	return true
}

// wait waits for a channel; false is the end of the client or of the proxy.
func (x *exchange) wait(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	case <-x.r.Context().Done():
	case <-x.proxy.closed:
	}
	return false
}

func (x *exchange) flush() { _ = http.NewResponseController(x.w).Flush() }

// reset breaks the connection off, so that the client sees no orderly end.
func (x *exchange) reset() {
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	conn.Close()
}

// stall keeps the connection open and silent.
func (x *exchange) stall() { x.wait(nil) }
