package sandbox

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// fileSystem is one that Docker mounts in every container.
type fileSystem struct {
	at, kind string
	flags    uintptr
	data     string
}

const (
	noPrograms = unix.MS_NOSUID | unix.MS_NOEXEC
	dataOnly   = noPrograms | unix.MS_NODEV
)

func fileSystems(singleID bool) []fileSystem {
	terminals := "newinstance,ptmxmode=0666,mode=0620"
	if !singleID {
		terminals += ",gid=5" // tty
	}
	return []fileSystem{
		{"/proc", "proc", dataOnly, ""},
		{"/dev", "tmpfs", unix.MS_NOSUID | unix.MS_STRICTATIME, "mode=755,size=65536k"},
		{"/dev/pts", "devpts", noPrograms, terminals},
		{"/dev/shm", "tmpfs", dataOnly, "mode=1777,size=65536k"},
		{"/dev/mqueue", "mqueue", dataOnly, ""},
	}
}

// devices are the character devices of every container.
var devices = []struct {
	name         string
	major, minor uint32
}{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

var deviceLinks = [][2]string{
	{"fd", "/proc/self/fd"}, {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"}, {"stderr", "/proc/self/fd/2"},
	{"core", "/proc/kcore"}, {"ptmx", "pts/ptmx"},
}

// What of /proc and /sys speaks of the machine rather than the container:
// Docker hides the first and forbids to write the second.
var (
	maskedProc = []string{
		"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
		"/proc/sched_debug", "/proc/scsi", "/proc/timer_list", "/proc/timer_stats",
	}
	maskedSys    = []string{"/sys/devices/virtual/powercap", "/sys/firmware"}
	readOnlyProc = []string{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}
)

// mountRoot makes the root directory and mounts in it what Docker does, and
// the caller's mounts. It returns its path.
func mountRoot(o orders) (string, error) {
	// Nothing of what follows may reach the machine's own mounts.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return "", fmt.Errorf("%w: part from the machine's mounts: %w", ErrRefused, err)
	}
	root := filepath.Join(o.Home, "root")
	if err := os.Mkdir(root, 0o755); err != nil {
		return "", err
	}
	// Only a mount can become /.
	if err := unix.Mount(root, root, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return "", fmt.Errorf("mount the root directory: %w", err)
	}
	for _, step := range []func() error{
		func() error { return mountFileSystems(root, o.SingleID) },
		func() error { return makeDevices(root, o.Terminal) },
		func() error { return hideMachine(root, maskedProc, readOnlyProc) },
		func() error { return prepareSys(root, o.Network) },
		func() error { return mountFiles(root, o) },
		func() error { return mountVolumes(root, o.Mounts) },
	} {
		if err := step(); err != nil {
			return "", err
		}
	}
	return root, nil
}

func mountFileSystems(root string, singleID bool) error {
	for _, f := range fileSystems(singleID) {
		if err := os.MkdirAll(root+f.at, 0o755); err != nil {
			return err
		}
		err := unix.Mount(f.kind, root+f.at, f.kind, f.flags, f.data)
		if err != nil && f.kind == "proc" {
			return fmt.Errorf("%w: mount /proc: %w; in a container parts of it are hidden, and then only --privileged or --security-opt systempaths=unconfined allow that", ErrRefused, err)
		}
		if err != nil {
			return fmt.Errorf("mount %s: %w", f.at, err)
		}
	}
	return nil
}

// makeDevices fills /dev. A node of its own keeps the machine's from changes
// of owner and mode; where none may be made, it is the machine's.
func makeDevices(root string, terminal int) error {
	for _, device := range devices {
		path := filepath.Join(root, "dev", device.name)
		err := unix.Mknod(path, unix.S_IFCHR|0o666, int(unix.Mkdev(device.major, device.minor)))
		if err == nil {
			// Made, but of no use where a device cgroup or nodev forbids it.
			var f *os.File
			if f, err = os.OpenFile(path, os.O_RDONLY|unix.O_NOCTTY, 0); err == nil || errors.Is(err, unix.ENXIO) {
				f.Close()
				continue
			}
		}
		if err := bindFile(filepath.Join("/dev", device.name), path); err != nil {
			return err
		}
	}
	for _, link := range deviceLinks {
		if err := os.Symlink(link[1], filepath.Join(root, "dev", link[0])); err != nil {
			return err
		}
	}
	if terminal < 0 {
		return nil
	}
	return makeConsole(terminal, filepath.Join(root, "dev/console"))
}

// makeConsole shows the terminal where ttyname(3) looks for it: its own name
// is of another /dev/pts.
func makeConsole(terminal int, path string) error {
	name, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", terminal))
	if err != nil {
		return err
	}
	var open, named unix.Stat_t
	if err := unix.Fstat(terminal, &open); err != nil {
		return err
	}
	if unix.Stat(name, &named) != nil || named.Dev != open.Dev || named.Ino != open.Ino {
		return nil // it came from another namespace, and has no name here
	}
	return bindFile(name, path)
}

// bindFile shows the file source at target, which it makes if it is missing.
func bindFile(source, target string) error {
	f, err := os.OpenFile(target, os.O_RDONLY|os.O_CREATE|unix.O_NONBLOCK|unix.O_NOCTTY, 0o644)
	if err != nil {
		return err
	}
	f.Close()
	if err := unix.Mount(source, target, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("mount %s: %w", source, err)
	}
	return nil
}

// hideMachine masks paths and makes others read-only, as far as they exist.
func hideMachine(root string, masked, readOnly []string) error {
	for _, path := range masked {
		info, err := os.Lstat(root + path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		switch {
		case err != nil:
		case info.IsDir():
			err = unix.Mount("tmpfs", root+path, "tmpfs", unix.MS_RDONLY|dataOnly, "size=0k")
		default:
			err = unix.Mount(filepath.Join(root, "dev/null"), root+path, "", unix.MS_BIND, "")
		}
		if err != nil {
			return fmt.Errorf("hide %s: %w", path, err)
		}
	}
	for _, path := range readOnly {
		if _, err := os.Lstat(root + path); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		err := unix.Mount(root+path, root+path, "", unix.MS_BIND|unix.MS_REC, "")
		if err == nil {
			err = makeReadOnly(root + path)
		}
		if err != nil {
			return fmt.Errorf("make %s read-only: %w", path, err)
		}
	}
	return nil
}

// makeReadOnly makes the mount at path read-only, and those below it.
func makeReadOnly(path string) error {
	err := unix.MountSetattr(unix.AT_FDCWD, path, unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY})
	if errors.Is(err, unix.ENOSYS) {
		return fmt.Errorf("%w: %w: it needs Linux 5.12", ErrRefused, err)
	}
	return err
}

// prepareSys mounts /sys. It shows the devices of the network that it was
// mounted in, so without one it has to wait, behind an empty directory.
func prepareSys(root string, network Network) error {
	if err := os.Mkdir(root+"/sys", 0o755); err != nil {
		return err
	}
	if network == NetworkNone {
		return unix.Mount("tmpfs", root+"/sys", "tmpfs", dataOnly, "size=4k,mode=755")
	}
	return mountSys(root, "/")
}

// mountSys mounts /sys at root. host is where the machine's root is.
func mountSys(root, host string) error {
	sys := filepath.Join(root, "sys")
	err := unix.Mount("sysfs", sys, "sysfs", unix.MS_RDONLY|dataOnly, "")
	if err == nil {
		cgroups := filepath.Join(sys, "fs/cgroup")
		if err = unix.Mount(filepath.Join(host, "sys/fs/cgroup"), cgroups, "", unix.MS_BIND|unix.MS_REC, ""); err == nil {
			err = makeReadOnly(cgroups)
		}
		if errors.Is(err, unix.ENOENT) {
			err = nil // a kernel without control groups
		}
	} else if err = unix.Mount(filepath.Join(host, "sys"), sys, "", unix.MS_BIND|unix.MS_REC, ""); err == nil {
		// The machine's network is another user namespace's; so is its /sys.
		err = makeReadOnly(sys)
	}
	if err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	return hideMachine(strings.TrimSuffix(root, "/"), maskedSys, nil)
}

// mountFiles makes the files that an engine gives to a container: those in
// /etc that say where it is, and what tells programs that they are in one.
func mountFiles(root string, o orders) error {
	if err := os.Mkdir(root+"/etc", 0o755); err != nil {
		return err
	}
	hostname := o.Hostname
	if hostname == "" {
		var err error
		if hostname, err = os.Hostname(); err != nil {
			return err
		}
	}
	for _, name := range []string{"hosts", "resolv.conf", "hostname"} {
		content, err := os.ReadFile(filepath.Join("/etc", name))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if name == "hostname" {
			content = []byte(hostname + "\n")
		}
		if err := os.WriteFile(filepath.Join(o.Home, name), content, 0o644); err != nil {
			return err
		}
		if err := bindFile(filepath.Join(o.Home, name), filepath.Join(root, "etc", name)); err != nil {
			return err
		}
	}
	if err := os.WriteFile(root+"/.dockerenv", nil, 0o755); err != nil {
		return err
	}
	return os.Symlink("/proc/mounts", root+"/etc/mtab")
}

// mountVolumes mounts the caller's files and directories, parents before what
// is below them.
func mountVolumes(root string, mounts []Mount) error {
	tree, err := os.OpenRoot(root)
	if err != nil {
		return err
	}
	defer tree.Close()
	ordered := slices.SortedStableFunc(slices.Values(mounts), func(a, b Mount) int {
		return cmp.Compare(strings.Count(filepath.Clean(a.Target), "/"), strings.Count(filepath.Clean(b.Target), "/"))
	})
	for _, m := range ordered {
		if err := mountVolume(tree, m); err != nil {
			return fmt.Errorf("mount %s at %s: %w", m.Source, m.Target, err)
		}
	}
	return nil
}

// mountVolume mounts one of them. Its target is made beneath the root, through
// no symlink that leads out of it: a directory mounted before may have some.
func mountVolume(tree *os.Root, m Mount) error {
	info, err := os.Stat(m.Source)
	if err != nil {
		return err
	}
	target := strings.TrimPrefix(filepath.Clean("/"+m.Target), "/")
	dir := target
	if !info.IsDir() {
		dir = filepath.Dir(target)
	}
	if err := tree.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if _, err := tree.Lstat(target); errors.Is(err, fs.ErrNotExist) {
		f, err := tree.OpenFile(target, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if err != nil {
			return err
		}
		f.Close()
	}
	err = withPath(tree, target, func(path string) error {
		return unix.Mount(m.Source, path, "", unix.MS_BIND|unix.MS_REC, "")
	})
	if err != nil || !m.ReadOnly {
		return err
	}
	return withPath(tree, target, makeReadOnly) // of what is there now
}

// withPath calls f with a path of name in tree that no symlink takes part in.
func withPath(tree *os.Root, name string, f func(path string) error) error {
	at, err := tree.OpenFile(name, unix.O_PATH, 0)
	if err != nil {
		return err
	}
	defer at.Close()
	return f("/proc/self/fd/" + strconv.Itoa(int(at.Fd())))
}
