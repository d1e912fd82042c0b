package registry_test

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/authn"
	ggcr "github.com/google/go-containerregistry/pkg/registry"
)

var linux = oci.Platform{OS: "linux", Architecture: "amd64"}

// keychain gives its login to the one host, and counts.
type keychain struct {
	host   string
	login  func() authn.AuthConfig
	logins atomic.Int32
}

func (k *keychain) Login(_ context.Context, host, repository string) (authn.AuthConfig, error) {
	if host != k.host || repository != "acme/app" {
		return authn.AuthConfig{}, nil
	}
	k.logins.Add(1)
	return k.login(), nil
}

func password(password string) func() authn.AuthConfig {
	return func() authn.AuthConfig { return authn.AuthConfig{Username: "user", Password: password} }
}

// basic protects a registry by user:secret-N, where N is *turn.
func basic(repo http.Handler, turn *atomic.Int32) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, pass, _ := r.BasicAuth(); user != "user" || pass != fmt.Sprint("secret-", turn.Load()) {
			w.Header().Set("WWW-Authenticate", `Basic realm="x"`)
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "no entry for "+pass)
			return
		}
		repo.ServeHTTP(w, r)
	})
}

// bearer protects a registry by tokens of its own token service, each good for
// a number of requests.
func bearer(repo http.Handler, uses int32, issued *atomic.Int32) http.Handler {
	var left atomic.Int32
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/token" {
			_, pass, _ := r.BasicAuth()
			if pass != "secret-0" || r.URL.Query().Get("scope") != "repository:acme/app:pull" {
				refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "no token")
				return
			}
			left.Store(uses)
			json.NewEncoder(w).Encode(map[string]string{"token": fmt.Sprint("token-", issued.Add(1))})
			return
		}
		if r.Header.Get("Authorization") != fmt.Sprint("Bearer token-", issued.Load()) || left.Add(-1) < 0 {
			w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm="http://%s/token",service="x",scope="repository:acme/app:pull"`, r.Host))
			refuse(w, http.StatusUnauthorized, "UNAUTHORIZED", "authentication required")
			return
		}
		repo.ServeHTTP(w, r)
	})
}

func TestLogin(t *testing.T) {
	var none, one, issued atomic.Int32
	one.Store(1)
	for name, test := range map[string]struct {
		guard    func(http.Handler) http.Handler
		keychain *keychain
		want     error
		says     string
	}{
		"basic":                     {func(h http.Handler) http.Handler { return basic(h, &none) }, &keychain{host: host, login: password("secret-0")}, nil, ""},
		"basic, wrong password":     {func(h http.Handler) http.Handler { return basic(h, &one) }, &keychain{host: host, login: password("secret-0")}, registry.ErrDenied, "do not fit"},
		"basic, anonymous":          {func(h http.Handler) http.Handler { return basic(h, &none) }, nil, registry.ErrDenied, "missing or private, and asked for anonymously"},
		"basic, another host's":     {func(h http.Handler) http.Handler { return basic(h, &none) }, &keychain{host: "other.test", login: password("secret-0")}, registry.ErrDenied, "anonymously"},
		"token":                     {func(h http.Handler) http.Handler { return bearer(h, 100, &issued) }, &keychain{host: host, login: password("secret-0")}, nil, ""},
		"token, wrong password":     {func(h http.Handler) http.Handler { return bearer(h, 100, &issued) }, &keychain{host: host, login: password("secret-9")}, registry.ErrDenied, "do not fit"},
		"token, anonymous":          {func(h http.Handler) http.Handler { return bearer(h, 100, &issued) }, nil, registry.ErrDenied, "anonymously"},
		"tokens run out under way":  {func(h http.Handler) http.Handler { return bearer(h, 2, &issued) }, &keychain{host: host, login: password("secret-0")}, nil, ""},
		"passwords change meantime": {func(h http.Handler) http.Handler { return basicChanging(h) }, &keychain{host: host, login: rising()}, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net, repo := newNetwork(), newRepository()
				repo.addImage("linux/amd64", "latest")
				net.serve(t, host, test.guard(repo))
				options := registry.Options{Insecure: []string{host}, DialContext: net.dial}
				if test.keychain != nil {
					options.Keychain = test.keychain
				}
				client := registry.New(options)
				defer client.Close()
				ref := reference(t, host+"/acme/app")
				image, err := client.Resolve(t.Context(), ref, linux)
				if err == nil {
					_, err = fetch(client, ref, image.Manifest.Layers[0])
				}
				if !errors.Is(err, test.want) || err != nil && !strings.Contains(err.Error(), test.says) {
					t.Fatalf("got %v, want %v with %q", err, test.want, test.says)
				}
				if err != nil && (strings.Contains(err.Error(), "secret-") || strings.Contains(err.Error(), "token-")) {
					t.Errorf("the error gives a secret away: %v", err)
				}
			})
		})
	}
}

// basicChanging wants another password after every second request.
func basicChanging(h http.Handler) http.Handler {
	var turn, asked atomic.Int32
	guard := basic(h, &turn)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, _, ok := r.BasicAuth(); ok {
			turn.Store(asked.Add(1) / 3)
		}
		guard.ServeHTTP(w, r)
	})
}

// rising gives secret-0, secret-1, …
func rising() func() authn.AuthConfig {
	var n atomic.Int32
	return func() authn.AuthConfig {
		return authn.AuthConfig{Username: "user", Password: fmt.Sprint("secret-", n.Add(1)-1)}
	}
}

func TestKeychainFails(t *testing.T) {
	inBubble(t, small, func(t *testing.T, _ *registry.Client, _ *repository, net *network, desc oci.Descriptor) {
		client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial, Keychain: failingKeychain{}})
		defer client.Close()
		if _, err := fetch(client, reference(t, host+"/acme/app"), desc); !errors.Is(err, registry.ErrDenied) || !errors.Is(err, errKeychain) {
			t.Fatalf("got %v", err)
		}
	})
}

var errKeychain = errors.New("the keychain is out of keys")

type failingKeychain struct{}

func (failingKeychain) Login(context.Context, string, string) (authn.AuthConfig, error) {
	return authn.AuthConfig{}, errKeychain
}

func TestRedirects(t *testing.T) {
	for _, size := range []int{small, large} {
		t.Run(fmt.Sprint(size), func(t *testing.T) {
			inBubble(t, size, func(t *testing.T, _ *registry.Client, repo *repository, net *network, desc oci.Descriptor) {
				client := registry.New(registry.Options{
					Insecure: []string{"auth.test", "cdn.test"}, DialContext: net.dial, PartSize: partSize,
					Keychain: &keychain{host: "auth.test", login: password("secret-0")},
				})
				defer client.Close()
				var turn, signature atomic.Int32
				var uses sync.Map // signature → *atomic.Int32; each is good for a few
				var closed atomic.Bool
				front := newRepository()
				front.blob = func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
					http.Redirect(w, r, fmt.Sprintf("http://cdn.test%s?signature=private-%d", r.URL.Path, signature.Add(1)), http.StatusTemporaryRedirect)
				}
				net.serve(t, "auth.test", basic(front, &turn))
				net.serve(t, "cdn.test", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					if r.Header.Get("Authorization") != "" {
						t.Error("the redirect target got credentials")
					}
					used, _ := uses.LoadOrStore(r.URL.Query().Get("signature"), new(atomic.Int32))
					if used.(*atomic.Int32).Add(1) > 6 || closed.Load() {
						w.WriteHeader(http.StatusForbidden)
						return
					}
					repo.ServeHTTP(w, r)
				}))
				got, err := fetch(client, reference(t, "auth.test/acme/app"), desc)
				if err != nil || !bytes.Equal(got, noise(size)) {
					t.Fatalf("got %d bytes, %v", len(got), err)
				}
				if size == large && front.asks >= 17 {
					t.Errorf("%d redirects for 17 parts: none was used again", front.asks)
				}

				closed.Store(true)
				_, err = fetch(client, reference(t, "auth.test/acme/app"), desc)
				if !errors.Is(err, registry.ErrDenied) || !strings.Contains(err.Error(), "cdn.test") || strings.Contains(err.Error(), "private-") || strings.Contains(err.Error(), "secret-") {
					t.Errorf("got %v", err)
				}
			})
		})
	}
}

func TestRedirectToPlainHTTPIsRefused(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		for _, target := range []string{"http://elsewhere.test/x?signature=private", "http://169.254.169.254/latest"} {
			repo.blob = func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
				http.Redirect(w, r, target, http.StatusFound)
			}
			_, err := fetch(client, reference(t, host+"/acme/app"), desc)
			if !errors.Is(err, registry.ErrInsecure) || strings.Contains(err.Error(), "private") {
				t.Errorf("%s: got %v", target, err)
			}
		}
	})
}

func TestRedirectsWithoutEnd(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, _ *network, desc oci.Descriptor) {
		repo.blob = func(_ int, w http.ResponseWriter, r *http.Request, _ func()) {
			http.Redirect(w, r, r.URL.Path, http.StatusFound)
		}
		if _, err := fetch(client, reference(t, host+"/acme/app"), desc); !errors.Is(err, registry.ErrUnreachable) || !strings.Contains(err.Error(), "redirects") {
			t.Fatalf("got %v", err)
		}
	})
}

func TestPlainHTTPMustBeListed(t *testing.T) {
	for _, name := range []string{"unlisted.test", "10.1.2.3:5000", "192.168.1.9"} {
		inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, net *network, desc oci.Descriptor) {
			net.serve(t, name, repo)
			_, err := fetch(client, reference(t, name+"/acme/app"), desc)
			if !errors.Is(err, registry.ErrInsecure) || !strings.Contains(err.Error(), "CLIPPER_INSECURE_REGISTRIES") || repo.asks > 0 {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
	for _, name := range []string{"127.0.0.1:5000", "127.9.9.9", "localhost:5000", "[::1]:5000"} {
		inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, net *network, desc oci.Descriptor) {
			net.serve(t, name, repo)
			if _, err := fetch(client, reference(t, name+"/acme/app"), desc); err != nil {
				t.Errorf("%s: got %v", name, err)
			}
		})
	}
}

func TestMirrors(t *testing.T) {
	type world struct {
		origin, mirror *repository
	}
	for name, test := range map[string]struct {
		mirrors  string
		change   func(w world)
		atMirror string // what the mirror is asked, "" for nothing
		atOrigin bool   // whether the origin serves the blob
	}{
		"for all":               {"mirror.test", func(world) {}, "/v2/acme/app/blobs/", false},
		"for this host":         {"reg.test=mirror.test", func(world) {}, "/v2/acme/app/blobs/", false},
		"with a prefix":         {"reg.test=mirror.test/cache/x", func(world) {}, "/v2/cache/x/acme/app/blobs/", false},
		"for another host":      {"docker.io=mirror.test", func(world) {}, "", true},
		"has none":              {"mirror.test", func(w world) { clear(w.mirror.blobs); clear(w.mirror.manifests) }, "/v2/acme/app/manifests/", true},
		"has no blobs":          {"mirror.test", func(w world) { clear(w.mirror.blobs) }, "/v2/acme/app/blobs/", true},
		"is not there":          {"gone.test,gone.test/x", func(world) {}, "", true},
		"the second has it":     {"gone.test,mirror.test", func(world) {}, "/v2/acme/app/blobs/", false},
		"has a wrong manifest":  {"mirror.test", func(w world) { w.mirror.manifests["latest"] = document{"", []byte("<html>")} }, "/v2/acme/app/manifests/", false},
		"fails with blobs":      {"mirror.test", func(w world) { w.mirror.blob = answerWith(503) }, "/v2/acme/app/blobs/", true},
		"denies":                {"mirror.test", func(w world) { w.mirror.blob = answerWith(401) }, "/v2/acme/app/blobs/", true},
		"cuts and then is gone": {"mirror.test", func(w world) { w.mirror.blob = cutThenFail }, "/v2/acme/app/blobs/", true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				net := newNetwork()
				w := world{newRepository(), newRepository()}
				for _, repo := range []*repository{w.origin, w.mirror} {
					repo.addImage("linux/amd64", "latest")
				}
				test.change(w)
				var turn atomic.Int32
				net.serve(t, host, basic(w.origin, &turn))
				net.serve(t, "mirror.test", w.mirror)
				mirrors, err := registry.ParseMirrors(test.mirrors)
				if err != nil {
					t.Fatal(err)
				}
				client := registry.New(registry.Options{
					Insecure: []string{host, "mirror.test"}, DialContext: net.dial, Mirrors: mirrors,
					Keychain: &keychain{host: host, login: password("secret-0")},
				})
				defer client.Close()
				ref := reference(t, host+"/acme/app")
				image, err := client.Resolve(t.Context(), ref, linux)
				if err != nil {
					t.Fatal(err)
				}
				if _, err := fetch(client, ref, image.Manifest.Layers[0]); err != nil {
					t.Fatal(err)
				}
				if test.atMirror == "" && len(w.mirror.log) > 0 || w.mirror.asked(test.atMirror) == 0 && test.atMirror != "" {
					t.Errorf("the mirror was asked %q, want %q", w.mirror.log, test.atMirror)
				}
				if got := w.origin.asked("/blobs/") > 0; got != test.atOrigin {
					t.Errorf("the origin was asked %q", w.origin.log)
				}
				for _, header := range w.mirror.headers {
					if header.Get("Authorization") != "" {
						t.Error("the mirror got credentials")
					}
				}
				if strings.HasPrefix(test.mirrors, "mirror.test") && w.mirror.asked("ns=reg.test") == 0 {
					t.Errorf("a mirror for all was not told the host: %q", w.mirror.log)
				}
			})
		})
	}
}

func answerWith(code int) fault {
	return func(_ int, w http.ResponseWriter, _ *http.Request, _ func()) { w.WriteHeader(code) }
}

func cutThenFail(n int, w http.ResponseWriter, r *http.Request, serve func()) {
	if n > 0 {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	w.Header().Set("Content-Length", "999")
	panic(http.ErrAbortHandler)
}

func TestMirrorsFailIsTold(t *testing.T) {
	inBubble(t, small, func(t *testing.T, _ *registry.Client, _ *repository, net *network, desc oci.Descriptor) {
		mirrors, _ := registry.ParseMirrors("gone.test")
		client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial, Mirrors: mirrors})
		defer client.Close()
		_, err := client.Resolve(t.Context(), reference(t, host+"/acme/app"), linux)
		if !errors.Is(err, registry.ErrNotFound) || !strings.Contains(err.Error(), "mirror gone.test/acme/app: ") {
			t.Fatalf("got %v", err)
		}
	})
}

func TestParseMirrors(t *testing.T) {
	for in, want := range map[string][]registry.Mirror{
		"":                                   nil,
		" , ":                                nil,
		"m.test":                             {{Host: "m.test"}},
		"m.test:5000/a/b/":                   {{Host: "m.test:5000", Prefix: "a/b"}},
		"docker.io=m.test, ghcr.io=n.test/x": {{For: "index.docker.io", Host: "m.test"}, {For: "ghcr.io", Host: "n.test", Prefix: "x"}},
		"localhost:5000":                     {{Host: "localhost:5000"}},
	} {
		got, err := registry.ParseMirrors(in)
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%q: got %v, %v", in, got, err)
		}
	}
	for _, in := range []string{"https://m.test", "m.test/UP", "=m.test", "ghcr.io=", "m.test/a//b", "a b", "m.test/x?y", "ghcr.io=n/x"} {
		if got, err := registry.ParseMirrors(in); err == nil {
			t.Errorf("%q: got %v", in, got)
		}
	}
}

func FuzzParseMirrors(f *testing.F) {
	for _, s := range []string{"m.test", "docker.io=m.test:5000/a/b", "a=b=c", ",,", "[::1]:5000/x"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		mirrors, err := registry.ParseMirrors(s)
		if err != nil {
			return
		}
		for _, m := range mirrors {
			if m.Host == "" || strings.ContainsAny(m.Host+m.Prefix+m.For, "?#@% \\") || strings.Contains(m.Prefix, "..") {
				t.Fatalf("%q gives %+v", s, m)
			}
		}
	})
}

func TestForeignLayer(t *testing.T) {
	inBubble(t, small, func(t *testing.T, client *registry.Client, repo *repository, net *network, desc oci.Descriptor) {
		id := desc.Digest.String()
		elsewhere := newRepository()
		elsewhere.blobs[id] = repo.blobs[id]
		net.serve(t, "cdn.test", elsewhere)
		ref := reference(t, host+"/acme/app")

		desc.URLs = []string{"http://cdn.test/blobs/" + id}
		if _, err := fetch(client, ref, desc); err != nil || len(elsewhere.log) > 0 {
			t.Fatalf("the registry has it: got %v, elsewhere was asked %q", err, elsewhere.log)
		}
		delete(repo.blobs, id)
		if got, err := fetch(client, ref, desc); err != nil || len(got) != small {
			t.Fatalf("got %d bytes, %v", len(got), err)
		}
		desc.URLs = []string{"http://unlisted.test/blobs/" + id}
		if _, err := fetch(client, ref, desc); !errors.Is(err, registry.ErrInsecure) {
			t.Fatalf("over plain HTTP: got %v", err)
		}
		repo.blob = answerWith(403)
		desc.URLs = []string{"http://cdn.test/blobs/" + id}
		if _, err := fetch(client, ref, desc); !errors.Is(err, registry.ErrDenied) {
			t.Fatalf("denied by the registry: got %v", err)
		}
	})
}

// Real sockets, real TLS with a CA of its own, and go-containerregistry's
// registry, which knows ranges in its own way.
func TestRealServer(t *testing.T) {
	quiet := log.New(io.Discard, "", 0)
	for _, secure := range []bool{false, true} {
		server := httptest.NewUnstartedServer(ggcr.New(ggcr.Logger(quiet)))
		server.Config.ErrorLog = quiet
		var roots *x509.CertPool
		if secure {
			server.StartTLS()
			roots = x509.NewCertPool()
			roots.AddCert(server.Certificate())
		} else {
			server.Start()
		}
		defer server.Close()
		repo := newRepository()
		repo.addImage("linux/amd64", "latest")
		big := repo.addBlob(noise(large))
		push(t, server, repo)

		u, _ := url.Parse(server.URL)
		ref := reference(t, u.Host+"/acme/app")
		client := registry.New(registry.Options{Roots: roots, PartSize: partSize, UserAgent: "test/1"})
		defer client.Close()
		image, err := client.Resolve(t.Context(), ref, linux)
		if err != nil {
			t.Fatal(err)
		}
		for _, desc := range append(image.Manifest.Layers, big) {
			if got, err := fetch(client, ref, desc); err != nil || int64(len(got)) != desc.Size {
				t.Errorf("TLS %t: got %d bytes of %d, %v", secure, len(got), desc.Size, err)
			}
		}
		ranges := client.Ranges(ref, big)
		defer ranges.Close()
		spans := []registry.Span{{Offset: 10, Length: 5}, {Offset: partSize, Length: 3 * partSize}, {Offset: large - 1, Length: 1}}
		for _, span := range spans {
			if got, err := ranges.Read(t.Context(), span); err != nil || !bytes.Equal(got, noise(large)[span.Offset:span.Offset+span.Length]) {
				t.Errorf("TLS %t: span %v: got %d bytes, %v", secure, span, len(got), err)
			}
		}
		if got, err := readFrom(t, client, ref, big, markAt(t, client, ref, big, 5*partSize+1)); err != nil || !bytes.Equal(got, noise(large)[5*partSize+1:]) {
			t.Errorf("TLS %t: from a mark: got %d bytes, %v", secure, len(got), err)
		}
		if secure {
			stranger := registry.New(registry.Options{Roots: x509.NewCertPool(), Attempts: 2})
			defer stranger.Close()
			if _, err := stranger.Resolve(t.Context(), ref, linux); !errors.Is(err, registry.ErrUnreachable) || !strings.Contains(err.Error(), "CLIPPER_CA_CERTS") {
				t.Errorf("with an unknown CA: got %v", err)
			}
		}
		server.Close()
		if _, err := registry.New(registry.Options{Attempts: 2}).Resolve(t.Context(), ref, linux); !errors.Is(err, registry.ErrUnreachable) || !strings.Contains(err.Error(), "localhost is this container") {
			t.Errorf("with the server gone: got %v", err)
		}
	}
}

func push(t *testing.T, server *httptest.Server, repo *repository) {
	t.Helper()
	send := func(method, path, mediaType string, body []byte) {
		req, err := http.NewRequest(method, server.URL+path, bytes.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Content-Type", mediaType)
		resp, err := server.Client().Do(req)
		if err != nil || resp.StatusCode != http.StatusCreated {
			t.Fatalf("%s %s: %v %v", method, path, resp, err)
		}
		resp.Body.Close()
	}
	for digest, raw := range repo.blobs {
		send("POST", "/v2/acme/app/blobs/uploads/?digest="+digest, "application/octet-stream", raw)
	}
	for id, doc := range repo.manifests {
		send("PUT", "/v2/acme/app/manifests/"+id, string(doc.mediaType), doc.raw)
	}
}
