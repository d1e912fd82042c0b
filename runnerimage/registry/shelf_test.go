package registry_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// shelf is a Shelf in memory.
type shelf struct {
	mu   sync.Mutex
	docs map[oci.Digest][]byte
}

func newShelf() *shelf { return &shelf{docs: map[oci.Digest][]byte{}} }

func (s *shelf) Document(digest oci.Digest) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	raw, ok := s.docs[digest]
	return raw, ok
}

func (s *shelf) Keep(digest oci.Digest, raw []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.docs[digest] = raw
}

// withShelf runs test with a client of the registry that has the shelf. asked
// tells what the registry was asked for since it was called last.
func withShelf(t *testing.T, repo *repository, shelf registry.Shelf, test func(t *testing.T, client *registry.Client, asked func() (manifests, blobs int))) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		net := newNetwork()
		net.serve(t, host, repo)
		client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial, Shelf: shelf})
		t.Cleanup(client.Close)
		manifests, blobs := repo.asked("/manifests/"), repo.asked("/blobs/")
		test(t, client, func() (int, int) {
			m, b := repo.asked("/manifests/")-manifests, repo.asked("/blobs/")-blobs
			manifests, blobs = manifests+m, blobs+b
			return m, b
		})
	})
}

func TestShelf(t *testing.T) {
	repo := newRepository()
	amd64, arm64 := repo.addImage("linux/amd64", "one"), repo.addImage("linux/arm64")
	index := repo.addManifest(types.OCIImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{amd64, arm64}}, "many")
	repo.addManifest(types.DockerManifestList, oci.Index{SchemaVersion: 2, MediaType: types.DockerManifestList, Manifests: []oci.Descriptor{{MediaType: types.OCIImageIndex, Digest: index.Digest, Size: index.Size}}}, "nested")
	// Without a type of its own, and with a header that says nothing either.
	untyped := repo.addManifest("text/plain", bytes.ReplaceAll(repo.manifests["one"].raw, []byte(`"mediaType":"application/vnd.oci.image.manifest.v1+json",`), nil), "untyped")
	untyped.Platform, untyped.MediaType = amd64.Platform, amd64.MediaType
	repo.addManifest("text/plain", oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{untyped}}, "untyped-index")

	for id, documents := range map[string]int{
		":one": 2, ":many": 3, ":nested": 4, ":untyped": 2, ":untyped-index": 3,
		"@" + amd64.Digest.String(): 2, "@" + index.Digest.String(): 3,
	} {
		t.Run(id, func(t *testing.T) {
			ref, shelf := reference(t, host+"/acme/app"+id), newShelf()
			withShelf(t, repo, shelf, func(t *testing.T, client *registry.Client, asked func() (int, int)) {
				first, err := client.Resolve(t.Context(), ref, linux)
				if err != nil {
					t.Fatal(err)
				}
				if manifests, blobs := asked(); manifests != documents-1 || blobs != 1 || len(shelf.docs) != documents {
					t.Errorf("the first time: asked for %d manifests and %d blobs, kept %d documents, want %d", manifests, blobs, len(shelf.docs), documents)
				}
				again, err := client.Resolve(t.Context(), ref, linux)
				if err != nil || !reflect.DeepEqual(first, again) {
					t.Fatalf("the second time: %+v, %v", again, err)
				}
				if manifests, blobs := asked(); manifests != 1 || blobs != 0 {
					t.Errorf("the second time: asked for %d manifests and %d blobs", manifests, blobs)
				}
				if _, ok := shelf.docs[first.Named()]; !ok {
					t.Errorf("what the reference names, %s, is not on the shelf", first.Named())
				}

				stored, err := client.Stored(ref, first.Named(), linux)
				if err != nil || !reflect.DeepEqual(first, stored) {
					t.Fatalf("stored: %+v, %v", stored, err)
				}
				for digest, raw := range shelf.docs {
					for how, wrong := range wrongs(raw) {
						shelf.docs[digest] = wrong
						if got, err := client.Stored(ref, first.Named(), linux); !errors.Is(err, registry.ErrNotStored) || !strings.Contains(err.Error(), digest.String()) {
							t.Errorf("stored, %s %s: got %+v, %v", how, digest, got, err)
						}
						got, err := client.Resolve(t.Context(), ref, linux)
						if err != nil || !reflect.DeepEqual(first, got) {
							t.Errorf("%s %s: got %+v, %v", how, digest, got, err)
						}
						if !bytes.Equal(shelf.docs[digest], raw) {
							t.Errorf("%s %s: it was not put right", how, digest)
						}
					}
					delete(shelf.docs, digest)
					asked()
					if _, err := client.Stored(ref, first.Named(), linux); !errors.Is(err, registry.ErrNotStored) || !strings.Contains(err.Error(), digest.String()) {
						t.Errorf("stored, without %s: %v", digest, err)
					}
					if manifests, blobs := asked(); manifests+blobs > 0 {
						t.Errorf("stored asked for %d manifests and %d blobs", manifests, blobs)
					}
					shelf.docs[digest] = raw
				}
			})
		})
	}
}

// wrongs are what a damaged shelf may have in place of raw.
func wrongs(raw []byte) map[string][]byte {
	flipped := bytes.Clone(raw)
	flipped[len(flipped)/2] ^= 1
	return map[string][]byte{
		"flipped": flipped, "torn": raw[:len(raw)-1], "longer": append(bytes.Clone(raw), '\n'), "empty": {}, "nil": nil, "huge": make([]byte, 17<<20),
	}
}

func TestStoredFails(t *testing.T) {
	repo := newRepository()
	amd64 := repo.addImage("linux/amd64", "one")
	index := repo.addManifest(types.OCIImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{amd64}}, "many")
	full := newShelf()
	withShelf(t, repo, full, func(t *testing.T, client *registry.Client, _ func() (int, int)) {
		if _, err := client.Resolve(t.Context(), reference(t, host+"/acme/app:many"), linux); err != nil {
			t.Fatal(err)
		}
	})
	wrongSize := amd64
	wrongSize.Size++
	lying := repo.addManifest(types.OCIImageIndex, oci.Index{SchemaVersion: 2, Manifests: []oci.Descriptor{wrongSize}}, "lying")
	huge := repo.addManifest(types.OCIManifestSchema1, append(bytes.Repeat([]byte(" "), 17<<20), repo.manifests["one"].raw...), "huge")
	full.Keep(lying.Digest, repo.manifests["lying"].raw)
	full.Keep(huge.Digest, repo.manifests["huge"].raw)
	for name, test := range map[string]struct {
		shelf  registry.Shelf
		id     string
		digest oci.Digest
		want   error
		says   string
	}{
		"no shelf":               {nil, ":many", index.Digest, registry.ErrNotStored, "manifest " + index.Digest.String()},
		"an empty shelf":         {newShelf(), ":many", index.Digest, registry.ErrNotStored, "manifest " + index.Digest.String()},
		"no digest":              {full, ":many", oci.Digest{}, registry.ErrNotStored, "manifest"},
		"a config's digest":      {full, ":many", configDigest(t, repo, "one"), registry.ErrNotStored, "manifest"},
		"a wrong size":           {full, ":lying", lying.Digest, registry.ErrNotStored, "manifest " + amd64.Digest.String()},
		"a huge manifest":        {full, ":huge", huge.Digest, registry.ErrNotStored, "manifest " + huge.Digest.String()},
		"another platform":       {full, ":many", index.Digest, oci.ErrNoPlatform, "linux/arm64"},
		"another's digest":       {full, "@" + amd64.Digest.String(), index.Digest, registry.ErrMismatch, index.Digest.String()},
		"the reference's digest": {full, "@" + index.Digest.String(), index.Digest, nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			withShelf(t, repo, test.shelf, func(t *testing.T, client *registry.Client, asked func() (int, int)) {
				platform := linux
				if test.want == oci.ErrNoPlatform {
					platform.Architecture = "arm64"
				}
				image, err := client.Stored(reference(t, host+"/acme/app"+test.id), test.digest, platform)
				if !errors.Is(err, test.want) || (image == nil) != (test.want != nil) {
					t.Fatalf("got %+v, %v", image, err)
				}
				if err != nil && (!strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), host+"/acme/app")) {
					t.Errorf("%v does not say %q", err, test.says)
				}
				if manifests, blobs := asked(); manifests+blobs > 0 || client.Stats().Requests > 0 {
					t.Errorf("somebody was asked")
				}
			})
		})
	}
}

func configDigest(t *testing.T, repo *repository, tag string) oci.Digest {
	t.Helper()
	image, err := resolve(t, repo, host+"/acme/app:"+tag, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	return image.Manifest.Config.Digest
}

// A shelf that has everything does not open what the registry denies.
func TestShelfGivesNothingThatIsDenied(t *testing.T) {
	repo := newRepository()
	amd64 := repo.addImage("linux/amd64", "one")
	full := newShelf()
	withShelf(t, repo, full, func(t *testing.T, client *registry.Client, _ func() (int, int)) {
		for _, id := range []string{":one", "@" + amd64.Digest.String()} {
			if _, err := client.Resolve(t.Context(), reference(t, host+"/acme/app"+id), linux); err != nil {
				t.Fatal(err)
			}
		}
	})
	for code, want := range map[int]error{401: registry.ErrDenied, 403: registry.ErrDenied, 404: registry.ErrNotFound, 500: registry.ErrUnreachable} {
		synctest.Test(t, func(t *testing.T) {
			net := newNetwork()
			net.serve(t, host, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/v2/" {
					w.WriteHeader(code)
				}
			}))
			client := registry.New(registry.Options{Insecure: []string{host}, DialContext: net.dial, Shelf: full})
			defer client.Close()
			for _, id := range []string{":one", "@" + amd64.Digest.String()} {
				if image, err := client.Resolve(t.Context(), reference(t, host+"/acme/app"+id), linux); !errors.Is(err, want) || image != nil {
					t.Errorf("%d, %s: got %+v, %v", code, id, image, err)
				}
			}
		})
	}
}

// A document that only its header tells to be an index would be an image on
// the shelf, which has no headers.
func TestShelfKeepsNothingThatItWouldChange(t *testing.T) {
	repo := newRepository()
	repo.addImage("linux/amd64", "one")
	raw := bytes.ReplaceAll(repo.manifests["one"].raw, []byte(`"mediaType":"application/vnd.oci.image.manifest.v1+json",`), nil)
	desc := repo.addManifest(types.OCIImageIndex, raw, "disguised")
	shelf := newShelf()
	withShelf(t, repo, shelf, func(t *testing.T, client *registry.Client, _ func() (int, int)) {
		ref := reference(t, host+"/acme/app:disguised")
		if image, err := client.Resolve(t.Context(), ref, linux); !errors.Is(err, oci.ErrNoPlatform) {
			t.Fatalf("got %+v, %v", image, err)
		}
		if image, err := client.Stored(ref, desc.Digest, linux); !errors.Is(err, registry.ErrNotStored) || len(shelf.docs) > 0 {
			t.Fatalf("stored: got %+v, %v", image, fmt.Sprint(err))
		}
	})
}
