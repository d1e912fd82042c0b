package publish_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/publish"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/test/tarball"
)

// TestUpdate: of a new version only what is new is converted, and the report
// says what a client fetches.
func TestUpdate(t *testing.T) {
	r := newRegistry(t)
	r.push(t, "source:1", imageOf(t, "amd64", tarball.Gzip, layersOf("one")...))
	r.push(t, "source:2", imageOf(t, "amd64", tarball.Gzip, layersOf("two")...))
	first := r.publish(t, r.host+"/source:1", "app:1", publish.Options{})
	for _, tt := range []struct {
		target  string
		from    string
		actions []publish.Action
		fetches bool
	}{
		{"app:new", "", []publish.Action{publish.Converted, publish.Converted, publish.Converted}, false},
		{"app:2", "app:1", []publish.Action{publish.Reused, publish.Reused, publish.Converted}, true},
		{"app:1", "", []publish.Action{publish.Reused, publish.Reused, publish.Converted}, true},
		{"other/place:2", "app:1", []publish.Action{publish.Reused, publish.Reused, publish.Reused}, true}, // app:1 is the new one now
	} {
		t.Run(tt.target, func(t *testing.T) {
			o := publish.Options{}
			if tt.from != "" {
				o.Previous = r.reference(t, tt.from)
			}
			r.log.reset()
			report := r.publish(t, r.host+"/source:2", tt.target, o)
			image := report.Images[0]
			var actions []publish.Action
			for _, l := range image.Layers {
				actions = append(actions, l.Action)
			}
			if !slices.Equal(actions, tt.actions) {
				t.Errorf("actions %v, want %v", actions, tt.actions)
			}
			r.check(t, tt.target, nil, layersOf("two"))
			if (image.Fetch != nil) != tt.fetches {
				t.Fatalf("fetch %+v", image.Fetch)
			}
			if !tt.fetches || actions[2] != publish.Converted {
				return
			}
			// app/text is new, alone or with a neighbour in a chunk. The large
			// file before it is not.
			want := r.missing(t, first.Images[0], image)
			if got := *image.Fetch; got != want || got.Chunks == 0 || got.Bytes > 20_000 {
				t.Errorf("fetch %+v, want %+v", got, want)
			}
			if *image.Layers[2].Fetch != *image.Fetch || *image.Layers[0].Fetch != (publish.Fetch{}) {
				t.Errorf("layers fetch %+v and %+v, the image %+v", image.Layers[0].Fetch, image.Layers[2].Fetch, image.Fetch)
			}
		})
	}
}

// TestMount: layers of a version in another repository of the registry are not
// sent through here.
func TestMount(t *testing.T) {
	r := newRegistry(t)
	r.push(t, "source:1", imageOf(t, "amd64", tarball.Gzip, layersOf("one")...))
	first := r.publish(t, r.host+"/source:1", "app:1", publish.Options{})
	r.log.reset()
	r.publish(t, r.host+"/source:1", "else/where:1", publish.Options{Previous: r.reference(t, "app:1")})
	for _, l := range first.Images[0].Layers {
		if asked := r.log.requests("POST /v2/else/where/blobs/uploads/?from=app&mount=" + strings.Replace(l.Digest, ":", "%3A", 1)); len(asked) != 1 {
			t.Errorf("layer %s is not mounted: %v", l.Digest, r.log.requests("POST"))
		}
	}
}

// missing is what a client of the image before fetches of now, told from the
// blobs themselves.
func (r *testRegistry) missing(t *testing.T, before, now publish.Image) publish.Fetch {
	t.Helper()
	has := map[string]bool{}
	var fetch publish.Fetch
	for _, image := range []publish.Image{before, now} {
		for _, l := range image.Layers {
			known := has[l.Digest]
			has[l.Digest] = true
			if known {
				continue
			}
			for _, c := range r.chunks(t, image.Digest, l.Digest, &fetch, image.Digest == now.Digest) {
				if !has[c.id] && image.Digest == now.Digest {
					fetch.Chunks++
					fetch.Bytes += c.size
				}
				has[c.id] = true
			}
		}
	}
	return fetch
}

type chunkOf struct {
	id   string
	size int64
}

// chunks lists those of a layer of the image app@digest. The bytes of the
// table are added to fetch if that is asked for.
func (r *testRegistry) chunks(t *testing.T, digest, layer string, fetch *publish.Fetch, count bool) []chunkOf {
	t.Helper()
	var manifest oci.Manifest
	if err := json.Unmarshal(r.raw(t, "app@"+digest), &manifest); err != nil {
		t.Fatal(err)
	}
	var list []chunkOf
	for _, desc := range manifest.Layers {
		if desc.Digest.String() != layer {
			continue
		}
		opened, err := published.Open(desc, func(offset, size int64) ([]byte, error) {
			if count {
				fetch.Bytes += size
			}
			blob := r.get(t, "/v2/app/blobs/"+layer)
			return blob[offset : offset+size], nil
		})
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range opened.Table().Chunks() {
			list = append(list, chunkOf{fmt.Sprintf("%x", c.ID), c.Length})
		}
	}
	return list
}
