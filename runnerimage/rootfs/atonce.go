package rootfs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// Where other processes live in the root while its image is laid out, as in
// the job container of a CI system, they must never see a half of it: a shell
// without its loader, a loader without its libraries. With Options.AtOnce the
// tree is therefore written beneath the spare directory, with all attributes,
// and Finish renames it into the root: as few names as the mounts there
// allow, in an order in which nothing starts before what it needs is there.
//
//	/.clipper-runner/tmp/tree/usr          -> /usr
//	/.clipper-runner/tmp/tree/etc/passwd   -> /etc/passwd   (/etc has mounts)
//	/.clipper-runner/tmp/tree/lib64        -> /lib64, in exchange for the bare one
//
// Until then the bare image stays as it is, and so it does when the layout
// fails. A kill amid the renames leaves what every interrupted layout leaves:
// something that the next Clear removes.

// Link is a symlink that the image does not have.
type Link struct{ Path, Target string }

// withhold is the directory beneath the spare one that the tree is written to.
const withhold = "/tree"

// withheld is where the tree's path is written until Finish.
func (r *Root) withheld(path string) string {
	return strings.TrimSuffix(join(r.opts.Spare+withhold, path), "/")
}

// unit is the shortest part of a free path that can be renamed as a whole.
func (p *places) unit(path string) string {
	for end := indexFrom(path, 0); end < len(path); end = indexFrom(path, end+1) {
		if k, _ := p.of(path[:end]); k == free {
			return path[:end]
		}
	}
	return path
}

// waiterUnits are the units that hold waiters, in the order of the waiters.
func (r *Root) waiterUnits(p *places) []string {
	var units []string
	for _, waiter := range r.opts.Waiters {
		if k, _ := p.of(waiter.Path); k != free {
			continue // something is mounted there
		}
		if unit := p.unit(waiter.Path); !slices.Contains(units, unit) {
			units = append(units, unit)
		}
	}
	return units
}

// Plant puts the waiters where they belong, whatever an interrupted layout has
// left there. It comes after Clear, if that is called, and before NewWriter.
// Directories that hold waiters and nothing else are made anew, because a
// directory of an overlay's lower layer could not be renamed.
func (r *Root) Plant() error {
	if !r.opts.AtOnce {
		return nil
	}
	if err := r.makeSpare(); err != nil {
		return err
	}
	defer r.removeSpare()
	places := r.places()
	for _, waiter := range r.opts.Waiters {
		if k, _ := places.of(waiter.Path); k != free {
			continue
		}
		if err := r.symlinkAt(r.withheld(waiter.Path), waiter.Target); err != nil {
			return failed("place the waiter", waiter.Path, err)
		}
	}
	for _, unit := range r.waiterUnits(places) {
		if err := r.rename(r.withheld(unit), unit); err != nil {
			return failed("place the waiters of", unit, err)
		}
	}
	return nil
}

// symlinkAt makes a symlink with the directories that lead to it.
func (r *Root) symlinkAt(path, target string) error {
	if err := r.makeParents(path); err != nil {
		return err
	}
	dir, name := split(path)
	fd, err := r.realm.open(dir, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Symlinkat(target, fd, name)
}

// appear brings the withheld tree into the root, in place of what stands
// there and is nobody's.
func (w *Writer) appear() error {
	if err := w.dressDirectories(w.renamed); err != nil {
		return err
	}
	if err := w.root.clear(w.root.waiterUnits(w.places)); err != nil {
		return err
	}
	units, err := w.units("")
	if err != nil {
		return err
	}
	waiting := w.root.waiterUnits(w.places)
	slices.SortStableFunc(units, func(a, b string) int { return cmp.Compare(turn(a, waiting), turn(b, waiting)) })
	for _, unit := range units {
		if err := w.root.rename(w.root.withheld(unit), unit); err != nil {
			return failed("move into place", unit, err)
		}
	}
	w.appeared = true
	// The waiters that the image has nothing in place of.
	for _, unit := range waiting {
		if slices.Contains(units, unit) {
			continue
		}
		if err := w.root.remove(unit); err != nil {
			return failed("remove", unit, err)
		}
	}
	return nil
}

// turn is when a unit is renamed: first what nothing is executed from, then
// the programs, then, in their order, the places of waiters. Loaders are the
// last of these, so until then each program that needs one waits.
func turn(unit string, waiting []string) int {
	if i := slices.Index(waiting, unit); i >= 0 {
		return 2 + i
	}
	if top, _, _ := strings.Cut(unit, "/"); top == "usr" || top == "sbin" {
		return 1
	}
	return 0
}

// units lists the withheld paths beneath dir that can be renamed as a whole.
func (w *Writer) units(dir string) ([]string, error) {
	names, err := w.root.names(w.root.withheld(dir))
	if errors.Is(err, unix.ENOENT) {
		return nil, nil // the image has nothing here
	}
	if err != nil {
		return nil, failed("read", dir, err)
	}
	var units []string
	for _, name := range names {
		path := join(dir, name)
		if k, _ := w.places.of(path); k == free {
			units = append(units, path)
			continue
		}
		below, err := w.units(path)
		if err != nil {
			return nil, err
		}
		units = append(units, below...)
	}
	return units, nil
}

// renamed reports whether a path comes into the root by a rename, its own or
// that of a directory which it is in.
func (w *Writer) renamed(path string) bool {
	if !w.root.opts.AtOnce {
		return false
	}
	k, _ := w.places.of(path)
	return k == free
}

// addDefaults makes the symlinks of Options.Default.
func (w *Writer) addDefaults() error {
	for _, link := range w.root.opts.Default {
		path, err := w.resolve("", link.Path)
		if err != nil {
			continue
		}
		if k, _ := w.places.of(path); k != free || w.exists(path) {
			continue
		}
		err = w.root.symlinkAt(path, link.Target)
		if errors.Is(err, unix.EEXIST) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.EXDEV) {
			continue // the image has something on the way there
		}
		if err != nil {
			return failed("link", path, err)
		}
		w.touch(path)
	}
	return nil
}

func (w *Writer) exists(path string) bool {
	dir, name := split(path)
	fd, err := w.root.realm.open(dir, unix.O_PATH)
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	return unix.Fstatat(fd, name, &unix.Stat_t{}, unix.AT_SYMLINK_NOFOLLOW) == nil
}

// touch remembers that the time of path's directory changed after it had been
// set.
func (w *Writer) touch(path string) {
	dir, _ := split(path)
	w.touched[dir] = true
}

// rename gives from the name to, in exchange for what is there if the file
// system can do that. What was there ends in the spare directory, or is
// removed.
func (r *Root) rename(from, to string) error {
	fromDir, fromName := split(from)
	toDir, toName := split(to)
	source, err := r.realm.open(fromDir, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(source)
	target, err := r.realm.open(toDir, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(target)
	if err = unix.Renameat2(source, fromName, target, toName, unix.RENAME_NOREPLACE); err == nil {
		return nil
	}
	if err = unix.Renameat2(source, fromName, target, toName, unix.RENAME_EXCHANGE); err == nil {
		return nil
	}
	// No exchange on this file system, or with a directory of a lower layer.
	if err := removeAll(target, toName); err != nil {
		return err
	}
	return unix.Renameat(source, fromName, target, toName)
}

// remove removes path with everything beneath it.
func (r *Root) remove(path string) error {
	dir, name := split(path)
	fd, err := r.realm.open(dir, unix.O_PATH)
	if err != nil {
		return fmt.Errorf("open: %w", err)
	}
	defer unix.Close(fd)
	return removeAll(fd, name)
}
