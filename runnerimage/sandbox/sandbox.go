// Package sandbox runs a program in namespaces of its own, without a container
// engine: mount, pid, uts and ipc, a user namespace where the caller is not
// root, and a network namespace where none is wanted.
//
// In comes a [Spec]; out goes the exit code of the program. What the program
// is, and where its files come from, is the caller's: it is called back inside
// ([Hooks.Start]) with an empty root directory as /, in which everything is
// mounted that Docker would have mounted, fills it and becomes the program.
//
// Three processes take part, all of them this very executable, and main hands
// the latter two to [Enter]:
//
//	Run     the caller's own: forwards signals, copies what is not a terminal
//	keeper  in the user namespace, on the machine's file system: starts the
//	        third, ends it when the first dies, removes what it leaves
//	inside  process 1 of the new namespaces, which becomes the program
//
// Promised: nothing of the payload appears in an argv or an environment; what
// the program does to its mounts and standard files stays with it; its
// directory is removed when it ends, when Run's process is killed at once, and
// when the keeper is killed by the next Run on the same [Spec.Dir].
//
// Not promised: a wall against hostile programs. There is no seccomp filter
// and no LSM profile as with Docker, and cgroups are left alone, so nothing
// limits memory or processors.
//
// It needs Linux 5.12.
package sandbox

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"

	"golang.org/x/sys/unix"
)

// ErrRefused says that this machine does not let its caller make a sandbox.
var ErrRefused = errors.New("this machine allows no sandbox")

// Network says which network the program has.
type Network string

const (
	// NetworkHost is the machine's own.
	NetworkHost Network = "host"
	// NetworkNone has nothing but a loopback device. It begins with
	// World.Seal: until then the network is the machine's.
	NetworkNone Network = "none"
)

// Mount is a file or directory of the machine that the program sees.
type Mount struct {
	// Source and Target are absolute. Source exists; Target is not "/".
	Source, Target string
	ReadOnly       bool
}

// Spec describes a sandbox.
type Spec struct {
	// Dir is the directory in which the sandbox gets one of its own, for the
	// root directory above all. The program is as fast as its file system.
	// Sandboxes may share it; it is created if it is missing.
	Dir string
	// Hostname is the program's; by default the machine's own, or with
	// NetworkNone twelve random digits.
	Hostname string
	Network  Network
	// Mounts are made in the order of their targets, parents first.
	Mounts []Mount
	// Payload is for Hooks.Start. It travels in anonymous memory.
	Payload []byte
	// Env is the environment of Hooks.Start.
	Env []string
	// Stdin, Stdout and Stderr are the program's. A terminal is passed as it
	// is; anything else through a pipe, because the program's user becomes the
	// owner of its standard files.
	Stdin, Stdout, Stderr *os.File
	// Signals are forwarded to the program. The third SIGINT or SIGTERM kills
	// it, for process 1 ignores those that it does not handle.
	Signals <-chan os.Signal
}

// orders is what the keeper and the process inside know of the Spec.
type orders struct {
	// Home is the sandbox's own directory.
	Home     string
	Hostname string
	Network  Network
	Mounts   []Mount
	// SingleID says that the user namespace has one user only.
	SingleID bool
	// Terminal is the standard file whose foreground the program takes over,
	// or -1.
	Terminal int
	Payload  []byte
}

// The files that the keeper finds open; the process inside finds the first.
const (
	ordersFile  = 3
	controlFile = 4
)

// Run runs the sandbox until its program ends, and returns its exit code: 128
// and the number of the signal if one ended it. The end of ctx kills it. A
// goroutine that reads Stdin may outlive Run until Stdin has something to read.
func Run(ctx context.Context, spec Spec) (code int, err error) {
	home, err := newHome(spec.Dir)
	if err != nil {
		return 0, fmt.Errorf("prepare the sandbox: %w", err)
	}
	defer home.lock.Close()
	stdio, err := newStdio(spec)
	if err != nil {
		home.remove()
		return 0, fmt.Errorf("prepare the sandbox: %w", err)
	}
	defer stdio.restore()

	keeper, err := startKeeper(spec, home, stdio)
	stdio.started()
	if err != nil {
		home.remove()
		return 0, err
	}
	defer keeper.control.Close()

	ended := make(chan error, 1)
	go func() { ended <- keeper.cmd.Wait() }()
	err = keeper.forward(ctx, spec.Signals, ended)
	stdio.drain()
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
		return 0, fmt.Errorf("wait for the sandbox: %w", err)
	}
	return exitCode(keeper.cmd.ProcessState), nil
}

// keeper is the caller's end of the keeper process.
type keeper struct {
	cmd *exec.Cmd
	// control takes one byte when the keeper has users, where it needs them,
	// one when it may begin, and then the numbers of signals. Its end is the
	// end of the program.
	control *os.File
}

func startKeeper(spec Spec, home *home, stdio *stdio) (*keeper, error) {
	memory, err := anonymousFile()
	if err != nil {
		return nil, fmt.Errorf("prepare the sandbox: %w", err)
	}
	defer memory.Close()
	theirs, control, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("prepare the sandbox: %w", err)
	}
	defer theirs.Close()

	cmd := exec.Command(ownExecutable)
	cmd.Env = spec.Env
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdio.files[0], stdio.files[1], stdio.files[2]
	cmd.ExtraFiles = []*os.File{memory, theirs, home.lock}
	// In a group of its own, no key and no kill of the caller's group reaches
	// the keeper.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Args = []string{keeperName}
	mapped := os.Geteuid() != 0
	if mapped {
		cmd.Args = []string{unmappedName}
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
	}
	if err := cmd.Start(); err != nil {
		control.Close()
		return nil, refused(mapped, err)
	}
	k := &keeper{cmd, control}
	if err := k.brief(spec, home, stdio, memory, mapped); err != nil {
		control.Close() // before the first byte, that ends it
		_ = cmd.Wait()
		return nil, err
	}
	return k, nil
}

// brief tells the keeper what to do and lets it begin.
func (k *keeper) brief(spec Spec, home *home, stdio *stdio, memory *os.File, mapped bool) (err error) {
	o := orders{
		Home: home.path, Hostname: spec.Hostname, Network: spec.Network, Mounts: spec.Mounts,
		Terminal: stdio.terminal, Payload: spec.Payload,
	}
	if o.Hostname == "" && o.Network == NetworkNone {
		o.Hostname = filepath.Base(home.path)
	}
	if mapped {
		if o.SingleID, err = mapIDs(k.cmd.Process.Pid); err != nil {
			return err
		}
	}
	data, err := json.Marshal(o)
	if err == nil {
		_, err = memory.WriteAt(data, 0)
	}
	if err == nil && mapped {
		_, err = k.control.Write([]byte{0})
	}
	if err == nil {
		_, err = k.control.Write([]byte{0})
	}
	if err != nil {
		return fmt.Errorf("hand over to the sandbox: %w", err)
	}
	return nil
}

// forward hands signals on until the keeper has ended.
func (k *keeper) forward(ctx context.Context, signals <-chan os.Signal, ended <-chan error) error {
	done, asked := ctx.Done(), 0
	send := func(s syscall.Signal) {
		// A keeper that ended meanwhile needs no signal.
		_, _ = k.control.Write([]byte{byte(s)})
	}
	for {
		select {
		case err := <-ended:
			return err
		case <-done:
			done = nil
			send(syscall.SIGKILL)
		case s := <-signals:
			number := s.(syscall.Signal)
			if number == syscall.SIGINT || number == syscall.SIGTERM {
				if asked++; asked == 3 {
					number = syscall.SIGKILL
				}
			}
			send(number)
		}
	}
}

// Signals lists what a caller may catch to have it forwarded. Not in it is
// what stops a job in its shell, what the Go runtime uses itself, and
// SIGPIPE, by which the caller shall learn that nobody reads its output.
func Signals() []os.Signal {
	var list []os.Signal
	for s := syscall.Signal(1); s <= 64; s++ {
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG, syscall.SIGPIPE:
		case syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU:
		case syscall.SIGILL, syscall.SIGTRAP, syscall.SIGABRT, syscall.SIGBUS, syscall.SIGFPE, syscall.SIGSEGV, syscall.SIGSYS, syscall.SIGPROF:
		case 32, 33, 34:
		default:
			list = append(list, s)
		}
	}
	return list
}

func exitCode(state *os.ProcessState) int {
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return state.ExitCode()
}

// anonymousFile makes a file that exists in memory only.
func anonymousFile() (*os.File, error) {
	const name = "clipper-sandbox"
	// Where execution from such files is forbidden, NOEXEC_SEAL is demanded;
	// an older kernel does not know it.
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), name), nil
}

// refused explains why the keeper could not be started.
func refused(mapped bool, err error) error {
	if mapped && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.ENOSPC) || errors.Is(err, unix.EUSERS) || errors.Is(err, unix.EINVAL)) {
		return fmt.Errorf("%w: make a user namespace: %w; run it as root, or allow user namespaces (sysctl user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns)", ErrRefused, err)
	}
	return fmt.Errorf("start the sandbox: %w", err)
}
