package rootfs

import (
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sys/unix"
)

// Survey lists what is in the root before the first layout and is not the
// bare image's: what the engine made, and what a derived image brought. The
// caller remembers the list and hands it to every Clear. What is mounted or
// kept is not in it.
func (r *Root) Survey() ([]string, error) {
	places := r.places()
	var found []string
	var walk func(dir string) error
	walk = func(dir string) error {
		return r.each(dir, func(fd int, name string) error {
			path := join(dir, name)
			if k, _ := places.of(path); k == mounted || k == kept {
				return nil
			}
			if !slices.Contains(r.opts.Bare, path) {
				found = append(found, path)
			}
			if isDirectory(fd, name) {
				return walk(path)
			}
			return nil
		})
	}
	if err := walk(""); err != nil {
		return nil, fmt.Errorf("survey the root: %w", err)
	}
	slices.Sort(found)
	return found, nil
}

// Clear removes everything that was not found, is not mounted and not kept,
// and leads to nothing of the kind: the bare image's leftovers before a first
// layout, whatever an interrupted layout has left before the next one. It
// comes before NewWriter.
//
// With AtOnce it is Finish that clears, once the tree is complete, and Clear
// only remembers what was found; unless a layout was interrupted.
func (r *Root) Clear(found []string, interrupted bool) error {
	r.found = cleaned(found)
	if r.opts.AtOnce && !interrupted {
		return nil
	}
	return r.clear(nil)
}

// clear does the work of Clear but for the paths of spared.
func (r *Root) clear(spared []string) error {
	places := r.places()
	stay := make(map[string]bool, len(r.found))
	for _, path := range r.found {
		stay[path] = true
	}
	var walk func(dir string) error
	walk = func(dir string) error {
		return r.each(dir, func(fd int, name string) error {
			path := join(dir, name)
			k, _ := places.of(path)
			switch {
			case k == mounted, k == kept, slices.Contains(spared, path):
				return nil
			case !stay[path] && k == free:
				return failedNil("remove", path, removeAll(fd, name))
			case isDirectory(fd, name):
				return walk(path)
			}
			return nil
		})
	}
	if err := walk(""); err != nil {
		return fmt.Errorf("clear the root: %w", err)
	}
	return nil
}

// each calls f for every name in the directory dir of the root.
func (r *Root) each(dir string, f func(fd int, name string) error) error {
	fd, err := r.realm.open(dir, unix.O_PATH)
	if err != nil {
		return failed("open", dir, err)
	}
	defer unix.Close(fd)
	names, err := readNames(fd)
	if err != nil {
		return failed("read", dir, err)
	}
	for _, name := range names {
		if err := f(fd, name); err != nil {
			return err
		}
	}
	return nil
}

// removeAll removes name in the directory open at fd with everything beneath
// it. It crosses no mount.
func removeAll(fd int, name string) error {
	err := unix.Unlinkat(fd, name, 0)
	if !errors.Is(err, unix.EISDIR) && !errors.Is(err, unix.EPERM) {
		return ignoreAbsent(err)
	}
	parent := &realm{fd: fd}
	sub, err := parent.open(name, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(sub)
	names, err := readNames(sub)
	if err != nil {
		return err
	}
	for _, child := range names {
		if err := removeAll(sub, child); err != nil {
			return err
		}
	}
	return ignoreAbsent(unix.Unlinkat(fd, name, unix.AT_REMOVEDIR))
}

func ignoreAbsent(err error) error {
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	return err
}

// failedNil is failed for an error that may be nil.
func failedNil(step, path string, err error) error {
	if err == nil {
		return nil
	}
	return failed(step, path, err)
}

// makeSpare makes the spare directory anew.
func (r *Root) makeSpare() error {
	if err := r.removeSpare(); err != nil {
		return err
	}
	fd := -1
	for end := 0; end < len(r.opts.Spare); end++ {
		end = indexFrom(r.opts.Spare, end)
		dir, name := split(r.opts.Spare[:end])
		var err error
		if fd, err = r.realm.open(dir, unix.O_PATH); err != nil {
			return failed("open", dir, err)
		}
		err = unix.Mkdirat(fd, name, 0o700)
		unix.Close(fd)
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return failed("make directory", r.opts.Spare[:end], err)
		}
	}
	return nil
}

func (r *Root) removeSpare() error {
	dir, name := split(r.opts.Spare)
	fd, err := r.realm.open(dir, unix.O_PATH)
	if errors.Is(err, unix.ENOENT) {
		return nil
	}
	if err != nil {
		return failed("open", dir, err)
	}
	defer unix.Close(fd)
	return failedNil("remove", r.opts.Spare, removeAll(fd, name))
}
