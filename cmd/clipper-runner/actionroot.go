package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/clipperregistry/runner/action"
	"github.com/clipperregistry/runner/action/cache"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/sandbox"
	"github.com/clipperregistry/runner/runnerimage/store"
)

// How long a job waits for its cache: beyond that, the registry is faster.
const (
	restoreTimeout = 2 * time.Minute
	saveTimeout    = 5 * time.Minute
)

// carryOut does it as root: through sudo where the job's user may, as on
// GitHub's machines. Where he may not, a program still runs in a namespace that
// makes him root.
func (o *orders) carryOut() (int, error) {
	signals := make(chan os.Signal, 16)
	signal.Notify(signals, sandbox.Signals()...)
	if os.Geteuid() == 0 || exec.Command("sudo", "-n", "true").Run() != nil {
		return o.do(context.Background(), signals)
	}
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	cmd := exec.Command("sudo", "-n", "--", self, "action", "--orders")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	ended := make(chan error, 1)
	if err := json.NewEncoder(pipe).Encode(o); err != nil {
		pipe.Close()
		return 0, errors.Join(err, cmd.Wait())
	}
	go func() { ended <- cmd.Wait() }()
	for {
		select {
		case s := <-signals:
			// Its process is root's: only the pipe reaches it.
			_, _ = pipe.Write([]byte{byte(s.(syscall.Signal))})
		case err := <-ended:
			if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok {
				return 0, err
			}
			return cmd.ProcessState.ExitCode(), nil
		}
	}
}

// obey does what orders on r say. Behind them come the numbers of signals; the
// end of r is the end of whoever gave them.
func obey(r io.Reader) (int, error) {
	var o orders
	d := json.NewDecoder(r)
	if err := d.Decode(&o); err != nil {
		return 0, fmt.Errorf("%w: read the orders: %w", runnerimage.ErrSettings, err)
	}
	rest := io.MultiReader(d.Buffered(), r)
	var number [1]byte
	if _, err := io.ReadFull(rest, number[:]); err != nil || number[0] != '\n' {
		return 0, fmt.Errorf("%w: the orders do not end", runnerimage.ErrSettings)
	}
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 16)
	go func() {
		defer cancel()
		for {
			if _, err := io.ReadFull(rest, number[:]); err != nil {
				return
			}
			signals <- syscall.Signal(number[0])
		}
	}()
	// sudo passes some of the same on.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT)
	return o.do(ctx, signals)
}

// do lays the image out, runs what is to run, and looks after the cache before
// and behind.
func (o *orders) do(ctx context.Context, signals <-chan os.Signal) (int, error) {
	for _, entry := range o.Proxies {
		name, value, _ := strings.Cut(entry, "=")
		if err := os.Setenv(name, value); err != nil {
			return 0, err
		}
	}
	if err := os.MkdirAll(o.Store, 0o700); err != nil {
		return o.Step.fail(fmt.Errorf("%w: the store: %w; name another directory by the input store", runnerimage.ErrSettings, err)), nil
	}
	tier := o.openCache()
	if tier != nil {
		o.restore(ctx, tier)
	}
	var code int
	var err error
	if o.Program {
		code, err = o.run(ctx, signals)
	} else {
		code, err = o.layOut(ctx, signals)
	}
	if tier != nil && ctx.Err() == nil {
		o.save(ctx, tier)
	}
	return code, err
}

// run runs the program in a sandbox.
func (o *orders) run(ctx context.Context, signals <-chan os.Signal) (int, error) {
	s := o.Settings
	mounts := append(o.Mounts, storeMount(&s, o.Store)...)
	payload, err := json.Marshal(job{Settings: s, Environ: o.Environ, Args: o.Args, Step: &o.Step})
	if err != nil {
		return 0, err
	}
	code, err := sandbox.Run(ctx, sandbox.Spec{
		Dir: o.Dir, Hostname: o.Hostname, Network: o.Network, Mounts: mounts, Payload: payload, Env: o.Proxies,
		Stdout: os.Stdout, Stderr: os.Stderr, Signals: signals,
	})
	if err != nil {
		return o.Step.fail(err), nil
	}
	return code, nil
}

// layOut lays the image out in a directory, for later steps.
func (o *orders) layOut(ctx context.Context, signals <-chan os.Signal) (int, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go func() {
		select {
		case <-signals:
			cancel()
		case <-ctx.Done():
		}
	}()
	s := o.Settings
	s.unset("CLIPPER_STORE")
	if s.get("CLIPPER_STORE_MAX") == "" {
		s.set("CLIPPER_STORE_MAX", storeMax)
	}
	parsed, err := runnerimage.ParseSettings(s, nil)
	own := filepath.Join(o.Root, runnerimage.Home)
	if err == nil {
		err = os.Mkdir(own, 0o700)
	}
	if err != nil {
		return o.Step.fail(err), nil
	}
	o.Step.RootFS = o.Root
	stands := false
	config, told := o.Step.reports()
	ready := config.Ready
	config.Ready = func(s runnerimage.Summary) {
		stands = true
		ready(s)
	}
	config.Settings, config.Root, config.Store = parsed, o.Root, o.Store
	config.Files, config.UserAgent = rootFS(), "clipper-runner/"+version
	_, err = runnerimage.Run(ctx, config)
	told()
	if stands {
		err = nil // what remains is about a program, and there need not be one
	}
	if err == nil {
		// What the runner remembers is no part of the image.
		err = os.RemoveAll(own)
	}
	if err == nil {
		err = os.Chmod(o.Root, 0o755)
	}
	if err != nil {
		return o.Step.fail(err), nil
	}
	return 0, nil
}

// openCache opens the job's cache; nil where there is none, or none can be had.
func (o *orders) openCache() *cache.Cache {
	if o.Cache == nil {
		return nil
	}
	log := action.NewLog(os.Stdout)
	parsed, err := runnerimage.ParseSettings(o.Settings, nil)
	if err != nil {
		return nil // the run will tell
	}
	o.Cache.Mask = log.Mask
	dir, err := store.Open(o.Store, store.Options{Max: parsed.StoreMax})
	var tier *cache.Cache
	if err == nil {
		tier, err = cache.New(o.Cache, dir, parsed.Image, parsed.Platform)
	}
	if err != nil {
		log.Warning("The Actions cache is not used: " + err.Error() + ".")
		return nil
	}
	return tier
}

func (o *orders) restore(ctx context.Context, tier *cache.Cache) {
	log := action.NewLog(os.Stdout)
	defer log.Group("Restore " + o.Step.Image + " from the Actions cache")()
	ctx, cancel := context.WithTimeout(ctx, restoreTimeout)
	defer cancel()
	restored, err := tier.Restore(ctx)
	if err != nil {
		log.Warning("The job goes on without its cache: " + err.Error() + ".")
	}
	fmt.Fprintf(log.Text(), "%d entries found; %d files, %s restored\n", restored.Entries, restored.Files, runnerimage.Size(restored.Bytes))
}

func (o *orders) save(ctx context.Context, tier *cache.Cache) {
	log := action.NewLog(os.Stdout)
	defer log.Group("Save " + o.Step.Image + " to the Actions cache")()
	ctx, cancel := context.WithTimeout(ctx, saveTimeout)
	defer cancel()
	saved, err := tier.Save(ctx)
	switch {
	case err != nil:
		log.Warning("The cache stays as it is: " + err.Error() + ".")
	case saved.Key == "":
		fmt.Fprintln(log.Text(), "nothing new to save")
	default:
		fmt.Fprintf(log.Text(), "%d files, %s saved as %s\n", saved.Files, runnerimage.Size(saved.Bytes), saved.Key)
	}
}

// step is how a layout is told in the log of a GitHub job and to its later
// steps.
type step struct {
	Image           string
	Output, Summary string // the step's file commands
	RootFS          string // where the image stands for later steps, if it does
}

func newStep(in action.Inputs, job map[string]string) step {
	files := action.NewFiles(job)
	return step{Image: in.Settings.Image.String(), Output: files.Output, Summary: files.Summary}
}

// reports gives a Config the step's log; told ends the layout's part of it.
func (s *step) reports() (cfg runnerimage.Config, told func()) {
	log := action.NewLog(os.Stdout)
	told = log.Group("Lay out " + s.Image)
	return runnerimage.Config{Log: log.Text(), Mask: log.Mask, Ready: func(summary runnerimage.Summary) { s.ready(log, summary) }}, told
}

// ready sets the step's outputs and its summary. A job that cannot take them
// can still run.
func (s *step) ready(log *action.Log, summary runnerimage.Summary) {
	files := action.Files{Output: s.Output, Summary: s.Summary}
	outputs := append(action.Outputs(summary), action.Pair{Name: action.OutputRootFS, Value: s.RootFS})
	if err := errors.Join(files.SetOutputs(outputs...), files.AddSummary(action.Markdown(summary))); err != nil {
		log.Warning("The outputs of this step are not set: " + err.Error() + ".")
	}
}

// fail tells an error as an annotation, and gives its exit code.
func (s *step) fail(err error) int {
	if errors.Is(err, sandbox.ErrRefused) {
		err = fmt.Errorf("%w: %w", runnerimage.ErrCannotRun, err)
	}
	if errors.Is(err, process.ErrNotFound) {
		err = fmt.Errorf("%w; in an image without that shell, name another by the input shell, or give a command by the input args", err)
	}
	code := action.ExitCode(err)
	action.NewLog(os.Stdout).Error(fmt.Sprintf("%v (exit code %d)", err, code))
	return code
}
