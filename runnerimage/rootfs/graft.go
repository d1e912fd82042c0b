package rootfs

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Where the image has a symlink to a directory and a mount forces a real
// directory to stay, both are grafted onto one another: with `--init`
// /sbin/docker-init is mounted before anybody knows that the image has
// /sbin -> usr/sbin. Then
//
//	/sbin/ip               -> ../usr/sbin/ip         for every name there
//	/usr/sbin/docker-init  -> ../../sbin/docker-init for every mount here
//
// so that each name works under both paths.

// engineFiles are the mounts for which Docker removes a symlink of the image
// instead of following it.
var engineFiles = []string{"etc/hosts", "etc/hostname", "etc/resolv.conf"}

// graftAll does what is to be done for every path that stayed in the image's
// way, and for the bare image's symlinks that the engine had followed.
func (w *Writer) graftAll() error {
	for _, path := range slices.Sorted(maps.Keys(w.aside)) {
		k, _ := w.places.of(path)
		_, point := w.root.mounts[path]
		if k != leading && !point {
			continue
		}
		if err := w.graft(path, k == leading); err != nil {
			return failed("link around the mounts of", path, err)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(w.root.opts.BareLinks)) {
		if err := w.reach(clean(path), w.root.opts.BareLinks[path]); err != nil {
			return failed("lead", path, err)
		}
	}
	return nil
}

// graft treats a path whose non-directory the image could not have.
func (w *Writer) graft(path string, directory bool) error {
	aside, err := w.root.realm.open(w.root.opts.Spare, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(aside)
	link, err := readLink(node{aside, w.aside[path]})
	if err != nil && !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err != nil { // no symlink
		if directory {
			w.warn(fmt.Sprintf("the image's %q is left out: something is mounted or was found beneath it", "/"+path))
		}
		return nil
	}
	dir, _ := split(path)
	target, err := w.resolve(dir, link)
	if err != nil {
		return nil // a symlink that leads nowhere
	}
	if directory {
		return w.merge(path, target)
	}
	if slices.Contains(engineFiles, path) {
		return nil
	}
	return w.stand(path, target)
}

// merge gives the directory at path, which stayed, the names of the directory
// at target, and target the names of what is mounted below path.
func (w *Writer) merge(path, target string) error {
	here, err := w.root.names(path)
	if err != nil {
		return err
	}
	there, err := w.root.names(target)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) {
		w.warn(fmt.Sprintf("%q stays a directory because of what is mounted beneath it; the image's symlink leads to %q, which is no directory of the image", "/"+path, "/"+target))
		return nil
	}
	if err != nil {
		return err
	}
	for _, name := range there {
		own, other := join(path, name), join(target, name)
		k, _ := w.places.of(own)
		switch {
		case own == target || beneath(target, own):
		case !slices.Contains(here, name):
			err = w.symlink(own, other)
		case k == leading && w.root.isDirectory(other):
			err = w.merge(own, other)
		case k == leading, k == mounted, k == filled:
			err = w.stand(own, other)
		}
		if err != nil {
			return err
		}
	}
	for _, name := range here {
		own, other := join(path, name), join(target, name)
		if k, _ := w.places.of(own); k != free && k != kept && !slices.Contains(there, name) {
			if err := w.symlink(other, own); err != nil {
				return err
			}
		}
	}
	return nil
}

// stand makes target, where the image expects what is mounted at path, a
// symlink to it, unless the image has something there that would be lost.
func (w *Writer) stand(path, target string) error {
	if k, _ := w.places.of(target); k != free {
		return nil
	}
	dir, name := split(target)
	fd, err := w.root.realm.open(dir, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		if err = w.root.makeParents(target); err == nil {
			fd, err = w.root.realm.open(dir, unix.O_PATH)
		}
	}
	if err != nil {
		return nil // beyond a mount or a non-directory
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	directory := isDirectory(fd, name)
	switch err = unix.Fstatat(fd, name, &st, unix.AT_SYMLINK_NOFOLLOW); {
	case errors.Is(err, unix.ENOENT):
	case err != nil:
		return err
	case directory:
		err := unix.Unlinkat(fd, name, unix.AT_REMOVEDIR)
		if errors.Is(err, unix.ENOTEMPTY) {
			w.warn(fmt.Sprintf("%q is mounted where the image has a symlink to %q, which is not empty: programs that use %[2]q do not see the mount", "/"+path, "/"+target))
			return nil
		}
		if err != nil {
			return err
		}
		w.moved[target] = true
	default:
		if err := unix.Unlinkat(fd, name, 0); err != nil {
			return err
		}
	}
	w.touch(target)
	return unix.Symlinkat(relative(target, path), fd, name)
}

// reach makes path, a symlink of the bare image that the engine may have
// followed when it mounted things, lead to these mounts still.
func (w *Writer) reach(path, link string) error {
	dir, _ := split(path)
	target := clean(join(dir, link))
	if strings.HasPrefix(link, "/") {
		target = clean(link)
	}
	if k, _ := w.places.of(path); k != free && k != leading || !w.leads(target) {
		return nil
	}
	real, err := w.resolve("", path)
	switch {
	case err != nil, real == target:
		return nil
	case w.root.isDirectory(real):
		return w.expose(real, target)
	case real != path:
		return nil // the image's own symlink, to nowhere
	}
	if err := w.root.makeParents(path); err != nil {
		return err
	}
	return w.symlink(path, target)
}

// expose gives the directory at path the names of what is mounted below
// target, where it has nothing of that name.
func (w *Writer) expose(path, target string) error {
	have, err := w.root.names(path)
	if err != nil {
		return err
	}
	names, err := w.root.names(target)
	if err != nil {
		return err
	}
	for _, name := range names {
		own, other := join(path, name), join(target, name)
		k, _ := w.places.of(other)
		switch {
		case k == free || k == kept:
		case !slices.Contains(have, name):
			err = w.symlink(own, other)
		case k == leading && w.root.isDirectory(own):
			err = w.expose(own, other)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// leads reports whether something is mounted below path.
func (w *Writer) leads(path string) bool {
	for point := range w.root.mounts {
		if beneath(point, path) {
			return true
		}
	}
	return false
}

// names lists a directory of the root.
func (r *Root) names(path string) ([]string, error) {
	fd, err := r.realm.open(path, unix.O_PATH)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	slices.Sort(names)
	return names, err
}

func (r *Root) isDirectory(path string) bool {
	fd, err := r.realm.open(path, unix.O_PATH)
	if err != nil {
		return false
	}
	unix.Close(fd)
	return true
}

// symlink makes a symlink at path that leads to target.
func (w *Writer) symlink(path, target string) error {
	dir, name := split(path)
	fd, err := w.root.realm.open(dir, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	w.touch(path)
	return unix.Symlinkat(relative(path, target), fd, name)
}

// makeParents makes the directories that lead to path.
func (r *Root) makeParents(path string) error {
	dir, _ := split(path)
	if dir == "" || r.isDirectory(dir) {
		return nil
	}
	if err := r.makeParents(dir); err != nil {
		return err
	}
	above, name := split(dir)
	fd, err := r.realm.open(above, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	if err := unix.Mkdirat(fd, name, 0o700); err != nil {
		return err
	}
	return unix.Fchmodat(fd, name, 0o755, 0)
}

// maxLinks is how many symlinks the kernel follows in one path.
const maxLinks = 40

// resolve follows the path link from the directory dir inside the root and
// returns where it leads, which need not exist.
func (w *Writer) resolve(dir, link string) (string, error) {
	path, rest := dir, link
	for links := 0; rest != ""; {
		if strings.HasPrefix(rest, "/") {
			path = ""
		}
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		switch name {
		case "", ".":
			continue
		case "..":
			path, _ = split(path)
			continue
		}
		next, err := w.readLink(path, name)
		if err != nil {
			path = join(path, name)
			continue
		}
		if links++; links > maxLinks {
			return "", unix.ELOOP
		}
		rest = next + "/" + rest
	}
	return path, nil
}

func (w *Writer) readLink(dir, name string) (string, error) {
	fd, err := w.root.realm.open(dir, unix.O_PATH)
	if err != nil {
		return "", err
	}
	defer unix.Close(fd)
	return readLink(node{fd, name})
}

// relative returns the symlink target that leads from path to other.
func relative(path, other string) string {
	dir, _ := split(path)
	up := ""
	for dir != "" && !beneath(other, dir) {
		up += "../"
		dir, _ = split(dir)
	}
	if dir != "" {
		other = other[len(dir)+1:]
	}
	return up + other
}
