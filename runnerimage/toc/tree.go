package toc

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// Tree is the tree that layers are settled into. It is not safe for
// concurrent use. After an error of Layer.Add or Layer.End it is of no more
// use.
type Tree struct {
	names
	layers []Layer
	open   int // layers that have not ended

	// attributes holds those of directories; the first is not used.
	attributes []attributes
	// homes holds by File the path where the Changes have made it: root while
	// it is not made, nowhere once it is in the spare place. It is right as
	// long as the file's layer is open.
	homes []id
	// entries holds by File what it was made from, if keep is set.
	entries []*layer.Entry
	keep    bool
	// strays holds the hard links whose target their layer does not have.
	strays []stray

	added int // entries
	files int // among them non-directories
	shown int // paths with a non-directory
	dirs  int // paths with a directory, without the root

	changes []Change // of the running call
}

// nowhere is the home of a file in the spare place.
const nowhere = ^id(0)

// attributes are what a layer says of a directory.
type attributes struct {
	seconds     int64
	nanoseconds int32
	mode        uint32
	uid, gid    uint32
	xattrs      map[string]string
}

// stray is a hard link to something that its layer does not have.
type stray struct {
	rank         uint16
	path, target id
	file         File // stands for the target
}

// NewTree returns a tree without entries for the given number of layers.
func NewTree(layers int) *Tree {
	t := &Tree{
		names:      newNames(),
		layers:     make([]Layer, layers),
		open:       layers,
		attributes: make([]attributes, 1),
		homes:      make([]id, 1),
		entries:    make([]*layer.Entry, 1),
	}
	for rank := range t.layers {
		t.layers[rank] = Layer{tree: t, rank: uint16(rank)}
	}
	top := t.node(root)
	top.kind = layer.Directory
	top.rank = maxLayers // it never goes
	return t
}

// Layer returns the layer of the given rank, 0 for the lowest.
func (t *Tree) Layer(rank int) *Layer { return &t.layers[rank] }

// Len returns the number of paths shown, without the root.
func (t *Tree) Len() int { return t.shown + t.dirs }

// Superseded returns how many non-directories were added that are not shown
// now: something else is at their path, or a layer above has hidden them.
func (t *Tree) Superseded() int { return t.files - t.shown }

// Lookup tells what is shown at a path, without following symlinks. The kind
// of a hard link is that of what it names.
func (t *Tree) Lookup(path string) (layer.Type, bool) {
	n := root
	for path != "" {
		var name string
		name, path, _ = strings.Cut(path, "/")
		found, ok := t.find(n, name)
		if !ok {
			return 0, false
		}
		n = found
	}
	kind := t.node(n).kind
	return kind, kind != 0
}

// Directories yields every directory with its attributes, children before
// their parents, for when the tree is complete: whatever is made in a
// directory changes its time. An implied directory has mode 0755, owner 0:0
// and a zero ModTime: its time is not to be set. The root "" is yielded only
// if a layer has an entry for it.
func (t *Tree) Directories(yield func(path string, e *layer.Entry)) {
	t.directories(root, nil, yield)
}

func (t *Tree) directories(n id, path []byte, yield func(string, *layer.Entry)) {
	for _, child := range t.children(n) {
		if nd := t.node(child); nd.kind == layer.Directory {
			t.directories(child, join(path, t.name(nd)), yield)
		}
	}
	if n != root || t.node(n).file != 0 {
		yield(string(path), t.directory(n, string(path)))
	}
}

// directory returns the attributes of a directory as an entry.
func (t *Tree) directory(n id, path string) *layer.Entry {
	index := t.node(n).file
	if index == 0 {
		return &layer.Entry{Name: path, Type: layer.Directory, Mode: 0o755}
	}
	a := t.attributes[index]
	return &layer.Entry{
		Name: path, Type: layer.Directory,
		Mode: a.mode, UID: a.uid, GID: a.gid, Xattrs: a.xattrs,
		ModTime: time.Unix(a.seconds, int64(a.nanoseconds)),
	}
}

// dress gives a directory the attributes of e.
func (t *Tree) dress(n *node, rank uint16, e *layer.Entry) {
	if n.file == 0 {
		t.attributes = append(t.attributes, attributes{})
		n.file = uint32(len(t.attributes) - 1)
	}
	n.dressed = rank
	t.attributes[n.file] = attributes{
		seconds: e.ModTime.Unix(), nanoseconds: int32(e.ModTime.Nanosecond()),
		mode: e.Mode, uid: e.UID, gid: e.GID, xattrs: e.Xattrs,
	}
}

// Node is what a tree shows at a path.
type Node struct {
	Path string
	// Type is that of the thing; a hard link has the type of what it names.
	Type layer.Type
	// Rank is that of the layer that has put it there; for a directory that
	// of the highest layer that has something in it or an entry for it.
	Rank int
	// File is the same for all hard links to one thing, 0 for a directory.
	File File
	// Entry is what it is made from, for a hard link too. It is nil for a
	// non-directory unless the tree is from Merge. For a directory see
	// Directories.
	Entry *layer.Entry
}

// Walk yields everything the tree shows but the root: a directory before what
// is in it, the names in a directory in byte order. (Ranging over t.Walk
// works.)
func (t *Tree) Walk(yield func(Node) bool) { t.walk(root, nil, yield) }

func (t *Tree) walk(n id, path []byte, yield func(Node) bool) bool {
	for _, child := range t.children(n) {
		nd := t.node(child)
		path := join(path, t.name(nd))
		shown := Node{Path: string(path), Type: nd.kind, Rank: int(nd.rank)}
		if nd.kind == layer.Directory {
			shown.Entry = t.directory(child, shown.Path)
		} else {
			shown.File = File(nd.file)
			if t.keep {
				shown.Entry = t.entries[nd.file]
			}
		}
		if !yield(shown) || nd.kind == layer.Directory && !t.walk(child, path, yield) {
			return false
		}
	}
	return true
}

// children returns the shown paths directly beneath n in byte order.
func (t *Tree) children(n id) []id {
	var ids []id
	for child := t.node(n).child; child != 0; child = t.node(child).next {
		if t.node(child).kind != 0 {
			ids = append(ids, child)
		}
	}
	slices.SortFunc(ids, func(a, b id) int { return bytes.Compare(t.name(t.node(a)), t.name(t.node(b))) })
	return ids
}

// join appends a name to a path. What lies behind path is overwritten.
func join(path, name []byte) []byte {
	if len(path) > 0 {
		path = append(path, '/')
	}
	return append(path, name...)
}

func (t *Tree) emit(c Change) { t.changes = append(t.changes, c) }

// take returns the changes of the running call.
func (t *Tree) take() []Change {
	changes := t.changes
	t.changes = nil
	return changes
}

// hidden returns the rank below which everything at n is hidden.
func (t *Tree) hidden(n id) uint16 {
	nd := t.node(n)
	rank := nd.cut
	for n != root {
		n = nd.parent
		nd = t.node(n)
		rank = max(rank, nd.cut, nd.opaque)
	}
	return rank
}

// makeDirectory has a layer show a directory at n, which is not hidden from
// it, and at all parents. They have no attributes unless they had before.
func (t *Tree) makeDirectory(n id, rank uint16) {
	nd := t.node(n)
	if nd.kind == layer.Directory && nd.rank >= rank {
		return // so are the parents
	}
	t.makeDirectory(nd.parent, rank)
	if nd.kind == layer.Directory {
		nd.rank = rank
		return
	}
	if nd.kind != 0 {
		t.drop(n, rank)
	}
	nd.kind, nd.rank, nd.file, nd.dressed = layer.Directory, rank, 0, 0
	t.dirs++
	t.emit(Change{Op: Mkdir, Path: t.path(n)})
}

// hide removes what ranks below limit show at n and beneath. By is the rank of
// the layer that wants it.
func (t *Tree) hide(n id, limit int, by uint16) {
	nd := t.node(n)
	if nd.kind != layer.Directory {
		if nd.kind != 0 && int(nd.rank) < limit {
			t.drop(n, by)
		}
		return
	}
	t.hideBeneath(n, limit, by)
	// A directory has at least the rank of everything in it, so it is empty
	// now or stays.
	if int(nd.rank) < limit {
		nd.kind = 0
		t.dirs--
		t.emit(Change{Op: Rmdir, Path: t.path(n)})
	} else if int(nd.dressed) < limit {
		nd.file = 0
	}
}

// hideBeneath removes what ranks below limit show beneath n.
func (t *Tree) hideBeneath(n id, limit int, by uint16) {
	for child := t.node(n).child; child != 0; child = t.node(child).next {
		t.hide(child, limit, by)
	}
}

// drop removes the non-directory at n for the layer of rank by, which is its
// own or a higher one.
func (t *Tree) drop(n id, by uint16) {
	nd := t.node(n)
	l, file, reserved := &t.layers[nd.rank], File(nd.file), nd.reserved
	if !l.ended && nd.rank != by {
		l.superseded[n] = thing{file, nd.kind}
	}
	nd.kind, nd.reserved = 0, false
	t.shown--
	switch {
	case reserved:
	case l.ended || nd.rank == by && !l.linked[file]:
		t.emit(Change{Op: Unlink, Path: t.path(n)})
	default:
		t.homes[file] = nowhere
		l.spare = append(l.spare, file)
		t.emit(Change{Op: Retire, Path: t.path(n), File: file})
	}
}

// newFile numbers what e makes.
func (t *Tree) newFile(e *layer.Entry) File {
	t.homes = append(t.homes, root)
	if t.keep {
		t.entries = append(t.entries, e)
	}
	return File(len(t.homes) - 1)
}

// linkStrays makes the hard links whose target is from lower layers. It waits
// for the last layer to end: what is shown before depends on which layers
// came first. None of them is the target of another, so their order is free.
func (t *Tree) linkStrays() error {
	strays := slices.DeleteFunc(t.strays, func(s stray) bool {
		nd := t.node(s.path)
		return !nd.reserved || File(nd.file) != s.file // superseded
	})
	for _, s := range strays {
		target := t.node(s.target)
		if target.kind == 0 || target.kind == layer.Directory || target.reserved || target.rank > s.rank {
			return fmt.Errorf("layer %d: %q: hard link to %q: %w", s.rank, t.path(s.path), t.path(s.target), ErrLink)
		}
	}
	for _, s := range strays {
		nd, target := t.node(s.path), t.node(s.target)
		if nd.reserved { // it may be here twice
			nd.kind, nd.file, nd.reserved = target.kind, target.file, false
			t.emit(Change{Op: Link, Path: t.path(s.path), From: t.path(s.target), File: File(target.file)})
		}
	}
	t.strays = nil
	return nil
}
