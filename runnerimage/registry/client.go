// Package registry is the only HTTP client of registries. References and
// descriptors come in; images, streams of verified blob bytes and pieces of
// blobs go out.
//
// What it promises:
//
//   - No byte of a wrong blob passes for a right one: sizes and digests are
//     verified as bytes enter, and the last bytes of a blob are given out only
//     when its digest is right. That holds for a blob that is read on from a
//     Mark as well. Only the pieces that Ranges reads are the caller's to
//     verify.
//   - An image is authorised by its registry: Resolve asks for what a reference
//     names, digests included, and takes from a Shelf only what that leads to.
//     Stored alone asks nobody.
//   - Credentials go to the reference's own registry (and to the token service
//     that it names), never to mirrors, redirect targets or foreign URLs.
//   - Plain HTTP is spoken only with loopback and with listed hosts.
//   - Cut, stalled and failing transfers go on from the byte reached. What
//     fails in the end says which host and repository, why, and what to do; no
//     error text holds a password, a token or a signed URL's query. OutOfReach
//     tells faults of the network from refusals.
//   - A host has a bounded number of requests at a time, over all blobs; its
//     Retry-After is obeyed, up to a minute a try. Readers that stand still
//     hold up nobody.
//
// The room knows nothing of what is inside a layer.
package registry

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/google/go-containerregistry/pkg/authn"
)

// Keychain knows the credentials for a repository of a registry. host is as in
// the reference: "index.docker.io", "ghcr.io", "127.0.0.1:5000". The zero
// AuthConfig is anonymous.
type Keychain interface {
	Login(ctx context.Context, host, repository string) (authn.AuthConfig, error)
}

// Options configure a Client. The zero value is an anonymous client.
type Options struct {
	// Keychain holds the credentials; nil is anonymous.
	Keychain Keychain
	// Mirrors are asked before a reference's own registry, in their order.
	Mirrors []Mirror
	// Insecure lists hosts, as in references, that may be spoken to over plain
	// HTTP. Loopback always may.
	Insecure []string
	// Roots are the CA certificates that are trusted; nil is the system's.
	Roots *x509.CertPool
	// Proxy chooses the proxy of a request; nil is http.ProxyFromEnvironment.
	Proxy func(*http.Request) (*url.URL, error)
	// DialContext makes connections; nil is a net.Dialer's.
	DialContext func(ctx context.Context, network, address string) (net.Conn, error)
	// UserAgent is sent with every request; "" is "clipper-runner".
	UserAgent string
	// Attempts is how many times in a row a request may fail, or a transfer
	// break off without one more byte; 0 is 6.
	Attempts int
	// Stall is how long a connection may stay silent; 0 is 30 s.
	Stall time.Duration
	// PartSize is how much of a large blob one request asks for, and a large
	// blob is one of four parts or more; 0 is 8 MiB.
	PartSize int64
	// Parts is how many parts of one blob are fetched at a time; 0 is 4. Over
	// all blobs, a host is asked for no more than 24 things at a time.
	Parts int
	// Memory bounds the bytes that the client holds for all its blobs
	// together, in whole parts; 0 is 32 MiB.
	Memory int64
	// Shelf, if not nil, keeps the documents of images.
	Shelf Shelf
	// Progress, if not nil, hears of every n bytes that a reader of a blob or
	// of its spans got, each byte once. It is called by many goroutines and
	// must be quick.
	Progress func(n int64)
}

// Client pulls from registries. It is safe for concurrent use.
type Client struct {
	keychain Keychain
	mirrors  []Mirror
	insecure map[string]bool
	attempts int
	partSize int64
	parts    int
	// buffers lends the memory for parts that are fetched ahead. What it holds
	// may be nil, which is a buffer not allocated yet.
	buffers  chan []byte
	shelf    Shelf
	progress func(n int64)
	door     *door

	mu       sync.Mutex
	sessions map[sessionKey]*sessionSlot
	logins   map[string]bool // hosts that there were credentials for
	secrets  map[string]bool // what never appears in an error
	down     map[string]bool // mirrors that were out of reach
}

// New makes a Client.
func New(o Options) *Client {
	c := &Client{
		keychain: o.Keychain,
		mirrors:  o.Mirrors,
		insecure: map[string]bool{},
		attempts: cmp.Or(o.Attempts, 6),
		partSize: cmp.Or(o.PartSize, 8<<20),
		parts:    cmp.Or(o.Parts, 4),
		shelf:    o.Shelf,
		progress: o.Progress,
		sessions: map[sessionKey]*sessionSlot{},
		logins:   map[string]bool{},
		secrets:  map[string]bool{},
		down:     map[string]bool{},
	}
	if c.progress == nil {
		c.progress = func(int64) {}
	}
	for _, host := range o.Insecure {
		c.insecure[strings.ToLower(host)] = true
	}
	c.buffers = make(chan []byte, cmp.Or(o.Memory, 32<<20)/c.partSize)
	for range cap(c.buffers) {
		c.buffers <- nil
	}

	dial := o.DialContext
	if dial == nil {
		dial = (&net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}).DialContext
	}
	proxy := o.Proxy
	if proxy == nil {
		proxy = http.ProxyFromEnvironment
	}
	// One HTTP/2 connection is one TCP flow, however many ranges it carries:
	// HTTP/1.1 gives every range its own.
	protocols := new(http.Protocols)
	protocols.SetHTTP1(true)
	c.door = &door{
		agent: cmp.Or(o.UserAgent, "clipper-runner"),
		stall: cmp.Or(o.Stall, 30*time.Second),
		plain: c.plainAllowed,
		inner: &http.Transport{
			Proxy:               proxy,
			DialContext:         dial,
			TLSClientConfig:     &tls.Config{RootCAs: o.Roots, MinVersion: tls.VersionTLS12},
			TLSHandshakeTimeout: 10 * time.Second,
			Protocols:           protocols,
			// A blob's bytes are its digest's bytes: nothing may unpack them.
			DisableCompression:  true,
			MaxIdleConnsPerHost: mostAtOnce,
			IdleConnTimeout:     90 * time.Second,
			ReadBufferSize:      64 << 10,
		},
	}
	return c
}

// Stats counts what went over the wire, failures and repetitions included.
type Stats struct {
	// Requests counts HTTP requests, those for logging in included.
	Requests int64
	// Bytes counts the bytes of answers' bodies.
	Bytes int64
}

// Stats returns the counts so far.
func (c *Client) Stats() Stats {
	return Stats{Requests: c.door.requests.Load(), Bytes: c.door.bytes.Load()}
}

// Close closes idle connections. The Client stays usable.
func (c *Client) Close() { c.door.inner.CloseIdleConnections() }

// plainAllowed says whether a host may be spoken to over plain HTTP.
func (c *Client) plainAllowed(host string) bool {
	return isLoopback(host) || c.insecure[strings.ToLower(host)]
}

func isLoopback(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.Trim(name, "[]")
	ip := net.ParseIP(name)
	return ip != nil && ip.IsLoopback() || strings.EqualFold(name, "localhost")
}

// place is where a repository is pulled from: its own registry, a mirror's copy
// of it, or a foreign layer's URL, which has no repository.
type place struct {
	host, repository string
	// namespace, for a mirror of many hosts, is the host that is meant.
	namespace string
	foreign   *url.URL
	mirror    bool
}

// places lists where ref may be had, in the order to ask.
func (c *Client) places(ref oci.Reference) []place {
	var list []place
	for _, m := range c.mirrors {
		if p, ok := m.place(ref); ok && !c.isDown(p.host) {
			list = append(list, p)
		}
	}
	return append(list, place{host: ref.Host(), repository: ref.Repository()})
}

// url is the address of a manifest or blob of the place.
func (p place) url(kind, identifier string) *url.URL {
	if p.foreign != nil {
		return p.foreign
	}
	u := &url.URL{Scheme: "https", Host: p.host, Path: "/v2/" + p.repository + "/" + kind + "/" + identifier}
	if p.namespace != "" {
		u.RawQuery = url.Values{"ns": {p.namespace}}.Encode()
	}
	return u
}

func (p place) String() string {
	if p.foreign != nil {
		return p.foreign.Host
	}
	return p.host + "/" + p.repository
}

func (c *Client) isDown(mirror string) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.down[mirror]
}

// setDown spares later pulls the wait for a mirror that nobody answers at.
func (c *Client) setDown(mirror string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.down[mirror] = true
}
