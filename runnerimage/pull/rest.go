package pull

import (
	"errors"
	"fmt"
	"io"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// rest is the blob read as a whole, for the content from some chunk on.
type rest struct {
	*whole
	left int64 // of the current entry's content
	// archive takes the entries, if they are to be held against a claim.
	archive *toc.Writer
}

// errOther says that an archive has other content than its table.
var errOther = errors.New("the archive has other content")

// openRest opens the blob and passes over what the chunks before i hold.
func (a *assembly) openRest(i int) error {
	a.endSpans()
	w, err := a.puller.whole(a.ctx, a.desc, a.ranges)
	if err != nil {
		return err
	}
	a.rest, a.ranges = &rest{whole: w}, nil // whole has ended their use
	if a.keep.claim {
		a.rest.archive = toc.NewWriter()
	}
	for _, c := range a.table.Chunks()[:i] {
		if a.scratch, err = a.rest.chunk(a.scratch[:0], c); err != nil {
			return a.blame(err)
		}
	}
	return nil
}

// blame is for an archive that does not hold what the table says: either the
// bytes of the blob are wrong, or the table.
func (a *assembly) blame(err error) error {
	if !errors.Is(err, errOther) {
		return err
	}
	if wrong := a.rest.Drain(); wrong != nil {
		return wrong
	}
	if a.keep.claim {
		return a.puller.refuted(a.desc, err)
	}
	a.puller.forget(a.desc)
	return fmt.Errorf("%w: the store has a wrong table of layer %s, which is removed: %w", registry.ErrMismatch, a.desc.Digest, err)
}

// endRest reads the blob to its end, which verifies it, and with it what its
// publisher claims.
func (a *assembly) endRest() error {
	if err := a.rest.end(); err != nil {
		return err
	}
	a.fetched = a.desc.Size
	if !a.keep.claim {
		return nil
	}
	same := toc.SameToTheSecond // all that some publishers tell
	if a.table.Format() == byte(published.Frames) {
		same = toc.Same
	}
	if err := same(a.table, a.rest.archive.Table()); err != nil {
		return a.puller.refuted(a.desc, err)
	}
	a.keep.claim, a.known = false, false
	return nil
}

// Read reads the content stream.
func (r *rest) Read(p []byte) (int, error) {
	for r.left == 0 {
		if err := r.next(); err != nil {
			return 0, err
		}
	}
	n, err := r.whole.Read(p[:min(int64(len(p)), r.left)])
	if r.left -= int64(n); r.left == 0 && err == io.EOF {
		err = nil // of the entry, not of the stream
	}
	return n, err
}

// next goes to the next entry.
func (r *rest) next() error {
	e, err := r.whole.Next()
	if err != nil {
		return err
	}
	if r.left = 0; e.Type == layer.Regular {
		r.left = e.Size
	}
	if r.archive == nil {
		return nil
	}
	return r.archive.Entry(e, 0)
}

// chunk appends the stream's next chunk to buf, which is empty.
func (r *rest) chunk(buf []byte, c toc.Chunk) ([]byte, error) {
	buf = append(buf, make([]byte, c.Size)...)
	if _, err := io.ReadFull(r, buf); err == io.EOF || err == io.ErrUnexpectedEOF {
		return nil, errOther
	} else if err != nil {
		return nil, err
	}
	if err := verify(buf, c.ID); err != nil {
		return nil, fmt.Errorf("%w: %w", errOther, err)
	}
	return buf, nil
}

// end reads the blob to its end, which verifies it.
func (r *rest) end() error {
	for {
		if err := r.next(); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
	}
}
