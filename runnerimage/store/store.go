// Package store keeps chunks, TOCs, manifests and configs in one directory
// that many processes, on many hosts, use at the same time. In come the
// encoded bytes of a chunk under its ID and opaque named blobs; out come the
// same bytes, or ErrNotFound, or ErrCorrupt: never other bytes.
//
// What is promised:
//
//   - A pack or a blob is there whole or not at all: it is written under a
//     temporary name, synced and renamed. What a killed writer had already
//     put into its pack is given back by Salvage.
//   - A reader is not disturbed by writers, evictors and removers. A pack
//     that vanishes all the same gives ErrNotFound, so the caller fetches.
//   - A damaged byte is noticed when it is read. It costs the chunk that it
//     is in, and no other.
//   - No call waits for a lock of another process, except Prune, which waits
//     until its context ends. A lock ends with the process that holds it.
//
// What is not promised: the store guards against broken disks, kills and
// lost power, not against people. Whoever can write to the directory can
// poison it; it is made with mode 0700. What ID a chunk gets is the word of
// whoever puts it; Verify holds content against IDs.
//
// The directory and every byte in it are described in README.md; the code
// that reads and writes them is in format.go.
package store

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ID names a chunk: the SHA-256 of its content, of which the store knows only
// that. An ID of package chunk is assignable to it.
type ID = [32]byte

var (
	// ErrNotFound: the store has no such chunk or blob (any more).
	ErrNotFound = errors.New("not in the store")
	// ErrCorrupt: the store has it, but damaged. It must be fetched again.
	ErrCorrupt = errors.New("damaged in the store")
	// ErrReadOnly: the store may be read, not written.
	ErrReadOnly = errors.New("the store is read-only")
	// ErrNoSpace: the disk, a quota or Options.Max leaves no room.
	ErrNoSpace = errors.New("no space in the store")
	// ErrNoStore: the directory is missing or empty, and was not made a store.
	ErrNoStore = errors.New("there is no store")
	// ErrForeign: the directory is no store and has files of somebody's.
	ErrForeign = errors.New("it is no store and not empty")
	// ErrVersion: the directory is a store of another format.
	ErrVersion = errors.New("the store has another format")
	// ErrBusy: another process holds what was to be removed.
	ErrBusy = errors.New("in use by another process")
)

// Options say how a store is used; the zero value reads and writes without a
// limit.
type Options struct {
	// Max is how many bytes the store may take, 0 for no limit. What goes
	// beyond it is evicted, the least recently used first, after every pack
	// and blob that is written. A pack in writing counts when others are
	// weighed, so the store can exceed Max by the packs that are in writing.
	Max int64
	// ReadOnly keeps every write away: ErrReadOnly.
	ReadOnly bool
	// Now is the clock, by default time.Now. Nothing but the order of
	// eviction depends on it.
	Now func() time.Time
}

// Dir is a store. It is safe for concurrent use, holds nothing open and needs
// no closing.
type Dir struct {
	path     string
	max      int64
	readOnly bool
	now      func() time.Time
	random   func([]byte)
}

// The names in a store's directory.
const (
	packsDir    = "packs"
	blobsDir    = "blobs"
	tmpDir      = "tmp"
	lockName    = "lock"
	versionName = "version"

	packExt = ".pack"
	badExt  = ".bad"
	blobExt = ".blob" // of a blob that is still in tmp
)

const versionText = "clipper-runner store 1\n"

// Open opens the store in dir, and makes one there if dir is missing or
// empty; with Options.ReadOnly that is ErrNoStore. A directory with anything
// else in it is refused with ErrForeign.
//
// A store that turns out to be unwritable later (a read-only volume, another
// user's) can be read; each write says ErrReadOnly.
func Open(dir string, o Options) (*Dir, error) {
	d := &Dir{path: dir, max: o.Max, readOnly: o.ReadOnly, now: o.Now, random: func(b []byte) { rand.Read(b) }}
	if d.now == nil {
		d.now = time.Now
	}
	err := d.checkVersion()
	if errors.Is(err, fs.ErrNotExist) {
		err = d.found()
	}
	if err == nil && !d.readOnly {
		err = d.makeDirs()
		if errors.Is(err, ErrReadOnly) {
			err = nil // it can be read, and whoever writes will be told
		}
	}
	if err != nil {
		return nil, fmt.Errorf("open store %s: %w", dir, err)
	}
	return d, nil
}

func (d *Dir) checkVersion() error {
	f, err := os.Open(d.join(versionName))
	if err != nil {
		return err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 64))
	if err == nil && string(text) != versionText {
		err = fmt.Errorf("%w: %.40q, this program knows %q: give it another directory, or remove this one", ErrVersion, text, versionText)
	}
	return err
}

// found makes the layout. The version comes last: what has one is complete.
func (d *Dir) found() error {
	if !d.readOnly {
		if err := os.MkdirAll(d.path, 0o700); err != nil {
			return writeError(err)
		}
	}
	names, err := os.ReadDir(d.path)
	if err != nil && !(d.readOnly && errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	for _, e := range names {
		switch e.Name() {
		case packsDir, blobsDir, tmpDir, lockName, versionName: // another founder's
		case "lost+found", ".snapshot": // an empty volume's
		default:
			return fmt.Errorf("%w (%q): give an empty directory", ErrForeign, e.Name())
		}
	}
	if d.readOnly {
		return ErrNoStore
	}
	// A volume's root is open to everyone. Where it is not ours to close, the
	// directories within are.
	_ = os.Chmod(d.path, 0o700)
	if err := d.makeDirs(); err != nil {
		return err
	}
	return d.replace(versionName, ".version", []byte(versionText))
}

func (d *Dir) makeDirs() error {
	for _, name := range []string{packsDir, blobsDir, tmpDir} {
		if err := os.Mkdir(d.join(name), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
			return writeError(err)
		}
	}
	return nil
}

func (d *Dir) join(names ...string) string {
	return filepath.Join(append([]string{d.path}, names...)...)
}

func (d *Dir) packPath(name string) string { return d.join(packsDir, name+packExt) }

// Packs have random names, which are never used twice.
func (d *Dir) newName() string {
	var b [16]byte
	d.random(b[:])
	return hex.EncodeToString(b[:])
}

// packName is the name of the pack with that file name.
func packName(file string) (string, bool) {
	name, ok := strings.CutSuffix(file, packExt)
	raw, err := hex.DecodeString(name)
	return name, ok && err == nil && len(raw) == 16
}

// create makes a file in tmp and locks it, which tells everybody that its
// writer lives.
func (d *Dir) create(ext string) (*os.File, string, error) {
	if d.readOnly {
		return nil, "", ErrReadOnly
	}
	for {
		name := d.newName()
		path := d.join(tmpDir, name+ext)
		f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if err != nil {
			return nil, "", writeError(err)
		}
		// Before it is locked, another process may take it for a dead one's.
		if err = lock(f, syscall.LOCK_EX); err == nil && sameFile(f, path) {
			return f, name, nil
		}
		f.Close()
		if err != nil && !errors.Is(err, ErrBusy) {
			os.Remove(path)
			return nil, "", err
		}
	}
}

// replace puts a small file in its place at once.
func (d *Dir) replace(target, ext string, parts ...[]byte) (err error) {
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
	if _, err := f.Write(bytes.Join(parts, nil)); err != nil {
		return writeError(err)
	}
	return d.publish(f, tmp, d.join(target))
}

// publish makes a finished file durable and gives it its name.
func (d *Dir) publish(f *os.File, tmp, target string) error {
	if err := f.Sync(); err != nil {
		return writeError(err)
	}
	// A reader may want it the moment it has its name, and would take an
	// exclusive lock for an evictor's.
	_ = lock(f, syscall.LOCK_SH)
	if err := os.Rename(tmp, target); err != nil {
		// Changing a lock lets go of it for an instant. Who then took this
		// for a dead writer's pack has found it whole and published it.
		if _, statErr := os.Lstat(target); !errors.Is(err, fs.ErrNotExist) || statErr != nil {
			return writeError(err)
		}
	}
	return syncDir(filepath.Dir(target))
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	defer dir.Close()
	// Some file systems cannot sync a directory, and need not.
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, errors.ErrUnsupported) {
		return writeError(err)
	}
	return nil
}

// lock takes a flock, or changes the one there is, without waiting. On NFS
// the kernel makes it a lock of the server's; that wants the file open for
// writing if the lock is exclusive.
func lock(f *os.File, how int) error {
	for {
		switch err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB); err {
		case nil:
			return nil
		case syscall.EINTR:
		case syscall.EWOULDBLOCK:
			return ErrBusy
		default:
			return fmt.Errorf("lock %s (the store's file system must have flock): %w", f.Name(), err)
		}
	}
}

// sameFile reports whether path still names f.
func sameFile(f *os.File, path string) bool {
	a, errA := f.Stat()
	b, errB := os.Lstat(path)
	return errA == nil && errB == nil && os.SameFile(a, b)
}

// openExclusive opens a file for its remover or repairer. ErrBusy: its writer
// or a reader lives.
func openExclusive(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, writeError(err)
	}
	if err = lock(f, syscall.LOCK_EX); err == nil && !sameFile(f, path) {
		err = ErrNotFound
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// used notes that a file was read. An hour's precision is enough for an order
// of eviction, and spares a network file system. A time beyond the clock's is
// put right. Where it cannot be written, nothing is lost but the order.
func (d *Dir) used(path string, info fs.FileInfo) {
	now := d.now()
	if age := now.Sub(info.ModTime()); !d.readOnly && (age > time.Hour || age < -time.Hour) {
		_ = os.Chtimes(path, now, now)
	}
}

// vanished reports whether a file is gone: by name, or (NFS) under an open
// descriptor.
func vanished(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESTALE)
}

// writeError says in the store's words why something cannot be written.
func writeError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: %w", ErrNoSpace, err)
	case errors.Is(err, syscall.EROFS), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w: %w", ErrReadOnly, err)
	case vanished(err):
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}
