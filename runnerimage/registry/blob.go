package registry

import (
	"context"
	"encoding"
	"encoding/hex"
	"errors"
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
	at, size int64
	want     oci.Digest
	name     string
	progress func(int64)
	err      error
}

// Blob opens the blob of ref's repository that desc describes. ctx governs the
// reading as well. The caller closes the Blob.
func (c *Client) Blob(ctx context.Context, ref oci.Reference, desc oci.Descriptor) (*Blob, error) {
	return c.BlobFrom(ctx, ref, desc, Mark{})
}

// Mark is a place in a blob with the state of its verification. The zero Mark
// is the blob's beginning.
type Mark struct {
	// Offset counts the bytes before the place.
	Offset int64
	// State is the state of the digest's hash after them, as its MarshalBinary
	// writes it.
	State []byte
}

// BlobFrom opens the blob as Blob does, but reads on from the mark, which a
// reader of the same blob has made. In the end the digest of the whole blob is
// verified, what came before the mark included. A mark that does not fit the
// blob is an ErrMismatch before any request; one whose State was changed is an
// ErrMismatch in the end.
func (c *Client) BlobFrom(ctx context.Context, ref oci.Reference, desc oci.Descriptor, mark Mark) (*Blob, error) {
	return c.newBlob(ctx, c.newSource(ref, desc), mark, c.progress)
}

func (c *Client) newBlob(ctx context.Context, s *source, mark Mark, progress func(int64)) (*Blob, error) {
	if s.size < 0 {
		return nil, fmt.Errorf("%s: %w: its size is negative", s.name, ErrUnsupported)
	}
	hasher, err := v1.Hasher(s.digest.Algorithm)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", s.name, ErrUnsupported, err)
	}
	if err := mark.restore(hasher, s.size); err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	reader, err := c.open(ctx, s, mark.Offset)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", s.name, err)
	}
	return &Blob{source: reader, hasher: hasher, at: mark.Offset, size: s.size, want: s.digest, name: s.name, progress: progress}, nil
}

// restore brings the hash of a blob of the size to the mark.
func (m Mark) restore(hasher hash.Hash, size int64) error {
	if m.Offset == 0 && len(m.State) == 0 {
		return nil
	}
	if m.Offset < 0 || m.Offset > size {
		return fmt.Errorf("%w: a mark at byte %d of %d", ErrMismatch, m.Offset, size)
	}
	state, ok := hasher.(encoding.BinaryUnmarshaler)
	if !ok {
		return fmt.Errorf("%w: its digest's algorithm knows no marks", ErrUnsupported)
	}
	if err := state.UnmarshalBinary(m.State); err != nil {
		return fmt.Errorf("%w: the mark at byte %d: %w", ErrMismatch, m.Offset, err)
	}
	return nil
}

// open opens a blob from the offset on in the way that fits its size.
func (c *Client) open(ctx context.Context, s *source, offset int64) (io.ReadCloser, error) {
	if s.size-offset >= 4*c.partSize {
		return openWindow(ctx, s, offset)
	}
	return openStream(ctx, s, offset, s.size, false)
}

// Mark is where the reader is: behind the bytes that it has been given. A
// transfer that broke off has one; a blob that turned out wrong has none.
func (b *Blob) Mark() (Mark, error) {
	if errors.Is(b.err, ErrMismatch) {
		return Mark{}, b.err
	}
	state, ok := b.hasher.(encoding.BinaryMarshaler)
	if !ok {
		return Mark{}, fmt.Errorf("%s: %w: its digest's algorithm knows no marks", b.name, ErrUnsupported)
	}
	raw, err := state.MarshalBinary()
	if err != nil {
		return Mark{}, fmt.Errorf("%s: %w", b.name, err)
	}
	return Mark{Offset: b.at, State: raw}, nil
}

// Read implements io.Reader. What it leaves in p beside an error is unverified
// and must not be used, as with any Reader.
func (b *Blob) Read(p []byte) (int, error) {
	if b.err != nil || len(p) == 0 {
		return 0, b.err
	}
	if b.at == b.size { // an empty blob, or a mark at its end
		b.err = b.verify()
		return 0, b.err
	}
	n, err := b.source.Read(p[:min(int64(len(p)), b.size-b.at)])
	b.hasher.Write(p[:n])
	b.at += int64(n)
	switch {
	case b.at == b.size:
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
