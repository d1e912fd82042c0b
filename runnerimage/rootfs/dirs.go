package rootfs

import (
	"errors"
	"strings"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// realm is a directory that paths are opened beneath: the root, or a volume
// that is filled.
type realm struct {
	fd int
	// prefix is the path of the realm in the tree.
	prefix string
	// walk says that the kernel refuses openat2: an engine of before 2021,
	// or gVisor.
	walk atomic.Bool
}

// location is a path for the kernel.
type location struct {
	realm     *realm
	dir, name string
}

// open opens the directory dir of the realm without following a symlink or
// crossing a mount.
func (r *realm) open(dir string, flags int) (int, error) {
	flags |= unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	if dir == "" {
		return unix.Openat(r.fd, ".", flags, 0)
	}
	if r.walk.Load() {
		return r.openByElement(dir, flags)
	}
	how := unix.OpenHow{
		Flags:   uint64(flags),
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS | unix.RESOLVE_NO_XDEV,
	}
	for {
		fd, err := unix.Openat2(r.fd, dir, &how)
		switch {
		case errors.Is(err, unix.EINTR), errors.Is(err, unix.EAGAIN):
			continue
		case errors.Is(err, unix.ENOSYS), errors.Is(err, unix.EPERM):
			r.walk.Store(true)
			return r.openByElement(dir, flags)
		}
		return fd, err
	}
}

// openByElement does open's work without openat2. A bind mount of the same
// file system passes its look at the device number, but never reaches it:
// places knows the mount table.
func (r *realm) openByElement(dir string, flags int) (int, error) {
	var own, st unix.Stat_t
	if err := unix.Fstat(r.fd, &own); err != nil {
		return -1, err
	}
	at, opened := r.fd, -1
	for rest, more := dir, true; more; {
		var name string
		name, rest, more = strings.Cut(rest, "/")
		how := unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
		if !more {
			how = flags
		}
		fd, err := unix.Openat(at, name, how, 0)
		if opened >= 0 {
			unix.Close(opened)
		}
		if err != nil {
			return -1, err
		}
		at, opened = fd, fd
		if err = unix.Fstat(fd, &st); err == nil && st.Dev != own.Dev {
			err = unix.EXDEV
		}
		if err != nil {
			unix.Close(fd)
			return -1, err
		}
	}
	return opened, nil
}

// hands are the directories that one goroutine holds open, so that the files
// of a directory cost one opening of it. Not safe for concurrent use.
type hands struct {
	dirs map[place]int
	// removals is the number of directories the Writer had removed when dirs
	// was last emptied: one that is gone must not be found by its old path.
	removals uint64
}

type place struct {
	realm *realm
	dir   string
}

// held is how many directories hands hold.
const held = 64

// dir returns a descriptor of the directory of a location. It is good until
// the next call.
func (h *hands) dir(at location, removals uint64) (int, error) {
	if h.removals != removals || len(h.dirs) >= held {
		h.drop()
		h.removals = removals
	}
	key := place{at.realm, at.dir}
	if fd, ok := h.dirs[key]; ok {
		return fd, nil
	}
	fd, err := at.realm.open(at.dir, unix.O_PATH)
	if err != nil {
		return -1, err
	}
	if h.dirs == nil {
		h.dirs = map[place]int{}
	}
	h.dirs[key] = fd
	return fd, nil
}

// drop closes all directories.
func (h *hands) drop() {
	for _, fd := range h.dirs {
		unix.Close(fd)
	}
	clear(h.dirs)
}
