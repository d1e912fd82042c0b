package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// annotationTag is where an OCI layout's index keeps an image's tag.
const annotationTag = "org.opencontainers.image.ref.name"

// local is an image in an OCI layout.
type local struct {
	dir  layout.Path
	desc oci.Descriptor
}

func openLayout(s Source) (origin, error) {
	dir, err := layout.FromPath(s.Path)
	if err != nil {
		return nil, missing(s, err)
	}
	index, err := dir.ImageIndex()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return nil, fmt.Errorf("%s: %w: its index.json: %w", s, registry.ErrUnsupported, err)
	}
	desc, err := choose(manifest.Manifests, s.Image)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s, err)
	}
	if isHollow(desc) {
		return nil, fmt.Errorf("%s: %w: its index.json has a descriptor without digest or with a negative size", s, registry.ErrUnsupported)
	}
	return local{dir, desc}, nil
}

// choose finds the image with the tag, or the only one.
func choose(list []oci.Descriptor, tag string) (oci.Descriptor, error) {
	var tags []string
	for _, desc := range list {
		if tag != "" && desc.Annotations[annotationTag] == tag || tag == "" && len(list) == 1 {
			return desc, nil
		}
		if has := desc.Annotations[annotationTag]; has != "" {
			tags = append(tags, has)
		}
	}
	there := strings.Join(tags, ", ")
	if there == "" {
		there = fmt.Sprintf("%d images without tags", len(list))
	}
	if tag == "" {
		return oci.Descriptor{}, fmt.Errorf("%w: name one of its images: %s", ErrArguments, there)
	}
	return oci.Descriptor{}, fmt.Errorf("%w: it has no image tagged %q, but %s", registry.ErrNotFound, tag, there)
}

// missing says of a path that is not there that the image was not found.
func missing(s Source, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("%s: %w: %w", s, registry.ErrNotFound, err)
	}
	return fmt.Errorf("%s: %w", s, err)
}

func (l local) root(ctx context.Context) (document, error) { return l.child(ctx, l.desc) }

func (l local) child(ctx context.Context, desc oci.Descriptor) (document, error) {
	blob, err := l.blob(ctx, desc)
	if err != nil {
		return document{}, err
	}
	defer blob.Close()
	raw, err := readDocument(blob)
	return document{raw, desc.MediaType}, err
}

func (l local) blob(_ context.Context, desc oci.Descriptor) (io.ReadCloser, error) {
	file, err := l.dir.Blob(desc.Digest)
	if err != nil {
		return nil, lost(desc, err)
	}
	return verify(file, desc)
}

func lost(desc oci.Descriptor, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("blob %s: %w in the layout", desc.Digest, registry.ErrNotFound)
	}
	return err
}

func (local) repository() oci.Reference { return oci.Reference{} }
func (local) close() error              { return nil }
