package rootfs

import (
	"bytes"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// file is a non-directory that is being made. Once it is open only its
// descriptor counts: its path may meanwhile be another's.
type file struct {
	at    location
	path  string
	entry *layer.Entry
	// quiet files are kept aside, where nobody sees what they lack.
	quiet bool

	fd     int
	offset int64
	end    int64 // of the last byte that was written
}

// block is the unit in which zeros become holes.
const block = 4096

var zeros [block]byte

// make makes the file in its directory, with its attributes unless content is
// to come.
func (k *worker) make(f *file) error {
	k.w.missing.Delete(f.at)
	dir, err := k.dir(f.at)
	if err != nil {
		return failed("open directory of", f.path, err)
	}
	err = k.create(dir, f)
	if errors.Is(err, unix.EEXIST) {
		// Nothing of the tree is here: it was found.
		if err = remove(dir, f.at.name); err == nil {
			err = k.create(dir, f)
		}
	}
	if errors.Is(err, unix.EPERM) && isDevice(f.entry) {
		k.w.missing.Store(f.at, true)
		if !f.quiet {
			k.w.warn(fmt.Sprintf("cannot make the device %q: the container may not", "/"+f.path))
		}
		return nil
	}
	if err != nil {
		return failed("create", f.path, err)
	}
	if f.entry.Type == layer.Regular {
		k.open[f] = true
		return nil
	}
	return k.w.dressNew(node{dir, f.at.name}, f.entry, f.path)
}

func isDevice(e *layer.Entry) bool { return e.Type == layer.CharDevice || e.Type == layer.BlockDevice }

func (k *worker) create(dir int, f *file) error {
	e, name := f.entry, f.at.name
	switch e.Type {
	case layer.Regular:
		var err error
		// Mostly the mode that it keeps. The rest, set-uid and what the umask
		// has taken, comes with its owner.
		mode := e.Mode&0o777 | 0o600
		f.fd, err = unix.Openat(dir, name, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
		return err
	case layer.Symlink:
		return unix.Symlinkat(e.Link, dir, name)
	case layer.FIFO:
		return unix.Mknodat(dir, name, unix.S_IFIFO|0o600, 0)
	case layer.CharDevice:
		return unix.Mknodat(dir, name, unix.S_IFCHR|0o600, int(unix.Mkdev(e.Major, e.Minor)))
	case layer.BlockDevice:
		return unix.Mknodat(dir, name, unix.S_IFBLK|0o600, int(unix.Mkdev(e.Major, e.Minor)))
	}
	return fmt.Errorf("entry of type %d cannot be created", e.Type)
}

// remove removes a non-directory or an empty directory.
func remove(dir int, name string) error {
	err := unix.Unlinkat(dir, name, 0)
	if errors.Is(err, unix.EISDIR) || errors.Is(err, unix.EPERM) {
		if other := unix.Unlinkat(dir, name, unix.AT_REMOVEDIR); !errors.Is(other, unix.ENOTDIR) {
			return other
		}
	}
	return err
}

// append writes the next piece of content. Blocks of zeros become holes, so
// that a sparse file of a terabyte stays one.
func (f *file) append(data []byte) error {
	for len(data) > 0 {
		hole := zeroBlocks(data)
		f.offset += int64(hole)
		data = data[hole:]
		n := dataBlocks(data)
		if err := f.write(data[:n]); err != nil {
			return failed("write", f.path, err)
		}
		data = data[n:]
	}
	return nil
}

// write writes data at the file's offset.
func (f *file) write(data []byte) error {
	for len(data) > 0 {
		n, err := unix.Pwrite(f.fd, data, f.offset)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		f.offset += int64(n)
		f.end = f.offset
		data = data[n:]
	}
	return nil
}

// zeroBlocks returns the length of the whole blocks of zeros that data starts
// with.
func zeroBlocks(data []byte) int {
	n := 0
	for len(data)-n >= block && bytes.Equal(data[n:n+block], zeros[:]) {
		n += block
	}
	return n
}

// dataBlocks returns the length of data up to its first block of zeros.
func dataBlocks(data []byte) int {
	n := 0
	for n < len(data) && zeroBlocks(data[n:min(n+block, len(data))]) == 0 {
		n = min(n+block, len(data))
	}
	return n
}

// finish gives the file its size and attributes and closes it.
func (k *worker) finish(f *file) error {
	delete(k.open, f)
	defer unix.Close(f.fd)
	if f.end < f.entry.Size {
		// A hole at the end has not made the file longer yet.
		if err := unix.Ftruncate(f.fd, f.entry.Size); err != nil {
			return failed("write", f.path, err)
		}
	}
	return k.w.dressNew(node{fd: f.fd}, f.entry, f.path)
}
