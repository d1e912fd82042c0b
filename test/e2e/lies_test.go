package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

// lies are archives whose tables are published as that of honest. Up to the
// last content they are as long as it, so that the spans in them are right.
var (
	honest = entries{dir("t"), noise("t/noise", 300<<10), file("t/f", "honest"), file("t/empty", ""), hardlink("t/link", "t/f")}
	lies   = []struct {
		name  string
		table entries
	}{
		{"other content", replaced(2, file("t/f", "liar!!"))},
		{"set-uid", replaced(3, file("t/empty", "", mode(0o4755)))},
		{"another link", replaced(4, hardlink("t/link", "t/empty"))},
		{"an entry less", slices.Delete(slices.Clone(honest), 3, 4)},
		{"an entry more", append(slices.Clone(honest), file("t/more", ""))},
	}
)

func replaced(n int, e tarball.Entry) entries {
	list := slices.Clone(honest)
	list[n] = e
	return list
}

// TestLies: a table that is in good order and bound by its digest, but is not
// that of its layer, starts nothing where the layer is read; whoever believes
// no table gets what the archive holds.
func TestLies(t *testing.T) {
	image := func(list entries) stack.Image {
		return stack.Image{Config: v1.Config{Cmd: []string{"/none"}}, Layers: []stack.Layer{stack.Tar(tarball.Build(list...))}}
	}
	twin := push(t, "lies/twin", image(honest))
	for _, f := range formats {
		if !f.tables {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			truth := onlyLayer(t, f.push(t, "lies/"+f.name, image(honest)))
			for _, lie := range lies {
				t.Run(lie.name, func(t *testing.T) {
					repository := "lies/" + f.name + "-" + slug(lie.name)
					other := onlyLayer(t, f.push(t, repository+"-other", image(lie.table)))
					ref := f.forge(t, truth, other).push(t, repository)
					want := twin.snapped
					if f.own {
						want = pulledTree(t, ref)
					}
					checkLie(t, ref, want)
				})
			}
		})
	}
}

func checkLie(t *testing.T, ref string, archive []treediff.Node) {
	store := newStore(t)
	spec := snapshotSpec(t, ref)
	spec.Flags = append(spec.Flags, store.flags()...)
	for range 2 { // whatever the first run has left in the store
		result := lab.Run(t, spec)
		if result.Exit != 86 || !strings.Contains(result.Stderr, "published table of contents is not that of") {
			t.Errorf("exit %d, want 86: %s", result.Exit, result.Stderr)
		}
		checkRefusal(t, result.Exit, result)
	}
	tree, _ := store.snapshot(t, ref, "CLIPPER_TOC=never")
	compare(t, archive, tree)
}

// publishedLayer is the blob of a layer with what its descriptor says.
type publishedLayer struct {
	blob []byte
	desc v1.Descriptor
}

// onlyLayer is the layer of an image that has one.
func onlyLayer(t *testing.T, ref string) publishedLayer {
	t.Helper()
	img, manifest := inRegistry(t, ref)
	layers, err := img.Layers()
	try(t, err)
	compressed, err := layers[0].Compressed()
	try(t, err)
	defer compressed.Close()
	blob, err := io.ReadAll(compressed)
	try(t, err)
	return publishedLayer{blob, manifest.Layers[0]}
}

// forge puts the table of other behind the archive of truth.
func (f format) forge(t *testing.T, truth, other publishedLayer) publishedLayer {
	t.Helper()
	start := f.table(t, truth)
	forged := publishedLayer{append(slices.Clone(truth.blob[:start]), other.blob[f.table(t, other):]...), truth.desc}
	forged.desc.Annotations = maps.Clone(other.desc.Annotations)
	if f.position == "" {
		// The footer says it, behind the fixed part of a gzip header, the
		// length of its extra field, and the head of the subfield.
		const fixed, length, head = 10, 2, 4
		at := len(forged.blob) - estargz.FooterSize + fixed + length + head
		copy(forged.blob[at:], fmt.Sprintf("%016x", start))
		return forged
	}
	_, rest, _ := strings.Cut(other.desc.Annotations[f.position], ":")
	forged.desc.Annotations[f.position] = fmt.Sprintf("%d:%s", start+skippable, rest)
	return forged
}

// skippable is the length of a skippable frame's header.
const skippable = 8

// table is where the part of the blob begins that is the table.
func (f format) table(t *testing.T, l publishedLayer) int64 {
	t.Helper()
	if f.position == "" {
		start, _, err := estargz.OpenFooter(io.NewSectionReader(bytes.NewReader(l.blob), 0, int64(len(l.blob))))
		try(t, err)
		return start
	}
	digits, _, _ := strings.Cut(l.desc.Annotations[f.position], ":")
	start, err := strconv.ParseInt(digits, 10, 64)
	try(t, err)
	return start - skippable
}

// push pushes an image of the layer as repository:e2e.
func (l publishedLayer) push(t *testing.T, repository string) string {
	t.Helper()
	layer, err := partial.CompressedToLayer(l)
	try(t, err)
	img, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{OS: "linux", Architecture: "amd64", RootFS: v1.RootFS{Type: "layers"}})
	try(t, err)
	img, err = mutate.Append(mutate.ConfigMediaType(img, types.OCIConfigJSON), mutate.Addendum{Layer: layer, MediaType: l.desc.MediaType, Annotations: l.desc.Annotations})
	try(t, err)
	return lab.PushImage(t, repository, img)
}

// It is a partial.CompressedLayer.

func (l publishedLayer) Digest() (v1.Hash, error) {
	sum := sha256.Sum256(l.blob)
	return v1.Hash{Algorithm: "sha256", Hex: hex.EncodeToString(sum[:])}, nil
}
func (l publishedLayer) Compressed() (io.ReadCloser, error) {
	return io.NopCloser(bytes.NewReader(l.blob)), nil
}
func (l publishedLayer) Size() (int64, error)                { return int64(len(l.blob)), nil }
func (l publishedLayer) MediaType() (types.MediaType, error) { return l.desc.MediaType, nil }
