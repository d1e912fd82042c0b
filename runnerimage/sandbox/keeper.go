package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// The names by which this executable knows what it was started as.
const (
	// unmappedName waits until its user namespace has users: only an execve
	// after that makes it root there.
	unmappedName = "clipper-sandbox-unmapped"
	keeperName   = "clipper-sandbox-keeper"
	insideName   = "clipper-sandbox-inside"
)

const ownExecutable = "/proc/self/exe"

// Hooks are what a sandbox does for its caller. Both return an exit code.
type Hooks struct {
	// Start runs as process 1 of the sandbox, on the thread that it was
	// entered with. It fills the root directory and becomes the program.
	Start func(*World) int
	// Fail tells why Start was never called, or why something was left
	// behind. payload is nil where not even that could be read.
	Fail func(payload []byte, err error) int
}

// Entered reports whether this process is a part of a sandbox. args is os.Args.
func Entered(args []string) bool {
	switch args[0] {
	case unmappedName, keeperName, insideName:
		return true
	}
	return false
}

// Enter is the life of a process for which Entered holds. main calls it before
// anything else and exits with its code.
func Enter(args []string, hooks Hooks) int {
	runtime.LockOSThread() // mounts, keys and signals at death hang on it
	// One File for the descriptor: the collector closes that of another that
	// nobody uses any more.
	var control *os.File
	if args[0] != insideName {
		control = os.NewFile(controlFile, "control")
		if _, err := io.ReadFull(control, make([]byte, 1)); err != nil {
			return 1 // the caller has given up, and says why
		}
		if args[0] == unmappedName {
			err := syscall.Exec(ownExecutable, []string{keeperName}, os.Environ())
			runtime.KeepAlive(control)
			return hooks.Fail(nil, fmt.Errorf("start the sandbox: %w", err))
		}
	}
	memory := os.NewFile(ordersFile, "orders")
	unix.CloseOnExec(ordersFile)
	o, err := readOrders(memory)
	if err != nil {
		return hooks.Fail(nil, err)
	}
	if args[0] == insideName {
		memory.Close()
		w, err := enter(o)
		if err != nil {
			return hooks.Fail(o.Payload, err)
		}
		return hooks.Start(w)
	}
	code, err := keep(o, memory, control)
	if err != nil {
		failed := hooks.Fail(o.Payload, err)
		if code == 0 {
			code = failed
		}
	}
	return code
}

func readOrders(memory *os.File) (o orders, err error) {
	data, err := io.ReadAll(io.NewSectionReader(memory, 0, 1<<30))
	if err == nil {
		err = json.Unmarshal(data, &o)
	}
	if err != nil {
		return o, fmt.Errorf("read what the sandbox is to be: %w", err)
	}
	return o, nil
}

// keep runs the process inside and removes what it leaves.
func keep(o orders, memory, control *os.File) (code int, err error) {
	unix.CloseOnExec(controlFile)
	unix.CloseOnExec(controlFile + 1) // the lock, held as long as this process lives
	// Whatever comes is meant for the program, and reaches it through control.
	// Catching is not ignoring: that the program would inherit.
	signal.Notify(make(chan os.Signal, 1), append(Signals(), syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGPIPE)...)
	defer func() {
		if e := removeHome(o.Home); e != nil {
			err = errors.Join(err, fmt.Errorf("remove the sandbox's directory: %w", e))
		}
	}()

	cmd := exec.Command(ownExecutable)
	cmd.Args = []string{insideName}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{memory}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC,
		Pdeathsig:  syscall.SIGKILL,
		Setpgid:    true,
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("%w: make namespaces: %w; in a container this needs the capability SYS_ADMIN (docker run --privileged)", ErrRefused, err)
	}
	memory.Close()
	go obey(control, cmd.Process)
	swept := make(chan error, 1)
	go func() { swept <- sweep(filepath.Dir(o.Home)) }()

	err = cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
	}
	if e := <-swept; e != nil {
		err = errors.Join(err, fmt.Errorf("remove what an earlier sandbox left: %w", e))
	}
	return exitCode(cmd.ProcessState), err
}

// obey sends the program the signals that control names, and kills it when
// nobody holds the other end any more.
func obey(control io.Reader, program *os.Process) {
	var number [1]byte
	for {
		if _, err := io.ReadFull(control, number[:]); err != nil {
			_ = program.Kill() // or it has ended already
			return
		}
		_ = program.Signal(syscall.Signal(number[0]))
	}
}
