package rootfs

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// marker is the file that a volume holds while it is filled, locked by the
// runner that fills it. A volume whose marker nobody has locked was left half
// filled.
const marker = ".clipper-runner-filling"

// lockInterval is how often the lock of a marker is tried.
const lockInterval = 100 * time.Millisecond

// volume is a volume that this Writer fills.
type volume struct {
	realm *realm
	// lock is the descriptor of the locked marker, -1 when it is gone.
	lock int
}

// engineVolume matches the root of a mount that is a named or anonymous
// volume of Docker or Podman ("…/volumes/NAME/_data"), and of no bind mount.
var engineVolume = regexp.MustCompile(`(^|/)volumes/[^/]+/_data$`)

// kubeletVolume matches the root of a mount that Kubernetes made.
var kubeletVolume = regexp.MustCompile(`/kubernetes\.io~[^/]+/`)

// fillable reports whether the mount at point is a volume to fill if it is
// empty: an engine's volume, or, where the engine cannot be told by the mount
// table, a declared volume that is neither a tmpfs nor Kubernetes's.
func (r *Root) fillable(point string, mount *mountinfo.Info) bool {
	if engineVolume.MatchString(mount.Root) {
		return true
	}
	tmpfs := mount.FSType == "tmpfs" && mount.Root == "/"
	return slices.Contains(r.opts.DeclaredVolumes, point) && !tmpfs && !kubeletVolume.MatchString(mount.Root)
}

// takeVolumes takes every empty volume that is to be filled and makes its
// paths the image's.
func (w *Writer) takeVolumes(ctx context.Context) error {
	for _, point := range slices.Sorted(maps.Keys(w.root.mounts)) {
		mount := w.root.mounts[point]
		if k, _ := w.places.of(point); k == kept || !w.root.fillable(point, mount) {
			continue
		}
		v, err := w.takeVolume(ctx, point)
		if errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) {
			w.warn(fmt.Sprintf("the volume at %q is not filled from the image, because it cannot be written: %v", "/"+point, err))
			continue
		}
		if err != nil {
			return failed("fill volume", point, err)
		}
		if v != nil {
			w.volumes[point] = v
			w.places.set(point, filled)
			w.places.set(join(point, marker), kept)
		}
	}
	return nil
}

// takeVolume locks and empties the volume at point, or returns nil when it is
// not to be filled.
func (w *Writer) takeVolume(ctx context.Context, point string) (*volume, error) {
	fd, err := unix.Open(join(w.root.dir, point), unix.O_PATH|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOTDIR) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v := &volume{realm: &realm{fd: fd, prefix: point}, lock: -1}
	taken, err := v.take(ctx, w.nested(point))
	if err != nil || !taken {
		v.close()
		return nil, err
	}
	return v, nil
}

// nested tells the kinds of paths in the volume at point: the mount points
// below it are its guests, and the directories that lead there are no content.
func (w *Writer) nested(point string) *places {
	p := newPlaces()
	for other := range w.root.mounts {
		if beneath(other, point) {
			p.set(other[len(point)+1:], mounted)
		}
	}
	p.set(marker, kept)
	return p
}

// take locks the volume and reports whether it is this caller's to fill.
func (v *volume) take(ctx context.Context, guests *places) (bool, error) {
	for {
		content, begun, err := v.look("", guests)
		if err != nil || content && !begun {
			return false, err
		}
		fresh := false
		v.lock, err = unix.Openat(v.realm.fd, marker, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
		if err == nil {
			fresh = true
		} else if errors.Is(err, unix.EEXIST) {
			v.lock, err = unix.Openat(v.realm.fd, marker, unix.O_RDWR|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
			if errors.Is(err, unix.ENOENT) {
				continue // filled at this moment
			}
		}
		if err != nil {
			return false, err
		}
		ours, err := v.lockMarker(ctx)
		if err != nil {
			return false, err
		}
		if !ours {
			continue // another runner has filled it: look again
		}
		if content, _, err = v.look("", guests); err != nil {
			return false, err
		}
		if fresh && content {
			// Filled between the look and the lock.
			return false, unix.Unlinkat(v.realm.fd, marker, 0)
		}
		return true, v.empty("", guests)
	}
}

// lockMarker waits for the lock of the open marker and reports whether it is
// still the volume's marker.
func (v *volume) lockMarker(ctx context.Context) (bool, error) {
	ticker := time.NewTicker(lockInterval)
	defer ticker.Stop()
	for {
		err := unix.Flock(v.lock, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			break
		}
		if !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR) {
			return false, err
		}
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
	var st unix.Stat_t
	if err := unix.Fstat(v.lock, &st); err != nil {
		return false, err
	}
	if st.Nlink == 0 {
		unix.Close(v.lock)
		v.lock = -1
		return false, nil
	}
	return true, nil
}

// look reports whether the volume has content, and whether it has a marker.
func (v *volume) look(dir string, guests *places) (content, begun bool, err error) {
	err = v.each(dir, func(fd int, name string) error {
		path := join(dir, name)
		switch k, _ := guests.of(path); k {
		case kept:
			begun = true
		case leading:
			inner, _, err := v.look(path, guests)
			content = content || inner
			return err
		case free:
			content = true
		}
		return nil
	})
	return content, begun, err
}

// empty removes the volume's content, but not its marker.
func (v *volume) empty(dir string, guests *places) error {
	return v.each(dir, func(fd int, name string) error {
		path := join(dir, name)
		switch k, _ := guests.of(path); k {
		case leading:
			return v.empty(path, guests)
		case free:
			return removeAll(fd, name)
		}
		return nil
	})
}

func (v *volume) each(dir string, f func(fd int, name string) error) error {
	inside := Root{realm: v.realm}
	return inside.each(dir, f)
}

// finish says that the volume is filled.
func (v *volume) finish() error {
	if v.lock < 0 {
		return nil
	}
	if err := unix.Unlinkat(v.realm.fd, marker, 0); err != nil {
		return err
	}
	unix.Close(v.lock)
	v.lock = -1
	return nil
}

func (v *volume) close() {
	if v.lock >= 0 {
		unix.Close(v.lock)
	}
	unix.Close(v.realm.fd)
}

func (w *Writer) closeVolumes() {
	for _, v := range w.volumes {
		v.close()
	}
	clear(w.volumes)
}
