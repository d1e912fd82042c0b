package registry_test

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

// Asked for an image, a registry fails in every way there is.
func TestOutOfReach(t *testing.T) {
	answer := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path != "/v2/" {
				w.WriteHeader(code)
			}
		}
	}
	tokens := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/token" {
				w.WriteHeader(code)
				return
			}
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x"`, r.Host))
			w.WriteHeader(http.StatusUnauthorized)
		}
	}
	silent := func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }
	reset := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	cut := func(w http.ResponseWriter, r *http.Request) {
		halfway(w, r, []byte("{                 }"))
		panic(http.ErrAbortHandler)
	}
	stalled := func(w http.ResponseWriter, r *http.Request) {
		halfway(w, r, []byte("{                 }"))
		<-r.Context().Done()
	}
	for name, test := range map[string]struct {
		ref     string
		handler http.HandlerFunc
		want    bool
	}{
		"unknown host":            {"nowhere.test/acme/app", answer(404), true},
		"silent":                  {"reg.test/acme/app", silent, true},
		"stalled":                 {"reg.test/acme/app", stalled, true},
		"cut":                     {"reg.test/acme/app", cut, true},
		"reset":                   {"reg.test/acme/app", reset, true},
		"408":                     {"reg.test/acme/app", answer(408), true},
		"429":                     {"reg.test/acme/app", answer(429), true},
		"500":                     {"reg.test/acme/app", answer(500), true},
		"503":                     {"reg.test/acme/app", answer(503), true},
		"504":                     {"reg.test/acme/app", answer(504), true},
		"token service with 503":  {"reg.test/acme/app", tokens(503), true},
		"token service with 401":  {"reg.test/acme/app", tokens(401), false},
		"401":                     {"reg.test/acme/app", answer(401), false},
		"403":                     {"reg.test/acme/app", answer(403), false},
		"404":                     {"reg.test/acme/app", answer(404), false},
		"418":                     {"reg.test/acme/app", answer(418), false},
		"501":                     {"reg.test/acme/app", answer(501), false},
		"no image":                {"reg.test/acme/app", answer(200), false},
		"wrong bytes":             {"reg.test/acme/app@sha256:0000000000000000000000000000000000000000000000000000000000000000", answer(200), false},
		"plain HTTP, not allowed": {"unlisted.test/acme/app", answer(503), false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newNetwork()
				net.serve(t, host, test.handler)
				net.serve(t, "unlisted.test", test.handler)
				client := registry.New(registry.Options{Insecure: []string{host, "nowhere.test"}, DialContext: net.dial})
				defer client.Close()
				_, err := client.Resolve(t.Context(), reference(t, test.ref), linux)
				if err == nil || registry.OutOfReach(err) != test.want {
					t.Errorf("%v: out of reach is %t, want %t", err, !test.want, test.want)
				}
				if errors.Is(err, io.EOF) {
					t.Errorf("%v: a reader's end, for who asks", err)
				}
				if wrapped := fmt.Errorf("run: %w", err); registry.OutOfReach(wrapped) != test.want {
					t.Errorf("wrapped it is otherwise: %v", wrapped)
				}
			})
		})
	}
	for err, want := range map[error]bool{
		nil: false, io.EOF: false, context.Canceled: false, context.DeadlineExceeded: true,
		oci.ErrNoPlatform: false, registry.ErrNotStored: false, registry.ErrNoRanges: false, registry.ErrMismatch: false,
	} {
		if registry.OutOfReach(err) != want {
			t.Errorf("%v: want %t", err, want)
		}
	}
}

// A config that cannot be had is out of reach as the manifest is.
func TestOutOfReachForTheConfig(t *testing.T) {
	for code, want := range map[int]bool{503: true, 404: false} {
		synctest.Test(t, func(t *testing.T) {
			net, repo := newNetwork(), newRepository()
			repo.addImage("linux/amd64", "latest")
			repo.blob = answerWith(code)
			net.serve(t, host, repo)
			client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial})
			defer client.Close()
			if _, err := client.Resolve(t.Context(), reference(t, host+"/acme/app"), linux); err == nil || registry.OutOfReach(err) != want {
				t.Errorf("%d: %v: want %t", code, err, want)
			}
		})
	}
}

// The caller's deadline is the registry's slowness, his breaking off is not.
func TestOutOfReachByTheContext(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		repo.blob = func(_ int, _ http.ResponseWriter, r *http.Request, _ func()) { <-r.Context().Done() }
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := client.Blob(ctx, reference(t, host+"/acme/app"), desc); !registry.OutOfReach(err) {
			t.Errorf("after a deadline: %v", err)
		}
		ctx, cancel = context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := client.Blob(ctx, reference(t, host+"/acme/app"), desc); !errors.Is(err, context.Canceled) || registry.OutOfReach(err) {
			t.Errorf("after breaking off: %v", err)
		}
	})
}

// Real sockets: nobody listens, and somebody with a certificate of his own.
func TestOutOfReachOnRealSockets(t *testing.T) {
	server := httptest.NewUnstartedServer(http.NotFoundHandler())
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	defer server.Close()
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	client := registry.New(registry.Options{Roots: x509.NewCertPool(), Attempts: 2})
	defer client.Close()
	ref := reference(t, u.Host+"/acme/app")
	if _, err := client.Resolve(t.Context(), ref, linux); err == nil || registry.OutOfReach(err) {
		t.Errorf("a stranger's certificate: %v", err)
	}
	server.Close()
	if _, err := client.Resolve(t.Context(), ref, linux); !registry.OutOfReach(err) {
		t.Errorf("nobody listens: %v", err)
	}
}
