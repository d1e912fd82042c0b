package store

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
)

// Damage is something that Verify found.
type Damage struct {
	Kind  Kind
	Name  string // of the pack or blob
	Chunk ID     // zero: it is not in one chunk
	Err   error
	// Repaired says that the next Verify does not find it. What is in use,
	// cannot be read just now or may not be written stays; like everything
	// that is damaged, it is served to nobody.
	Repaired bool
}

// Verified counts what Verify has read.
type Verified struct {
	Packs, Chunks, Blobs int
	Bytes                int64 // stored ones
	Damaged              int   // how many Damage there were
	Repaired             int   // how many of them are repaired
	// Dropped chunks were known to be damaged before: nobody is served them,
	// and their space is free again once their pack is evicted.
	Dropped int
}

// Decode turns the stored bytes of a chunk into its content.
type Decode func(encoded []byte, contentLength int) ([]byte, error)

// Verify reads the whole store and holds the content of every chunk against
// its ID. It calls report for all that is damaged, and repairs the store so
// that the next Verify finds nothing: damaged chunks and blobs are dropped
// (and so are fetched again), damaged indexes are written anew from the
// records. A store that may not be written is only read.
func (d *Dir) Verify(ctx context.Context, decode Decode, report func(Damage)) (Verified, error) {
	v := &verifier{d: d, decode: decode, report: report}
	items, err := d.List()
	if err != nil {
		return v.sum, err
	}
	for _, item := range items {
		switch item.Kind {
		case Packs:
			err = v.pack(ctx, item)
		case Blobs:
			err = v.blob(ctx, item)
		}
		if err != nil {
			return v.sum, fmt.Errorf("verify %s %s: %w", item.Kind, item.Name, err)
		}
	}
	return v.sum, nil
}

type verifier struct {
	d      *Dir
	decode Decode
	report func(Damage)
	sum    Verified
	buf    []byte
}

func (v *verifier) damaged(item Item, id ID, err error, repaired bool) {
	v.sum.Damaged++
	if repaired {
		v.sum.Repaired++
	}
	v.report(Damage{item.Kind, item.Name, id, err, repaired})
}

func (v *verifier) pack(ctx context.Context, item Item) error {
	f, err := openPackFile(v.d.packPath(item.Name))
	if vanished(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if errors.Is(lock(f, syscall.LOCK_SH), ErrBusy) {
		return nil // it is being removed
	}
	form, err := v.chunks(ctx, f, item)
	f.Close()
	if err != nil || form == nil {
		return err
	}
	repaired := false
	if !v.d.readOnly {
		repaired, err = v.d.repair(item)
	}
	v.damaged(item, ID{}, form, repaired)
	return err
}

// chunks verifies one pack and says what is wrong with its form.
func (v *verifier) chunks(ctx context.Context, f *os.File, item Item) (form, err error) {
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	m, entries, form := readIndex(f, info.Size())
	if form != nil {
		m, entries, _, _ = walk(f, info.Size(), false)
	} else if head, err := readHeader(f); err != nil || head != m {
		form = corrupt("the header")
	}
	v.sum.Packs++
	bad := v.d.readBad(item.Name)
	// In the order of the file, which a disk likes.
	slices.SortFunc(entries, func(a, b entry) int { return int(a.offset - b.offset) })
	for _, e := range entries {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if bad[e.id] {
			v.sum.Dropped++
			continue
		}
		switch err := v.chunk(f, m, e); {
		case errors.Is(err, ErrNotFound):
			return nil, nil // removed, by another host
		case errors.Is(err, ErrCorrupt):
			v.damaged(item, e.id, err, !errors.Is(err, errTransient) && v.d.noteBad(item.Name, e.id))
		case err != nil:
			return nil, err
		}
	}
	return form, nil
}

func (v *verifier) chunk(f *os.File, m mark, e entry) error {
	encoded, err := readRecord(f, m, e.id, e.offset, e.stored, v.buf)
	if err != nil {
		return err
	}
	v.buf = encoded
	v.sum.Chunks++
	v.sum.Bytes += int64(e.stored)
	content, err := v.decode(encoded, int(e.content))
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	if sum := sha256.Sum256(content); sum != e.id {
		return fmt.Errorf("the content has the ID %x: %w", sum, ErrCorrupt)
	}
	return nil
}

func (v *verifier) blob(ctx context.Context, item Item) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	content, _, err := v.d.readBlob(item.Name)
	switch {
	case errors.Is(err, ErrNotFound):
		return nil
	case errors.Is(err, errTransient):
		v.damaged(item, ID{}, err, false)
		return nil
	case errors.Is(err, ErrCorrupt):
		kept := v.d.remove(item)
		if errors.Is(kept, ErrNotFound) {
			kept = nil
		}
		v.damaged(item, ID{}, err, kept == nil)
		if errors.Is(kept, ErrReadOnly) {
			return nil
		}
		return kept
	case err != nil:
		return err
	}
	v.sum.Blobs++
	v.sum.Bytes += int64(len(content))
	return nil
}

// repair gives a pack its form back, or removes it if nothing is left of it.
// One that is in use stays as it is: those who read it can.
func (d *Dir) repair(item Item) (repaired bool, err error) {
	f, err := openExclusive(d.packPath(item.Name))
	switch {
	case errors.Is(err, ErrBusy), errors.Is(err, ErrReadOnly):
		return false, nil
	case errors.Is(err, ErrNotFound):
		return true, nil
	case err != nil:
		return false, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	if m, _, err := readIndex(f, info.Size()); err == nil {
		_, err = f.WriteAt(appendHeader(nil, m), 0)
		if err == nil {
			err = f.Sync()
		}
		return err == nil, writeError(err)
	}
	entries, err := restore(f)
	switch {
	case err != nil:
	case len(entries) == 0:
		f.Close()
		err = d.remove(item)
	default:
		err = writeError(f.Sync())
	}
	return err == nil, err
}
