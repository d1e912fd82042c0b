package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/sandbox"
	"golang.org/x/term"
)

type runCommand struct {
	pullFlags
	programFlags
	Log   string `placeholder:"FORMAT" help:"Reports on standard error: text, json or quiet."`
	Store string `placeholder:"DIR|none" help:"What keeps content for the next run; default: CLIPPER_STORE, else store below --root."`
	rootFlag

	Image string   `arg:"" help:"Image to run."`
	Args  []string `arg:"" optional:"" passthrough:"" name:"cmd" help:"Replaces the image's command."`
}

// programFlags say how the program runs.
type programFlags struct {
	Env        []string `short:"e" sep:"none" placeholder:"NAME[=VALUE]" help:"Variable of the program; without a value, the one it has here."`
	Volume     []string `short:"v" sep:"none" placeholder:"SRC:DST[:ro]" help:"File, directory or named volume SRC to show at DST."`
	Workdir    string   `short:"w" placeholder:"DIR" help:"Directory to start in; default: the image's."`
	User       string   `short:"u" placeholder:"USER[:GROUP]" help:"User to run as; default: the image's."`
	Entrypoint *string  `placeholder:"PROGRAM" help:"Replaces the image's entrypoint; a JSON array may hold arguments."`
	Hostname   string   `placeholder:"NAME" help:"Host name; default: this machine's."`
	Network    string   `enum:"host,none" default:"host" placeholder:"host|none" help:"This machine's network (host), or none once the image is pulled."`
}

type rootFlag struct {
	Root path `placeholder:"DIR" help:"Where root directories, named volumes and the store are; default: clipper-runner in the user's cache."`
}

// job is what the process inside the sandbox is told.
type job struct {
	Settings []string
	Environ  []string
	Args     []string
	Log      runnerimage.LogFormat
	// Probe is a sandbox without an image, to see that it can be made.
	Probe bool
	// Step is the step of a GitHub job that it is, nil for a person's command.
	Step *step
}

func (c *runCommand) Run(exit *int) error {
	s, err := c.settings()
	if err != nil {
		return err
	}
	parsed, err := runnerimage.ParseSettings(s, nil)
	if err != nil {
		return err
	}
	if err := s.login(context.Background(), parsed); err != nil {
		return err
	}
	s.trustMachine()

	root, err := c.dir()
	if err != nil {
		return err
	}
	mounts, err := c.mounts(root)
	if err != nil {
		return err
	}
	storage, err := c.mountStore(&s)
	if err != nil {
		return err
	}
	payload, err := json.Marshal(job{Settings: s, Environ: c.environ(), Args: c.args(), Log: parsed.Log})
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, sandbox.Signals()...)
	*exit, err = sandbox.Run(context.Background(), sandbox.Spec{
		Dir: filepath.Join(root, "run"), Hostname: c.Hostname, Network: sandbox.Network(c.Network),
		Mounts: append(mounts, storage...), Payload: payload, Env: proxies(os.Environ()),
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals,
	})
	return err
}

// settings puts the flags over the variables.
func (c *runCommand) settings() (settings, error) {
	s, err := newSettings(os.Environ(), c.Image, c.pullFlags)
	if err != nil {
		return nil, err
	}
	s.set("CLIPPER_LOG", c.Log)
	err = c.override(&s)
	return s, err
}

// override puts the flags over the settings that they stand for.
func (f programFlags) override(s *settings) error {
	s.set("CLIPPER_USER", f.User)
	s.set("CLIPPER_WORKDIR", f.Workdir)
	if f.Entrypoint == nil {
		return nil
	}
	value := *f.Entrypoint
	if !strings.HasPrefix(value, "[") {
		words := []string{}
		if value != "" { // an empty one leaves the arguments alone
			words = append(words, value)
		}
		data, err := json.Marshal(words)
		if err != nil {
			return err
		}
		value = string(data)
	}
	s.set("CLIPPER_ENTRYPOINT", value)
	return nil
}

// args are the arguments without the "--" that may stand before them.
func (c *runCommand) args() []string {
	if len(c.Args) > 0 && c.Args[0] == "--" {
		return c.Args[1:]
	}
	return c.Args
}

// environ is what an engine would give to the container: its own variables,
// then the person's.
func (f programFlags) environ() []string {
	var environ []string
	if term.IsTerminal(int(os.Stdout.Fd())) {
		environ = append(environ, "TERM=xterm")
	}
	for _, entry := range f.Env {
		if !strings.Contains(entry, "=") {
			value, ok := os.LookupEnv(entry)
			if !ok {
				continue
			}
			entry += "=" + value
		}
		environ = append(environ, entry)
	}
	return environ
}

// dir is where sandboxes and volumes are.
func (f rootFlag) dir() (string, error) {
	if f.Root != "" {
		return string(f.Root), nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("%w: no place for root directories: %w; give --root", runnerimage.ErrSettings, err)
	}
	return filepath.Join(cache, "clipper-runner"), nil
}

// volumeName is the form of a named volume; a path has a slash or begins with
// a dot.
var volumeName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]+$`)

func (f programFlags) mounts(root string) ([]sandbox.Mount, error) {
	var mounts []sandbox.Mount
	for _, volume := range f.Volume {
		m, err := parseVolume(volume)
		if err == nil {
			m.Source, err = locate(root, m.Source)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: volume %q: %w", runnerimage.ErrSettings, volume, err)
		}
		if slices.ContainsFunc(mounts, func(other sandbox.Mount) bool { return other.Target == m.Target }) {
			return nil, fmt.Errorf("%w: volume %q: something is mounted at %s already", runnerimage.ErrSettings, volume, m.Target)
		}
		mounts = append(mounts, m)
	}
	return mounts, nil
}

// parseVolume reads SRC:DST[:OPTIONS].
func parseVolume(volume string) (m sandbox.Mount, err error) {
	parts := strings.Split(volume, ":")
	if len(parts) < 2 || len(parts) > 3 || parts[0] == "" {
		return m, errors.New("write SRC:DST or SRC:DST:ro")
	}
	m.Source, m.Target = parts[0], filepath.Clean(parts[1])
	switch {
	case !filepath.IsAbs(m.Target):
		return m, errors.New("the place in the container must be an absolute path")
	case m.Target == "/":
		return m, errors.New("the root directory is the image's")
	case m.Target == "/"+sandbox.OwnDir || strings.HasPrefix(m.Target, "/"+sandbox.OwnDir+"/"):
		return m, fmt.Errorf("/%s is needed while the image is laid out", sandbox.OwnDir)
	}
	if len(parts) == 2 {
		return m, nil
	}
	for option := range strings.SplitSeq(parts[2], ",") {
		switch option {
		case "ro":
			m.ReadOnly = true
		case "rw", "z", "Z", "rprivate":
		default:
			return m, fmt.Errorf("the option %q is none of ro, rw", option)
		}
	}
	return m, nil
}

// locate finds the source of a volume. A named one is a directory below root,
// named so that the layout knows it as a volume and fills it from the image.
func locate(root, source string) (string, error) {
	if volumeName.MatchString(source) {
		path := filepath.Join(root, "volumes", source, "_data")
		return path, os.MkdirAll(path, 0o755)
	}
	path, err := filepath.Abs(source)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); err != nil {
		return "", fmt.Errorf("%w; create it first", err)
	}
	return path, nil
}

// mountStore shows the store to the layout of the image. The image's program
// does not see it: the sandbox takes what lies in its own directory away.
func (c *runCommand) mountStore(s *settings) ([]sandbox.Mount, error) {
	if c.Store == "none" {
		s.unset("CLIPPER_STORE")
		return nil, nil
	}
	path, err := storePath(c.Store, c.rootFlag)
	if err == nil {
		err = os.MkdirAll(path, 0o700)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: the store: %w; give --store DIR, or --store none", runnerimage.ErrSettings, err)
	}
	return storeMount(s, path), nil
}

// storeMount is where the layout finds the store that is at path.
func storeMount(s *settings, path string) []sandbox.Mount {
	s.set("CLIPPER_STORE", runnerimage.StorePath)
	if s.get("CLIPPER_STORE_MAX") == "" {
		s.set("CLIPPER_STORE_MAX", storeMax)
	}
	return []sandbox.Mount{{Source: path, Target: runnerimage.StorePath}}
}

// proxies are the variables by which registries are reached.
func proxies(environ []string) []string {
	return slices.DeleteFunc(slices.Clone(environ), func(entry string) bool {
		name, _, _ := strings.Cut(entry, "=")
		switch strings.ToUpper(name) {
		case "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY":
			return false
		}
		return true
	})
}

// start is process 1 of the sandbox: it lays out the image and becomes its
// program, on the very path that the runner image takes.
func start(w *sandbox.World) int {
	var j job
	if err := json.Unmarshal(w.Payload, &j); err != nil {
		return failAs(runnerimage.LogText, err)
	}
	if j.Probe {
		if err := w.Seal(); err != nil {
			return failAs(j.Log, err)
		}
		return 0
	}
	config := runnerimage.Config{Log: os.Stderr, Terminal: term.IsTerminal(2)}
	told := func() {}
	if j.Step != nil {
		config, told = j.Step.reports()
	}
	plan, err := layOut(w, j, config)
	told()
	if err == nil {
		err = w.Seal()
	}
	if err == nil {
		err = plan.Become() // only returns when it fails
	}
	if w.SingleID && errors.Is(err, process.ErrUser) {
		err = fmt.Errorf("%w; here is one user only: install newuidmap and have ids lent in /etc/subuid and /etc/subgid, run it as root, or give -u 0", err)
	}
	if j.Step != nil {
		return j.Step.fail(err)
	}
	return failAs(j.Log, err)
}

// layOut lays the image out in the sandbox; cfg says where that is reported.
func layOut(w *sandbox.World, j job, cfg runnerimage.Config) (*process.Plan, error) {
	// The kernel does not deliver a signal to process 1 that it has no handler
	// for.
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGQUIT)
	defer stop()

	settings, err := runnerimage.ParseSettings(j.Settings, nil)
	if err != nil {
		return nil, err
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	cfg.Settings, cfg.Root, cfg.Args = settings, "/", j.Args
	cfg.Environ = append([]string{"HOSTNAME=" + hostname}, j.Environ...)
	cfg.Files, cfg.SingleID, cfg.UserAgent = w.Host, w.SingleID, "clipper-runner/"+version
	plan, err := runnerimage.Run(ctx, cfg)
	if err != nil {
		return nil, err
	}
	docker, err := process.ParseCapabilities(sandbox.DefaultCapabilities())
	if err != nil {
		return nil, err
	}
	plan.CapDrop |= ^docker
	return plan, nil
}
