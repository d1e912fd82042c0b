package applet

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"
)

// unpacker writes the entries of an archive below a directory, and nothing
// outside it, whatever the archive says.
type unpacker struct {
	*archiver
	root *os.Root
	// dirs get their modes and times when nothing more is written to them.
	dirs []*tar.Header
	errs []error
}

// unpacker opens the directory of -C; for a list it needs none.
func (a *archiver) unpacker() (*unpacker, error) {
	u := &unpacker{archiver: a}
	if a.action == 't' {
		return u, nil
	}
	dir := a.dir
	if dir == "" {
		dir = "."
	}
	var err error
	u.root, err = os.OpenRoot(dir)
	return u, err
}

func (u *unpacker) close() {
	if u.root != nil {
		u.root.Close() // a directory that was only read
	}
}

// entry writes one entry, in place of what is there.
func (u *unpacker) entry(h *tar.Header, content io.Reader) error {
	name := local(h.Name)
	for range u.strip {
		_, name, _ = strings.Cut(name, "/")
	}
	if name == "" { // the directory itself
		if u.strip == 0 && h.Typeflag == tar.TypeDir {
			h.Name, u.dirs = ".", append(u.dirs, h)
		}
		return nil
	}
	h.Name = name
	if err := u.root.MkdirAll(path.Dir(name), 0o777); err != nil {
		return err
	}
	there, err := u.root.Lstat(name)
	if h.Typeflag == tar.TypeDir {
		u.dirs = append(u.dirs, h)
		if err == nil && there.IsDir() {
			return nil
		}
	}
	if err == nil {
		if err := u.root.Remove(name); err != nil {
			return err
		}
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return u.root.Mkdir(name, 0o777)
	case tar.TypeSymlink:
		err = u.root.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return u.root.Link(local(h.Linkname), name)
	case tar.TypeReg:
		err = u.file(name, h, content)
	default:
		return fmt.Errorf("an entry of the kind %q is not unpacked", h.Typeflag)
	}
	if err != nil {
		return err
	}
	return u.attributes(h)
}

// local is a name of an archive as one below its directory.
func local(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}

func (u *unpacker) file(name string, h *tar.Header, content io.Reader) error {
	f, err := u.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, fs.FileMode(h.Mode).Perm())
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Close())
}

// finish gives directories their attributes, the innermost first.
func (u *unpacker) finish() error {
	var errs []error
	for i := len(u.dirs) - 1; i >= 0; i-- {
		errs = append(errs, u.attributes(u.dirs[i]))
	}
	return errors.Join(errs...)
}

func (u *unpacker) attributes(h *tar.Header) error {
	if !u.noOwner {
		if err := u.root.Lchown(h.Name, h.Uid, h.Gid); err != nil {
			return err
		}
	}
	if h.Typeflag == tar.TypeSymlink {
		return nil
	}
	if err := u.root.Chmod(h.Name, h.FileInfo().Mode()); err != nil {
		return err
	}
	if u.noTime {
		return nil
	}
	return u.root.Chtimes(h.Name, time.Time{}, h.ModTime)
}
