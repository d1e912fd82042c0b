package treediff

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// Options says what a Snapshot leaves out.
type Options struct {
	// Exclude holds paths relative to the root of the tree that are left out
	// with everything beneath them.
	Exclude []string
	// CrossMounts takes in mount points and what is mounted there. Without
	// it they are left out, the point itself too.
	CrossMounts bool
}

// inode is what two hard links have in common.
type inode struct{ dev, ino uint64 }

// Snapshot reads the tree at dir.
func Snapshot(dir string, opts Options) ([]Node, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return nil, err
	}
	exclude, err := exclusions(dir, opts)
	if err != nil {
		return nil, err
	}

	var nodes []Node
	files := map[string]inode{}
	err = filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		if exclude[rel] {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		node, id, err := stat(name)
		if err != nil {
			return fmt.Errorf("snapshot %q: %w", name, err)
		}
		node.Path = rel
		nodes = append(nodes, node)
		if node.Type != "dir" {
			files[rel] = id
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if err := digest(dir, nodes); err != nil {
		return nil, err
	}
	return inOrder(nodes, files), nil
}

// exclusions returns the relative paths to leave out.
func exclusions(dir string, opts Options) (map[string]bool, error) {
	exclude := map[string]bool{}
	for _, name := range opts.Exclude {
		exclude[filepath.Clean(strings.TrimLeft(name, "/"))] = true
	}
	if opts.CrossMounts {
		return exclude, nil
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return nil, fmt.Errorf("read mount table: %w", err)
	}
	for _, mount := range mounts {
		if rel, err := filepath.Rel(dir, mount.Mountpoint); err == nil && rel != "." {
			exclude[rel] = true
		}
	}
	return exclude, nil
}

// stat reads all of a node but its path and digest.
func stat(name string) (Node, inode, error) {
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		return Node{}, inode{}, err
	}
	node := Node{
		Mode:  st.Mode & 0o7777,
		UID:   st.Uid,
		GID:   st.Gid,
		MTime: st.Mtim.Nano(),
	}
	var err error
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		node.Type, node.Size = "file", st.Size
	case unix.S_IFDIR:
		node.Type = "dir"
	case unix.S_IFLNK:
		node.Type = "symlink"
		node.Target, err = os.Readlink(name)
	case unix.S_IFCHR:
		node.Type = "char"
		node.Major, node.Minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	case unix.S_IFBLK:
		node.Type = "block"
		node.Major, node.Minor = unix.Major(uint64(st.Rdev)), unix.Minor(uint64(st.Rdev))
	case unix.S_IFIFO:
		node.Type = "fifo"
	case unix.S_IFSOCK:
		node.Type = "socket"
	}
	if err != nil {
		return Node{}, inode{}, err
	}
	node.Xattrs, err = xattrs(name)
	return node, inode{uint64(st.Dev), st.Ino}, err
}

func xattrs(name string) (map[string]string, error) {
	list, err := sized(func(buf []byte) (int, error) { return unix.Llistxattr(name, buf) })
	if errors.Is(err, unix.ENOTSUP) || len(list) == 0 && err == nil {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list xattrs: %w", err)
	}
	values := map[string]string{}
	for attr := range strings.SplitSeq(strings.TrimSuffix(string(list), "\x00"), "\x00") {
		value, err := sized(func(buf []byte) (int, error) { return unix.Lgetxattr(name, attr, buf) })
		if err != nil {
			return nil, fmt.Errorf("read xattr %s: %w", attr, err)
		}
		values[attr] = string(value)
	}
	return values, nil
}

// sized calls a system call that tells the size it needs when given none.
func sized(call func([]byte) (int, error)) ([]byte, error) {
	for {
		n, err := call(nil)
		if err != nil || n == 0 {
			return nil, err
		}
		buf := make([]byte, n)
		n, err = call(buf)
		if errors.Is(err, unix.ERANGE) {
			continue // grew in between
		}
		return buf[:max(n, 0)], err
	}
}

// digest fills in the digests of the files among nodes.
func digest(dir string, nodes []Node) error {
	var group errgroup.Group
	group.SetLimit(runtime.GOMAXPROCS(0))
	for part := range slices.Chunk(nodes, 256) {
		group.Go(func() error {
			for i := range part {
				if part[i].Type != "file" {
					continue
				}
				sum, err := digestFile(filepath.Join(dir, part[i].Path))
				if err != nil {
					return err
				}
				part[i].Digest = sum
			}
			return nil
		})
	}
	return group.Wait()
}

func digestFile(name string) (string, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer file.Close()
	return digestOf(file)
}

func digestOf(r io.Reader) (string, error) {
	sum := sha256.New()
	if _, err := io.Copy(sum, r); err != nil {
		return "", err
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
