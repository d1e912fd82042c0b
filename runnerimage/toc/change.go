package toc

import "github.com/clipperregistry/runner/runnerimage/layer"

// File numbers a regular file (or other thing that a hard link may name) of
// one tree. Zero is no file.
type File uint32

// Op says what a Change asks for.
type Op uint8

const (
	// Mkdir makes the directory Path, which does not exist. Its attributes
	// follow when the tree is complete: Tree.Directories.
	Mkdir Op = iota + 1
	// Create makes the non-directory Path from Entry; for a Regular entry its
	// content follows in the layer.
	Create
	// Stash keeps Entry, which a higher layer has superseded, in a spare
	// place under the number File, because a hard link of its own layer may
	// still name it.
	Stash
	// Unlink removes the non-directory Path.
	Unlink
	// Retire moves the non-directory Path to the spare place under the number
	// File, because a hard link of its own layer may still name it.
	Retire
	// Rmdir removes the directory Path, which is empty by then.
	Rmdir
	// Link makes Path a hard link of File: of the path From, or of the spare
	// place when From is "". Entry, if there is one, has the attributes that
	// the link gives to what it names: all names of a file share the last
	// ones.
	Link
	// Dress gives File the attributes of Entry, as a link would that a higher
	// layer has superseded. File is where Link would find it.
	Dress
	// Release gives up what the spare place keeps under File.
	Release
)

// Change is one step that takes a target from one state of the tree to the
// next. Paths are resolved: relative, cleaned, no symlink among the parents.
type Change struct {
	Op    Op
	Path  string
	From  string
	File  File
	Entry *layer.Entry
}
