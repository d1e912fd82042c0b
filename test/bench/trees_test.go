package bench

import (
	"bytes"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/treediff"
)

// trees are those of the images as the engine runs them, by the image's name.
type trees map[string][]treediff.Node

// get pulls an image for this once.
func (t trees) get(b *testing.B, img image) []treediff.Node {
	b.Helper()
	if t[img.name] == nil {
		built := made.get(b, img, gzipped)
		lab.Engine.Docker(b, "pull", "--quiet", built.ref)
		t[img.name] = own(lab.Snapshot(b, stack.RunSpec{Image: built.ref, Via: stack.Direct}))
		removeImage(b, built)
	}
	return t[img.name]
}

// own are the paths that are the image's whoever runs it. An engine touches
// its /etc.
func own(tree []treediff.Node) []treediff.Node {
	tree = stack.ImagesOwn(tree)
	for i := range tree {
		if tree[i].Path == "etc" {
			tree[i].MTime = 0
		}
	}
	return tree
}

// check fails the benchmark if what was measured is not the image.
func (a attempt) check(b *testing.B, what string, want []treediff.Node) {
	b.Helper()
	got := own(a.tree())
	if a.losesTimes {
		want, got = withoutDirTimes(want), withoutDirTimes(got)
	}
	if differences := treediff.Diff(want, got); len(differences) > 0 {
		b.Fatalf("%s: what is measured is not the image: %d differences, the first is %s", what, len(differences), differences[0])
	}
}

func withoutDirTimes(tree []treediff.Node) []treediff.Node {
	tree = slices.Clone(tree)
	for i := range tree {
		if tree[i].Type == "dir" {
			tree[i].MTime = 0
		}
	}
	return tree
}

// nodes reads what the snapshot program has printed.
func nodes(b *testing.B, printed []byte) []treediff.Node {
	b.Helper()
	tree, err := treediff.Read(bytes.NewReader(printed))
	if err != nil {
		b.Fatal(err)
	}
	return tree
}

// nothingLeft fails the benchmark if an engine lists something after all was
// removed.
func nothingLeft(b *testing.B, listed []byte) {
	b.Helper()
	if left := strings.TrimSpace(string(listed)); left != "" {
		b.Fatalf("the engine keeps what was removed, so its next pull is no cold start:\n%s", left)
	}
}

func removeAll(b *testing.B, dir string) {
	b.Helper()
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
}
