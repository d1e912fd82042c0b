package treediff

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
)

var tarTypes = map[byte]string{
	tar.TypeReg:     "file",
	tar.TypeDir:     "dir",
	tar.TypeSymlink: "symlink",
	tar.TypeChar:    "char",
	tar.TypeBlock:   "block",
	tar.TypeFifo:    "fifo",
}

// FromTar reads a tree from a tar stream, such as `docker export` writes; a
// name that comes twice counts as its last entry. What the stream does not
// say is missing: `docker export` leaves out extended attributes and the part
// of times below a second.
func FromTar(r io.Reader, opts Options) ([]Node, error) {
	exclude := map[string]bool{}
	for _, name := range opts.Exclude {
		exclude[tarName(name)] = true
	}
	byPath := map[string]Node{}
	files := map[string]string{} // path → path of the file's first link
	archive := tar.NewReader(r)
	for {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("read tar: %w", err)
		}
		name := tarName(header.Name)
		if excluded(name, exclude) {
			continue
		}
		if header.Typeflag == tar.TypeLink {
			first, ok := files[tarName(header.Linkname)]
			if !ok {
				return nil, fmt.Errorf("read tar: %q is a hard link of %q, which did not come before", name, header.Linkname)
			}
			node := byPath[tarName(header.Linkname)]
			node.Path = name
			byPath[name], files[name] = node, first
			continue
		}
		node, err := fromHeader(header, archive)
		if err != nil {
			return nil, err
		}
		node.Path = name
		byPath[name] = node
		if node.Type != "dir" {
			files[name] = name
		}
	}
	nodes := make([]Node, 0, len(byPath))
	for _, node := range byPath {
		nodes = append(nodes, node)
	}
	return inOrder(slices.Clip(nodes), files), nil
}

func fromHeader(header *tar.Header, content io.Reader) (Node, error) {
	node := Node{
		Type:   tarTypes[header.Typeflag],
		Mode:   uint32(header.Mode) & 0o7777,
		UID:    uint32(header.Uid),
		GID:    uint32(header.Gid),
		Target: header.Linkname,
		Major:  uint32(header.Devmajor),
		Minor:  uint32(header.Devminor),
		MTime:  header.ModTime.UnixNano(),
	}
	for key, value := range header.PAXRecords {
		if attr, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
			if node.Xattrs == nil {
				node.Xattrs = map[string]string{}
			}
			node.Xattrs[attr] = value
		}
	}
	switch node.Type {
	case "":
		return Node{}, fmt.Errorf("read tar: %q has the unknown type %q", header.Name, header.Typeflag)
	case "file":
		node.Size = header.Size
		var err error
		if node.Digest, err = digestOf(content); err != nil {
			return Node{}, fmt.Errorf("read tar: content of %q: %w", header.Name, err)
		}
	}
	return node, nil
}

func tarName(name string) string {
	name = path.Clean("/" + name)[1:]
	if name == "" {
		return "."
	}
	return name
}

// excluded reports whether name or one of its parents is left out.
func excluded(name string, exclude map[string]bool) bool {
	for ; name != "."; name = path.Dir(name) {
		if exclude[name] {
			return true
		}
	}
	return exclude["."]
}
