package publish_test

import (
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/publish"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	dockerarchive "github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/klauspost/compress/zstd"
)

// layersOf are the tar files of an image of three layers, the last of which
// holds text.
func layersOf(text string) [][]byte {
	return [][]byte{
		tarball.Build(tarball.Dir("bin"), tarball.File("bin/large", noise(1, 600<<10), tarball.Mode(0o755))),
		tarball.Build(tarball.Dir("etc"), tarball.File("etc/motd", "hello\n"), tarball.Symlink("etc/issue", "motd")),
		tarball.Build(tarball.Dir("app"), tarball.File("app/data", noise(2, 600<<10)), tarball.File("app/text", text)),
	}
}

// TestSources publishes the same image from every kind of source.
func TestSources(t *testing.T) {
	tars := layersOf("one")
	for _, compression := range []func([]byte) []byte{tarball.Gzip, tarball.Zstd, func(b []byte) []byte { return b }} {
		image := imageOf(t, "amd64", compression, tars...)
		digests := map[string]bool{}
		for name, source := range sources(t, image) {
			r := newRegistry(t)
			report := r.publish(t, source(t, r), "app:1", publish.Options{})
			digests[report.Digest] = true
			if report.Images[0].Platform != "linux/amd64" || len(report.Images[0].Layers) != 3 {
				t.Errorf("%s: %+v", name, report)
			}
			for i, l := range report.Images[0].Layers {
				if l.Action != publish.Converted || l.Before == 0 || l.After == 0 || l.Fetch != nil {
					t.Errorf("%s: layer %d: %+v", name, i, l)
				}
			}
			r.check(t, "app:1", image, tars)
		}
		// The archive's manifest is made here, without annotations.
		if len(digests) > 2 {
			t.Errorf("the sources give the digests %v", digests)
		}
	}
}

// sources are the kinds of sources, each with the image.
func sources(t *testing.T, image v1.Image) map[string]func(*testing.T, *testRegistry) string {
	archive := filepath.Join(t.TempDir(), "image.tar")
	tag, err := name.NewTag("example.com/app:1")
	if err != nil {
		t.Fatal(err)
	}
	if err := dockerarchive.WriteToFile(archive, tag, image); err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "layout")
	path, err := layout.Write(dir, emptyIndex(types.OCIImageIndex))
	if err != nil {
		t.Fatal(err)
	}
	if err := path.AppendImage(image, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "v1"})); err != nil {
		t.Fatal(err)
	}
	fixed := func(source string) func(*testing.T, *testRegistry) string {
		return func(*testing.T, *testRegistry) string { return source }
	}
	return map[string]func(*testing.T, *testRegistry) string{
		"archive":     fixed("docker-archive:" + archive),
		"archive tag": fixed("docker-archive:" + archive + ":example.com/app:1"),
		"layout":      fixed("oci:" + dir),
		"layout tag":  fixed("oci:" + dir + ":v1"),
		"engine":      func(t *testing.T, _ *testRegistry) string { return "docker-daemon:" + serveEngine(t, archive) },
		"registry": func(t *testing.T, r *testRegistry) string {
			r.push(t, "source:1", image)
			return r.host + "/source:1"
		},
		"registry by digest": func(t *testing.T, r *testRegistry) string {
			r.push(t, "source:1", image)
			digest, err := image.Digest()
			if err != nil {
				t.Fatal(err)
			}
			return "docker://" + r.host + "/source@" + digest.String()
		},
	}
}

// TestMirror: a source may be at a mirror alone; what the target holds is its
// own registry's word.
func TestMirror(t *testing.T) {
	r, mirror := newRegistry(t), newRegistry(t)
	image := imageOf(t, "amd64", tarball.Gzip, layersOf("one")...)
	for _, repository := range []string{"library/source:1", "target:1"} {
		mirror.push(t, repository, image)
	}
	mirror.log.reset()
	o := publish.Options{Mirrors: []registry.Mirror{{Host: mirror.host}}}
	if report := r.publish(t, "docker.io/source:1", "target:1", o); report.Previous != "" || report.Images[0].Layers[0].Action != publish.Converted {
		t.Errorf("published %+v", report)
	}
	if asked := mirror.log.requests("GET /v2/target/", "HEAD /v2/target/"); len(asked) > 0 {
		t.Errorf("the mirror was asked for the target: %v", asked)
	}
}

// TestPublishAgain: nothing is converted or sent for what the target has.
func TestPublishAgain(t *testing.T) {
	r := newRegistry(t)
	r.push(t, "source:1", imageOf(t, "amd64", tarball.Gzip, layersOf("one")...))
	first := r.publish(t, r.host+"/source:1", "app:1", publish.Options{})
	r.log.reset()
	again := r.publish(t, r.host+"/source:1", "app:1", publish.Options{})
	if again.Digest != first.Digest || again.Sent != 0 || !strings.HasSuffix(again.Previous, "@"+first.Digest) {
		t.Errorf("first %+v, then %+v", first, again)
	}
	for _, l := range again.Images[0].Layers {
		if l.Action != publish.Reused || *l.Fetch != (publish.Fetch{}) {
			t.Errorf("layer %+v, fetch %+v", l, l.Fetch)
		}
	}
	if sent := r.log.requests("POST", "PUT", "PATCH"); len(sent) > 0 {
		t.Errorf("sent again: %v", sent)
	}
	for _, l := range first.Images[0].Layers {
		if got := r.log.requests("GET /v2/source/blobs/" + l.Source); len(got) > 0 {
			t.Errorf("read again: %v", got)
		}
	}

	// Under another tag nothing is known, but the same comes out.
	r.log.reset()
	other := r.publish(t, r.host+"/source:1", "app:other", publish.Options{})
	if other.Digest != first.Digest || other.Sent != 0 || other.Images[0].Layers[0].Action != publish.Converted {
		t.Errorf("another tag: %+v", other)
	}
}

// TestPublished: an image that is published already is copied as it is.
func TestPublished(t *testing.T) {
	r, other := newRegistry(t), newRegistry(t)
	tars := layersOf("one")
	r.push(t, "source:1", imageOf(t, "amd64", tarball.Gzip, tars...))
	first := r.publish(t, r.host+"/source:1", "app:1", publish.Options{})
	second := other.publish(t, r.host+"/app:1", "copy:1", publish.Options{})
	if second.Digest != first.Digest {
		t.Errorf("published as %s, copied as %s", first.Digest, second.Digest)
	}
	for _, l := range second.Images[0].Layers {
		if l.Action != publish.Copied || l.Source != l.Digest {
			t.Errorf("%+v", l)
		}
	}
	other.check(t, "copy:1", nil, tars)
}

// check compares what is published under the reference with the source.
func (r *testRegistry) check(t *testing.T, reference string, source v1.Image, tars [][]byte) {
	t.Helper()
	ref, err := name.ParseReference(r.host + "/" + reference)
	if err != nil {
		t.Fatal(err)
	}
	image, err := remote.Image(ref)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := image.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	if manifest.MediaType != types.OCIManifestSchema1 || manifest.Config.MediaType != types.OCIConfigJSON {
		t.Errorf("media types %s and %s", manifest.MediaType, manifest.Config.MediaType)
	}
	if source != nil {
		config, err := image.RawConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if want, err := source.RawConfigFile(); err != nil || !bytes.Equal(config, want) {
			t.Errorf("the config is %s, not %s, %v", config, want, err)
		}
	}
	layers, err := image.Layers()
	if err != nil || len(layers) != len(tars) {
		t.Fatalf("%d layers, not %d; %v", len(layers), len(tars), err)
	}
	for i, l := range layers {
		blob, err := l.Compressed()
		if err != nil {
			t.Fatal(err)
		}
		raw, err := io.ReadAll(blob)
		if err != nil {
			t.Fatal(err)
		}
		z, err := zstd.NewReader(bytes.NewReader(raw))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(z); err != nil || !bytes.Equal(got, tars[i]) {
			t.Errorf("layer %d decompresses to %d bytes, not to the %d of its tar file; %v", i, len(got), len(tars[i]), err)
		}
		z.Close()
		desc := manifest.Layers[i]
		if desc.MediaType != types.OCILayerZStd {
			t.Errorf("layer %d has the media type %s", i, desc.MediaType)
		}
		if _, err := published.Open(desc, func(offset, size int64) ([]byte, error) { return raw[offset : offset+size], nil }); err != nil {
			t.Errorf("layer %d: %v", i, err)
		}
	}
}
