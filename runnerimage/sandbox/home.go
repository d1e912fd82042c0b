package sandbox

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lockSuffix makes the name of a sandbox's lock file from that of its
// directory. Who runs or keeps the sandbox has it locked.
const lockSuffix = ".lock"

// home is the directory of one sandbox.
type home struct {
	path string
	lock *os.File
}

// newHome makes a directory in dir. Nobody else may enter it: the tree of an
// image has set-uid files.
func newHome(dir string) (*home, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	for {
		random := make([]byte, 6)
		rand.Read(random) // never fails
		h := &home{path: filepath.Join(dir, fmt.Sprintf("%x", random))}
		// The lock comes before the directory: a directory that nobody has
		// locked is a leftover.
		h.lock, err = os.OpenFile(h.path+lockSuffix, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		if !lock(h.lock) {
			h.lock.Close()
			continue // swept away before it was locked
		}
		if err := os.Mkdir(h.path, 0o700); err != nil {
			h.remove()
			return nil, err
		}
		return h, nil
	}
}

// lock locks the file, unless somebody else has, or it was removed.
func lock(f *os.File) bool {
	if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil {
		return false
	}
	var st unix.Stat_t
	return unix.Fstat(int(f.Fd()), &st) == nil && st.Nlink > 0
}

func (h *home) remove() {
	_ = removeHome(h.path)
	h.lock.Close()
}

// removeHome removes a sandbox's directory and then its lock file. What is
// mounted in the sandbox is not to be seen from here.
func removeHome(path string) error {
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Remove(path + lockSuffix)
}

// sweep removes from dir what sandboxes left whose keepers were killed.
func sweep(dir string) error {
	locks, err := filepath.Glob(filepath.Join(dir, "*"+lockSuffix))
	for _, path := range locks {
		f, openErr := os.OpenFile(path, os.O_RDWR|unix.O_NOFOLLOW, 0)
		if openErr != nil {
			continue // removed by its owner
		}
		if lock(f) {
			err = errors.Join(err, removeHome(strings.TrimSuffix(path, lockSuffix)))
		}
		f.Close()
	}
	return err
}
