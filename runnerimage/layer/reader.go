// Package layer reads the entries of a layer.
//
// What comes in is the stream of a blob: a tar file as it is, or compressed
// with gzip or zstd, told apart by the bytes and not by the media type. What
// goes out are its entries in order, with their content. Promised is that an
// Entry is something a Linux file system can hold and that its names stay
// beneath the root: whatever else a layer says is an error here and never
// reaches a caller. Memory stays bounded for any input. Nothing is written,
// and nothing is known of where the blob comes from.
//
// Two things are not decided here. Symlinks among the parents of a name are
// for the one who knows the tree. And a tar file that was cut right behind an
// entry looks complete, as engines need neither padding nor end mark there:
// the digest of the blob tells.
//
// Reading can be broken off anywhere and taken up again in another process: a
// Reader tells its Position, and ResumeReader goes on there.
//
// Where the specification leaves a choice, the reader does as Docker's
// overlay2 driver. See https://github.com/opencontainers/image-spec/blob/main/layer.md.
package layer

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
)

var (
	// ErrFormat says that the blob is not a layer, or a damaged one.
	ErrFormat = errors.New("malformed layer")
	// ErrEntry says that an entry is of an unknown kind or cannot exist.
	ErrEntry = errors.New("entry cannot be made")
	// ErrTooMany says that the layer goes beyond the Limits.
	ErrTooMany = errors.New("layer is too large to handle")

	errClosed = errors.New("layer reader is closed")
)

// Limits bound what one layer may cost. Zero values mean the defaults.
type Limits struct {
	// Entries is how many a layer may have; default 4,000,000.
	Entries int64
	// Metadata is how many bytes all names, link targets and extended
	// attributes may have together; default 512 MiB.
	Metadata int64
	// Content is how many bytes all files may have together, the holes of
	// sparse ones included, which cost nothing but time; default 4 TiB.
	Content int64
	// ReadAhead is how many bytes are decompressed before they are asked
	// for, in a goroutine beside the caller's; default 1 MiB. A negative value
	// means none: decompression happens within Next and Read.
	ReadAhead int
	// Checkpoints is about how many bytes of a gzip blob lie between two places
	// at which decompression can start again: what has to be fetched twice
	// after an interruption. The places may take as much memory again as
	// ReadAhead. Default is that there are none, and no Position at all.
	Checkpoints int64
}

func (l Limits) withDefaults() Limits {
	if l.Entries == 0 {
		l.Entries = 4_000_000
	}
	if l.Metadata == 0 {
		l.Metadata = 512 << 20
	}
	if l.Content == 0 {
		l.Content = 4 << 40
	}
	if l.ReadAhead == 0 {
		l.ReadAhead = 1 << 20
	}
	return l
}

// Reader yields the entries of one layer. It is for one goroutine, except
// that Inflated may be called by any.
type Reader struct {
	limits   Limits
	blob     *blob
	inflate  io.ReadCloser // blob, decompressed
	ahead    *ahead        // nil if nothing is read ahead
	trail    *trail        // nil if no Position is wanted
	stream   io.Reader     // the one of these that is on top; its errors are explained
	inflated atomic.Int64
	tar      *tar.Reader

	entries  int64
	metadata int64
	declared int64  // bytes of all files
	last     string // name of the last entry, for errors
	content  bool   // the last entry has content
	left     int64  // bytes of it that were not read
	direct   bool   // they lie in the tar stream one by one, with nothing else
	buf      []byte // of WriteTo
	err      error  // of Next or Read, for good
}

// NewReader reads the first bytes of r, which tell the compression. An empty
// blob is a layer without entries, as for Docker. The Reader must be closed.
func NewReader(r io.Reader, limits Limits) (*Reader, error) {
	return ResumeReader(r, Position{}, limits)
}

// Next goes to the next entry, which the caller may keep, and passes over
// what was not read of the one before. After the last entry it reads the blob
// to its end, so that whoever verifies it below sees every byte, and returns
// io.EOF.
func (r *Reader) Next() (*Entry, error) {
	if r.err != nil {
		return nil, r.err
	}
	e, err := r.next()
	if err != nil && err != io.EOF {
		err = r.located(r.blame(err))
	}
	r.err = err
	return e, err
}

func (r *Reader) next() (*Entry, error) {
	for {
		h, err := r.tar.Next()
		if err == io.EOF {
			return nil, r.drain()
		}
		if err != nil {
			return nil, malformed(err)
		}
		if r.entries++; r.entries > r.limits.Entries {
			return nil, fmt.Errorf("%w: more than %d entries", ErrTooMany, r.limits.Entries)
		}
		e, err := FromHeader(h)
		if err != nil {
			return nil, err
		}
		if e == nil {
			continue
		}
		if r.metadata += e.metadata(); r.metadata > r.limits.Metadata {
			return nil, fmt.Errorf("%w: names and extended attributes of more than %d bytes", ErrTooMany, r.limits.Metadata)
		}
		if e.Size > r.limits.Content-r.declared {
			return nil, fmt.Errorf("%w: files of more than %d bytes", ErrTooMany, r.limits.Content)
		}
		r.declared += e.Size
		r.last, r.content, r.left = e.Name, e.Type == Regular, e.Size
		r.direct = r.trail != nil && isDirect(h, e)
		return e, nil
	}
}

// drain reads what follows the end of the archive and returns io.EOF. Docker
// and gzip(1) pass over bytes behind the last member or frame; damage within
// one is still an error.
func (r *Reader) drain() error {
	if _, err := io.Copy(io.Discard, r.stream); err != nil && !isTrailer(err) {
		return malformed(err)
	}
	// The read-ahead has ended with the stream: nobody else reads the blob now.
	if _, err := io.Copy(io.Discard, r.blob); err != nil {
		return err
	}
	return io.EOF
}

// Read reads the content of a Regular entry; holes of sparse files are zeros.
// Other entries have none.
func (r *Reader) Read(p []byte) (int, error) {
	if r.err != nil {
		return 0, r.err
	}
	if !r.content {
		return 0, io.EOF
	}
	n, err := r.tar.Read(p)
	r.left -= int64(n)
	if err != nil && err != io.EOF {
		err = r.located(r.blame(malformed(err)))
		r.err = err
	}
	return n, err
}

// WriteTo writes the rest of the entry's content to w through a buffer that
// all entries share.
func (r *Reader) WriteTo(w io.Writer) (int64, error) {
	if r.buf == nil {
		r.buf = make([]byte, 128<<10)
	}
	return io.CopyBuffer(onlyWriter{w}, onlyReader{r}, r.buf)
}

// Inflated is the number of bytes that this Reader has decompressed.
func (r *Reader) Inflated() int64 { return r.inflated.Load() }

// Close ends the read-ahead and waits for it. A read of the blob that is
// under way is waited for too: cancel it first to be quick.
func (r *Reader) Close() error {
	if r.err == errClosed {
		return nil
	}
	r.err = errClosed
	r.stopAhead()
	return r.inflate.Close()
}

func (r *Reader) stopAhead() {
	if r.ahead != nil {
		r.ahead.stop()
		r.ahead = nil
	}
}

// blame ends reading, and finds out whether the blob is at fault for err.
func (r *Reader) blame(err error) error {
	if !errors.Is(err, ErrFormat) && !errors.Is(err, ErrEntry) {
		return err
	}
	r.stopAhead() // nobody else reads the blob now
	return r.blob.blame(err)
}

func (r *Reader) located(err error) error {
	if r.last == "" {
		return fmt.Errorf("read layer: %w", err)
	}
	return fmt.Errorf("read layer: at or after %s: %w", shown(r.last), err)
}

// onlyReader and onlyWriter hide every method that io.Copy and archive/tar
// would prefer.
type (
	onlyReader struct{ io.Reader }
	onlyWriter struct{ io.Writer }
)
