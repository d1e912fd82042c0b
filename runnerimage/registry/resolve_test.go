package registry_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

func resolve(t *testing.T, repo *repository, ref, platform string) (*registry.Image, error) {
	t.Helper()
	var image *registry.Image
	var err error
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		net.serve(t, host, repo)
		client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial})
		defer client.Close()
		p, perr := oci.ParsePlatform(platform)
		if perr != nil {
			t.Fatal(perr)
		}
		image, err = client.Resolve(t.Context(), reference(t, ref), p)
	})
	return image, err
}

func TestResolve(t *testing.T) {
	repo := newRepository()
	amd64, arm64 := repo.addImage("linux/amd64", "one"), repo.addImage("linux/arm64")
	index := repo.addManifest(types.OCIImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{amd64, arm64}}, "many")
	repo.addManifest(types.DockerManifestList, oci.Index{SchemaVersion: 2, MediaType: types.DockerManifestList, Manifests: []oci.Descriptor{{MediaType: types.OCIImageIndex, Digest: index.Digest, Size: index.Size}}}, "nested")
	repo.addManifest("text/plain", repo.manifests["one"].raw, "untyped")

	for _, test := range []struct {
		ref, platform string
		want          oci.Digest
		indexed       bool
	}{
		{"reg.test/acme/app:one", "linux/amd64", amd64.Digest, false},
		{"reg.test/acme/app:one", "linux/arm64", amd64.Digest, false}, // as Docker: no index, no choice
		{"reg.test/acme/app:many", "linux/arm64", arm64.Digest, true},
		{"reg.test/acme/app:nested", "linux/arm64", arm64.Digest, true},
		{"reg.test/acme/app:untyped", "linux/amd64", amd64.Digest, false},
		{"reg.test/acme/app@" + arm64.Digest.String(), "linux/amd64", arm64.Digest, false},
		{"reg.test/acme/app@" + index.Digest.String(), "linux/amd64", amd64.Digest, true},
		{"reg.test/acme/app:no-such-tag@" + index.Digest.String(), "linux/amd64", amd64.Digest, true},
	} {
		image, err := resolve(t, repo, test.ref, test.platform)
		if err != nil {
			t.Errorf("%s on %s: %v", test.ref, test.platform, err)
			continue
		}
		if image.Digest != test.want || (image.IndexDigest != oci.Digest{}) != test.indexed {
			t.Errorf("%s on %s: got %s of index %s", test.ref, test.platform, image.Digest, image.IndexDigest)
		}
		if !bytes.Equal(image.RawManifest, repo.manifests[test.want.String()].raw) || len(image.Manifest.Layers) != 1 ||
			!bytes.Equal(image.RawConfig, repo.blobs[image.Manifest.Config.Digest.String()]) || image.Config.OS != "linux" {
			t.Errorf("%s on %s: the image is not whole: %+v", test.ref, test.platform, image)
		}
	}
}

// TestDocument: what a reference names need be no image.
func TestDocument(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		repo := newRepository()
		chart := []byte(`{"schemaVersion": 2, "config": {"mediaType": "application/vnd.cncf.helm.config.v1+json"}}`)
		repo.manifests["chart"] = document{types.OCIManifestSchema1 + "; charset=utf-8", chart}
		net := newNetwork()
		net.serve(t, host, repo)
		client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial})
		defer client.Close()
		raw, mediaType, err := client.Document(t.Context(), reference(t, "reg.test/acme/app:chart"))
		if err != nil || !bytes.Equal(raw, chart) || mediaType != types.OCIManifestSchema1 {
			t.Errorf("got %q of %q, %v", raw, mediaType, err)
		}
		if _, _, err := client.Document(t.Context(), reference(t, "reg.test/acme/app:none")); !errors.Is(err, registry.ErrNotFound) {
			t.Errorf("got %v", err)
		}
	})
}

func TestResolveFails(t *testing.T) {
	repo := newRepository()
	amd64 := repo.addImage("linux/amd64", "one")
	good := repo.manifests["one"].raw
	repo.addManifest(types.OCIImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{amd64}}, "amd64only")
	wrongSize := amd64
	wrongSize.Size++
	repo.addManifest(types.OCIImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{wrongSize}}, "wrong-size")
	other := strings.Repeat("0", 64)
	repo.manifests["sha256:"+other] = repo.manifests["one"]
	hugeIndex := amd64
	hugeIndex.Size = 17 << 20
	repo.addManifest(types.OCIImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{hugeIndex}}, "says-huge")
	repo.addManifest(types.OCIManifestSchema1, append(bytes.Repeat([]byte(" "), 17<<20), good...), "huge")
	repo.addManifest(types.DockerManifestSchema1Signed, []byte(`{"schemaVersion":1,"fsLayers":[]}`), "schema1")
	repo.addManifest(types.OCIManifestSchema1, []byte(`<html>`), "html")
	repo.addManifest(types.OCIManifestSchema1, []byte(`{"schemaVersion":2,"manifests":[],"layers":[]}`), "both")
	repo.addManifest(types.OCIManifestSchema1, []byte(`{"schemaVersion":2,"layers":[]}`), "no-config")
	repo.addManifest("text/plain", []byte(`{}`), "nothing")
	edit := func(tag string, change func(m *oci.Manifest)) {
		var m oci.Manifest
		if err := json.Unmarshal(good, &m); err != nil {
			t.Fatal(err)
		}
		change(&m)
		repo.addManifest(types.OCIManifestSchema1, m, tag)
	}
	edit("chart", func(m *oci.Manifest) { m.Config.MediaType = "application/vnd.cncf.helm.config.v1+json" })
	edit("negative", func(m *oci.Manifest) { m.Layers[0].Size = -1 })
	edit("two-layers", func(m *oci.Manifest) { m.Layers = append(m.Layers, m.Layers[0]) })
	edit("huge-config", func(m *oci.Manifest) { m.Config.Size = 17 << 20 })
	edit("wrong-config", func(m *oci.Manifest) { m.Config.Digest = m.Layers[0].Digest })
	edit("lost-config", func(m *oci.Manifest) { m.Config.Digest.Hex = other })
	loop := oci.Descriptor{MediaType: types.OCIImageIndex, Digest: amd64.Digest, Size: amd64.Size}
	for range 6 {
		loop = repo.addManifest(types.OCIImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{loop}}, "deep")
	}

	for _, test := range []struct {
		id   string
		want error
		says string
	}{
		{":none", registry.ErrNotFound, "manifest unknown"},
		{":amd64only", oci.ErrNoPlatform, "linux/amd64"},
		{":wrong-size", registry.ErrMismatch, "bytes"},
		{"@sha256:" + other, registry.ErrMismatch, "digest"},
		{":says-huge", registry.ErrTooLarge, "limit"},
		{":huge", registry.ErrTooLarge, "16777216"},
		{":schema1", registry.ErrUnsupported, "schema 1"},
		{":html", registry.ErrUnsupported, "JSON"},
		{":both", registry.ErrUnsupported, "at once"},
		{":no-config", registry.ErrUnsupported, "descriptor"},
		{":nothing", registry.ErrUnsupported, "text/plain"},
		{":chart", registry.ErrUnsupported, "helm"},
		{":negative", registry.ErrUnsupported, "negative"},
		{":two-layers", registry.ErrMismatch, "2 layers"},
		{":huge-config", registry.ErrTooLarge, "config"},
		{":wrong-config", registry.ErrMismatch, "config"},
		{":lost-config", registry.ErrNotFound, "config"},
		{":deep", registry.ErrUnsupported, "index within"},
	} {
		platform := "linux/amd64"
		if test.want == oci.ErrNoPlatform {
			platform = "linux/arm64"
		}
		image, err := resolve(t, repo, "reg.test/acme/app"+test.id, platform)
		if !errors.Is(err, test.want) || !strings.Contains(fmt.Sprint(err), test.says) || !strings.Contains(fmt.Sprint(err), "reg.test/acme/app") {
			t.Errorf("%s: got %+v, %v; want %v with %q", test.id, image, err, test.want, test.says)
		}
	}
}

// A registry's own claim is checked where the reference has no digest.
func TestResolveChecksTheClaimedDigest(t *testing.T) {
	repo := newRepository()
	repo.addImage("linux/amd64", "one")
	lying := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Docker-Content-Digest", "sha256:"+strings.Repeat("0", 64))
		repo.ServeHTTP(w, r)
	})
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		net.serve(t, host, lying)
		client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial})
		defer client.Close()
		if _, err := client.Resolve(t.Context(), reference(t, "reg.test/acme/app:one"), oci.Platform{OS: "linux", Architecture: "amd64"}); !errors.Is(err, registry.ErrMismatch) {
			t.Fatalf("got %v", err)
		}
	})
}
