package registry

import (
	"context"
	"encoding/hex"
	"fmt"
	"hash"
	"io"

	"github.com/clipperregistry/runner/runnerimage/oci"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Blob reads a blob's bytes, exactly as many as its descriptor says. The read
// that completes it returns its bytes only if the digest is right, and else an
// ErrMismatch: whoever has read a Blob to its end has the right bytes. It is
// not safe for concurrent use.
type Blob struct {
	source   io.ReadCloser
	hasher   hash.Hash
	left     int64
	want     oci.Digest
	name     string
	progress func(int64)
	err      error
}

// Blob opens the blob of ref's repository that desc describes. ctx governs the
// reading as well. The caller closes the Blob.
func (c *Client) Blob(ctx context.Context, ref oci.Reference, desc oci.Descriptor) (*Blob, error) {
	return c.blob(ctx, ref, desc, c.progress)
}

func (c *Client) blob(ctx context.Context, ref oci.Reference, desc oci.Descriptor, progress func(int64)) (*Blob, error) {
	name := fmt.Sprintf("blob %s of %s", desc.Digest, ref.Name())
	hasher, err := v1.Hasher(desc.Digest.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", name, ErrUnsupported, err)
	}
	if desc.Size < 0 {
		return nil, fmt.Errorf("%s: %w: its size is negative", name, ErrUnsupported)
	}
	source, err := c.open(ctx, c.newSource(ref, desc))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &Blob{source: source, hasher: hasher, left: desc.Size, want: desc.Digest, name: name, progress: progress}, nil
}

// open opens a blob in the way that fits its size.
func (c *Client) open(ctx context.Context, s *source) (io.ReadCloser, error) {
	if s.size >= 4*c.partSize {
		return openWindow(ctx, s)
	}
	return openStream(ctx, s, 0, s.size)
}

// Read implements io.Reader. What it leaves in p beside an error is unverified
// and must not be used, as with any Reader.
func (b *Blob) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.left == 0 { // an empty blob
		b.err = b.verify()
		return 0, b.err
	}
	n, err := b.source.Read(p[:min(int64(len(p)), b.left)])
	b.hasher.Write(p[:n])
	b.left -= int64(n)
	switch {
	case b.left == 0:
		if b.err = b.verify(); b.err != io.EOF {
			return 0, b.err
		}
	case err == io.EOF:
		b.err = fmt.Errorf("%s: %w", b.name, io.ErrUnexpectedEOF)
	case err != nil:
		b.err = fmt.Errorf("%s: %w", b.name, err)
	}
	b.progress(int64(n))
	if n > 0 {
		return n, nil // an error waits for the next call
	}
	return 0, b.err
}

// verify returns io.EOF for the right bytes.
func (b *Blob) verify() error {
	if got := hex.EncodeToString(b.hasher.Sum(nil)); got != b.want.Hex {
		return fmt.Errorf("%s: %w: the bytes that came have digest %s:%s", b.name, ErrMismatch, b.want.Algorithm, got)
	}
	return io.EOF
}

// Close breaks off what is still under way and waits for it.
func (b *Blob) Close() error {
	if b.err == nil {
		b.err = fmt.Errorf("%s: read after close", b.name)
	}
	return b.source.Close()
}
