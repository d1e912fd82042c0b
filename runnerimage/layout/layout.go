// Package layout lets the processes of one container agree on its layout: one
// of them lays the image out, the others wait for it, and nobody starts a
// program of a tree that is half there.
//
// In comes the path of one small file in the runner's own directory, out goes
// a Status: nothing is going on, or somebody is at work, or how it ended. The
// process that works holds a lock of the file (flock), so its death, by
// whatever signal, is known at once to all who wait. What a container must
// remember of its tree is kept by package state; this file says only what its
// processes may do now.
//
// Promised: at most one process has the Turn; a status is seen whole. Anybody
// in the container may look and wait; only root can take the Turn.
//
// The dynamic loader that stands in for the image's is a few system calls
// around this package, so it must stay small: no fmt, no JSON.
package layout

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Path is where the file is in a container.
const Path = "/.clipper-runner/layout"

// In is where the file is in a container whose root directory is root.
func In(root string) string { return filepath.Join(root, Path) }

// Init is what a job calls to have its image laid out.
const Init = "/.clipper-runner/github-init"

// Interpreters are the names, beside sh, by which steps call their shell. Only
// while there is no image does the bare one have something under them.
func Interpreters() []string { return []string{"bash", "python", "python3", "pwsh"} }

// Phase says what stands in the container's root.
type Phase string

const (
	// None: nobody has begun.
	None Phase = "none"
	// Running: somebody is at work.
	Running Phase = "running"
	// Interrupted: somebody was at work and is gone.
	Interrupted Phase = "interrupted"
	// Done: the image stands.
	Done Phase = "done"
	// NeedsToken: the image can be pulled only with what a step of the job
	// has, and its container does not.
	NeedsToken Phase = "token"
	// Failed: it ended with an error.
	Failed Phase = "failed"
)

// Status is a phase and what there is to say of it: the image while Running
// and when Done, the reason of NeedsToken and Failed.
type Status struct {
	Phase   Phase
	Message string
}

// interval is how often a lock that somebody else holds is tried.
const interval = 10 * time.Millisecond

// maxFile bounds what is read of the file. A longer message is cut.
const maxFile = 4 << 10

// Look tells the status without waiting.
func Look(path string) (Status, error) {
	f, err := open(path, os.O_RDONLY)
	if errors.Is(err, os.ErrNotExist) {
		return Status{Phase: None}, nil
	}
	if err != nil {
		return Status{}, err
	}
	defer f.Close()
	err = flock(f, syscall.LOCK_SH|syscall.LOCK_NB)
	busy := errors.Is(err, syscall.EWOULDBLOCK)
	if err != nil && !busy {
		return Status{}, err
	}
	s, err := read(f)
	switch {
	case busy && s.Phase == Running:
		return s, nil
	case busy: // it may be written at this moment
		return Status{Phase: Running}, nil
	case s.Phase == Running:
		s.Phase = Interrupted
	}
	return s, err
}

// Wait waits while the phase is Running, and tells the status then. It waits
// also for a container's first process that is about to begin.
func Wait(ctx context.Context, path string) (Status, error) {
	ticks := time.NewTicker(interval)
	defer ticks.Stop()
	for start := time.Now(); ; {
		s, err := Look(path)
		if err != nil || s.Phase != Running && !(s.Phase == None && time.Since(start) < patience && Expected(path)) {
			return s, err
		}
		select {
		case <-ticks.C:
		case <-ctx.Done():
			return s, ctx.Err()
		}
	}
}

// patience is how long somebody waits for the container's first process to
// say what it will do.
const patience = 10 * time.Second

// Expected says that the container's first process is the one that GitHub
// starts a job's container with, and has not got as far as the file yet:
// `tail -f /dev/null`, or a small init with that as its program. Once it has
// said what it can, it goes by other arguments. Where package state's file is
// and this one is not, the runner was started as itself, and that is the
// program it has become.
func Expected(path string) bool {
	for _, file := range []string{path, filepath.Join(filepath.Dir(path), "state.json")} {
		if _, err := os.Lstat(file); err == nil {
			return false
		}
	}
	line, err := os.ReadFile("/proc/1/cmdline")
	return err == nil && strings.HasSuffix("\x00"+string(line), "\x00tail\x00-f\x00/dev/null\x00")
}

// Hint says in one line why no program of the image can be started, and what
// to do; "" when it can.
func (s Status) Hint() string {
	switch s.Phase {
	case Done:
		return ""
	case Running:
		return "the image is being laid out"
	case Interrupted:
		return "the layout of the image was interrupted: run " + Init + " to lay it out"
	case NeedsToken:
		return "the image is not laid out, because it needs a token of a step (" + s.Message + "): run " + Init + " first"
	case Failed:
		return "the image could not be laid out (" + s.Message + "): run " + Init + " to try again"
	}
	return "no image is laid out: run " + Init + " first"
}

// open opens the file as nobody's symlink.
func open(path string, flag int) (*os.File, error) {
	return os.OpenFile(path, flag|syscall.O_NOFOLLOW, 0o644)
}

// flock is flock(2), which a signal may interrupt.
func flock(f *os.File, how int) error {
	for {
		if err := syscall.Flock(int(f.Fd()), how); !errors.Is(err, syscall.EINTR) {
			return err
		}
	}
}
