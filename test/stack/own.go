package stack

import (
	"slices"
	"strings"

	"github.com/clipperregistry/runner/test/treediff"
)

// enginesOwn are the paths that an engine makes or mounts in a container, each
// engine others.
var enginesOwn = []string{
	".", ".dockerenv", "dev", "etc/hostname", "etc/hosts", "etc/mtab", "etc/resolv.conf", "proc", "run", "snapshot", "sys",
}

// ImagesOwn is the part of a tree that is the image's whoever reads or runs it.
// It changes the tree given.
func ImagesOwn(tree []treediff.Node) []treediff.Node {
	return slices.DeleteFunc(tree, func(n treediff.Node) bool {
		return slices.ContainsFunc(enginesOwn, func(path string) bool { return n.Path == path || strings.HasPrefix(n.Path, path+"/") })
	})
}
