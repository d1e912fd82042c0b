package publish_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/publish"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/test/tarball"
)

// TestRefused: what cannot be published leaves the tag as it was, and no file.
func TestRefused(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	tars := layersOf("one")
	good := imageOf(t, "amd64", tarball.Gzip, tars...)
	r := newRegistry(t)
	r.push(t, "source:good", good)
	before := r.publish(t, r.host+"/source:good", "app:1", publish.Options{})
	r.push(t, "source:diff", withDiffIDs(t, good, []string{strings.Repeat("0", 64), strings.Repeat("1", 64), strings.Repeat("2", 64)}))
	r.push(t, "source:few", withDiffIDs(t, good, []string{strings.Repeat("0", 64)}))
	r.push(t, "source:torn", imageOf(t, "amd64", func(b []byte) []byte { z := tarball.Gzip(b); return z[:len(z)/3] }, layersOf("torn")...))
	r.publish(t, r.index(t, "source:index"), "app:amd64", publish.Options{Platform: &oci.Platform{OS: "linux", Architecture: "amd64"}})
	damaged := damagedLayout(t, imageOf(t, "amd64", tarball.Gzip, layersOf("damaged")...))
	for _, tt := range []struct {
		name, source, target string
		options              publish.Options
		want                 error
		says                 string
	}{
		{"wrong diff ID", r.host + "/source:diff", "app:1", publish.Options{}, registry.ErrMismatch, "and the config says diff ID sha256:"},
		{"diff IDs missing", r.host + "/source:few", "app:1", publish.Options{}, registry.ErrMismatch, "3 layers and the config 1 diff IDs"},
		{"wrong blob", damaged, "app:1", publish.Options{}, registry.ErrMismatch, "the bytes there have digest"},
		{"no such source", r.host + "/source:none", "app:1", publish.Options{}, registry.ErrNotFound, "source"},
		{"no such layout", "oci:/no/such/layout", "app:1", publish.Options{}, registry.ErrNotFound, "oci:/no/such/layout"},
		{"no such archive", "docker-archive:/no/such.tar", "app:1", publish.Options{}, registry.ErrNotFound, "docker-archive:/no/such.tar"},
		{"no archive", "docker-archive:/proc/self/exe", "app:1", publish.Options{}, registry.ErrUnsupported, "no docker-archive"},
		{"no such engine", "docker-daemon:app", "app:1", publish.Options{DockerHost: "unix:///no/such/socket"}, registry.ErrUnreachable, "Docker Engine at unix:///no/such/socket"},
		{"engine by ssh", "docker-daemon:app", "app:1", publish.Options{DockerHost: "ssh://host"}, publish.ErrArguments, "docker save"},
		{"no such previous", r.host + "/source:good", "app:1", publish.Options{Previous: r.reference(t, "app:none")}, registry.ErrNotFound, "previous version"},
		{"by digest", r.host + "/source:good", "app@" + before.Digest, publish.Options{}, publish.ErrArguments, "is no tag"},
		{"no such platform", r.host + "/app:amd64", "app:1", publish.Options{Platform: &oci.Platform{OS: "linux", Architecture: "s390x"}}, oci.ErrNoPlatform, "it has linux/amd64"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			source, err := publish.ParseSource(tt.source)
			if err != nil {
				t.Fatal(err)
			}
			_, err = publish.Publish(t.Context(), source, r.reference(t, tt.target), tt.options)
			if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("%v, want %v with %q", err, tt.want, tt.says)
			}
		})
	}
	t.Run("torn", func(t *testing.T) {
		source, err := publish.ParseSource(r.host + "/source:torn")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := publish.Publish(t.Context(), source, r.reference(t, "app:1"), publish.Options{}); err == nil {
			t.Error("a torn layer is published")
		}
	})
	if now := r.raw(t, "app:1"); digestOf(now) != before.Digest {
		t.Error("the tag has moved")
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestInterrupted: whatever was sent until then, the tag is as it was and no
// file stays.
func TestInterrupted(t *testing.T) {
	temp := t.TempDir()
	t.Setenv("TMPDIR", temp)
	r := newRegistry(t)
	r.push(t, "source:1", imageOf(t, "amd64", tarball.Gzip, layersOf("one")...))
	source := publish.Source{Transport: publish.Registry, Image: r.host + "/source:1"}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := publish.Publish(ctx, source, r.reference(t, "app:1"), publish.Options{Done: func(publish.Layer) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if sent := r.log.requests("PUT /v2/app/manifests"); len(sent) > 0 {
		t.Errorf("sent: %v", sent)
	}
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestDenied: who may pull may not push, and no error shows a password.
func TestDenied(t *testing.T) {
	r := newRegistry(t)
	r.push(t, "source:1", imageOf(t, "amd64", tarball.Gzip, layersOf("one")...))
	r.guard = func(req *http.Request) bool {
		user, password, _ := req.BasicAuth()
		return user == "robot" && password == "s3cret" || req.Method == http.MethodGet || req.Method == http.MethodHead
	}
	source := publish.Source{Transport: publish.Registry, Image: r.host + "/source:1"}
	target := r.reference(t, "app:1")
	for _, tt := range []struct {
		login keychain
		says  string
	}{
		{nil, "docker login " + target.Host()},
		{keychain{target.Host(): "wrong-password"}, "credentials do not allow to push"},
	} {
		_, err := publish.Publish(t.Context(), source, target, publish.Options{Keychain: tt.login})
		if !errors.Is(err, registry.ErrDenied) || !strings.Contains(err.Error(), tt.says) || strings.Contains(err.Error(), "wrong-password") {
			t.Errorf("%v", err)
		}
	}
	if _, err := publish.Publish(t.Context(), source, target, publish.Options{Keychain: keychain{target.Host(): "s3cret"}}); err != nil {
		t.Error(err)
	}
}
