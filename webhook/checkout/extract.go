package checkout

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
)

// What a commit may have: more than any that people work with, and less than
// would fill a task's disk for ever.
const (
	mostEntries = 2_000_000
	mostBytes   = 100 << 30
)

// Everybody may write: the program that works with the files is not root.
const (
	dirMode        fs.FileMode = 0o777
	fileMode       fs.FileMode = 0o666
	executableMode fs.FileMode = 0o777
)

// extraction is one archive on its way into a directory.
type extraction struct {
	root   *os.Root
	commit string
	top    string // the directory that all entries are in, which is left out
	named  bool   // the archive has said which commit it is of
	bytes  int64
}

// extract writes an archive of git's into a directory. os.Root keeps every path
// in it, also where links of the archive lead out.
func extract(archive io.Reader, commit, dir string) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := root.Chmod(".", dirMode); err != nil {
		return err
	}
	e := &extraction{root: root, commit: commit}
	reader := tar.NewReader(archive)
	for n := 0; ; n++ {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return e.done()
		}
		if err == nil && n == mostEntries {
			err = fmt.Errorf("more than %d entries", mostEntries)
		}
		if err == nil {
			err = e.entry(header, reader)
		}
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return err // the connection broke
		}
		if err != nil {
			return fmt.Errorf("%w: %w", ErrArchive, err)
		}
	}
}

func (e *extraction) done() error {
	if e.top == "" {
		return fmt.Errorf("%w: it is empty", ErrArchive)
	}
	return nil
}

// entry writes one entry. Git says in a global header which commit it is, and
// writes directories, files and symbolic links; a submodule is an empty
// directory.
func (e *extraction) entry(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		if e.named = h.PAXRecords["comment"] == e.commit; !e.named {
			return fmt.Errorf("it is of commit %q, and %s was asked for", h.PAXRecords["comment"], e.commit)
		}
		return nil
	}
	if !e.named {
		return errors.New("it does not say which commit it is of")
	}
	name, err := e.within(h.Name)
	if err != nil || name == "" {
		return err
	}
	if err := e.root.MkdirAll(path.Dir(name), dirMode); err != nil {
		return err
	}
	switch h.Typeflag {
	case tar.TypeDir:
		if err := e.root.MkdirAll(name, dirMode); err != nil {
			return err
		}
		return e.root.Chmod(name, dirMode)
	case tar.TypeReg:
		return e.file(name, h, content)
	case tar.TypeSymlink:
		if err := e.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return e.root.Symlink(h.Linkname, name)
	}
	return fmt.Errorf("%q is of type %q", h.Name, h.Typeflag)
}

// within is an entry's name in the directory, "" for the directory itself.
func (e *extraction) within(name string) (string, error) {
	top, rest, _ := strings.Cut(name, "/")
	if e.top == "" {
		e.top = top
	}
	rest = strings.TrimSuffix(rest, "/")
	if top == "" || top != e.top || rest != "" && !fs.ValidPath(rest) {
		return "", fmt.Errorf("the name %q", name)
	}
	return rest, nil
}

func (e *extraction) file(name string, h *tar.Header, content io.Reader) error {
	if e.bytes += h.Size; e.bytes > mostBytes {
		return fmt.Errorf("more than %d bytes", int64(mostBytes))
	}
	mode := fileMode
	if h.Mode&0o111 != 0 {
		mode = executableMode
	}
	if err := e.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := e.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Chmod(mode), f.Close())
}
