package applet

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/clipperregistry/runner/runnerimage/layout"
	"github.com/clipperregistry/runner/runnerimage/state"
)

// A step of a job may start its shell before the image is laid out that the
// shell is in. The names below then wait for it, and become what the image has
// under that name.

// shell is sh: the image's after a layout, the built-in one where there was
// none to wait for, or where the image has none.
func shell(ctx context.Context, s Streams, args []string) error {
	told := s
	if asks(args) {
		told.Err = io.Discard
	}
	status, err := await(ctx, told)
	if err != nil {
		return err
	}
	if status.Phase == layout.Done {
		if err := become("sh", args); err != nil {
			return err
		}
	}
	if status.Phase == layout.Failed || status.Phase == layout.NeedsToken || status.Phase == layout.Interrupted {
		fmt.Fprintf(told.Err, "clipper-runner: %s\n", status.Hint())
	}
	return builtInShell(ctx, s, args)
}

// asks says that a shell has its script from -c. It is not a person who calls
// it so, whose steps are files, but GitHub's runner with a question and its
// hooks for Kubernetes with a copy. They take for the answer, or for an error,
// whatever else is said.
func asks(args []string) bool {
	for _, arg := range args {
		if len(arg) < 2 || arg[0] != '-' || arg == "--" {
			return false
		}
		if strings.Contains(arg, "c") {
			return true
		}
	}
	return false
}

// interpreter makes the command of a shell that is not built in.
func interpreter(name string) command {
	return func(ctx context.Context, s Streams, args []string) error {
		status, err := await(ctx, s)
		if err != nil {
			return err
		}
		if status.Phase == layout.None {
			// Outside of jobs nobody waits, and nobody says how it ended.
			if before, err := state.Load(statePath); err == nil && before.Phase == state.Done {
				status.Phase = layout.Done
			}
		}
		hint := status.Hint()
		if status.Phase == layout.Done {
			if err := become(name, args); err != nil {
				return err
			}
			hint = "the image has no program of this name"
		}
		fmt.Fprintf(s.Err, "%s: not found: %s\n", name, hint)
		return exitCode(127)
	}
}

// await waits for a layout that is under way.
func await(ctx context.Context, s Streams) (layout.Status, error) {
	status, err := layout.Look(layout.Path)
	if err != nil || status.Phase != layout.Running && !layout.Expected(layout.Path) {
		return status, err
	}
	fmt.Fprintln(s.Err, "clipper-runner: waiting until the image is laid out")
	return layout.Wait(ctx, layout.Path)
}

// become executes the program called name of the first directory of PATH that
// has one, other than the applets'. It returns nil where there is none.
func become(name string, args []string) error {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 || isApplet(file) {
			continue
		}
		err := syscall.Exec(file, append([]string{name}, args...), os.Environ())
		return fmt.Errorf("%s: %w", file, err)
	}
	return nil
}

// isApplet reports whether a file is this program, by whatever name.
func isApplet(file string) bool {
	real, err := filepath.EvalSymlinks(file)
	return err == nil && strings.HasPrefix(real, filepath.Dir(Dir)+"/")
}
