// Package process turns an image's config into the process that Docker would
// have started, and becomes it.
//
// In comes a [Config] (what the image says) and [Overrides] (what the person
// and the engine said). [Resolve] reads passwd and group of the tree that was
// laid out and gives a [Plan]: argv, environment, directory, ids, capabilities.
// It changes nothing. [Plan.Become] then acts once: it takes the steps in the
// order of runc and ends in execve. Where the image's STOPSIGNAL has to be
// translated it first executes itself again as a small init ([Init]), so that
// neither the environment nor the memory of PID 1 holds the runner's secrets.
//
// Promised: when the program runs, nothing of the runner's privileges, open
// files or signal settings is left, or Become has returned an error instead.
// The room knows no registry, no image format and no other room.
package process

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"syscall"
)

// Sentinels of the errors that Resolve, Become and Init return.
var (
	// ErrSettings says that two settings contradict each other or that one
	// cannot be read.
	ErrSettings = errors.New("bad settings")
	// ErrImage says that the image cannot run here.
	ErrImage = errors.New("the image cannot run here")
	// ErrUser says that the user or group is unknown or cannot be had here.
	// It is an ErrImage.
	ErrUser = fmt.Errorf("%w: user", ErrImage)
	// ErrNoCommand says that there is nothing to start. It is an ErrImage.
	ErrNoCommand = fmt.Errorf("%w: no command", ErrImage)
	// ErrNotFound says that the program does not exist (exit code 127).
	ErrNotFound = errors.New("command not found")
	// ErrNotExecutable says that the program is there and cannot be executed
	// (exit code 126).
	ErrNotExecutable = errors.New("command cannot be executed")
)

// Config is what the image says about its process.
type Config struct {
	// Env holds KEY=VALUE.
	Env []string
	// User is "", user, uid, user:group, uid:gid, user:gid or uid:group.
	User       string
	WorkingDir string
	Entrypoint []string
	Cmd        []string
	// Volumes are directories that must be there, even where nothing is
	// mounted.
	Volumes []string
	// StopSignal is a name with or without SIG, or a number. Empty or
	// unreadable means SIGTERM, as for Docker.
	StopSignal string
}

// InitMode says whether the runner stays as the parent of the program.
type InitMode uint8

const (
	// InitAuto stays only when the image's stop signal is not SIGTERM, which
	// is what the engine sends.
	InitAuto InitMode = iota
	InitAlways
	InitNever
)

// Overrides is what the person and the engine said about the process.
type Overrides struct {
	// Args replaces the image's CMD unless it is empty.
	Args []string
	// Entrypoint replaces the image's ENTRYPOINT and drops its CMD if
	// EntrypointSet. A nil Entrypoint then leaves Args alone as the command.
	Entrypoint    []string
	EntrypointSet bool
	// User and WorkDir replace the image's unless they are empty.
	User    string
	WorkDir string
	// CapDrop names capabilities, with or without CAP_, or ALL.
	CapDrop []string
	Init    InitMode

	// Env is the environment the container gave, in its order ([GivenEnv]).
	Env []string
	// Own names the variables of Env that are the runner's own settings. They
	// are removed from Env; an image's ENV of the same name is the program's.
	Own []string
	// Hostname tells an engine's HOSTNAME from a person's.
	Hostname string

	// Started holds the real ids the engine started the container with, as
	// [Held] tells them. Other ids than 0:0 come from --user.
	Started IDs
	// LaidOut says that the engine started this process when the image was in
	// place already, as on a restart and for `docker exec`. Its own additions
	// then come from the image's passwd and group: the HOME and the groups that
	// these give the user of Started are the engine's doing, nobody's wish.
	LaidOut bool
	// Unprivileged says that the effective user is not root: the program gets
	// the ids of Started, for no others can be had. So it is when a container
	// with --user is started again, or under no-new-privileges.
	Unprivileged bool
}

// IDs are the ids of a process. Groups may or may not repeat GID.
type IDs struct {
	UID, GID int
	Groups   []int
}

// Plan is the process to become.
type Plan struct {
	// Argv has at least one element. Its first is looked up by Become, in the
	// PATH of Env, as the final user and from Dir.
	Argv []string
	Env  []string
	// Dir and Volumes are absolute and clean. Become creates what is missing.
	Dir     string
	Volumes []string
	IDs
	CapDrop Capabilities
	// Init says to stay as the program's parent and to send it StopSignal
	// where the engine sends SIGTERM.
	Init       bool
	StopSignal syscall.Signal
}

// Resolve settles what the process is. root is the directory that holds the
// image's tree, "/" inside the container.
func Resolve(root string, c Config, o Overrides) (*Plan, error) {
	argv, err := command(c, o)
	if err != nil {
		return nil, err
	}
	dir, err := workingDir(c, o)
	if err != nil {
		return nil, err
	}
	drop, err := ParseCapabilities(o.CapDrop)
	if err != nil {
		return nil, err
	}
	if o.LaidOut {
		o = withoutEngine(root, o)
	}
	ids, err := settleIDs(root, c, o)
	if err != nil {
		return nil, err
	}
	env := Environment(c.Env, o, home(root, ids.UID))
	for _, s := range slices.Concat(argv, env, c.Volumes, []string{dir}) {
		if strings.ContainsRune(s, 0) {
			return nil, fmt.Errorf("%w: %q contains a NUL byte", ErrImage, s)
		}
	}
	var volumes []string
	for _, volume := range c.Volumes {
		volumes = append(volumes, path.Clean("/"+volume))
	}
	stop := stopSignal(c.StopSignal)
	return &Plan{
		Argv:       argv,
		Env:        env,
		Dir:        dir,
		Volumes:    volumes,
		IDs:        ids,
		CapDrop:    drop,
		Init:       o.Init == InitAlways || o.Init == InitAuto && stop != syscall.SIGTERM,
		StopSignal: stop,
	}, nil
}

// workingDir cleans the path by its words, before any symlink is looked at,
// as Docker does. A relative WORKDIR of an image starts at the root.
func workingDir(c Config, o Overrides) (string, error) {
	if o.WorkDir != "" {
		if !path.IsAbs(o.WorkDir) {
			return "", fmt.Errorf("%w: working directory %q is not absolute; start it with /", ErrSettings, o.WorkDir)
		}
		return path.Clean(o.WorkDir), nil
	}
	return path.Clean("/" + c.WorkingDir), nil
}
