// Package rootfs writes a merged tree into a directory, normally "/" of the
// running container, around everything that is mounted there.
//
// What comes in: the changes of a toc.Tree with the content of its entries
// (Writer), and the mount table. What goes out: the tree on disk, with
// owners, modes, extended attributes and times as the layers tell.
//
// What is promised:
//   - nothing outside the root is touched, whatever an entry is called: every
//     directory is opened beneath the root, through no symlink and across no
//     mount, and the kernel checks that (openat2) where it can;
//   - what is mounted is never written to, unlinked or replaced. One
//     exception: an empty volume of the engine is filled from the image, as
//     Docker fills it (volume.go tells which ones);
//   - paths in Options.Keep are never touched;
//   - where a mount forces a directory to stay that the image has as a
//     symlink, symlinks make both names show the same things (graft.go);
//   - a layout that was interrupted is undone by Clear, and a volume that was
//     half filled is filled again.
//
// Not promised: durability. The tree dies with its container, so nothing is
// synced; and a volume option `nocopy` cannot be seen from inside, so such a
// volume is filled too.
//
// What it costs is the kernel's work, and most of that the making of inodes:
// from a warm store, of a runner's processor time 36 % is its own (chunks
// decoded and verified), 22 % openat, 14 % pwrite, 5 % mkdirat (1.57 GB in
// 90,429 paths on overlay2, Linux 6.18, 2 cores, 21 November 2026). So a new
// file is made with the mode it keeps and looked at before anything is set:
// that spares 8,500 fchown and 7,300 fchmod of 9,206 paths, and 5 to 10 % of the
// processor time. No better were pieces of content larger than 64 KiB,
// directories dressed by several goroutines, queues 16 times as long, and files
// dealt to workers one by one in place of by directory. Nor was a build guided by
// the profiles of all kinds of start: in two runs, of 7 and 8 rounds in turns, the
// median took 0.91 and 1.02 of the time from a warm store, and 1.04 and 0.98
// without one ("large", 22 November 2026), which is noise. From a warm store 90 %
// of the processor time is the kernel's and assembly's, of all kinds of start
// together three quarters.
package rootfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

var (
	// ErrNoSpace says that the file system has no room, inode or quota left.
	ErrNoSpace = errors.New("no space left")
	// ErrReadOnly says that the root cannot be written at all.
	ErrReadOnly = errors.New("the root file system is read-only")
)

// Options says how a root is to be treated.
type Options struct {
	// Keep holds paths that are never touched, with everything beneath them.
	Keep []string
	// Spare is the path of a directory for the Writer's own use, beneath one
	// of Keep and on the file system of the root. It exists only while a
	// Writer does. Default: "tmp" beneath the first of Keep.
	Spare string
	// Bare holds the paths that the bare image brings and that Clear removes.
	Bare []string
	// BareLinks holds the bare image's symlinks to directories (path →
	// target, "var/run" → "../run"). The engine has followed them when it
	// mounted "/var/run/docker.sock", so that path must still lead there
	// when the image has a directory, or nothing, at "/var/run".
	BareLinks map[string]string
	// AtOnce says that others live in the root: it stays as it is until
	// Finish, which lets the tree appear (atonce.go). Otherwise every path is
	// written to its place, which is faster.
	AtOnce bool
	// Waiters are the bare image's symlinks to programs that wait for the
	// layout, at places where images have programs of their own, loaders last.
	// With AtOnce they stand until the tree appears.
	Waiters []Link
	// Default holds symlinks that the tree gets with AtOnce where the image
	// has nothing at their path.
	Default []Link
	// DeclaredVolumes holds paths that the image declares as volumes. An
	// empty directory mounted at one of them is filled. Give it only where
	// the mount table does not tell volumes from bind mounts (Fargate).
	DeclaredVolumes []string
	// NoOwners says that there is one user id only, so that owners which
	// cannot be set are no fault.
	NoOwners bool
	// Workers is the number of goroutines that write; default: twice the
	// processors, at most 16.
	Workers int
	// Mounts is the mount table; default: /proc/self/mountinfo.
	Mounts []*mountinfo.Info
	// Warn is told what could not be done without failing; default: silence.
	Warn func(string)
}

// Root is a directory that takes a tree. Its methods are not safe for
// concurrent use; the Writer's are.
type Root struct {
	dir   string
	opts  Options
	realm *realm
	// mounts holds the mount points below the root by path.
	mounts map[string]*mountinfo.Info
	// found holds the paths that Clear has let stay.
	found []string
}

// Open returns the root at dir.
func Open(dir string, opts Options) (*Root, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("open root: %w", err)
	}
	if opts, err = withDefaults(opts); err != nil {
		return nil, err
	}
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open root %s: %w", dir, err)
	}
	r := &Root{dir: dir, opts: opts, realm: &realm{fd: fd}, mounts: mountsBelow(dir, opts.Mounts)}
	if err := r.check(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// Close gives up the root. Nothing on disk changes.
func (r *Root) Close() error { return unix.Close(r.realm.fd) }

func withDefaults(opts Options) (Options, error) {
	opts.Keep = cleaned(opts.Keep)
	opts.Bare = cleaned(opts.Bare)
	opts.Waiters, opts.Default = cleanedLinks(opts.Waiters), cleanedLinks(opts.Default)
	opts.DeclaredVolumes = cleaned(opts.DeclaredVolumes)
	if len(opts.Keep) == 0 || slices.Contains(opts.Keep, "") {
		return opts, errors.New("open root: Options.Keep must name a path below the root")
	}
	if opts.Spare = clean(opts.Spare); opts.Spare == "" {
		opts.Spare = opts.Keep[0] + "/tmp"
	}
	if !slices.ContainsFunc(opts.Keep, func(keep string) bool { return beneath(opts.Spare, keep) }) {
		return opts, fmt.Errorf("open root: the spare directory %q is not beneath a kept path", opts.Spare)
	}
	if opts.Workers <= 0 {
		opts.Workers = min(2*runtime.GOMAXPROCS(0), 16)
	}
	if opts.Warn == nil {
		opts.Warn = func(string) {}
	}
	if opts.Mounts == nil {
		mounts, err := mountinfo.GetMounts(nil)
		if err != nil {
			return opts, fmt.Errorf("open root: read mount table: %w", err)
		}
		opts.Mounts = mounts
	}
	return opts, nil
}

// check refuses a root that no tree can be written to.
func (r *Root) check() error {
	for point := range r.mounts {
		if point == r.opts.Spare || beneath(r.opts.Spare, point) {
			return fmt.Errorf("open root: something is mounted at /%s, where the runner needs the container's own file system: mount it elsewhere", point)
		}
	}
	var fs unix.Statfs_t
	if err := unix.Fstatfs(r.realm.fd, &fs); err != nil {
		return fmt.Errorf("open root: %w", err)
	}
	if fs.Flags&unix.ST_RDONLY != 0 {
		return explain(unix.EROFS)
	}
	return nil
}

// mountsBelow picks the mount points below dir and makes them relative to it.
func mountsBelow(dir string, table []*mountinfo.Info) map[string]*mountinfo.Info {
	mounts := map[string]*mountinfo.Info{}
	for _, mount := range table {
		if strings.HasSuffix(mount.Mountpoint, "//deleted") {
			continue
		}
		rel, err := filepath.Rel(dir, mount.Mountpoint)
		if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
			continue
		}
		mounts[rel] = mount // the last of several at one place is the one on top
	}
	return mounts
}

// explain puts the sentinel and a hint before an error of the kernel.
func explain(err error) error {
	switch {
	case errors.Is(err, unix.ENOSPC):
		return fmt.Errorf("%w: free some space or inodes on the file system of the container: %w", ErrNoSpace, err)
	case errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("%w: the disk quota is used up: %w", ErrNoSpace, err)
	case errors.Is(err, unix.EROFS):
		return fmt.Errorf("%w: start the container without --read-only: %w", ErrReadOnly, err)
	}
	return err
}

// failed wraps an error with the step and the path it hit.
func failed(step, path string, err error) error {
	return fmt.Errorf("%s %q: %w", step, "/"+path, explain(err))
}

// clean makes a path relative to the root: "" for the root itself.
func clean(path string) string { return strings.TrimPrefix(filepath.Clean("/"+path), "/") }

func cleaned(paths []string) []string {
	out := make([]string, len(paths))
	for i, path := range paths {
		out[i] = clean(path)
	}
	return out
}

func cleanedLinks(links []Link) []Link {
	out := make([]Link, len(links))
	for i, link := range links {
		out[i] = Link{clean(link.Path), link.Target}
	}
	return out
}

// beneath reports whether path lies below dir.
func beneath(path, dir string) bool {
	return dir == "" && path != "" || strings.HasPrefix(path, dir+"/")
}

// split cuts a path into its directory and its last element.
func split(path string) (dir, name string) {
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:]
	}
	return "", path
}

// join is the reverse of split.
func join(dir, name string) string {
	if dir == "" {
		return name
	}
	return dir + "/" + name
}

// magic is the path of name in the directory open at fd, for the system calls
// that have no form with a directory. The last element is not followed.
func magic(fd int, name string) string { return fmt.Sprintf("/proc/self/fd/%d/%s", fd, name) }

// readNames lists the directory open at fd, which may be an O_PATH one.
func readNames(fd int) ([]string, error) {
	readable, err := unix.Openat(fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(readable), ".")
	defer dir.Close()
	return dir.Readdirnames(-1)
}
