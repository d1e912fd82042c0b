// Package toc settles the layers of an image into one tree, exactly as
// Docker's overlay shows them. It is pure: everything happens in memory.
//
// What comes in: the entries of each layer, in the layer's order. What goes
// out: the Changes that make a target show the tree, and the tree itself
// (Directories, Walk, Lookup). Merge takes layers one after the other; with
// NewTree and Layer.Add they come at the same time, however interleaved. The
// tree, and what the Changes have made in the end, do not depend on it.
//
// The rank of a layer is its index, lowest first. These are the rules:
//
//   - Names. The parents of a name are resolved through the symlinks of its
//     own layer alone, as the layer stands at that entry; absolute targets and
//     ".." stay beneath the root. The last element is not followed. So a
//     symlink of a lower layer among the parents gives way to a directory. A
//     parent that the same layer has as another non-directory is an error.
//   - Ranks. At one path the highest rank rules; what a lower one brings
//     there, early or late, is superseded. Within a layer the later entry
//     rules.
//   - Directories merge. The attributes are those of the highest entry for the
//     directory itself. A layer that names a path implies its parents: implied
//     directories replace non-directories of lower layers, but leave the
//     attributes of a visible directory alone; without any they are 0755, 0:0.
//     Whiteouts and opaque whiteouts imply their parents too.
//   - Cuts. A non-directory of rank r hides, at its path and beneath it, all
//     that ranks below r have; so does a whiteout; an opaque whiteout does so
//     beneath its directory, wherever it stands in the layer (not at the root:
//     overlayfs merges that in any case). A cut stays
//     when a higher layer makes the path again. It never hides anything of
//     its own layer, with one exception: a non-directory removes the
//     directory that its layer had there with all beneath.
//   - A whiteout followed by an entry for a directory of the same name in the
//     same layer is undone: the directory merges with those of lower layers.
//     (The specification says otherwise; this is what overlayfs makes of it.)
//     That is why whiteouts take effect at the end of their layer.
//   - Hard links lead to a non-directory of their own layer, whose parents are
//     resolved as above; a link to a symlink is one more name of the symlink.
//     A link gives its own attributes to what it names, superseded or not.
//     A target that the layer does not have is looked up in the finished tree
//     among what this and lower layers show, and must exist there. (Docker
//     refuses such a layer.)
//
// One thing differs from a layer that is unpacked alone: a directory that
// replaces a non-directory of its own layer does not uncover what that one
// had cut. Such a layer has two entries for one path, which the specification
// forbids and Docker refuses.
//
// How a target follows. A file is made at its path as its entry arrives, so
// its content can be streamed there. Hard links are made at the end of their
// layer (until then the path is only reserved), because the file that they
// name may have lost its path to a higher layer meanwhile: as long as its
// layer is unfinished it is kept in a spare place. See Change.
package toc

import (
	"errors"
	"fmt"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

var (
	// ErrEntry says that a layer has an entry that no file system could make.
	ErrEntry = errors.New("entry cannot be made")
	// ErrLink says that the target of a hard link does not exist. It is an
	// ErrEntry as well.
	ErrLink = fmt.Errorf("%w: the target of the hard link does not exist", ErrEntry)
	// ErrTooMany says that the layers have more entries, or the tree more
	// paths, than can be handled.
	ErrTooMany = errors.New("too many entries in the image")
)

const (
	// maxEntries bounds the entries of all layers together, and the paths
	// that they name.
	maxEntries = 4_000_000
	// maxLayers bounds the layers; ranks are kept as uint16.
	maxLayers = 1<<16 - 1
	// maxSymlinks is how many symlinks are followed for one name, as Linux.
	maxSymlinks = 40
	// maxPath and maxName are the lengths that Linux allows.
	maxPath = 4095
	maxName = 255
)

// Merge settles layers that are at hand as a whole, lowest first. The tree
// keeps references to the entries: Walk gives them.
func Merge(layers [][]layer.Entry) (*Tree, error) {
	t := NewTree(len(layers))
	t.keep = true
	for rank := range layers {
		l := t.Layer(rank)
		for i := range layers[rank] {
			if _, err := l.Add(&layers[rank][i]); err != nil {
				return nil, err
			}
		}
		if _, err := l.End(); err != nil {
			return nil, err
		}
	}
	return t, nil
}
