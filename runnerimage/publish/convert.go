package publish

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// convert makes a published layer of any other and brings it into the target.
func (p *publisher) convert(ctx context.Context, l layer) (outcome, error) {
	file, err := temporary()
	if err != nil {
		return outcome{}, err
	}
	defer file.Close()
	made, err := p.frame(ctx, l, file)
	if err != nil {
		return outcome{}, err
	}
	made.sent, err = p.access.upload(ctx, p.target, &upload{desc: made.desc, open: func() (io.ReadCloser, error) {
		return io.NopCloser(io.NewSectionReader(file, 0, made.desc.Size)), nil
	}})
	return made, err
}

// frame writes the layer's published form to file. The layer's blob is
// verified against its digest, and its tar file against its diff ID.
func (p *publisher) frame(ctx context.Context, l layer, file *os.File) (outcome, error) {
	blob, err := p.source.blob(ctx, l.desc)
	if err != nil {
		return outcome{}, err
	}
	defer blob.Close()
	read := &counter{ctx: ctx, r: blob}
	made, err := frame(read, l.diffID, file)
	if _, local := errors.AsType[*fs.PathError](err); !local || read.err != nil {
		// Wrong bytes may look like a broken layer. The digest tells, once the
		// blob was read to its end.
		if wrong := read.finish(); wrong != nil {
			err = wrong
		}
	}
	made.before = read.n
	return made, err
}

func frame(blob io.Reader, diffID oci.Digest, file *os.File) (outcome, error) {
	stream, err := decompress(blob)
	if err != nil {
		return outcome{}, err
	}
	defer stream.Close()
	written, err := published.Write(file, stream, published.Level)
	if err != nil {
		return outcome{}, err
	}
	if written.DiffID != diffID {
		return outcome{}, fmt.Errorf("%w: the layer's tar file has digest %s, and the config says diff ID %s", registry.ErrMismatch, written.DiffID, diffID)
	}
	made := outcome{action: Converted, noTOC: written.NoTOC, desc: oci.Descriptor{
		MediaType: types.OCILayerZStd, Size: written.Size, Digest: written.Digest, Annotations: written.Annotations,
	}}
	if written.NoTOC == nil {
		made.contents, err = contentsOf(written.Table)
	}
	return made, err
}

// counter counts what is read, remembers what went wrong, and ends reading
// when the context does.
type counter struct {
	ctx context.Context
	r   io.Reader
	n   int64
	err error // but io.EOF
}

func (c *counter) Read(p []byte) (int, error) {
	if c.err != nil {
		return 0, c.err
	}
	if c.ctx.Err() != nil {
		c.err = context.Cause(c.ctx)
		return 0, c.err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if err != io.EOF {
		c.err = err
	}
	return n, err
}

// finish reads to the end.
func (c *counter) finish() error {
	_, err := io.Copy(io.Discard, c)
	return err
}
