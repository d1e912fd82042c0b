// Command probe tells what kind of process a container has made of it. Built
// without cgo, it needs nothing else in its image.
//
//	probe            print a report as one line of JSON
//	probe exit N     exit with this code
//	probe wait       print "ready", await one signal, print its name, exit 40
//	probe cat        print "ready", then copy standard input to standard output
//
// It changes nothing. Signal dispositions are the one thing it cannot tell,
// because a Go program has set its own before main.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

// report is what two runs of one container must agree on. Process numbers
// are not in it, since an init moves them.
type report struct {
	UID, GID   [4]string // real, effective, saved, file system
	Groups     []string
	Umask      string
	Caps       map[string]string
	NoNewPrivs string
	Seccomp    string
	Env        []string // in the order of the process's environment
	Dir        string
	Args       []string
	Executable string
	First      bool // is process 1
	Leader     bool // leads its session
	Nofile     syscall.Rlimit
	Stdio      [3]stream
	Files      []string // what is open beyond standard input, output and error
}

// stream is one of standard input, output and error.
type stream struct {
	Type     string
	Mode     string
	UID, GID uint32
	// Reopens is "ok" or why /proc/self/fd/N cannot be opened again.
	Reopens string
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "probe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 0 {
		return describe()
	}
	switch args[0] {
	case "exit":
		code, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		os.Exit(code)
	case "wait":
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, syscall.SIGTERM, syscall.SIGQUIT, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1, syscall.SIGWINCH)
		fmt.Println("ready")
		fmt.Println("signal:", <-signals)
		os.Exit(40)
	case "cat":
		fmt.Println("ready")
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	}
	return describe()
}

func describe() error {
	// First of all, before anything here opens a file.
	files, err := openFiles()
	if err != nil {
		return err
	}
	r := report{Files: files, Env: os.Environ(), Args: os.Args, First: os.Getpid() == 1}
	if err := r.readStatus(); err != nil {
		return err
	}
	if r.Dir, err = os.Readlink("/proc/self/cwd"); err != nil {
		return err
	}
	if r.Executable, err = os.Readlink("/proc/self/exe"); err != nil {
		return err
	}
	session, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	r.Leader = int(session) == os.Getpid()
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &r.Nofile); err != nil {
		return err
	}
	for fd := range r.Stdio {
		if r.Stdio[fd], err = describeStream(fd); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// openFiles names what the descriptors above 2 stand for. Those of the Go
// runtime's poller are left out.
func openFiles() ([]string, error) {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil {
			return nil, err
		}
		target, err := os.Readlink("/proc/self/fd/" + entry.Name())
		if fd <= 2 || err != nil || strings.HasPrefix(target, "anon_inode:[event") {
			continue // an error is the directory that was listed, closed by now
		}
		files = append(files, target)
	}
	return files, nil
}

func (r *report) readStatus() error {
	status, err := os.Open("/proc/self/status")
	if err != nil {
		return err
	}
	defer status.Close()
	r.Caps = map[string]string{}
	lines := bufio.NewScanner(status)
	for lines.Scan() {
		key, value, _ := strings.Cut(lines.Text(), ":")
		value = strings.TrimSpace(value)
		switch key {
		case "Uid":
			copy(r.UID[:], strings.Fields(value))
		case "Gid":
			copy(r.GID[:], strings.Fields(value))
		case "Groups":
			r.Groups = strings.Fields(value)
		case "Umask":
			r.Umask = value
		case "CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb":
			r.Caps[key] = value
		case "NoNewPrivs":
			r.NoNewPrivs = value
		case "Seccomp":
			r.Seccomp = value
		}
	}
	return lines.Err()
}

func describeStream(fd int) (stream, error) {
	var st syscall.Stat_t
	if err := syscall.Fstat(fd, &st); err != nil {
		return stream{}, fmt.Errorf("descriptor %d: %w", fd, err)
	}
	target, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		return stream{}, err
	}
	// pipe:[123] is a pipe whatever its number.
	kind, _, _ := strings.Cut(target, ":[")
	s := stream{Type: kind, Mode: fmt.Sprintf("%o", st.Mode), UID: st.Uid, GID: st.Gid, Reopens: "ok"}
	flag := os.O_WRONLY
	if fd == 0 {
		flag = os.O_RDONLY
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", fd), flag|syscall.O_NONBLOCK, 0)
	if err != nil {
		s.Reopens = err.Error()
		return s, nil
	}
	return s, again.Close()
}
