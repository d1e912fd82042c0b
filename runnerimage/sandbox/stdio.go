package sandbox

import (
	"errors"
	"io"
	"os"
	"os/signal"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// stdio are the program's standard files and what stands behind them.
type stdio struct {
	files [3]*os.File
	// ours are the ends of pipes that only the program's side keeps open.
	ours    []*os.File
	outputs sync.WaitGroup

	// terminal is the number of the standard file that is the controlling
	// terminal with this process in its foreground, or -1.
	terminal int
	tty      *os.File
	// owners are the terminals' owners, which the program may change.
	owners map[*os.File]uint32
}

func newStdio(spec Spec) (*stdio, error) {
	s := &stdio{terminal: -1, owners: map[*os.File]uint32{}}
	for n, given := range []*os.File{spec.Stdin, spec.Stdout, spec.Stderr} {
		if err := s.add(n, given); err != nil {
			s.started()
			return nil, err
		}
	}
	return s, nil
}

// add makes the standard file n.
func (s *stdio) add(n int, given *os.File) error {
	if given == nil {
		return nil // exec.Cmd opens /dev/null
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(given.Fd()), &st); err != nil {
		return nil // closed, as far as the program is concerned: /dev/null
	}
	if isNull(&st) {
		return nil
	}
	if foreground, err := unix.IoctlGetInt(int(given.Fd()), unix.TIOCGPGRP); err == nil {
		s.files[n] = given
		s.owners[given] = st.Uid
		if s.terminal < 0 && foreground == unix.Getpgrp() {
			s.terminal, s.tty = n, given
		}
		return nil
	}
	if isTerminal(given) {
		s.files[n] = given // another session's, which has no foreground for us
		s.owners[given] = st.Uid
		return nil
	}
	read, write, err := os.Pipe()
	if err != nil {
		return err
	}
	if n == 0 {
		s.files[0] = read
		s.ours = append(s.ours, read)
		go func() {
			defer write.Close()
			_, _ = io.Copy(write, given) // a program need not read to the end
		}()
		return nil
	}
	s.files[n] = write
	s.ours = append(s.ours, write)
	s.outputs.Go(func() {
		defer read.Close()
		if _, err := io.Copy(given, read); err != nil {
			_, _ = io.Copy(io.Discard, read) // the program is not to blame, and goes on
		}
	})
	return nil
}

func isNull(st *unix.Stat_t) bool {
	return st.Mode&unix.S_IFMT == unix.S_IFCHR && st.Rdev == unix.Mkdev(1, 3)
}

func isTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// started closes what only the program needs.
func (s *stdio) started() {
	for _, f := range s.ours {
		f.Close()
	}
	s.ours = nil
}

// drain waits until all output is written.
func (s *stdio) drain() { s.outputs.Wait() }

// restore gives the terminal back to this process and its owner.
func (s *stdio) restore() {
	for f, owner := range s.owners {
		var st unix.Stat_t
		if unix.Fstat(int(f.Fd()), &st) == nil && st.Uid != owner {
			_ = unix.Fchown(int(f.Fd()), int(owner), -1)
		}
	}
	if s.tty != nil {
		_ = takeTerminal(int(s.tty.Fd()), unix.Getpgrp())
	}
}

// takeTerminal makes group the foreground of the terminal. The kernel stops
// who does that from the background, unless SIGTTOU is ignored.
func takeTerminal(fd, group int) error {
	signal.Ignore(syscall.SIGTTOU)
	defer signal.Reset(syscall.SIGTTOU)
	err := unix.IoctlSetPointerInt(fd, unix.TIOCSPGRP, group)
	if errors.Is(err, unix.ENOTTY) {
		return nil // no longer our terminal
	}
	return err
}
