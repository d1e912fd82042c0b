// Package libc tells which C library an image has, as far as it decides
// whether a program that comes from outside of the image can run in it: the
// node that GitHub brings along for JavaScript actions.
//
// In comes a root directory, out goes what is missing there, in words for a
// person. It reads a few files and starts nothing. The waiting loader links
// it, so it must stay small.
package libc

import (
	"bytes"
	"os"
	"path/filepath"
)

// Loaders are the dynamic loaders by which programs for a Go architecture are
// started, of glibc and of musl.
func Loaders(arch string) (glibc, musl string) {
	if arch == "arm64" {
		return "/lib/ld-linux-aarch64.so.1", "/lib/ld-musl-aarch64.so.1"
	}
	return "/lib64/ld-linux-x86-64.so.2", "/lib/ld-musl-x86_64.so.1"
}

// Directory is where Debian's glibc looks for libraries first, of programs for
// a Go architecture.
func Directory(arch string) string {
	if arch == "arm64" {
		return "/lib/aarch64-linux-gnu"
	}
	return "/lib/x86_64-linux-gnu"
}

// directories are where distributions have libraries.
var directories = []string{
	"/lib64", "/usr/lib64", "/lib", "/usr/lib",
	"/lib/x86_64-linux-gnu", "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu",
}

// nodeNeeds is what GitHub's node 20 and 24 ask of glibc; the libraries are
// those that they are linked with beside it.
const nodeNeeds = "GLIBC_2.28"

var nodeLibraries = []string{"libstdc++.so.6", "libgcc_s.so.1"}

// Lack is what an image lacks for GitHub's node, "" for nothing.
type Lack string

const (
	// NoGlibc: there is none, or it is not where programs look.
	NoGlibc Lack = "the image has no glibc"
	// OldGlibc: it lacks what node asks of it.
	OldGlibc Lack = "the image's glibc is older than 2.28"
)

// Node tells what the image in root lacks for GitHub's node of glibc.
func Node(root string) Lack {
	if find(root, "libc.so.6") == "" {
		return NoGlibc
	}
	if Old(root) {
		return OldGlibc
	}
	// What the cache lists may be in directories that only it knows.
	cache, _ := os.ReadFile(filepath.Join(root, "/etc/ld.so.cache"))
	for _, name := range nodeLibraries {
		if find(root, name) == "" && !bytes.Contains(cache, []byte(name+"\x00")) {
			return Lack("the image has no " + name)
		}
	}
	return ""
}

// Old reports whether the image in root has a glibc and that is certainly too
// old for GitHub's node.
func Old(root string) bool {
	file := find(root, "libc.so.6")
	if file == "" {
		return false
	}
	content, err := os.ReadFile(file)
	// A library lists every version that it is good for.
	return err == nil && bytes.Contains(content, []byte("\x00GLIBC_2.")) && !bytes.Contains(content, []byte("\x00"+nodeNeeds+"\x00"))
}

// find finds a library by its name, "" if there is none.
func find(root, name string) string {
	for _, dir := range directories {
		file := filepath.Join(root, dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() {
			return file
		}
	}
	return ""
}
