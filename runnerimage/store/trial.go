package store

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"
)

// Trial is what Try has found out.
type Trial struct {
	// Excludes says that a lock keeps others out. Where it does not, an
	// evictor may take a pack from under its readers.
	Excludes bool
	// Sync is how long it took until a small file was safe on the disk.
	Sync time.Duration
}

// Try writes, locks and syncs a small file as every pack and blob is, and
// removes it again. An error says why the store cannot be written: ErrReadOnly
// or ErrNoSpace, or that its file system has no locks.
func (d *Dir) Try() (t Trial, err error) {
	f, name, err := d.create(blobExt)
	if err != nil {
		return t, fmt.Errorf("try the store: %w", err)
	}
	defer func() {
		f.Close()
		os.Remove(d.join(tmpDir, name+blobExt))
	}()
	other, err := os.Open(f.Name())
	if err != nil {
		return t, fmt.Errorf("try the store: %w", err)
	}
	defer other.Close()
	t.Excludes = errors.Is(lock(other, syscall.LOCK_SH), ErrBusy)

	start := d.now()
	_, err = f.Write(blobHead(name, nil))
	if err == nil {
		err = f.Sync()
	}
	if err != nil {
		return t, fmt.Errorf("try the store: %w", writeError(err))
	}
	t.Sync = d.now().Sub(start)
	return t, nil
}
