package process

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// InitName is argv[0] of the runner that stays as the program's parent. The
// main package calls Init when it sees this name, before anything else.
const InitName = "clipper-init"

// initPlan is what the init needs to know. It travels in an anonymous file, so
// that the init's own argv and environment hold nothing.
type initPlan struct {
	file string
	argv []string
	env  []string
	stop syscall.Signal
}

// become executes this very file again as the init. By then the process has
// the program's ids and no more privilege than it: enough to signal it.
func (p initPlan) become() error {
	// Where execution from such files is forbidden, NOEXEC_SEAL is demanded;
	// an older kernel does not know it.
	fd, err := unix.MemfdCreate(InitName, unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) {
		fd, err = unix.MemfdCreate(InitName, 0)
	}
	if err != nil {
		return fmt.Errorf("hand the plan to the init: %w", err)
	}
	f := os.NewFile(uintptr(fd), InitName)
	defer f.Close()
	if _, err := f.WriteString(p.encode()); err != nil {
		return fmt.Errorf("hand the plan to the init: %w", err)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return fmt.Errorf("hand the plan to the init: %w", err)
	}
	err = syscall.Exec(ownExecutable, []string{InitName, strconv.Itoa(fd)}, nil)
	return fmt.Errorf("stay as the init: %w", err)
}

// encode writes stop signal, file, number of arguments, arguments and
// environment, each ended by NUL, which none of them contains.
func (p initPlan) encode() string {
	var b strings.Builder
	put := func(s string) { b.WriteString(s); b.WriteByte(0) }
	put(strconv.Itoa(int(p.stop)))
	put(p.file)
	put(strconv.Itoa(len(p.argv)))
	for _, arg := range p.argv {
		put(arg)
	}
	for _, kv := range p.env {
		put(kv)
	}
	return b.String()
}

func decodeInitPlan(s string) (initPlan, error) {
	bad := errors.New("the init's plan cannot be read; clipper-init is not a command to call")
	fields := strings.Split(s, "\x00")
	if len(fields) < 5 || fields[len(fields)-1] != "" {
		return initPlan{}, bad
	}
	stop, err := strconv.Atoi(fields[0])
	if err != nil || stop < 1 || stop > lastSignal {
		return initPlan{}, bad
	}
	rest := fields[3 : len(fields)-1]
	args, err := strconv.Atoi(fields[2])
	if err != nil || args < 1 || args > len(rest) {
		return initPlan{}, bad
	}
	return initPlan{file: fields[1], argv: rest[:args:args], env: rest[args:], stop: syscall.Signal(stop)}, nil
}

// Init starts the program, hands it every signal, reaps all children and gives
// the exit code that Docker would report of the program: its own, or 128 and
// the number of the signal that ended it. The caller exits with it at once.
//
// SIGTERM, which is what the engine stops the runner with, reaches the program
// as its image's STOPSIGNAL. Not handed on are the signals that cannot be
// caught, SIGCHLD, the terminal's SIGTTIN and SIGTTOU, SIGURG (which Go sends
// to itself) and 32 to 34 (which Go leaves to libc). args is os.Args.
func Init(args []string) (code int, err error) {
	// A plan comes from anybody; it must not run on a set-uid bit's privilege.
	if syscall.Getuid() != syscall.Geteuid() {
		return 0, errors.New("the init may not run set-uid")
	}
	plan, err := receivePlan(args)
	if err != nil {
		return 0, err
	}
	// Before the start, so that nothing is missed. One element is enough for
	// SIGCHLD: it says only that there is something to reap.
	children := make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	signals := make(chan os.Signal, 2*lastSignal)
	signal.Notify(signals, forwarded()...)

	program, err := plan.start()
	if err != nil {
		return 0, err
	}
	for {
		select {
		case <-children:
			status, ended, err := reap(program)
			if err != nil {
				return 0, err
			}
			if ended {
				return exitCode(status), nil
			}
		case s := <-signals:
			plan.forward(program, s.(syscall.Signal))
		}
	}
}

// Idle stays as the container's first process and reaps children until it is
// told to stop, by SIGTERM or SIGINT. It returns the exit code of one that the
// signal has ended. Before that it gives up the rights of a set-uid bit.
func Idle() (code int, err error) {
	if err := GiveUpRights(); err != nil {
		return 0, err
	}
	children, stops := make(chan os.Signal, 1), make(chan os.Signal, 1)
	signal.Notify(children, syscall.SIGCHLD)
	signal.Notify(stops, syscall.SIGTERM, syscall.SIGINT)
	for {
		// Those that have ended before the first signal could be caught, too.
		if _, _, err := reap(0); err != nil {
			return 0, err
		}
		select {
		case <-children:
		case s := <-stops:
			return 128 + int(s.(syscall.Signal)), nil
		}
	}
}

// GiveUpRights makes the real ids the only ones of this process.
func GiveUpRights() error {
	uid, gid := os.Getuid(), os.Getgid()
	if !gidsAre(gid) {
		if err := syscall.Setresgid(gid, gid, gid); err != nil {
			return fmt.Errorf("give up root's group: %w", err)
		}
	}
	if !uidsAre(uid) {
		if err := syscall.Setresuid(uid, uid, uid); err != nil {
			return fmt.Errorf("give up root's rights: %w", err)
		}
	}
	return nil
}

func receivePlan(args []string) (initPlan, error) {
	if len(args) != 2 {
		return decodeInitPlan("")
	}
	fd, err := strconv.Atoi(args[1])
	if err != nil || fd < 3 {
		return decodeInitPlan("")
	}
	f := os.NewFile(uintptr(fd), InitName)
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		return initPlan{}, fmt.Errorf("read the init's plan: %w", err)
	}
	return decodeInitPlan(string(content))
}

// forwarded lists the signals to catch. SIGTTIN and SIGTTOU are among them to
// be lost: ignoring them would make the program ignore them too.
func forwarded() []os.Signal {
	var list []os.Signal
	for s := syscall.Signal(1); s <= lastSignal; s++ {
		switch s {
		case syscall.SIGKILL, syscall.SIGSTOP, syscall.SIGCHLD, syscall.SIGURG:
		case 32, 33, 34:
		default:
			list = append(list, s)
		}
	}
	return list
}

// start runs the program in its own process group, which becomes the
// terminal's foreground if the init's is: keys like Ctrl-C reach it once.
func (p initPlan) start() (pid int, err error) {
	attr := &syscall.ProcAttr{
		Env:   p.env,
		Files: []uintptr{0, 1, 2},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	if foreground, err := unix.IoctlGetInt(0, unix.TIOCGPGRP); err == nil && foreground == unix.Getpgrp() {
		attr.Sys.Foreground = true
		attr.Sys.Ctty = 0
	}
	pid, err = syscall.ForkExec(p.file, p.argv, attr)
	if err != nil {
		return 0, startError(p.file, err)
	}
	return pid, nil
}

func (p initPlan) forward(program int, s syscall.Signal) {
	switch s {
	case syscall.SIGTTIN, syscall.SIGTTOU:
		return
	case syscall.SIGTERM:
		s = p.stop
	}
	// A program that took another user cannot be reached; there is nobody to
	// tell, and the engine's SIGKILL still works.
	_ = syscall.Kill(program, s)
}

// reap collects every child that has ended, adopted ones too, and tells
// whether the program was among them.
func reap(program int) (status syscall.WaitStatus, ended bool, err error) {
	for {
		var ws syscall.WaitStatus
		pid, err := syscall.Wait4(-1, &ws, syscall.WNOHANG, nil)
		switch {
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.ECHILD) || err == nil && pid == 0:
			return status, ended, nil
		case err != nil:
			return status, ended, fmt.Errorf("reap: %w", err)
		case pid == program:
			status, ended = ws, true
		}
	}
}

func exitCode(status syscall.WaitStatus) int {
	if status.Signaled() {
		return 128 + int(status.Signal())
	}
	return status.ExitStatus()
}
