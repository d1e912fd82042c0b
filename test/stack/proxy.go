package stack

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// Proxy stands before the registry and counts. It is safe for concurrent use.
type Proxy struct {
	// Addr is its host:port.
	Addr string

	manifests, blobs atomic.Int64
	gate             atomic.Pointer[chan struct{}]
}

// Proxy starts a proxy before the registry that ends with the test.
func (s *Stack) Proxy(t testing.TB) *Proxy {
	t.Helper()
	p := new(Proxy)
	forward := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: s.Registry})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.Contains(r.URL.Path, "/manifests/"):
			p.manifests.Add(1)
		case strings.Contains(r.URL.Path, "/blobs/"):
			p.blobs.Add(1)
			if gate := p.gate.Load(); gate != nil {
				select {
				case <-*gate:
				case <-r.Context().Done():
					return
				}
			}
		}
		forward.ServeHTTP(w, r)
	}))
	t.Cleanup(server.Close)
	p.Addr = strings.TrimPrefix(server.URL, "http://")
	return p
}

// Counts returns how many requests for manifests and blobs have come in.
func (p *Proxy) Counts() (manifests, blobs int64) {
	return p.manifests.Load(), p.blobs.Load()
}

// Hold makes requests for blobs wait until the function it returns is called.
func (p *Proxy) Hold(t testing.TB) (release func()) {
	t.Helper()
	gate := make(chan struct{})
	var released atomic.Bool
	release = func() {
		if released.CompareAndSwap(false, true) {
			close(gate)
		}
	}
	t.Cleanup(release)
	p.gate.Store(&gate)
	return release
}

// Through returns the reference ref as it is reached through the proxy.
func (p *Proxy) Through(ref string) string {
	_, repository, _ := strings.Cut(ref, "/")
	return p.Addr + "/" + repository
}
