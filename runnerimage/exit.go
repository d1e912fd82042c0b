package runnerimage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"syscall"

	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
	"github.com/clipperregistry/runner/runnerimage/store"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// The exit codes of the runner itself. A program that started reports its
// own.
const (
	ExitInternal      = 80  // a defect of the runner, or of its machine
	ExitDenied        = 81  // credentials refused; without any: missing or private
	ExitNotFound      = 82  // no such image, or not in the store where nobody may be asked
	ExitNoPlatform    = 83  // the image has no build for this platform
	ExitNoSpace       = 84  // the disk is full
	ExitNetwork       = 85  // the registry cannot be reached
	ExitMismatch      = 86  // bytes are not what their digest says
	ExitSettings      = 87  // a setting is missing or wrong
	ExitCannotRun     = 88  // the image cannot run here: user, format, limits
	ExitInterrupted   = 89  // a signal came before the program started
	ExitNotExecutable = 126 // the program is there and cannot be executed
	ExitNoProgram     = 127 // the program is not in the image
)

// exits maps what the stations return to exit codes. The first match counts,
// so the more particular come first.
var exits = []struct {
	err  error
	code int
}{
	{context.Canceled, ExitInterrupted},
	{ErrSettings, ExitSettings},
	{credentials.ErrSettings, ExitSettings},
	{process.ErrSettings, ExitSettings},
	{registry.ErrInsecure, ExitSettings},
	{registry.ErrDenied, ExitDenied},
	{credentials.ErrRefused, ExitDenied},
	{registry.ErrNotFound, ExitNotFound},
	{registry.ErrNotStored, ExitNotFound},
	{pull.ErrNotStored, ExitNotFound},
	{oci.ErrNoPlatform, ExitNoPlatform},
	{rootfs.ErrNoSpace, ExitNoSpace},
	{store.ErrNoSpace, ExitNoSpace},
	{registry.ErrMismatch, ExitMismatch},
	{registry.ErrUnreachable, ExitNetwork},
	{registry.ErrTooLarge, ExitCannotRun},
	{registry.ErrUnsupported, ExitCannotRun},
	{rootfs.ErrReadOnly, ExitCannotRun},
	{store.ErrVersion, ExitCannotRun},
	{store.ErrReadOnly, ExitCannotRun},
	{layer.ErrFormat, ExitCannotRun},
	{layer.ErrEntry, ExitCannotRun},
	{layer.ErrTooMany, ExitCannotRun},
	{toc.ErrTooMany, ExitCannotRun},
	{toc.ErrEntry, ExitCannotRun},
	{ErrCannotRun, ExitCannotRun},
	{process.ErrImage, ExitCannotRun},
	{process.ErrNotFound, ExitNoProgram},
	{process.ErrNotExecutable, ExitNotExecutable},
	{syscall.ENOSPC, ExitNoSpace}, // for the runner's own files
}

// ExitCode is the exit code that tells err.
func ExitCode(err error) int {
	for _, exit := range exits {
		if errors.Is(err, exit.err) {
			return exit.code
		}
	}
	return ExitInternal
}

// ErrCannotRun says that this container lacks what the runner needs.
var ErrCannotRun = errors.New("the image cannot run here")

// Fail writes the one line on w that says why no program runs, and returns
// the exit code.
func Fail(w io.Writer, format LogFormat, err error) int {
	code := ExitCode(err)
	if format == LogJSON {
		line, _ := json.Marshal(map[string]any{"level": "error", "msg": err.Error(), "exit_code": code})
		fmt.Fprintln(w, string(line))
	} else {
		fmt.Fprintf(w, "clipper-runner: error: %v (exit code %d)\n", err, code)
	}
	return code
}
