package toc

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// Layer takes the entries of one layer, in their order. What the layer has at
// a path, which may differ from what the tree shows there, is told by own.
type Layer struct {
	tree  *Tree
	rank  uint16
	ended bool

	// superseded holds the layer's non-directories that are not shown.
	superseded map[id]thing
	// targets holds the targets of the layer's symlinks.
	targets map[File]string
	// whiteouts holds the paths to cut at the end.
	whiteouts map[id]bool
	// links holds the hard links in their order, superseded and replaced ones
	// too; linked the files that they name.
	links  []linkEntry
	linked map[File]bool
	// lost holds the targets of hard links that the layer does not have, by
	// the File that stands for them.
	lost map[File]id
	// spare holds the files in the spare place.
	spare []File
}

// thing is a non-directory.
type thing struct {
	file File
	kind layer.Type
}

// linkEntry is one more name of a thing, and its last attributes so far.
type linkEntry struct {
	path  id
	thing thing
	entry *layer.Entry
}

// Add takes the layer's next entry and returns the changes that follow from
// it, in order. The content of a Regular entry belongs to the last one if that
// is a Create or Stash, which it is for every Regular entry.
func (l *Layer) Add(e *layer.Entry) ([]Change, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	if l.tree.added++; l.tree.added > maxEntries {
		return nil, fmt.Errorf("layer %d: %w: more than %d", l.rank, ErrTooMany, maxEntries)
	}
	if err := l.add(e); err != nil {
		return nil, fmt.Errorf("layer %d: %q: %w", l.rank, e.Name, err)
	}
	return l.tree.take(), nil
}

// End says that the layer has no more entries, and returns the changes that
// were waiting for that.
func (l *Layer) End() ([]Change, error) {
	if err := l.usable(); err != nil {
		return nil, err
	}
	for _, n := range slices.Sorted(maps.Keys(l.whiteouts)) {
		l.whiteout(n)
	}
	for _, h := range l.links {
		l.link(h)
	}
	for _, file := range l.spare {
		l.tree.emit(Change{Op: Release, File: file})
	}
	*l = Layer{tree: l.tree, rank: l.rank, ended: true}
	if l.tree.open--; l.tree.open == 0 {
		if err := l.tree.linkStrays(); err != nil {
			return nil, err
		}
	}
	return l.tree.take(), nil
}

func (l *Layer) usable() error {
	if len(l.tree.layers) > maxLayers {
		return fmt.Errorf("%w: %d layers, more than %d", ErrTooMany, len(l.tree.layers), maxLayers)
	}
	if l.ended {
		return fmt.Errorf("layer %d has ended already", l.rank)
	}
	if l.superseded == nil {
		l.superseded = map[id]thing{}
		l.targets = map[File]string{}
		l.whiteouts = map[id]bool{}
		l.linked = map[File]bool{}
		l.lost = map[File]id{}
	}
	return nil
}

func (l *Layer) add(e *layer.Entry) error {
	n, err := l.resolve(e.Name, e.Type == layer.Opaque)
	if err != nil {
		return err
	}
	switch e.Type {
	case layer.Directory:
		l.addDirectory(n, e)
		return nil
	case layer.Whiteout:
		l.addWhiteout(n)
		return nil
	case layer.Opaque:
		l.addOpaque(n)
		return nil
	}
	if n == root {
		return fmt.Errorf("%w: the root must be a directory", ErrEntry)
	}
	switch e.Type {
	case layer.HardLink:
		return l.addLink(n, e)
	case layer.Regular, layer.Symlink, layer.CharDevice, layer.BlockDevice, layer.FIFO:
		return l.addFile(n, e)
	}
	return fmt.Errorf("%w: unknown type %d", ErrEntry, e.Type)
}

// resolve returns the path that the layer means by name. Symlinks of the
// layer are followed among the parents; with follow the last element is a
// parent too.
func (l *Layer) resolve(name string, follow bool) (id, error) {
	n, rest, symlinks := root, name, 0
	for rest != "" {
		if len(name) > maxPath {
			return 0, fmt.Errorf("%w: a path of %d bytes, more than %d", ErrEntry, len(name), maxPath)
		}
		var elem string
		elem, rest, _ = strings.Cut(rest, "/")
		switch elem {
		case "", ".":
			continue
		case "..":
			n = l.tree.node(n).parent // the root is its own parent
			continue
		}
		next, err := l.tree.at(n, elem)
		if err != nil {
			return 0, err
		}
		if rest == "" && !follow {
			n = next
			break
		}
		has, ok := l.own(next)
		if !ok {
			n = next // a directory, or to become one
			continue
		}
		if has.kind != layer.Symlink {
			return 0, fmt.Errorf("%w: %q is not a directory in the same layer", ErrEntry, l.tree.path(next))
		}
		if symlinks++; symlinks > maxSymlinks {
			return 0, fmt.Errorf("%w: too many symlinks, the last at %q", ErrEntry, l.tree.path(next))
		}
		target := l.targets[has.file]
		if strings.HasPrefix(target, "/") {
			n = root
		}
		rest = target + "/" + rest
	}
	if length := l.tree.length(n); length > maxPath {
		return 0, fmt.Errorf("%w: it leads to a path of %d bytes, more than %d", ErrEntry, length, maxPath)
	}
	return n, nil
}

// own tells which non-directory the layer has at n.
func (l *Layer) own(n id) (thing, bool) {
	nd := l.tree.node(n)
	if nd.rank == l.rank && nd.kind != 0 && nd.kind != layer.Directory {
		return thing{File(nd.file), nd.kind}, true
	}
	has, ok := l.superseded[n]
	return has, ok
}

func (l *Layer) addDirectory(n id, e *layer.Entry) {
	delete(l.superseded, n)
	delete(l.whiteouts, n)
	if l.tree.hidden(n) > l.rank {
		return
	}
	l.tree.makeDirectory(n, l.rank)
	if nd := l.tree.node(n); nd.file == 0 || nd.dressed <= l.rank {
		l.tree.dress(nd, l.rank, e)
	}
}

func (l *Layer) addWhiteout(n id) {
	if parent := l.tree.node(n).parent; l.tree.hidden(parent) <= l.rank {
		l.tree.makeDirectory(parent, l.rank)
	}
	l.whiteouts[n] = true
}

// whiteout cuts at n when the layer ends.
func (l *Layer) whiteout(n id) {
	if l.tree.hidden(n) > l.rank {
		return
	}
	l.tree.node(n).cut = l.rank
	l.tree.hide(n, int(l.rank), l.rank)
}

func (l *Layer) addOpaque(n id) {
	// Overlayfs always merges its roots.
	if n == root || l.tree.hidden(n) > l.rank {
		return
	}
	l.tree.makeDirectory(n, l.rank)
	nd := l.tree.node(n)
	nd.opaque = max(nd.opaque, l.rank)
	l.tree.hideBeneath(n, int(l.rank), l.rank)
}

// claim makes room for a non-directory of the layer at n, and reports whether
// it is shown there.
func (l *Layer) claim(n id) bool {
	l.forget(n)
	if l.tree.hidden(n) > l.rank {
		return false
	}
	nd := l.tree.node(n)
	l.tree.makeDirectory(nd.parent, l.rank)
	nd.cut = l.rank
	l.tree.hide(n, int(l.rank)+1, l.rank)
	return nd.kind == 0
}

// forget forgets what the layer has at n and beneath, as far as it is not
// shown.
func (l *Layer) forget(n id) {
	delete(l.superseded, n)
	if l.tree.node(n).child == 0 {
		return
	}
	for at := range l.superseded {
		if l.tree.beneath(at, n) {
			delete(l.superseded, at)
		}
	}
}

// addFile takes a non-directory that is not a hard link.
func (l *Layer) addFile(n id, e *layer.Entry) error {
	t := l.tree
	if e.Type == layer.Symlink && len(e.Link) > maxPath {
		return fmt.Errorf("%w: a symlink target of %d bytes, more than %d", ErrEntry, len(e.Link), maxPath)
	}
	shown := l.claim(n)
	file := t.newFile(e)
	if e.Type == layer.Symlink {
		l.targets[file] = strings.Clone(e.Link)
	}
	if l.put(n, thing{file, e.Type}, shown) {
		t.homes[file] = n
		t.emit(Change{Op: Create, Path: t.path(n), File: file, Entry: e})
		return nil
	}
	t.homes[file] = nowhere
	l.spare = append(l.spare, file)
	t.emit(Change{Op: Stash, Path: t.path(n), File: file, Entry: e})
	return nil
}

// addLink takes a hard link: its path is reserved now, and made at the end.
func (l *Layer) addLink(n id, e *layer.Entry) error {
	// As with a real file system, the path is cleared before the target is
	// looked up: the target may be gone by that.
	shown := l.claim(n)
	target, err := l.resolve(e.Link, false)
	if err != nil {
		return fmt.Errorf("hard link to %q: %w", e.Link, err)
	}
	has, ok := l.own(target)
	if !ok {
		has = thing{l.tree.newFile(e), layer.HardLink}
		l.lost[has.file] = target
	}
	l.linked[has.file] = true
	l.links = append(l.links, linkEntry{n, has, e})
	if l.put(n, has, shown) {
		l.tree.node(n).reserved = true
	}
	return nil
}

// put has the layer have a thing at n, shown there or superseded.
func (l *Layer) put(n id, has thing, shown bool) bool {
	l.tree.files++
	if !shown {
		l.superseded[n] = has
		return false
	}
	l.tree.shown++
	nd := l.tree.node(n)
	nd.kind, nd.rank, nd.file = has.kind, l.rank, uint32(has.file)
	return true
}

// link makes the hard link, unless it is superseded or replaced. Either way
// what it names gets its attributes.
func (l *Layer) link(h linkEntry) {
	t, nd, file := l.tree, l.tree.node(h.path), h.thing.file
	shown := nd.reserved && nd.rank == l.rank && File(nd.file) == file
	if target, ok := l.lost[file]; ok {
		if shown {
			t.strays = append(t.strays, stray{l.rank, h.path, target, file})
		}
		return
	}
	change := Change{Op: Dress, File: file, Entry: h.attributes()}
	if home := t.homes[file]; home != nowhere {
		change.From = t.path(home)
	}
	if shown {
		nd.reserved = false
		change.Op, change.Path = Link, t.path(h.path)
	}
	t.emit(change)
}

// attributes returns those that a link gives, as an entry of the kind of what
// it names. A symlink keeps its time: Docker gives it no link's.
func (h linkEntry) attributes() *layer.Entry {
	e := *h.entry
	e.Type = h.thing.kind
	if e.Type == layer.Symlink {
		e.ModTime = time.Time{}
	}
	return &e
}
