package publish

import (
	"archive/tar"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// archive is an image in a docker-archive, the file that `docker save` writes.
// Such a file has no manifest, so root makes one, in which a layer goes by its
// diff ID, compressed or not: the conversion verifies that, and nothing else.
//
// The tar file is listed once, and its members are read in place.
// go-containerregistry's tarball would go through it for each of them and
// compress every layer to make a manifest.
type archive struct {
	file    *os.File
	members map[string]member
	made    document
	// blobs are the config and the layers, by the digests of the made manifest.
	blobs map[oci.Digest]member
}

// member is a file in the archive, or a link to another.
type member struct {
	offset, size int64
	link         string // its cleaned target, for a link
}

// maxMembers bounds the listing of an archive.
const maxMembers = 100_000

func openArchive(s Source) (origin, error) {
	file, err := os.Open(s.Path)
	if err != nil {
		return nil, missing(s, err)
	}
	a, err := newArchive(file, s.Image)
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	return a, nil
}

// newArchive reads the archive's only image, or the one that has the tag.
func newArchive(file *os.File, tag string) (*archive, error) {
	a := &archive{file: file, blobs: map[oci.Digest]member{}}
	if err := a.list(); err != nil {
		return nil, fmt.Errorf("%w: it is no docker-archive: %w", registry.ErrUnsupported, err)
	}
	var manifest tarball.Manifest
	raw, err := a.document("manifest.json")
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(raw, &manifest); err != nil {
		return nil, fmt.Errorf("%w: its manifest.json: %w", registry.ErrUnsupported, err)
	}
	image, err := pick(manifest, tag)
	if err != nil {
		return nil, err
	}
	return a, a.makeManifest(image)
}

// list finds the members.
func (a *archive) list() error {
	info, err := a.file.Stat()
	if err != nil {
		return err
	}
	a.members = map[string]member{}
	all := io.NewSectionReader(a.file, 0, info.Size())
	for entries := tar.NewReader(all); ; {
		h, err := entries.Next()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
		if len(a.members) == maxMembers {
			return fmt.Errorf("it has more than %d members", maxMembers)
		}
		// The tar.Reader has read the header and nothing behind it.
		at, err := all.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		m := member{offset: at, size: h.Size}
		switch h.Typeflag {
		case tar.TypeReg:
		case tar.TypeSymlink:
			m.link = path.Join(path.Dir(path.Clean(h.Name)), h.Linkname)
		case tar.TypeLink:
			m.link = path.Clean(h.Linkname)
		default:
			continue
		}
		a.members[path.Clean(h.Name)] = m
	}
}

// find follows links: Docker saves a layer that it has twice as one of the
// other.
func (a *archive) find(name string) (member, error) {
	m, ok := a.members[path.Clean(name)]
	for hops := 0; ok && m.link != "" && hops < 8; hops++ {
		m, ok = a.members[m.link]
	}
	if !ok || m.link != "" {
		return member{}, fmt.Errorf("%w: it is no whole docker-archive: %q is not in it", registry.ErrUnsupported, name)
	}
	return m, nil
}

func (a *archive) read(m member) io.Reader { return io.NewSectionReader(a.file, m.offset, m.size) }

func (a *archive) document(name string) ([]byte, error) {
	m, err := a.find(name)
	if err != nil {
		return nil, err
	}
	raw, err := readDocument(a.read(m))
	if err == nil && int64(len(raw)) < m.size {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return raw, nil
}

// pick finds the image with the tag, or the only one.
func pick(manifest tarball.Manifest, tag string) (tarball.Descriptor, error) {
	var tags []string
	for _, image := range manifest {
		tags = append(tags, image.RepoTags...)
	}
	if tag == "" {
		if len(manifest) == 1 {
			return manifest[0], nil
		}
		return tarball.Descriptor{}, fmt.Errorf("%w: name one of its images: %s", ErrArguments, strings.Join(tags, ", "))
	}
	want, err := oci.ParseReference(tag)
	if err != nil {
		return tarball.Descriptor{}, fmt.Errorf("%w: %w", ErrArguments, err)
	}
	for _, image := range manifest {
		if slices.ContainsFunc(image.RepoTags, func(has string) bool {
			ref, err := oci.ParseReference(has)
			return err == nil && ref == want
		}) {
			return image, nil
		}
	}
	return tarball.Descriptor{}, fmt.Errorf("%w: it has no image %s, but %s", registry.ErrNotFound, want, strings.Join(tags, ", "))
}

// makeManifest makes the image's manifest.
func (a *archive) makeManifest(image tarball.Descriptor) error {
	raw, err := a.document(image.Config)
	if err != nil {
		return err
	}
	var config oci.Config
	if err := json.Unmarshal(raw, &config); err != nil {
		return fmt.Errorf("%w: its config: %w", registry.ErrUnsupported, err)
	}
	ids := config.RootFS.DiffIDs
	if len(ids) != len(image.Layers) {
		return fmt.Errorf("%w: it has %d layers and its config %d diff IDs", registry.ErrMismatch, len(image.Layers), len(ids))
	}
	configMember, err := a.find(image.Config)
	if err != nil {
		return err
	}
	desc := oci.Descriptor{MediaType: types.OCIConfigJSON, Size: configMember.size, Digest: document{raw: raw}.digest()}
	a.blobs[desc.Digest] = configMember
	manifest := oci.Manifest{SchemaVersion: 2, MediaType: types.OCIManifestSchema1, Config: desc, Layers: []oci.Descriptor{}}
	for i, id := range ids {
		if foreign, ok := image.LayerSources[id]; ok && !foreign.MediaType.IsDistributable() {
			manifest.Layers = append(manifest.Layers, foreign)
			continue
		}
		m, err := a.find(image.Layers[i])
		if err != nil {
			return err
		}
		a.blobs[id] = m
		manifest.Layers = append(manifest.Layers, oci.Descriptor{MediaType: types.OCIUncompressedLayer, Size: m.size, Digest: id})
	}
	a.made = document{encode(manifest), types.OCIManifestSchema1}
	return nil
}

func (a *archive) root(context.Context) (document, error) { return a.made, nil }

func (a *archive) child(_ context.Context, desc oci.Descriptor) (document, error) {
	return document{}, fmt.Errorf("manifest %s: %w in the archive", desc.Digest, registry.ErrNotFound)
}

func (a *archive) blob(_ context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	m, ok := a.blobs[desc.Digest]
	if !ok {
		return nil, fmt.Errorf("blob %s: %w in the archive", desc.Digest, registry.ErrNotFound)
	}
	return io.NopCloser(a.read(m)), nil
}

func (*archive) repository() oci.Reference { return oci.Reference{} }
func (a *archive) close() error            { return a.file.Close() }
