// Command snapshot prints the snapshot of a tree as lines of JSON, for
// treediff.Read. Built without cgo it runs inside any container.
//
//	snapshot [-root /] [-exclude PATH]… [-cross-mounts]
//
// Mount points are left out unless -cross-mounts is given; -exclude leaves out
// a path with everything beneath it.
package main

import (
	"flag"
	"fmt"
	"os"

	"github.com/clipperregistry/runner/test/treediff"
)

func main() {
	var opts treediff.Options
	root := flag.String("root", "/", "the tree to read")
	flag.Func("exclude", "a `path` to leave out; may be repeated", func(path string) error {
		opts.Exclude = append(opts.Exclude, path)
		return nil
	})
	flag.BoolVar(&opts.CrossMounts, "cross-mounts", false, "take in what is mounted below the root")
	flag.Parse()

	if err := run(*root, opts); err != nil {
		fmt.Fprintln(os.Stderr, "snapshot:", err)
		os.Exit(1)
	}
}

func run(root string, opts treediff.Options) error {
	nodes, err := treediff.Snapshot(root, opts)
	if err != nil {
		return err
	}
	return treediff.Write(os.Stdout, nodes)
}
