package process

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	setIDBits = unix.S_ISUID | unix.S_ISGID

	// programUmask is what runc gives to every container.
	programUmask = 0o022

	ownExecutable = "/proc/self/exe"
)

// GiveUpSetuid takes the set-uid bit off the runner's file and makes sure that
// it is gone. It must have succeeded before any program of the image runs:
// until then each of them could become root through that file.
func GiveUpSetuid(file string) error {
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("give up the set-uid bit of %s: %w", file, err)
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return fmt.Errorf("give up the set-uid bit of %s: %w", file, err)
	}
	if st.Mode&setIDBits == 0 {
		return nil
	}
	err = unix.Fchmod(fd, st.Mode&0o777)
	if errors.Is(err, unix.EROFS) {
		return fmt.Errorf("give up the set-uid bit of %s: %w; run the container without --read-only", file, err)
	}
	if errors.Is(err, unix.EPERM) {
		return fmt.Errorf("give up the set-uid bit of %s: %w; the bit had no effect (no-new-privileges, nosuid), so run the container without --user", file, err)
	}
	if errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("give up the set-uid bit of %s: %w; an overlay copies the file for that, so free some space", file, err)
	}
	if err != nil {
		return fmt.Errorf("give up the set-uid bit of %s: %w", file, err)
	}
	// By name: a file system may keep a second copy that the name leads to.
	if err := unix.Lstat(file, &st); err != nil {
		return fmt.Errorf("check the set-uid bit of %s: %w", file, err)
	}
	if st.Mode&setIDBits != 0 {
		return fmt.Errorf("the set-uid bit of %s is still there", file)
	}
	return nil
}

// Become turns this process into the plan's and does not return, unless with
// an error. It takes the steps in runc's order, in the file system that is /
// now.
//
// After an error the process may already have given up a part of its
// privileges: all that is left to do is to report it and exit. Capabilities,
// the signal mask and no_new_privs belong to a thread, so the steps happen on
// one locked thread, which execve makes the only one; changes of ids reach all
// threads.
func (p *Plan) Become() error {
	runtime.LockOSThread() // for good: this thread's privileges are cut
	if err := refuseSetuid(); err != nil {
		return err
	}
	if err := inheritOnlyStdio(); err != nil {
		return err
	}
	unix.Umask(programUmask)
	for _, volume := range p.Volumes {
		if err := makeDir(volume); err != nil {
			return fmt.Errorf("%w: volume %s: %w", ErrImage, volume, err)
		}
	}
	if err := makeDir(p.Dir); err != nil {
		return fmt.Errorf("%w: working directory %s: %w", ErrImage, p.Dir, err)
	}
	late := unix.Chdir(p.Dir)
	if late != nil && !errors.Is(late, os.ErrPermission) {
		return fmt.Errorf("%w: working directory %s: %w", ErrImage, p.Dir, late)
	}
	if err := ownStdio(p.UID); err != nil {
		return err
	}
	if err := p.CapDrop.dropBounding(); err != nil {
		return err
	}
	if err := p.takeIDs(); err != nil {
		return err
	}
	if late != nil { // the user may enter where root may not: NFS, FUSE
		if err := unix.Chdir(p.Dir); err != nil {
			return fmt.Errorf("%w: working directory %s: %w", ErrImage, p.Dir, err)
		}
	}
	if err := p.CapDrop.dropHeld(); err != nil {
		return err
	}
	file, err := lookPath(p.Argv[0], p.Env)
	if err != nil {
		return err
	}
	if err := resetSignals(); err != nil {
		return err
	}
	if p.Init {
		return initPlan{file: file, argv: p.Argv, env: p.Env, stop: p.StopSignal}.become()
	}
	return startError(file, syscall.Exec(file, p.Argv, p.Env))
}

// refuseSetuid is the second lock on the door that GiveUpSetuid closes.
func refuseSetuid() error {
	var st unix.Stat_t
	if err := unix.Stat(ownExecutable, &st); err != nil {
		return fmt.Errorf("check own set-uid bit: %w", err)
	}
	if st.Mode&setIDBits != 0 {
		return errors.New("the runner's file still has its set-uid bit; no program may start")
	}
	return nil
}

// inheritOnlyStdio closes every file but 0, 1 and 2 on execve.
func inheritOnlyStdio() error {
	// A directory, for its file is one of those listed.
	files, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return fmt.Errorf("list open files: %w", err)
	}
	for _, file := range files {
		if fd, err := strconv.Atoi(file.Name()); err == nil && fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
	return nil
}

// makeDir makes the directory and its missing parents as Docker does: 0755,
// root's, through symlinks, dangling ones too.
func makeDir(dir string) error {
	resolved, err := inRoot("/", dir)
	if err != nil {
		return err
	}
	made := ""
	for elem := range strings.SplitSeq(strings.TrimPrefix(resolved, "/"), "/") {
		made += "/" + elem
		err := os.Mkdir(made, 0o755)
		if errors.Is(err, os.ErrExist) {
			continue
		}
		if err != nil {
			// Where root itself may not look, chdir as the user has the word.
			if info, statErr := os.Stat(made); statErr == nil && info.IsDir() || os.IsPermission(statErr) {
				continue
			}
			return err
		}
		if os.Geteuid() == 0 {
			if err := os.Lchown(made, 0, 0); err != nil {
				return err
			}
		}
	}
	info, err := os.Stat(resolved)
	if err == nil && !info.IsDir() {
		return syscall.ENOTDIR
	}
	if os.IsPermission(err) {
		return nil
	}
	return err
}

// ownStdio gives the standard files to the user, who could not open
// /dev/stdout again otherwise. The group stays, for a terminal's is tty.
func ownStdio(uid int) error {
	var null unix.Stat_t
	if err := unix.Stat("/dev/null", &null); err != nil {
		null.Rdev = unix.Mkdev(1, 3)
	}
	for fd := range 3 {
		var st unix.Stat_t
		if err := unix.Fstat(fd, &st); err != nil {
			continue // closed
		}
		if st.Rdev == null.Rdev || int(st.Uid) == uid {
			continue
		}
		err := unix.Fchown(fd, uid, -1)
		switch {
		case err == nil:
		case errors.Is(err, unix.EINVAL), errors.Is(err, unix.EPERM), errors.Is(err, unix.EROFS):
			// Not ours to give: another namespace's, a read-only file's. The
			// program can still use what is open.
		default:
			return fmt.Errorf("give standard file %d to uid %d: %w", fd, uid, err)
		}
	}
	return nil
}

// takeIDs sets groups, group and user for all threads, and checks that there
// is no way back. What is already so is left alone: it may need a privilege.
func (p *Plan) takeIDs() error {
	hint := fmt.Errorf("%w: cannot become %d:%d with groups %v", ErrUser, p.UID, p.GID, p.Groups)
	groups, err := syscall.Getgroups()
	if err != nil {
		return fmt.Errorf("read own groups: %w", err)
	}
	if !sameIDs(groups, p.Groups) && groupsMayChange() {
		// The primary group counts without being listed, so a list that lacks
		// only that one is as good.
		if err := syscall.Setgroups(p.Groups); err != nil && !sameIDs(append(groups, p.GID), p.Groups) {
			return fmt.Errorf("%w: %w; the container needs the capability SETGID, CLIPPER_CAP_DROP drops it later", hint, err)
		}
	}
	if !gidsAre(p.GID) {
		if err := syscall.Setresgid(p.GID, p.GID, p.GID); err != nil {
			return fmt.Errorf("%w: %w; the container needs the capability SETGID, CLIPPER_CAP_DROP drops it later", hint, err)
		}
	}
	changes := !uidsAre(p.UID)
	if changes {
		if err := syscall.Setresuid(p.UID, p.UID, p.UID); err != nil {
			return fmt.Errorf("%w: %w; the container needs the capability SETUID, CLIPPER_CAP_DROP drops it later", hint, err)
		}
	}

	if !uidsAre(p.UID) || !gidsAre(p.GID) {
		return fmt.Errorf("%w: the ids did not stay", hint)
	}
	if !changes || p.UID == 0 {
		return nil
	}
	sets, err := readCapabilities()
	if err != nil {
		return err
	}
	if sets[0].Effective|sets[0].Permitted|sets[1].Effective|sets[1].Permitted != 0 {
		return fmt.Errorf("%w: root's capabilities did not go", hint)
	}
	return nil
}

func uidsAre(id int) bool {
	r, e, s := unix.Getresuid()
	return r == id && e == id && s == id
}

func gidsAre(id int) bool {
	r, e, s := unix.Getresgid()
	return r == id && e == id && s == id
}

// sameIDs compares two sets.
func sameIDs(a, b []int) bool {
	a, b = slices.Sorted(slices.Values(a)), slices.Sorted(slices.Values(b))
	return slices.Equal(slices.Compact(a), slices.Compact(b))
}

// groupsMayChange is false in a user namespace made without privilege, where
// runc leaves the groups alone too.
func groupsMayChange() bool {
	word, err := os.ReadFile("/proc/self/setgroups")
	return err != nil || strings.TrimSpace(string(word)) != "deny"
}

// kernelSigaction is the kernel's struct sigaction on 64-bit machines: handler,
// flags, restorer, mask.
type kernelSigaction struct {
	handler, flags, restorer uintptr
	mask                     uint64
}

// resetSignals gives back to every ignored signal its default and blocks none,
// as in a container's first process. Execve does the same to caught signals.
// It goes around os/signal, whose Reset leaves what was ignored at start.
//
// Signals 32 and 33 are libc's own and stay as they are: nobody else sends
// them, and a container of an engine that was started below make(1) finds them
// ignored, with or without the runner.
func resetSignals() error {
	const ignored = 1 // SIG_IGN
	for n := uintptr(1); n <= lastSignal; n++ {
		if n == 32 || n == 33 {
			continue
		}
		var old, preset kernelSigaction
		_, _, errno := unix.RawSyscall6(unix.SYS_RT_SIGACTION, n, 0, uintptr(unsafe.Pointer(&old)), unsafe.Sizeof(old.mask), 0, 0)
		if errno != 0 || old.handler != ignored {
			continue
		}
		_, _, errno = unix.RawSyscall6(unix.SYS_RT_SIGACTION, n, uintptr(unsafe.Pointer(&preset)), 0, unsafe.Sizeof(preset.mask), 0, 0)
		if errno != 0 {
			return fmt.Errorf("reset signal %d: %w", n, errno)
		}
	}
	var none unix.Sigset_t
	if err := unix.PthreadSigmask(unix.SIG_SETMASK, &none, nil); err != nil {
		return fmt.Errorf("unblock signals: %w", err)
	}
	return nil
}
