package pull

import (
	"context"
	"errors"
	"io"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/registry"
)

// whole is a blob that is read from its beginning to its end.
type whole struct {
	*layer.Reader
	blob *registry.Blob
}

// whole opens a blob: what ranges have kept of it, or anew. It ends the use of
// ranges.
func (p *Puller) whole(ctx context.Context, desc oci.Descriptor, ranges *registry.Ranges) (*whole, error) {
	blob, err := p.blob(ctx, desc, ranges)
	if err != nil {
		return nil, err
	}
	entries, err := layer.NewReader(blob, layer.Limits{})
	if err != nil {
		blob.Close()
		return nil, err
	}
	return &whole{entries, blob}, nil
}

func (p *Puller) blob(ctx context.Context, desc oci.Descriptor, ranges *registry.Ranges) (*registry.Blob, error) {
	if ranges == nil {
		return p.client.Blob(ctx, p.ref, desc)
	}
	defer ranges.Close()
	return ranges.Whole(ctx)
}

func (w *whole) Drain() error {
	w.Reader.Close() // it reads ahead
	_, err := io.Copy(io.Discard, w.blob)
	return err
}

func (w *whole) Close() error { return errors.Join(w.Reader.Close(), w.blob.Close()) }
