package chaos

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"sync"
)

// front is what GitHub has for the service's address: it hands each request to
// the next of the replicas, be it there or not.
type front struct {
	*httptest.Server
	mu       sync.Mutex
	backends []string // "" is down
	next     int
	// good and bad count the answers of each address with success, and others.
	good, bad map[string]int
}

func newFront(replicas int) *front {
	f := &front{backends: make([]string, replicas), good: map[string]int{}, bad: map[string]int{}}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: f.turn()})
		},
		ModifyResponse: func(r *http.Response) error {
			f.answered(r.Request.URL.Host, r.StatusCode/100 == 2)
			return nil
		},
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, _ error) {
			f.answered(r.URL.Host, false)
			w.WriteHeader(http.StatusBadGateway)
		},
		ErrorLog:  nil,
		Transport: &http.Transport{MaxIdleConnsPerHost: 64},
	}
	f.Server = httptest.NewServer(proxy)
	return f
}

// turn is whose turn it is. One that is not there has no port.
func (f *front) turn() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.next++
	if b := f.backends[f.next%len(f.backends)]; b != "" {
		return b
	}
	return "127.0.0.1:1"
}

func (f *front) answered(address string, well bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if well {
		f.good[address]++
	} else {
		f.bad[address]++
	}
}

// answers counts what a replica has answered, with success and otherwise.
func (f *front) answers(address string) (good, bad int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.good[address], f.bad[address]
}

// set says where a replica is, "" is nowhere.
func (f *front) set(replica int, address string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backends[replica] = address
}

// leave takes a replica out for good, as a load balancer does.
func (f *front) leave(replica int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.backends = append(f.backends[:replica:replica], f.backends[replica+1:]...)
}
