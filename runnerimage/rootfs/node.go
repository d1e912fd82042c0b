package rootfs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// node is something on disk that gets attributes: the name in the directory
// open at fd, never followed, or fd itself when name is "".
type node struct {
	fd   int
	name string
}

func (n node) stat(st *unix.Stat_t) error {
	if n.name == "" {
		return unix.Fstat(n.fd, st)
	}
	return unix.Fstatat(n.fd, n.name, st, unix.AT_SYMLINK_NOFOLLOW)
}

func (n node) chown(uid, gid uint32) error {
	if n.name == "" {
		return unix.Fchown(n.fd, int(uid), int(gid))
	}
	return unix.Fchownat(n.fd, n.name, int(uid), int(gid), unix.AT_SYMLINK_NOFOLLOW)
}

func (n node) setxattr(name, value string) error {
	if n.name == "" {
		return unix.Fsetxattr(n.fd, name, []byte(value), 0)
	}
	return unix.Lsetxattr(magic(n.fd, n.name), name, []byte(value), 0)
}

// chmod must not be called for a symlink, which has no mode.
func (n node) chmod(mode uint32) error {
	if n.name == "" {
		return unix.Fchmod(n.fd, mode)
	}
	return unix.Fchmodat(n.fd, n.name, mode, 0)
}

// setTime leaves the time as it is for the zero t, which a directory has that
// no entry names.
func (n node) setTime(t time.Time) error {
	if t.IsZero() {
		return nil
	}
	stamp := []unix.Timespec{timespec(t), timespec(t)}
	if n.name != "" {
		return unix.UtimesNanoAt(n.fd, n.name, stamp, unix.AT_SYMLINK_NOFOLLOW)
	}
	// utimensat without a path is futimens; unix has no name for it.
	if _, _, errno := unix.Syscall6(unix.SYS_UTIMENSAT, uintptr(n.fd), 0, uintptr(unsafe.Pointer(&stamp[0])), 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// timespec is t as the kernel takes it. Package layer has made the times such
// that it can.
func timespec(t time.Time) unix.Timespec {
	return unix.Timespec{Sec: t.Unix(), Nsec: int64(t.Nanosecond())}
}

// dress gives a node the attributes of an entry in the order that keeps
// capabilities and set-uid: a change of owner clears both.
func (w *Writer) dress(n node, e *layer.Entry, path string) error {
	return w.dressFrom(nil, n, e, path)
}

// dressNew is dress for what has never been dressed. It has mostly the right
// owner and mode already, and a look costs a tenth of setting them.
func (w *Writer) dressNew(n node, e *layer.Entry, path string) error {
	var has unix.Stat_t
	if n.stat(&has) != nil {
		return w.dress(n, e, path)
	}
	return w.dressFrom(&has, n, e, path)
}

// dressFrom spares what has tells of, if it is not nil.
func (w *Writer) dressFrom(has *unix.Stat_t, n node, e *layer.Entry, path string) error {
	mode := e.Mode & 0o7777
	owned := has != nil && has.Uid == e.UID && has.Gid == e.GID
	var err error
	if !owned {
		err = n.chown(e.UID, e.GID)
	}
	switch {
	case err == nil:
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL):
		// Set-uid to the wrong user would be worse than no set-uid.
		mode &^= unix.S_ISUID | unix.S_ISGID
		if !w.root.opts.NoOwners {
			w.warn(fmt.Sprintf("cannot give %q to %d:%d (%v): the container lacks the capability CHOWN, or its user namespace that id", "/"+path, e.UID, e.GID, err))
		}
	default:
		return failed("change owner of", path, err)
	}
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		if err := w.setxattr(n, e, name, path); err != nil {
			return failed("set "+name+" of", path, err)
		}
	}
	// Extended attributes may change the mode: an access list does.
	same := owned && len(e.Xattrs) == 0 && has.Mode&0o7777 == mode
	if e.Type != layer.Symlink && !same {
		if err := n.chmod(mode); err != nil {
			return failed("change mode of", path, err)
		}
	}
	return failedNil("set time of", path, n.setTime(e.ModTime))
}

// setxattr sets one extended attribute. What a container may not set is a
// warning: an image must not fail over a capability that nothing in it uses.
func (w *Writer) setxattr(n node, e *layer.Entry, name, path string) error {
	if strings.HasPrefix(name, "trusted.") {
		return nil // the engine's own
	}
	err := n.setxattr(name, e.Xattrs[name])
	plain := e.Type == layer.Regular || e.Type == layer.Directory
	switch {
	case err == nil, errors.Is(err, unix.ENOTSUP):
		return nil
	case errors.Is(err, unix.EPERM) && strings.HasPrefix(name, "user.") && !plain:
		return nil // only files and directories have them
	case errors.Is(err, unix.EPERM), errors.Is(err, unix.EINVAL) && w.root.opts.NoOwners:
		w.warn(fmt.Sprintf("cannot set %s of %q: the container may not", name, "/"+path))
		return nil
	}
	return err
}
