package publish_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/publish"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/test/tarball"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// indexOf is a manifest list as BuildKit makes it: two platforms, that share a
// layer, and an attestation for the first; and a manifest of an unknown kind.
func indexOf(t *testing.T) v1.ImageIndex {
	t.Helper()
	tars := layersOf("one")
	amd64 := imageOf(t, "amd64", tarball.Gzip, tars...)
	arm64 := imageOf(t, "arm64", tarball.Gzip, tars[0], layersOf("arm")[2])
	digest, err := amd64.Digest()
	if err != nil {
		t.Fatal(err)
	}
	statement := []byte(`{"_type":"https://in-toto.io/Statement/v0.1","subject":[{"digest":{"sha256":"` + digest.Hex + `"}}]}`)
	attestation, err := mutate.AppendLayers(mutate.MediaType(empty.Image, types.OCIManifestSchema1), blob{statement, statement, "application/vnd.in-toto+json"})
	if err != nil {
		t.Fatal(err)
	}
	chart, err := mutate.AppendLayers(mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), "application/vnd.cncf.helm.config.v1+json"),
		blob{[]byte("chart"), []byte("chart"), "application/vnd.cncf.helm.chart.content.v1.tar+gzip"})
	if err != nil {
		t.Fatal(err)
	}
	return mutate.Annotations(mutate.AppendManifests(emptyIndex(types.OCIImageIndex),
		mutate.IndexAddendum{Add: amd64, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}, Annotations: map[string]string{"of": "entry"}}},
		mutate.IndexAddendum{Add: arm64, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "arm64", Variant: "v8"}}},
		mutate.IndexAddendum{Add: attestation, Descriptor: v1.Descriptor{
			Platform:    &v1.Platform{OS: "unknown", Architecture: "unknown"},
			Annotations: map[string]string{"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest.String()},
		}},
		mutate.IndexAddendum{Add: chart},
	), map[string]string{"of": "index"}).(v1.ImageIndex)
}

// index pushes indexOf, and returns its whole reference.
func (r *testRegistry) index(t *testing.T, s string) string {
	t.Helper()
	if err := remote.WriteIndex(r.named(t, s), indexOf(t)); err != nil {
		t.Fatal(err)
	}
	return r.host + "/" + s
}

func (r *testRegistry) readIndex(t *testing.T, s string) oci.Index {
	t.Helper()
	var index oci.Index
	if err := json.Unmarshal(r.raw(t, s), &index); err != nil {
		t.Fatal(err)
	}
	return index
}

func TestIndex(t *testing.T) {
	r := newRegistry(t)
	source := r.index(t, "source:1")
	report := r.publish(t, source, "app:1", publish.Options{})
	before, after := r.readIndex(t, "source:1"), r.readIndex(t, "app:1")
	if len(report.Images) != 2 || len(after.Manifests) != 4 || after.Annotations["of"] != "index" {
		t.Fatalf("%+v\n%+v", report, after)
	}
	tars := layersOf("one")
	for i, want := range [][][]byte{tars, {tars[0], layersOf("arm")[2]}} {
		is, was := after.Manifests[i], before.Manifests[i]
		if is.Digest == was.Digest || is.MediaType != types.OCIManifestSchema1 || !is.Platform.Equals(*was.Platform) || is.Annotations["of"] != was.Annotations["of"] {
			t.Errorf("entry %d was %+v and is %+v", i, was, is)
		}
		if report.Images[i].Digest != is.Digest.String() {
			t.Errorf("the report says %s of entry %d, which is %s", report.Images[i].Digest, i, is.Digest)
		}
		if is.Size != int64(len(r.raw(t, "app@"+is.Digest.String()))) {
			t.Errorf("entry %d has not the %d bytes it says", i, is.Size)
		}
		r.check(t, "app@"+is.Digest.String(), nil, want)
		var manifest oci.Manifest
		if err := json.Unmarshal(r.raw(t, "app@"+is.Digest.String()), &manifest); err != nil {
			t.Fatal(err)
		}
		if manifest.Annotations["of"] != "manifest <&>" || manifest.Layers[0].Annotations["of"] != "layer" {
			t.Errorf("annotations are lost: %+v", manifest)
		}
	}
	for i := 2; i < 4; i++ {
		is, was := after.Manifests[i], before.Manifests[i]
		if is.Digest != was.Digest || !bytes.Equal(r.raw(t, "app@"+is.Digest.String()), r.raw(t, "source@"+was.Digest.String())) {
			t.Errorf("entry %d was %+v and is %+v", i, was, is)
		}
	}
	if got, want := after.Manifests[2].Annotations["vnd.docker.reference.digest"], after.Manifests[0].Digest.String(); got != want {
		t.Errorf("the attestation is for %s, not %s", got, want)
	}
	// The shared layer is converted once.
	if first, second := report.Images[0].Layers[0], report.Images[1].Layers[0]; first != second {
		t.Errorf("the shared layer is %+v and %+v", first, second)
	}
	if again := r.publish(t, source, "app:1", publish.Options{}); again.Digest != report.Digest || again.Sent != 0 {
		t.Errorf("again: %+v", again)
	}
	if again := newRegistry(t).publish(t, source, "app:1", publish.Options{}); again.Digest != report.Digest {
		t.Errorf("elsewhere: %+v", again)
	}
	if again := newRegistry(t).publish(t, r.host+"/app:1", "copy:1", publish.Options{}); again.Digest != report.Digest {
		t.Errorf("a copy: %+v", again)
	}
}

// TestPlatform: with one platform go its attestations, and nothing else.
func TestPlatform(t *testing.T) {
	r := newRegistry(t)
	source := r.index(t, "source:1")
	all := r.publish(t, source, "app:1", publish.Options{})
	one := r.publish(t, source, "app:amd64", publish.Options{Platform: &oci.Platform{OS: "linux", Architecture: "amd64"}})
	index := r.readIndex(t, "app:amd64")
	if len(index.Manifests) != 2 || index.Manifests[0].Digest.String() != all.Images[0].Digest || len(one.Images) != 1 {
		t.Errorf("%+v\n%+v", one, index)
	}
}

// TestManifestList: Docker's media types become OCI's, and what nobody here
// knows stays.
func TestManifestList(t *testing.T) {
	r := newRegistry(t)
	r.push(t, "source:1", imageOf(t, "amd64", tarball.Gzip, layersOf("one")...))
	entry := r.raw(t, "source:1")
	list := []byte(`{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","x-future":{"a":[1.50,"<"]},` +
		`"manifests":[{"mediaType":"application/vnd.docker.distribution.manifest.v2+json","digest":"` + digestOf(entry) + `","size":` + jsonOf(t, len(entry)) + `,"platform":{"os":"linux","architecture":"amd64","x-more":7}}]}`)
	r.put(t, "/v2/source/manifests/list", string(types.DockerManifestList), list)
	r.publish(t, r.host+"/source:list", "app:1", publish.Options{})
	raw := r.raw(t, "app:1")
	for _, kept := range []string{`"x-future":{"a":[1.50,"<"]}`, `"x-more":7`, string(types.OCIImageIndex), string(types.OCIManifestSchema1)} {
		if !strings.Contains(string(raw), kept) {
			t.Errorf("%s is not in %s", kept, raw)
		}
	}
	if strings.Contains(string(raw), "docker") {
		t.Errorf("Docker's media types are in %s", raw)
	}
}

// TestForeignLayer: a layer that is not to be distributed keeps its URLs.
func TestForeignLayer(t *testing.T) {
	r := newRegistry(t)
	image := imageOf(t, "amd64", tarball.Gzip, layersOf("one")...)
	base := tarball.Build(tarball.File("base", "of windows"))
	image, err := mutate.Append(image, mutate.Addendum{Layer: blob{tarball.Gzip(base), base, types.DockerForeignLayer}, URLs: []string{"https://example.com/base"}})
	if err != nil {
		t.Fatal(err)
	}
	r.push(t, "source:1", image)
	report := r.publish(t, r.host+"/source:1", "app:1", publish.Options{})
	var manifest oci.Manifest
	if err := json.Unmarshal(r.raw(t, "app:1"), &manifest); err != nil {
		t.Fatal(err)
	}
	if got := manifest.Layers[3]; got.MediaType != types.OCIRestrictedLayer || got.Digest != hashOf(tarball.Gzip(base)) || !slices.Equal(got.URLs, []string{"https://example.com/base"}) {
		t.Errorf("%+v", got)
	}
	if len(report.Notes) != 1 || report.Images[0].Layers[3].Action != publish.Foreign {
		t.Errorf("%+v", report)
	}
}

// TestStaleAnnotations: what described the inside of the old blob is gone.
func TestStaleAnnotations(t *testing.T) {
	r := newRegistry(t)
	tar := layersOf("one")[1]
	image, err := mutate.Append(imageOf(t, "amd64", tarball.Gzip), mutate.Addendum{
		Layer: blob{tarball.Zstd(tar), tar, types.OCILayerZStd},
		Annotations: map[string]string{
			"io.github.containers.zstd-chunked.manifest-position": "1:2:3:1", "containerd.io/snapshot/stargz/toc.digest": "sha256:0", "kept": "yes",
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	r.push(t, "source:1", image)
	r.publish(t, r.host+"/source:1", "app:1", publish.Options{})
	var manifest oci.Manifest
	if err := json.Unmarshal(r.raw(t, "app:1"), &manifest); err != nil {
		t.Fatal(err)
	}
	if got := manifest.Layers[0].Annotations; len(got) != 2 || got["kept"] != "yes" {
		t.Errorf("%v", got)
	}
}

// TestOddLayers: a layer that no table of contents can describe is an ordinary
// one, and bytes behind a compressed layer's end are passed over as engines do.
func TestOddLayers(t *testing.T) {
	r := newRegistry(t)
	sparse := tarball.Build(tarball.Sparse("sparse", 1<<20, []tarball.Fragment{{Offset: 1 << 19, Data: "data"}}))
	plain := tarball.Build(tarball.File("file", "content"))
	behind := func(b []byte) []byte { return append(tarball.Gzip(b), "behind the end"...) }
	r.push(t, "source:1", imageOf(t, "amd64", behind, sparse, plain))
	report := r.publish(t, r.host+"/source:1", "app:1", publish.Options{})
	var manifest oci.Manifest
	if err := json.Unmarshal(r.raw(t, "app:1"), &manifest); err != nil {
		t.Fatal(err)
	}
	if published.Has(manifest.Layers[0]) || !published.Has(manifest.Layers[1]) || manifest.Layers[0].MediaType != types.OCILayerZStd {
		t.Errorf("%+v", manifest.Layers)
	}
	if len(report.Notes) != 1 || !strings.Contains(report.Notes[0], "always fetched whole") {
		t.Errorf("notes %q", report.Notes)
	}
	r.push(t, "source:2", imageOf(t, "amd64", tarball.Gzip, plain, sparse, plain))
	report = r.publish(t, r.host+"/source:2", "app:1", publish.Options{})
	if got := *report.Images[0].Fetch; got != (publish.Fetch{}) {
		t.Errorf("the same layers in another order: fetch %+v", got)
	}
}

func TestParseSource(t *testing.T) {
	for text, want := range map[string]publish.Source{
		"oci:dir":                  {Transport: publish.Layout, Path: "dir"},
		"oci:/a/dir:v1:x":          {Transport: publish.Layout, Path: "/a/dir", Image: "v1:x"},
		"docker-archive:a.tar:b:1": {Transport: publish.DockerArchive, Path: "a.tar", Image: "b:1"},
		"docker-daemon:b:1":        {Transport: publish.DockerDaemon, Image: "b:1"},
		"ghcr.io/a/b:1":            {Transport: publish.Registry, Image: "ghcr.io/a/b:1"},
		"localhost:5000/a":         {Transport: publish.Registry, Image: "localhost:5000/a:latest"},
	} {
		got, err := publish.ParseSource(text)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
		if again, err := publish.ParseSource(got.String()); err != nil || again != got {
			t.Errorf("%s: its text %s is read as %+v, %v", text, got, again, err)
		}
	}
	for _, text := range []string{"", "oci:", "oci::tag", "docker-archive:", "docker-daemon:", "UPPER/case", "https://a/b"} {
		if got, err := publish.ParseSource(text); !errors.Is(err, publish.ErrArguments) {
			t.Errorf("%q: %+v, %v", text, got, err)
		}
	}
}
