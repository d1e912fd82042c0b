package publish

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Transport says what kind of place an image is read from. The words are those
// of skopeo.
type Transport string

const (
	Registry      Transport = "docker"
	Layout        Transport = "oci"
	DockerArchive Transport = "docker-archive"
	DockerDaemon  Transport = "docker-daemon"
)

// Source names an image to publish.
type Source struct {
	Transport Transport
	// Path is the directory of a Layout or the file of a DockerArchive.
	Path string
	// Image is the reference in a Registry, the image's name in the engine, or
	// the tag within the Path, which may be empty where there is one image.
	Image string
}

// ParseSource reads "oci:DIR[:TAG]", "docker-archive:FILE[:TAG]",
// "docker-daemon:IMAGE" or a reference, before which "docker://" may stand.
// Its errors wrap ErrArguments.
func ParseSource(s string) (Source, error) {
	transport, rest, _ := strings.Cut(s, ":")
	source := Source{Transport: Transport(transport)}
	switch source.Transport {
	case Layout, DockerArchive:
		source.Path, source.Image, _ = strings.Cut(rest, ":")
		if source.Path == "" {
			return Source{}, fmt.Errorf("%w: %q names no path", ErrArguments, s)
		}
		return source, nil
	case DockerDaemon:
		if rest == "" {
			return Source{}, fmt.Errorf("%w: %q names no image", ErrArguments, s)
		}
		source.Image = rest
		return source, nil
	}
	ref, err := oci.ParseReference(strings.TrimPrefix(s, "docker://"))
	if err != nil {
		return Source{}, fmt.Errorf("%w: %w", ErrArguments, err)
	}
	return Source{Transport: Registry, Image: ref.String()}, nil
}

// String is the form that ParseSource reads.
func (s Source) String() string {
	switch {
	case s.Transport == Registry:
		return s.Image
	case s.Transport == DockerDaemon:
		return string(s.Transport) + ":" + s.Image
	case s.Image == "":
		return string(s.Transport) + ":" + s.Path
	}
	return string(s.Transport) + ":" + s.Path + ":" + s.Image
}

// origin is an opened Source.
type origin interface {
	// root is the document that the source's name stands for.
	root(ctx context.Context) (document, error)
	// child is a document that another one describes, verified.
	child(ctx context.Context, desc oci.Descriptor) (document, error)
	// blob reads a blob that a document describes. Whoever has read it to its
	// end has the right bytes. ctx governs the reading as well.
	blob(ctx context.Context, desc oci.Descriptor) (io.ReadCloser, error)
	// repository is where a registry may mount the blobs from; the zero
	// Reference where they are in no registry.
	repository() oci.Reference
	close() error
}

// open opens the source.
func (s Source) open(ctx context.Context, a *access, o Options) (origin, error) {
	switch s.Transport {
	case Layout:
		return openLayout(s)
	case DockerArchive:
		return openArchive(s)
	case DockerDaemon:
		return openDaemon(ctx, s.Image, o.DockerHost)
	}
	ref, err := oci.ParseReference(s.Image)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrArguments, err)
	}
	return remote{a.sources, ref}, nil
}
