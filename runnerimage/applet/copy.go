package applet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// makeDirs is mkdir.
func makeDirs(_ context.Context, _ Streams, args []string) error {
	make, mode := os.Mkdir, ""
	names, ok := options(args, "m", func(letter byte, value string) bool {
		switch letter {
		case 'm':
			mode = value
		case 'p':
			make = os.MkdirAll
		default:
			return false
		}
		return true
	})
	bits, err := strconv.ParseUint("0"+mode, 8, 12)
	if !ok || err != nil || len(names) == 0 {
		return usage("mkdir [-p] [-m OCTAL] DIRECTORY…")
	}
	var errs []error
	for _, name := range names {
		err := make(name, 0o777)
		if err == nil && mode != "" {
			err = unix.Chmod(name, uint32(bits)) // whatever the umask
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

const copyUsage = usage("cp [-adfLpPrRv] SOURCE… TARGET")

// copier is cp with its options.
type copier struct {
	out io.Writer
	// recursive: directories too; follow: not symlinks, but what they lead
	// to; keep: owner, mode and times; force: a target that cannot be written
	// is removed; verbose: each path is said.
	recursive, follow, keep, force, verbose bool
	// made are the directories made, which must not be copied into themselves.
	made map[inode]bool
}

type inode struct{ device, number uint64 }

func inodeOf(info fs.FileInfo) inode {
	st := info.Sys().(*syscall.Stat_t)
	return inode{uint64(st.Dev), st.Ino}
}

// copyFiles is cp. Hard links become files of their own.
func copyFiles(_ context.Context, s Streams, args []string) error {
	c := copier{out: s.Out, made: map[inode]bool{}}
	links, followed := false, false
	names, ok := options(args, "", func(letter byte, _ string) bool {
		switch letter {
		case 'a':
			c.recursive, c.keep, links = true, true, true
		case 'd', 'P':
			links = true
		case 'f':
			c.force = true
		case 'L':
			followed = true
		case 'p':
			c.keep = true
		case 'r', 'R':
			c.recursive = true
		case 'v':
			c.verbose = true
		default:
			return false
		}
		return true
	})
	if !ok || len(names) < 2 {
		return copyUsage
	}
	c.follow = followed || !links && !c.recursive
	sources, target := names[:len(names)-1], names[len(names)-1]
	info, err := os.Stat(target)
	within := err == nil && info.IsDir()
	if len(sources) > 1 && !within {
		return fmt.Errorf("%s is no directory", target)
	}
	var errs []error
	for _, source := range sources {
		to := target
		if within { // "dir/." is what the directory holds
			to = filepath.Join(target, filepath.Base(source))
		}
		errs = append(errs, c.copy(source, to))
	}
	return errors.Join(errs...)
}

func (c *copier) copy(source, target string) error {
	look := os.Lstat
	if c.follow {
		look = os.Stat
	}
	info, err := look(source)
	if err != nil {
		return err
	}
	there, err := os.Stat(target)
	if err == nil && os.SameFile(info, there) {
		return fmt.Errorf("%s and %s are the same file", source, target)
	}
	if c.verbose {
		fmt.Fprintf(c.out, "'%s' -> '%s'\n", source, target)
	}
	switch info.Mode().Type() {
	case fs.ModeDir:
		err = c.copyDir(source, target, info)
	case fs.ModeSymlink:
		err = copyLink(source, target)
	case 0:
		err = c.copyFile(source, target, info)
	default:
		return fmt.Errorf("%s is neither a file nor a directory nor a symlink", source)
	}
	if err == nil && c.keep {
		err = keepAttributes(target, info)
	}
	return err
}

func (c *copier) copyDir(source, target string, info fs.FileInfo) error {
	switch {
	case !c.recursive:
		return fmt.Errorf("%s is a directory: give -r", source)
	case c.made[inodeOf(info)]:
		return fmt.Errorf("%s is copied into itself", source)
	}
	err := os.Mkdir(target, info.Mode().Perm()|0o700)
	made := err == nil
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	there, err := os.Stat(target)
	if err != nil {
		return err
	}
	if !there.IsDir() {
		return fmt.Errorf("%s is no directory, and %s is one", target, source)
	}
	c.made[inodeOf(there)] = c.made[inodeOf(there)] || made
	entries, err := os.ReadDir(source)
	if err != nil {
		return err
	}
	var errs []error
	for _, e := range entries {
		errs = append(errs, c.copy(filepath.Join(source, e.Name()), filepath.Join(target, e.Name())))
	}
	if made { // now that nothing more is written to it
		errs = append(errs, os.Chmod(target, there.Mode().Perm()&info.Mode().Perm()))
	}
	return errors.Join(errs...)
}

// copyLink puts a symlink in place of what is there.
func copyLink(source, target string) error {
	to, err := os.Readlink(source)
	if err != nil {
		return err
	}
	if err := os.Remove(target); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.Symlink(to, target)
}

func (c *copier) copyFile(source, target string, info fs.FileInfo) error {
	in, err := os.Open(source)
	if err != nil {
		return err
	}
	defer in.Close()
	const flags = os.O_WRONLY | os.O_CREATE | os.O_TRUNC
	out, err := os.OpenFile(target, flags, info.Mode().Perm())
	if err != nil && c.force && os.Remove(target) == nil {
		out, err = os.OpenFile(target, flags, info.Mode().Perm())
	}
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}

// keepAttributes gives a path the owner, the mode and the times of another.
// Who may not give files away keeps them.
func keepAttributes(path string, info fs.FileInfo) error {
	st := info.Sys().(*syscall.Stat_t)
	mode := st.Mode & 0o7777
	if err := os.Lchown(path, int(st.Uid), int(st.Gid)); errors.Is(err, fs.ErrPermission) {
		mode &^= unix.S_ISUID | unix.S_ISGID
	} else if err != nil {
		return err
	}
	if info.Mode().Type() != fs.ModeSymlink {
		if err := unix.Chmod(path, mode); err != nil {
			return &fs.PathError{Op: "chmod", Path: path, Err: err}
		}
	}
	times := []unix.Timespec{{Sec: int64(st.Atim.Sec), Nsec: int64(st.Atim.Nsec)}, {Sec: int64(st.Mtim.Sec), Nsec: int64(st.Mtim.Nsec)}}
	if err := unix.UtimesNanoAt(unix.AT_FDCWD, path, times, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return &fs.PathError{Op: "utimensat", Path: path, Err: err}
	}
	return nil
}
