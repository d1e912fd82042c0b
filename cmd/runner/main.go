// Command runner is the entrypoint of the runner image: it becomes the image
// that CLIPPER_MAGIC_IMAGE names and runs its program. In the container of a
// GitHub job it has two other names (job.go): tail, the container's first
// process, and github-init, a step.
//
// It has no flags. Arguments replace the image's CMD; every variable it reads
// is listed in runnerimage.Usage, which it prints when no image is named, and
// may stand in /.clipper-runner/runner.env too. Without an image, the one
// argument --version prints the version.
//
// The file carries the set-uid bit, so that a container that was started with
// --user can lay out its image; the bit is given up before any program of the
// image can run.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
	"golang.org/x/term"
)

// version is set when a release is linked.
var version = "dev"

// collectAt is the percentage of garbage at which the collector runs. Little
// of the heap lives long, and a runner must fit into a small task's memory
// beside the page cache that its writes need.
const collectAt = 50

// collectFrom is how much memory the runtime may take before the collector
// runs as often as it must, which the runtime lets cost half of the processor
// time at most. No image of up to 500,000 paths needs as much; it keeps garbage
// from piling up beside a large heap.
const collectFrom = 96 << 20

func init() {
	// A program executed by any other thread than the first is seen as a
	// zombie for a moment, and an engine then refuses to signal it.
	runtime.LockOSThread()
}

func main() {
	if os.Args[0] == process.InitName {
		os.Exit(stayAsInit())
	}
	debug.SetGCPercent(collectAt)
	debug.SetMemoryLimit(collectFrom)
	environ, err := process.GivenEnv()
	if err != nil {
		os.Exit(fail(runnerimage.LogText, err))
	}
	switch filepath.Base(os.Args[0]) {
	case tailName:
		os.Exit(tail(os.Args[1:], environ))
	case initName:
		os.Exit(githubInit(os.Args[1:], environ))
	}
	os.Exit(run(os.Args[1:], environ))
}

func run(args, environ []string) int {
	home := filepath.Join("/", runnerimage.Home)
	settings, err := readSettings(filepath.Join(home, "runner.env"), environ)
	switch {
	case errors.Is(err, runnerimage.ErrNoImage) && slices.Equal(args, []string{"--version"}):
		fmt.Println("clipper-runner", version)
		return 0
	case errors.Is(err, runnerimage.ErrNoImage):
		fmt.Fprint(os.Stderr, runnerimage.Usage)
	}
	ctx, stop := untilStopped()
	defer stop()
	if err == nil {
		err = become(ctx, home, settings, args, environ)
	}
	code := fail(settings.Log, err)
	runnerimage.Backoff(ctx, runnerimage.Config{Settings: settings, Root: "/", Environ: environ, Log: os.Stderr}, code)
	return code
}

// become lays the image out and becomes its program, a stop signal permitting.
// It only returns when it fails.
func become(ctx context.Context, home string, settings runnerimage.Settings, args, environ []string) error {
	plan, err := lay(ctx, home, settings, args, environ)
	if err != nil {
		return err
	}
	if ctx.Err() != nil { // the program would not hear of a signal that came before it
		return ctx.Err()
	}
	return plan.Become()
}

// lay lays the image out and gives up the rights that only that needed.
func lay(ctx context.Context, home string, settings runnerimage.Settings, args, environ []string) (*process.Plan, error) {
	image, err := readDescription(filepath.Join(home, "image.json"))
	if err != nil {
		return nil, err
	}
	dir, err := os.Getwd()
	if err != nil {
		return nil, err
	}
	plan, err := runnerimage.Run(ctx, runnerimage.Config{
		Settings: settings, Root: "/", Bare: image.Bare, BareLinks: image.Links, Args: args, Environ: environ, Dir: dir,
		Files: userFS{}, Log: os.Stderr, Terminal: term.IsTerminal(2),
		UserAgent: "clipper-runner/" + version,
	})
	if err != nil {
		return nil, err
	}
	return plan, process.GiveUpSetuid(filepath.Join(home, "runner"))
}

// untilStopped is the context that a stop signal ends. The kernel does not
// deliver a signal to PID 1 that it has no handler for.
func untilStopped() (context.Context, context.CancelFunc) {
	return signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
}

// stayAsInit is the second life of a runner that stays as PID 1, after it
// executed itself again with neither settings nor environment.
func stayAsInit() int {
	code, err := process.Init(os.Args)
	if err != nil {
		return fail(runnerimage.LogText, err)
	}
	return code
}

// fail says why no program runs any more and returns the exit code.
func fail(format runnerimage.LogFormat, err error) int {
	return runnerimage.Fail(os.Stderr, format, err)
}

// readSettings reads the settings of environ and of the file that a derived
// image may have.
func readSettings(path string, environ []string) (runnerimage.Settings, error) {
	var file io.Reader
	f, err := os.Open(path)
	switch {
	case err == nil:
		defer f.Close()
		file = f
	case !errors.Is(err, fs.ErrNotExist):
		return runnerimage.Settings{}, fmt.Errorf("%w: %w", runnerimage.ErrSettings, err)
	}
	return runnerimage.ParseSettings(environ, file)
}

// description is what the runner image says of the paths that it has itself.
type description struct {
	Bare    []string          `json:"bare"`
	Links   map[string]string `json:"links"`
	Waiters []rootfs.Link     `json:"waiters"`
}

func readDescription(path string) (image description, err error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return image, fmt.Errorf("this is not the runner image, and the runner replaces the root directory it runs in: %w", err)
	}
	if err := json.Unmarshal(data, &image); err != nil {
		return image, fmt.Errorf("%s: %w", path, err)
	}
	return image, nil
}

// userFS is the root directory read with the real ids: whoever starts a
// set-uid file may have it read only what they could read themselves.
type userFS struct{}

func (userFS) Open(name string) (fs.File, error) {
	defer asUser()()
	return os.DirFS("/").Open(name)
}

// asUser takes the real ids for file accesses until the function returned is
// called.
func asUser() (done func()) {
	if os.Getuid() == os.Geteuid() {
		return func() {}
	}
	assumeFSIDs(os.Getuid(), os.Getgid())
	return func() { assumeFSIDs(os.Geteuid(), os.Getegid()) }
}

// assumeFSIDs sets the ids that this thread's file accesses are checked with.
// main is locked to its thread, and everything that is opened with the user's
// is opened from it.
func assumeFSIDs(uid, gid int) {
	syscall.Setfsgid(gid)
	syscall.Setfsuid(uid)
}
