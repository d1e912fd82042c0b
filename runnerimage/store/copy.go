package store

import (
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"
	"time"
)

// Packs and blobs go from one store to another as whole files, under their
// names: a pack's is random and so nobody else's, a blob's says what it is.

// OpenItem opens the file of a pack or blob, to be copied. It is not evicted
// until the caller closes it.
func (d *Dir) OpenItem(item Item) (*os.File, error) {
	f, err := d.openItem(item)
	if err != nil {
		return nil, fmt.Errorf("open %s %s: %w", item.Kind, item.Name, err)
	}
	return f, nil
}

func (d *Dir) openItem(item Item) (*os.File, error) {
	if !item.whole() {
		return nil, ErrNotFound
	}
	f, err := openPackFile(d.itemPath(item))
	if vanished(err) {
		return nil, ErrNotFound
	}
	if err != nil {
		return nil, err
	}
	if errors.Is(lock(f, syscall.LOCK_SH), ErrBusy) {
		f.Close()
		return nil, ErrNotFound // it is about to be removed
	}
	return f, nil
}

// whole reports whether the item can be that of a finished pack or blob.
func (i Item) whole() bool {
	switch i.Kind {
	case Packs:
		_, ok := packName(i.Name + packExt)
		return ok
	case Blobs:
		return validName(i.Name)
	}
	return false
}

// Has reports whether the store has a pack or blob of that name.
func (d *Dir) Has(item Item) bool {
	if !item.whole() {
		return false
	}
	_, err := os.Lstat(d.itemPath(item))
	return err == nil
}

// Adopt takes a pack or blob of another store, item.Size bytes that fill
// writes, at any places and at the same time if it likes. What the store has
// already under the name stays, and fill is not called. A pack without a sound
// index is ErrCorrupt; everything else is checked when it is read, as ever. The
// item counts as last used when it says.
func (d *Dir) Adopt(item Item, fill func(io.WriterAt) error) error {
	if d.Has(item) {
		return nil
	}
	if err := d.adopt(item, fill); err != nil {
		return fmt.Errorf("adopt %s %s: %w", item.Kind, item.Name, err)
	}
	return d.evict()
}

func (d *Dir) adopt(item Item, fill func(io.WriterAt) error) (err error) {
	switch {
	case !item.whole():
		return corrupt("its name")
	case item.Size < 0 || item.Kind == Blobs && item.Size > MaxBlob+blobHeaderSize:
		return corrupt("its size")
	case d.max > 0 && item.Size > d.max:
		return fmt.Errorf("%w: its limit is %d bytes", ErrNoSpace, d.max)
	}
	ext := blobExt
	if item.Kind == Packs {
		ext = packExt
	}
	f, name, err := d.create(ext)
	if err != nil {
		return err
	}
	tmp := d.join(tmpDir, name+ext)
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(tmp)
		}
	}()
	if err := fill(f); err != nil {
		return writeError(err)
	}
	if err := f.Truncate(item.Size); err != nil {
		return writeError(err)
	}
	if item.Kind == Packs {
		if _, _, err := readIndex(f, item.Size); err != nil {
			return err
		}
	}
	if used := item.LastUsed; !used.IsZero() {
		_ = os.Chtimes(tmp, time.Time{}, used)
	}
	return d.publish(f, tmp, d.itemPath(item))
}
