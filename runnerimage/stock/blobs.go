package stock

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/store"
)

// Kind says what a blob of the store is. Its name in the store is the kind, a
// hyphen, and the digest that it belongs to with a hyphen for the colon.
type Kind string

const (
	// Document is an index, a manifest or a config, as the registry gave it.
	Document Kind = "doc"
	// Table is the toc.Table of a layer in the cut of package chunk, made from
	// its archive or held against it. Where the layer was published by us it
	// has the spans of the blob as well.
	Table Kind = "toc"
	// Claim is the same from the layer's publisher alone.
	Claim Kind = "claim"
	// Pieces is the toc.Table of a layer in its publisher's cut, where that is
	// another one.
	Pieces Kind = "pieces"
	// Refuted is empty, and there for a layer whose published table is not
	// that of its archive.
	Refuted Kind = "refuted"
	// Resume is how far the pull of a layer came.
	Resume Kind = "resume"

	// reference is what a reference stood for on a platform when it was last
	// asked for. The digest in its name is that of "REFERENCE PLATFORM".
	reference Kind = "ref"
)

func blobName(kind Kind, digest oci.Digest) string {
	return string(kind) + "-" + digest.Algorithm + "-" + digest.Hex
}

// Get returns a blob of the store.
func (s *Stock) Get(kind Kind, digest oci.Digest) ([]byte, bool) {
	content, err := s.dir.Blob(blobName(kind, digest))
	return content, err == nil
}

// Put keeps a blob, unless the very same is there.
func (s *Stock) Put(kind Kind, digest oci.Digest, content []byte) {
	if before, ok := s.Get(kind, digest); ok && bytes.Equal(before, content) || !s.writable() {
		return
	}
	if err := s.dir.PutBlob(blobName(kind, digest), content); err != nil {
		s.failed(err)
	}
}

// Drop forgets a blob.
func (s *Stock) Drop(kind Kind, digest oci.Digest) {
	if !s.writable() {
		return
	}
	item := store.Item{Kind: store.Blobs, Name: blobName(kind, digest)}
	if err := s.dir.Remove(item); err != nil && !errors.Is(err, store.ErrNotFound) {
		s.failed(err)
	}
}

// Document and Keep make the stock a registry.Shelf.
func (s *Stock) Document(digest oci.Digest) ([]byte, bool) { return s.Get(Document, digest) }

// Keep keeps a document whose digest was verified.
func (s *Stock) Keep(digest oci.Digest, raw []byte) { s.Put(Document, digest, raw) }

// remembered is the content of a reference's blob.
type remembered struct {
	Reference string `json:"reference"`
	Platform  string `json:"platform"`
	// Digest is that of the index or manifest which the registry gave.
	Digest string `json:"digest"`
	// Manifest is that of the platform.
	Manifest string `json:"manifest"`
}

func referenceDigest(ref oci.Reference, platform oci.Platform) oci.Digest {
	sum := sha256.Sum256([]byte(ref.String() + " " + platform.String()))
	return oci.Digest{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}
}

// Remember keeps what a reference stands for: the digest of the document that
// it names, and that of the platform's manifest.
func (s *Stock) Remember(ref oci.Reference, platform oci.Platform, digest, manifest oci.Digest) {
	// Strings always marshal.
	content, _ := json.Marshal(remembered{ref.String(), platform.String(), digest.String(), manifest.String()})
	s.Put(reference, referenceDigest(ref, platform), content)
}

// Recall returns what a reference stood for when it was last remembered.
func (s *Stock) Recall(ref oci.Reference, platform oci.Platform) (oci.Digest, bool) {
	content, ok := s.Get(reference, referenceDigest(ref, platform))
	var r remembered
	if !ok || json.Unmarshal(content, &r) != nil {
		return oci.Digest{}, false
	}
	digest, err := oci.ParseDigest(r.Digest)
	return digest, err == nil
}

// Others lists the layers that have a blob of the kind, the most recently used
// first.
func (s *Stock) Others(kind Kind) []oci.Digest {
	items, err := s.dir.List()
	if err != nil {
		return nil
	}
	var digests []oci.Digest
	for _, item := range slices.Backward(items) {
		if text, ok := strings.CutPrefix(item.Name, string(kind)+"-"); ok && item.Kind == store.Blobs {
			if digest, err := oci.ParseDigest(strings.Replace(text, "-", ":", 1)); err == nil {
				digests = append(digests, digest)
			}
		}
	}
	return digests
}

// Image is an image that a store knows by its reference.
type Image struct {
	Reference string `json:"reference"`
	Platform  string `json:"platform"`
	// Digest is that of the document which the reference names.
	Digest string `json:"digest"`
	// Layers is the size of the image's layers in the registry, compressed. It
	// is 0 where the manifest is not in the store any more.
	Layers int64 `json:"layers_size"`
	// LastUsed is right within an hour.
	LastUsed time.Time `json:"last_used"`
}

// Images lists the images that the store in dir knows, the most recently used
// first.
func Images(dir *store.Dir) ([]Image, error) {
	items, err := dir.List()
	if err != nil {
		return nil, err
	}
	var images []Image
	for _, item := range items {
		if item.Kind != store.Blobs || !strings.HasPrefix(item.Name, string(reference)+"-") {
			continue
		}
		content, err := dir.Blob(item.Name)
		var r remembered
		if err != nil || json.Unmarshal(content, &r) != nil {
			continue // evicted meanwhile, or damaged: it counts as absent
		}
		images = append(images, Image{r.Reference, r.Platform, r.Digest, layersSize(dir, r.Manifest), item.LastUsed})
	}
	slices.SortStableFunc(images, func(a, b Image) int {
		return cmp.Or(b.LastUsed.Compare(a.LastUsed), strings.Compare(a.Reference, b.Reference))
	})
	return images, nil
}

func layersSize(dir *store.Dir, manifest string) (total int64) {
	digest, err := oci.ParseDigest(manifest)
	if err != nil {
		return 0
	}
	content, err := dir.Blob(blobName(Document, digest))
	var m oci.Manifest
	if err != nil || json.Unmarshal(content, &m) != nil {
		return 0
	}
	for _, desc := range m.Layers {
		total += desc.Size
	}
	return total
}
