package registry_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// network is a network of HTTP servers by host:port, made of pipes, so that it
// works in a testing/synctest bubble, where waiting takes no time.
type network struct {
	mu    sync.Mutex
	hosts map[string]chan net.Conn
	dials int
	// down is how many of the next dials fail.
	down int
}

func newNetwork() *network { return &network{hosts: map[string]chan net.Conn{}} }

func (n *network) serve(t *testing.T, host string, handler http.Handler) {
	if !strings.Contains(host, ":") {
		host += ":80"
	}
	conns := make(chan net.Conn)
	n.hosts[host] = conns
	// Close does not wait for handlers, but the bubble must end empty.
	var handling sync.WaitGroup
	server := &http.Server{
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			handling.Add(1)
			defer handling.Done()
			handler.ServeHTTP(w, r)
		}),
		ErrorLog: log.New(io.Discard, "", 0),
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(&pipeListener{conns: conns, closed: make(chan struct{})})
	}()
	t.Cleanup(func() {
		server.Close()
		<-done
		synctest.Wait() // no connection begins another request
		handling.Wait()
	})
}

func (n *network) dial(ctx context.Context, _, address string) (net.Conn, error) {
	address = strings.Replace(address, ":443", ":80", 1)
	n.mu.Lock()
	n.dials++
	conns, failing := n.hosts[address], n.down > 0
	if failing {
		n.down--
	}
	n.mu.Unlock()
	if conns == nil || failing {
		return nil, &net.DNSError{Err: "no such host", Name: address, IsNotFound: true}
	}
	client, server := net.Pipe()
	select {
	case conns <- server:
		return client, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type pipeListener struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case conn := <-l.conns:
		return conn, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}
func (l *pipeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *pipeListener) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// repository is a registry with one repository, acme/app.
type repository struct {
	mu        sync.Mutex
	blobs     map[string][]byte
	manifests map[string]document
	log       []string // "GET path Range" of what was asked
	headers   []http.Header
	// blob, if not nil, answers the nth request for a blob, from 0, by itself
	// or by serve.
	blob func(n int, w http.ResponseWriter, r *http.Request, serve func())
	asks int
}

type document struct {
	mediaType types.MediaType
	raw       []byte
}

func newRepository() *repository {
	return &repository{blobs: map[string][]byte{}, manifests: map[string]document{}}
}

func (s *repository) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.log = append(s.log, strings.TrimSpace(r.Method+" "+r.URL.RequestURI()+" "+r.Header.Get("Range")))
	s.headers = append(s.headers, r.Header.Clone())
	s.mu.Unlock()
	if r.URL.Path == "/v2/" {
		return
	}
	i := strings.LastIndex(r.URL.Path, "/")
	kind, id := r.URL.Path[:i], r.URL.Path[i+1:]
	if strings.HasSuffix(kind, "/manifests") {
		doc, ok := s.manifests[id]
		if !ok {
			refuse(w, http.StatusNotFound, "MANIFEST_UNKNOWN", "manifest unknown")
			return
		}
		w.Header().Set("Content-Type", string(doc.mediaType))
		w.Write(doc.raw)
		return
	}
	serve := func() {
		blob, ok := s.blobs[id]
		if !ok {
			refuse(w, http.StatusNotFound, "BLOB_UNKNOWN", "blob unknown")
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(blob))
	}
	s.mu.Lock()
	n := s.asks
	s.asks++
	s.mu.Unlock()
	if s.blob != nil {
		s.blob(n, w, r, serve)
		return
	}
	serve()
}

func refuse(w http.ResponseWriter, code int, name, message string) {
	w.WriteHeader(code)
	fmt.Fprintf(w, `{"errors":[{"code":%q,"message":%q}]}`, name, message)
}

func (s *repository) addBlob(raw []byte) oci.Descriptor {
	digest, size, _ := v1.SHA256(bytes.NewReader(raw))
	s.blobs[digest.String()] = raw
	return oci.Descriptor{MediaType: types.OCILayer, Digest: digest, Size: size}
}

func (s *repository) addManifest(mediaType types.MediaType, doc any, tags ...string) oci.Descriptor {
	raw, ok := doc.([]byte)
	if !ok {
		raw, _ = json.Marshal(doc)
	}
	digest, size, _ := v1.SHA256(bytes.NewReader(raw))
	for _, id := range append(tags, digest.String()) {
		s.manifests[id] = document{mediaType, raw}
	}
	return oci.Descriptor{MediaType: mediaType, Digest: digest, Size: size}
}

// addImage adds an image of one layer for the platform.
func (s *repository) addImage(platform string, tags ...string) oci.Descriptor {
	p, _ := oci.ParsePlatform(platform)
	layer := s.addBlob([]byte("layer of " + platform))
	config, _ := json.Marshal(oci.Config{OS: p.OS, Architecture: p.Architecture, RootFS: v1.RootFS{Type: "layers", DiffIDs: []oci.Digest{layer.Digest}}})
	desc := s.addBlob(config)
	desc.MediaType = types.OCIConfigJSON
	image := s.addManifest(types.OCIManifestSchema1, oci.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: desc, Layers: []oci.Descriptor{layer}}, tags...)
	image.Platform = &p
	return image
}

// asked counts the requests whose log line contains what.
func (s *repository) asked(what string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, line := range s.log {
		if strings.Contains(line, what) {
			n++
		}
	}
	return n
}

func reference(t *testing.T, s string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// noise makes size bytes that are the same on each run.
func noise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

func fetch(client *registry.Client, ref oci.Reference, desc oci.Descriptor) ([]byte, error) {
	blob, err := client.Blob(context.Background(), ref, desc)
	if err != nil {
		return nil, err
	}
	defer blob.Close()
	return io.ReadAll(blob)
}
