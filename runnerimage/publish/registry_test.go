package publish_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/publish"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	server "github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

// testRegistry is a registry that writes down what it is asked.
type testRegistry struct {
	host  string
	log   requestLog
	guard func(*http.Request) bool // nil lets everybody in

	mu    sync.Mutex
	blobs map[string]bool // "repository@digest": the server has one set for all
}

// hides says of a request that it is for a blob which its repository does not
// have. What is uploaded or mounted is there from then on.
func (r *testRegistry) hides(req *http.Request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	repository, rest, ok := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"), "/blobs/")
	query := req.URL.Query()
	switch {
	case !ok:
	case req.Method == http.MethodPut:
		r.blobs[repository+"@"+query.Get("digest")] = true
	case req.Method == http.MethodPost && r.blobs[query.Get("from")+"@"+query.Get("mount")]:
		r.blobs[repository+"@"+query.Get("mount")] = true
	case req.Method == http.MethodGet || req.Method == http.MethodHead:
		return !r.blobs[repository+"@"+rest]
	}
	return false
}

type requestLog struct {
	mu   sync.Mutex
	list []string
}

func (l *requestLog) add(r *http.Request) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = append(l.list, r.Method+" "+r.URL.RequestURI())
}

func (l *requestLog) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.list = nil
}

// requests lists those that begin with one of the prefixes.
func (l *requestLog) requests(prefixes ...string) []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []string
	for _, line := range l.list {
		for _, prefix := range prefixes {
			if strings.HasPrefix(line, prefix) {
				found = append(found, line)
			}
		}
	}
	return found
}

func newRegistry(t *testing.T) *testRegistry {
	t.Helper()
	r := &testRegistry{blobs: map[string]bool{}}
	inner := server.New(server.Logger(log.New(io.Discard, "", 0)))
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.log.add(req)
		if r.guard != nil && (!r.guard(req) || req.URL.Path == "/v2/" && req.Header.Get("Authorization") == "") {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		if r.hides(req) {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		inner.ServeHTTP(w, req)
	}))
	t.Cleanup(s.Close)
	r.host = strings.TrimPrefix(s.URL, "http://")
	return r
}

func (r *testRegistry) reference(t *testing.T, s string) oci.Reference {
	t.Helper()
	ref, err := oci.ParseReference(r.host + "/" + s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

func (r *testRegistry) publish(t *testing.T, source, target string, o publish.Options) *publish.Report {
	t.Helper()
	src, err := publish.ParseSource(source)
	if err != nil {
		t.Fatal(err)
	}
	if src.Transport == publish.DockerDaemon {
		host, image, _ := strings.Cut(src.Image, "|")
		o.DockerHost, src.Image = host, image
	}
	report, err := publish.Publish(t.Context(), src, r.reference(t, target), o)
	if err != nil {
		t.Fatal(err)
	}
	if raw := r.raw(t, target); digestOf(raw) != report.Digest {
		t.Errorf("the report says digest %s, the registry has %s", report.Digest, digestOf(raw))
	}
	return report
}

func (r *testRegistry) push(t *testing.T, s string, image v1.Image) {
	t.Helper()
	if err := remote.Write(r.named(t, s), image); err != nil {
		t.Fatal(err)
	}
}

func (r *testRegistry) named(t *testing.T, s string) name.Reference {
	t.Helper()
	ref, err := name.ParseReference(r.host + "/" + s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}

// raw is the manifest or index of a reference.
func (r *testRegistry) raw(t *testing.T, s string) []byte {
	t.Helper()
	ref := r.named(t, s)
	return r.get(t, "/v2/"+ref.Context().RepositoryStr()+"/manifests/"+ref.Identifier())
}

func (r *testRegistry) get(t *testing.T, path string) []byte {
	t.Helper()
	resp, err := http.Get("http://" + r.host + path)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s, %v", path, resp.Status, err)
	}
	return raw
}

func digestOf(raw []byte) string { return fmt.Sprintf("sha256:%x", sha256.Sum256(raw)) }

// serveEngine answers as the Docker Engine does that has the archive's image
// as app:1, and returns its socket and that name for testRegistry.publish.
func serveEngine(t *testing.T, archive string) string {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "docker.sock")
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	engine := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/images/get" || r.URL.Query().Get("names") != "app:1" {
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprintln(w, `{"message":"reference does not exist"}`)
			return
		}
		http.ServeFile(w, r, archive)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		engine.Serve(listener)
	}()
	t.Cleanup(func() { engine.Close(); <-done })
	return "unix://" + socket + "|app:1"
}

// keychain has the passwords of the user robot by host.
type keychain map[string]string

func (k keychain) Login(_ context.Context, host, _ string) (authn.AuthConfig, error) {
	if k[host] == "" {
		return authn.AuthConfig{}, nil
	}
	return authn.AuthConfig{Username: "robot", Password: k[host]}, nil
}

// put stores a manifest as it is.
func (r *testRegistry) put(t *testing.T, path, mediaType string, raw []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, "http://"+r.host+path, bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", mediaType)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusCreated {
		t.Fatalf("%s: %s", path, resp.Status)
	}
}

func jsonOf(t *testing.T, value any) string {
	t.Helper()
	raw, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}
