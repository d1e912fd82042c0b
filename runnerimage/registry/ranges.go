package registry

import (
	"context"
	"fmt"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Span is a piece of a blob: Length bytes from Offset on.
type Span struct{ Offset, Length int64 }

func (s Span) end() int64 { return s.Offset + s.Length }

// Ranges reads pieces of one blob. Pieces have no digest that this room knows:
// the caller verifies what it gets. One Read or Spans is under way at a time;
// it has up to Options.Parts requests.
//
// Where the registry does not give out pieces, the error is an ErrNoRanges, at
// the first of them or at any later one. Then Whole gives the blob, from the
// very answer that was too much.
type Ranges struct {
	source *source
}

// Ranges makes a reader of pieces of the blob that desc describes. It asks for
// nothing yet. The caller closes it.
func (c *Client) Ranges(ref oci.Reference, desc oci.Descriptor) *Ranges {
	return &Ranges{source: c.newSource(ref, desc)}
}

// Read reads one span into memory that is the caller's.
func (r *Ranges) Read(ctx context.Context, span Span) ([]byte, error) {
	spans := r.Spans(ctx, []Span{span})
	defer spans.Close()
	return spans.Next()
}

// Spans reads spans, which are sorted by Offset and do not overlap, and
// fetches ahead from the first Next on. ctx governs the reading. The caller
// closes the Spans, before it opens others or the Whole.
func (r *Ranges) Spans(ctx context.Context, spans []Span) *Spans {
	s := &Spans{source: r.source, spans: spans}
	left, err := joined(spans, r.source.size)
	if err != nil {
		s.err = fmt.Errorf("%s: %w", r.source.name, err)
	}
	s.window = newWindow(ctx, r.source, left, true)
	return s
}

// Whole reads the whole blob, verified as by Client.Blob. If a range was
// answered with all of it, that answer is read and nothing is asked for again.
func (r *Ranges) Whole(ctx context.Context) (*Blob, error) {
	return r.source.client.newBlob(ctx, r.source, Mark{}, r.source.client.progress)
}

// Close closes what nobody reads. A Blob from Whole stays open.
func (r *Ranges) Close() error {
	r.source.close()
	return nil
}
