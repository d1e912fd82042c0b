package sandbox

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// OwnDir is the directory below the root that is the sandbox's and its
// caller's until World.Seal removes it. Mounts in it are gone then too, so
// they are for whoever fills the root and not for its program; none may lie in
// another.
const OwnDir = ".clipper-runner"

// hostDir is where the machine's own root stays mounted until World.Seal.
const hostDir = OwnDir + "/host"

// World is what Hooks.Start finds: a root directory with nothing but mounts
// and OwnDir, and the machine's network.
type World struct {
	Payload []byte
	// SingleID says that there is one user only, so no file and no process can
	// be another's.
	SingleID bool
	// Host is the machine's root directory, until Seal.
	Host fs.FS

	network Network
	hosts   *os.File
	own     []string // targets of the mounts in OwnDir
}

// enter makes the process's surroundings, on its locked thread.
func enter(o orders) (*World, error) {
	unix.Umask(0)
	if o.Terminal >= 0 {
		if err := takeTerminal(o.Terminal, unix.Getpgrp()); err != nil {
			return nil, fmt.Errorf("take the terminal: %w", err)
		}
	}
	root, err := mountRoot(o)
	if err != nil {
		return nil, err
	}
	w := &World{Payload: o.Payload, SingleID: o.SingleID, network: o.Network, own: []string{"/" + hostDir}}
	for _, m := range o.Mounts {
		if target := filepath.Clean(m.Target); strings.HasPrefix(target, "/"+OwnDir+"/") {
			w.own = append(w.own, target)
		}
	}
	if w.hosts, err = os.OpenFile(filepath.Join(o.Home, "hosts"), os.O_RDWR, 0); err != nil {
		return nil, err
	}
	if o.Hostname != "" {
		if err := unix.Sethostname([]byte(o.Hostname)); err != nil {
			return nil, fmt.Errorf("set the host name %q: %w", o.Hostname, err)
		}
	}
	if err := pivot(root); err != nil {
		return nil, err
	}
	if w.Host, err = openHost("/" + hostDir); err != nil {
		return nil, err
	}
	return w, dropInheritance(o)
}

// pivot makes root / and leaves the machine's root in hostDir.
func pivot(root string) error {
	if err := os.Chdir(root); err != nil {
		return err
	}
	if err := os.MkdirAll(hostDir, 0o700); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", hostDir); err != nil {
		return fmt.Errorf("%w: change the root directory: %w; where the machine runs from an initramfs, no container can", ErrRefused, err)
	}
	return os.Chdir("/")
}

// dropInheritance leaves behind what the caller's session gave along: its
// groups and its keys.
func dropInheritance(o orders) error {
	if !o.SingleID {
		if err := syscall.Setgroups(nil); err != nil {
			return fmt.Errorf("leave the caller's groups: %w", err)
		}
	}
	_, err := unix.KeyctlJoinSessionKeyring("_ses." + filepath.Base(o.Home))
	if err != nil && !errors.Is(err, unix.ENOSYS) && !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("leave the caller's keys: %w", err)
	}
	return nil
}

// Seal ends the preparations, just before the program starts: it begins
// NetworkNone, on this thread, lets go of the machine's files and removes
// OwnDir.
func (w *World) Seal() error {
	if w.network == NetworkNone {
		if err := w.leaveNetwork(); err != nil {
			return err
		}
	}
	for _, target := range w.own {
		if err := unix.Unmount(target, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("let go of the machine's files: unmount %s: %w", target, err)
		}
		// This fails where anything were still mounted, so what comes after it
		// never removes a file of the machine's.
		if err := os.Remove(target); err != nil {
			return fmt.Errorf("let go of the machine's files: %w", err)
		}
	}
	return os.RemoveAll("/" + OwnDir)
}

// leaveNetwork puts the thread into a new network, in which only lo is up.
func (w *World) leaveNetwork() error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return fmt.Errorf("%w: make a network namespace: %w", ErrRefused, err)
	}
	if err := loopbackUp(); err != nil {
		return fmt.Errorf("start the loopback device: %w", err)
	}
	if err := unix.Unmount("/sys", unix.MNT_DETACH); err != nil { // the empty directory
		return fmt.Errorf("mount /sys: %w", err)
	}
	if err := mountSys("/", "/"+hostDir); err != nil {
		return err
	}
	if err := w.hosts.Truncate(0); err != nil {
		return err
	}
	_, err := w.hosts.WriteAt([]byte(loopbackHosts), 0)
	return err
}

// loopbackHosts is /etc/hosts where there is no network.
const loopbackHosts = "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n"

func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// hostFS is the machine's root directory from within the sandbox. Absolute
// symlinks lead to where they lead on the machine.
type hostFS struct{ dir *os.File }

func openHost(dir string) (hostFS, error) {
	f, err := os.OpenFile(dir, unix.O_PATH|unix.O_DIRECTORY, 0)
	return hostFS{f}, err
}

func (h hostFS) Open(name string) (fs.File, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid}
	}
	fd, err := unix.Openat2(int(h.dir.Fd()), name, &unix.OpenHow{
		Flags: unix.O_RDONLY | unix.O_CLOEXEC | unix.O_NONBLOCK, Resolve: unix.RESOLVE_IN_ROOT,
	})
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// DefaultCapabilities names what Docker leaves to root in a container.
func DefaultCapabilities() []string {
	return []string{
		"CHOWN", "DAC_OVERRIDE", "FSETID", "FOWNER", "MKNOD", "NET_RAW", "SETGID", "SETUID", "SETFCAP", "SETPCAP",
		"NET_BIND_SERVICE", "SYS_CHROOT", "KILL", "AUDIT_WRITE",
	}
}
