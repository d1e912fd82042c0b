package rootfs

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// unlink removes a non-directory of the tree.
func (k *worker) unlink(at location, path string) error {
	if _, missing := k.w.missing.LoadAndDelete(at); missing {
		return nil
	}
	dir, err := k.dir(at)
	if err == nil {
		err = unix.Unlinkat(dir, at.name, 0)
	}
	if err != nil {
		return failed("remove", path, err)
	}
	return nil
}

// move moves a non-directory of the tree to the spare directory.
func (k *worker) move(from, to location, path string) error {
	if _, missing := k.w.missing.LoadAndDelete(from); missing {
		k.w.missing.Store(to, true)
		return nil
	}
	source, target, err := k.both(from, to)
	if err != nil {
		return failed("move", path, err)
	}
	defer unix.Close(source)
	err = unix.Renameat(source, from.name, target, to.name)
	if errors.Is(err, unix.EXDEV) {
		if err = k.w.copy(node{source, from.name}, node{target, to.name}, path); err == nil {
			err = unix.Unlinkat(source, from.name, 0)
		}
	}
	if err != nil {
		return failed("move", path, err)
	}
	return nil
}

// link makes a hard link; a copy where the file system has none, as between
// the root and a volume.
func (k *worker) link(from, to location, path string) error {
	if _, missing := k.w.missing.Load(from); missing {
		k.w.missing.Store(to, true)
		return nil
	}
	source, target, err := k.both(from, to)
	if err != nil {
		return failed("link", path, err)
	}
	defer unix.Close(source)
	err = unix.Linkat(source, from.name, target, to.name, 0)
	if errors.Is(err, unix.EEXIST) {
		// Nothing of the tree is here: it was found.
		if err = remove(target, to.name); err == nil {
			err = unix.Linkat(source, from.name, target, to.name, 0)
		}
	}
	if errors.Is(err, unix.EXDEV) || errors.Is(err, unix.EMLINK) || errors.Is(err, unix.EPERM) {
		err = k.w.copy(node{source, from.name}, node{target, to.name}, path)
	}
	if err != nil {
		return failed("link", path, err)
	}
	return nil
}

// dress gives what a hard link names the attributes of the link's entry, if
// there is one.
func (k *worker) dress(at location, e *layer.Entry, path string) error {
	if _, missing := k.w.missing.Load(at); missing || e == nil {
		return nil
	}
	dir, err := k.dir(at)
	if err != nil {
		return failed("open the directory of", path, err)
	}
	return k.w.dress(node{dir, at.name}, e, path)
}

// both returns the directories of two locations; the first one is the
// caller's to close.
func (k *worker) both(a, b location) (int, int, error) {
	first, err := a.realm.open(a.dir, unix.O_PATH)
	if err != nil {
		return -1, -1, err
	}
	second, err := k.dir(b)
	if err != nil {
		unix.Close(first)
		return -1, -1, err
	}
	return first, second, nil
}

// copy makes to a copy of the non-directory from, which is complete.
func (w *Writer) copy(from, to node, path string) error {
	e, err := describe(from)
	if err != nil {
		return err
	}
	k := worker{w: w, open: map[*file]bool{}}
	f := &file{at: location{name: to.name}, path: path, entry: e}
	if err := k.create(to.fd, f); err != nil {
		return err
	}
	if e.Type != layer.Regular {
		return w.dressNew(to, e, path)
	}
	defer func() {
		if k.open[f] {
			unix.Close(f.fd)
		}
	}()
	k.open[f] = true
	fd, err := unix.Openat(from.fd, from.name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	source := os.NewFile(uintptr(fd), from.name)
	defer source.Close()
	if _, err := io.CopyBuffer(writerFunc(f.append), struct{ io.Reader }{source}, make([]byte, largestChunk)); err != nil {
		return err
	}
	return k.finish(f)
}

// writerFunc is an io.Writer that writes all or fails.
type writerFunc func([]byte) error

func (write writerFunc) Write(data []byte) (int, error) {
	if err := write(data); err != nil {
		return 0, err
	}
	return len(data), nil
}

// describe returns the entry of what is on disk.
func describe(n node) (*layer.Entry, error) {
	var st unix.Stat_t
	if err := unix.Fstatat(n.fd, n.name, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return nil, err
	}
	e := &layer.Entry{
		Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid, Size: st.Size, ModTime: time.Unix(st.Mtim.Unix()),
		Major: unix.Major(uint64(st.Rdev)), Minor: unix.Minor(uint64(st.Rdev)),
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		e.Type = layer.Regular
	case unix.S_IFLNK:
		e.Type = layer.Symlink
		e.Link, err = readLink(n)
	case unix.S_IFIFO:
		e.Type = layer.FIFO
	case unix.S_IFCHR:
		e.Type = layer.CharDevice
	case unix.S_IFBLK:
		e.Type = layer.BlockDevice
	case unix.S_IFDIR:
		e.Type = layer.Directory
	default:
		err = fmt.Errorf("type %#o is not one of an image", st.Mode&unix.S_IFMT)
	}
	if err != nil {
		return nil, err
	}
	e.Xattrs, err = readXattrs(n)
	return e, err
}

// readLink reads a symlink; EINVAL says that n is none.
func readLink(n node) (string, error) {
	buf := make([]byte, unix.PathMax)
	size, err := unix.Readlinkat(n.fd, n.name, buf)
	if err != nil {
		return "", err
	}
	return string(buf[:size]), nil
}

func readXattrs(n node) (map[string]string, error) {
	path := magic(n.fd, n.name)
	size, err := unix.Llistxattr(path, nil)
	if errors.Is(err, unix.ENOTSUP) || err == nil && size == 0 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	names := make([]byte, size)
	if size, err = unix.Llistxattr(path, names); err != nil {
		return nil, err
	}
	values := map[string]string{}
	for name := range strings.SplitSeq(strings.TrimSuffix(string(names[:size]), "\x00"), "\x00") {
		value := make([]byte, 64<<10) // XATTR_SIZE_MAX
		size, err := unix.Lgetxattr(path, name, value)
		if err != nil {
			return nil, err
		}
		values[name] = string(value[:size])
	}
	return values, nil
}
