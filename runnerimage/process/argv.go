package process

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// command is ENTRYPOINT followed by CMD. Args replace CMD only; another
// ENTRYPOINT drops CMD. An ENTRYPOINT of one empty string counts as none.
func command(c Config, o Overrides) ([]string, error) {
	entrypoint, cmd := c.Entrypoint, c.Cmd
	if o.EntrypointSet {
		entrypoint, cmd = o.Entrypoint, nil
	}
	if len(o.Args) > 0 {
		cmd = o.Args
	}
	if len(entrypoint) == 1 && entrypoint[0] == "" {
		entrypoint = nil
	}
	argv := slices.Concat(entrypoint, cmd)
	if len(argv) == 0 {
		return nil, fmt.Errorf("%w: it has neither ENTRYPOINT nor CMD; give a command as arguments", ErrNoCommand)
	}
	return argv, nil
}

// HealthCommand gives the argv of an image's HEALTHCHECK, nil if there is
// none. shell is the image's SHELL, which CMD-SHELL runs in; without it that
// is /bin/sh -c.
func HealthCommand(test, shell []string) []string {
	if len(test) < 2 {
		return nil
	}
	switch test[0] {
	case "CMD":
		return slices.Clone(test[1:])
	case "CMD-SHELL":
		if len(shell) == 0 {
			shell = []string{"/bin/sh", "-c"}
		}
		return slices.Concat(shell, test[1:])
	default: // NONE, and words that Docker does not know either.
		return nil
	}
}

// lookPath finds the program as the current user from the current directory.
// As in Docker a name with a slash is not searched, and a file in PATH that
// may not be executed is passed over.
func lookPath(name string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		if err := executable(name); err != nil {
			return "", startError(name, err)
		}
		return name, nil
	}
	if name != "" {
		search, _ := lookupEnv(env, "PATH")
		for dir := range strings.SplitSeq(search, ":") {
			if dir == "" {
				dir = "."
			}
			// Not path.Join: "." must stay, or the program's name loses its slash.
			if file := strings.TrimSuffix(dir, "/") + "/" + name; executable(file) == nil {
				return file, nil
			}
		}
	}
	return "", fmt.Errorf("%w: %q: executable file not found in $PATH", ErrNotFound, name)
}

func executable(file string) error {
	info, err := os.Stat(file)
	switch {
	case err != nil:
		return err
	case info.IsDir():
		return syscall.EISDIR
	case info.Mode()&0o111 == 0:
		return fs.ErrPermission
	}
	// A kernel or seccomp profile without faccessat2 leaves it to execve.
	err = unix.Faccessat(unix.AT_FDCWD, file, unix.X_OK, unix.AT_EACCESS)
	if errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EPERM) {
		return nil
	}
	return err
}

// startError tells apart, for a program that could not be started, the two
// cases that shells and Docker tell apart.
func startError(file string, err error) error {
	var pathError *fs.PathError
	if errors.As(err, &pathError) {
		err = pathError.Err
	}
	if !errors.Is(err, syscall.ENOENT) {
		if errors.Is(err, syscall.ENOEXEC) {
			return fmt.Errorf("%w: %q: %w; it is made for another platform, or a script without a #! line", ErrNotExecutable, file, err)
		}
		return fmt.Errorf("%w: %q: %w", ErrNotExecutable, file, err)
	}
	if executable(file) == nil {
		return fmt.Errorf("%w: %q: %w; the file is there, its loader or #! interpreter is not", ErrNotFound, file, err)
	}
	return fmt.Errorf("%w: %q: %w", ErrNotFound, file, err)
}
