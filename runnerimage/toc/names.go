package toc

import (
	"fmt"
	"hash/maphash"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// id numbers a path. A path keeps its id when nothing is shown there any
// more, because what was cut there stays cut.
type id uint32

// root is the id of "". It is nobody's child, so a zero child or next means
// none, and so does a zero in the hash table.
const root id = 0

// node is what is known of a path: 32 bytes, as there are many.
type node struct {
	parent id
	name   uint32 // where names keeps the last element
	child  id     // the newest path beneath
	next   id     // the next older path with the same parent

	// file is the File shown here, or for a Directory the index of its
	// attributes in Tree.attributes, 0 for none.
	file uint32
	// rank is that of the layer whose non-directory is shown, or the highest
	// that has a directory here, implied or not.
	rank uint16
	// dressed is the rank that a directory's attributes are from.
	dressed uint16
	// cut: what ranks below have here and beneath is hidden.
	cut uint16
	// opaque: what ranks below have beneath is hidden.
	opaque uint16

	nameLen uint8
	// kind is what is shown here, 0 for nothing. For a hard link it is the
	// kind of what it names; HardLink only while that is not known.
	kind layer.Type
	// reserved says that the path is a hard link that is not made yet.
	reserved bool
}

const (
	pageBits = 12
	pageSize = 1 << pageBits
	// blockSize is that of the blocks of names; a name lies within one.
	blockBits = 16
	blockSize = 1 << blockBits
)

// names holds all paths: nodes in pages, which never move; the elements of
// their names in blocks; and an open-addressed hash table from parent and
// name to id.
type names struct {
	pages  [][]node
	count  int // with the root
	limit  int // of paths, without the root
	blocks [][]byte
	table  []id
	seed   maphash.Seed
}

func newNames() names {
	return names{
		pages: [][]node{make([]node, pageSize)},
		count: 1,
		limit: maxEntries,
		table: make([]id, 1<<10),
		seed:  maphash.MakeSeed(),
	}
}

func (ns *names) node(n id) *node { return &ns.pages[n>>pageBits][n&(pageSize-1)] }

// name returns the last element of a path's name, for reading only.
func (ns *names) name(n *node) []byte {
	block := ns.blocks[n.name>>blockBits]
	at := int(n.name & (blockSize - 1))
	return block[at : at+int(n.nameLen)]
}

// slot returns where the table has the path, or where it is to be put.
func (ns *names) slot(parent id, name string) int {
	mask := uint64(len(ns.table) - 1)
	at := (maphash.String(ns.seed, name) ^ uint64(parent)*0x9e3779b97f4a7c15) & mask
	for ; ns.table[at] != 0; at = (at + 1) & mask {
		if n := ns.node(ns.table[at]); n.parent == parent && string(ns.name(n)) == name {
			break
		}
	}
	return int(at)
}

// find returns the path called name in parent, if there is one.
func (ns *names) find(parent id, name string) (id, bool) {
	n := ns.table[ns.slot(parent, name)]
	return n, n != 0
}

// at returns the path called name in parent, new if need be.
func (ns *names) at(parent id, name string) (id, error) {
	if len(name) > maxName {
		return 0, fmt.Errorf("%w: a name of %d bytes, more than %d", ErrEntry, len(name), maxName)
	}
	slot := ns.slot(parent, name)
	if n := ns.table[slot]; n != 0 {
		return n, nil
	}
	if ns.count > ns.limit {
		return 0, fmt.Errorf("%w: more than %d paths", ErrTooMany, ns.limit)
	}
	if ns.count == len(ns.pages)*pageSize {
		ns.pages = append(ns.pages, make([]node, pageSize))
	}
	n, above := id(ns.count), ns.node(parent)
	*ns.node(n) = node{parent: parent, name: ns.store(name), nameLen: uint8(len(name)), next: above.child}
	above.child = n
	ns.count++
	ns.table[slot] = n
	if ns.count > len(ns.table)*3/4 {
		ns.grow()
	}
	return n, nil
}

func (ns *names) store(name string) uint32 {
	last := len(ns.blocks) - 1
	if last < 0 || len(ns.blocks[last])+len(name) > blockSize {
		ns.blocks = append(ns.blocks, make([]byte, 0, blockSize))
		last++
	}
	at := len(ns.blocks[last])
	ns.blocks[last] = append(ns.blocks[last], name...)
	return uint32(last<<blockBits | at)
}

func (ns *names) grow() {
	ns.table = make([]id, 2*len(ns.table))
	for n := id(1); int(n) < ns.count; n++ {
		nd := ns.node(n)
		ns.table[ns.slot(nd.parent, string(ns.name(nd)))] = n
	}
}

// length is that of path(n).
func (ns *names) length(n id) int {
	length := -1
	for ; n != root; n = ns.node(n).parent {
		length += 1 + int(ns.node(n).nameLen)
	}
	return max(length, 0)
}

// path is the path of n as Changes have it.
func (ns *names) path(n id) string {
	path := make([]byte, ns.length(n))
	for end := len(path); n != root; n = ns.node(n).parent {
		name := ns.name(ns.node(n))
		copy(path[end-len(name):], name)
		if end -= len(name); end > 0 {
			end--
			path[end] = '/'
		}
	}
	return string(path)
}

// beneath reports whether n is somewhere beneath dir.
func (ns *names) beneath(n, dir id) bool {
	for n != root {
		if n = ns.node(n).parent; n == dir {
			return true
		}
	}
	return false
}
