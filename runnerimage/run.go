// Package runnerimage is the story of a run, from the name of an image to the
// process that it becomes. In comes a Config, out goes a process.Plan: the
// image stands in the root directory and the plan is ready to be executed.
//
// The stations are the rooms below this one, and data walks one way through
// them:
//
//	reference ─▶ manifest ─▶ layers ─▶ entries ─▶ tree ─▶ rootfs ─▶ process
//	   oci       registry    registry    pull     toc    rootfs    process
//
// Where a store is mounted, pull takes from it what earlier runs have left
// there, and leaves in it what this one fetches.
//
// Promised: bytes that are not what their digest says never become part of a
// tree that a program runs in; a run that was killed at any moment is taken up
// again by the next start of the same container, and ends with the same tree;
// a container whose image stands starts its program without asking anybody.
package runnerimage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/process"
	"github.com/clipperregistry/runner/runnerimage/pull"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/rootfs"
	"github.com/clipperregistry/runner/runnerimage/state"
	"github.com/clipperregistry/runner/runnerimage/toc"
	"golang.org/x/sync/errgroup"
)

// Home is the runner's own directory below the root. The image's tree never
// touches it.
const Home = ".clipper-runner"

// layersAtOnce bounds how many layers are pulled and unpacked side by side.
// More would cost memory for their decoders, and the disk is busy long before.
const layersAtOnce = 6

// cloudTimeout bounds one call for an ambient identity.
const cloudTimeout = 20 * time.Second

// Config is what a run needs to know.
type Config struct {
	Settings Settings
	// Root is the directory that becomes the image.
	Root string
	// Bare lists the paths that the runner image itself has outside of Home;
	// they give way to the image. BareLinks are the symbolic links to
	// directories among them, with their targets: the engine has followed
	// them when it mounted something beneath.
	Bare      []string
	BareLinks map[string]string
	// Waiters are those of the bare image's paths at which programs wait for
	// the layout. They are given in a job's container, whose other processes
	// must never see a half of the image (see Join).
	Waiters []rootfs.Link
	// Default are symlinks that a job's container has where the image has
	// nothing.
	Default []rootfs.Link
	// Args replace the image's CMD when there are any.
	Args []string
	// Environ is the environment that the container was given, Dir the
	// directory it was started in; "/" says nothing, another one is a wish.
	Environ []string
	Dir     string
	// Files is the root directory read with the rights of whoever started the
	// runner: what settings name must not be readable through its set-uid bit.
	Files fs.FS
	// SingleID says that the user namespace knows one user only, so owners
	// cannot be kept.
	SingleID bool
	// Log receives the report; Terminal says that a person watches it.
	Log      io.Writer
	Terminal bool
	// Store is the directory of the store on the machine, where Root is not the
	// root of a container that has it on a volume.
	Store string
	// Ready is told what a layout did, once the image stands; nil tells nobody.
	Ready func(Summary)
	// Complete is called before the image's tree appears where there are
	// waiters: from then on programs of it may run. nil is nothing to do.
	Complete func() error
	// Mask is called with every secret as soon as it is known; nil masks none.
	Mask func(secret string)
	// UserAgent names the runner to registries.
	UserAgent string
}

// Run lays the image out in the root, unless it stands there already, and
// plans the process to become.
func Run(ctx context.Context, cfg Config) (*process.Plan, error) {
	layout, err := state.Load(cfg.statePath())
	if err != nil {
		return nil, err
	}
	laidOut := layout.Phase == state.Done
	if !laidOut {
		if layout, err = layOut(ctx, cfg, layout); err != nil {
			return nil, err
		}
	}
	if err := addHosts(cfg.Root, cfg.Settings.Hosts); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrCannotRun, envHosts, err)
	}
	return plan(cfg, layout, laidOut)
}

// layOut pulls the image and writes it into the root. before is what an
// earlier start of the same container left.
func layOut(ctx context.Context, cfg Config, before state.Layout) (state.Layout, error) {
	if os.Geteuid() != 0 {
		return before, withoutRights(cfg)
	}
	report := newReport(cfg)
	resolved := report.phase(PhaseResolve)
	stock, err := openStock(ctx, cfg, report)
	if err != nil {
		return before, err
	}
	if stock != nil {
		defer stock.Close()
	}
	client, keychain, err := newClient(cfg, shelf(stock))
	if err != nil {
		return before, err
	}
	defer client.Close()
	image, err := find(ctx, cfg, client, keychain, stock, report)
	if err != nil {
		return before, err
	}
	resolved()
	report.pulling(image, cfg.Settings.Platform)

	root, err := rootfs.Open(cfg.Root, rootfs.Options{
		Keep: cfg.keep(), Bare: cfg.Bare, BareLinks: cfg.BareLinks, DeclaredVolumes: declaredVolumes(cfg, image),
		AtOnce: cfg.Waiters != nil, Waiters: cfg.Waiters, Default: cfg.Default, NoOwners: cfg.SingleID, Warn: report.warn,
	})
	if err != nil {
		return before, err
	}
	defer root.Close()

	cleared := report.phase(PhaseClear)
	layout, err := begin(cfg, root, image, before)
	if err != nil {
		return layout, err
	}
	cleared()

	unpacked := report.phase(PhaseUnpack)
	puller := pull.New(client, image.Reference, pull.Options{
		Stock: stock, Tables: cfg.Settings.TOC == TOCAuto, Offline: cfg.Settings.Pull == PullNever,
	})
	stats, err := unpack(ctx, puller, image, root, report, cfg.Complete)
	if err != nil {
		return layout, err
	}
	unpacked()

	report.count(image, puller.Stats(), stats)
	layout.Phase = state.Done
	layout.Summary, _ = json.Marshal(report.summary) // which always can be
	if err := layout.Save(cfg.statePath()); err != nil {
		return layout, err
	}
	report.ready(image)
	if cfg.Ready != nil {
		cfg.Ready(report.summary)
	}
	return layout, nil
}

// withoutRights is the error of a runner that is not root.
func withoutRights(cfg Config) error {
	return fmt.Errorf("%w: without root rights the image cannot be written to %s; use %s=%d in place of --user, or leave no-new-privileges away", ErrCannotRun, cfg.Root, envUser, os.Getuid())
}

// begin makes the root bare and records first what must survive that, so that
// a kill from here on is taken up again.
func begin(cfg Config, root *rootfs.Root, image *registry.Image, before state.Layout) (state.Layout, error) {
	layout := state.Layout{
		Phase: state.Writing, Found: before.Found,
		Image: cfg.Settings.Image.String(), Digest: image.Digest.String(), Config: image.RawConfig,
		User: cfg.Settings.User, WorkDir: cfg.Settings.WorkDir, CapDrop: cfg.Settings.CapDrop, Own: OwnNames(),
	}
	if before.Phase == state.None {
		var err error
		if layout.Found, err = root.Survey(); err != nil {
			return before, err
		}
	}
	if err := layout.Save(cfg.statePath()); err != nil {
		return before, err
	}
	if err := root.Clear(layout.Found, before.Phase != state.None); err != nil {
		return layout, err
	}
	return layout, root.Plant()
}

// unpack brings every layer into the root, several at once. complete, if not
// nil, is called before the root is given its last touch.
func unpack(ctx context.Context, puller *pull.Puller, image *registry.Image, root *rootfs.Root, report *report, complete func() error) (rootfs.Stats, error) {
	layers := image.Manifest.Layers
	tree := toc.NewTree(len(layers))
	writer, err := root.NewWriter(ctx, tree)
	if err != nil {
		return rootfs.Stats{}, err
	}
	defer writer.Close()
	defer report.watch(func() string { return report.progress(image, puller.Stats(), writer.Stats()) })()

	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(layersAtOnce)
	for rank, desc := range layers {
		group.Go(func() error {
			if err := unpackLayer(ctx, puller, desc, writer, rank); err != nil {
				return fmt.Errorf("layer %s: %w", desc.Digest, err)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return rootfs.Stats{}, err
	}
	if complete != nil {
		if err := complete(); err != nil {
			return rootfs.Stats{}, err
		}
	}
	if err := writer.Finish(); err != nil {
		return rootfs.Stats{}, err
	}
	return writer.Stats(), nil
}

// unpackLayer streams one layer: from the store or the network, to files.
func unpackLayer(ctx context.Context, puller *pull.Puller, desc oci.Descriptor, writer *rootfs.Writer, rank int) error {
	entries, err := puller.Layer(ctx, desc)
	if err != nil {
		return err
	}
	defer entries.Close()
	err = writer.Layer(ctx, rank, entries)
	if errors.Is(err, toc.ErrEntry) {
		// Wrong bytes may look like a layer that makes no tree. The digest
		// tells, once the blob was read to its end.
		if wrong := entries.Drain(); wrong != nil {
			return wrong
		}
	}
	return err
}

// plan turns the image's config and the settings into the process to become.
// laidOut says that the image stood here before this start.
func plan(cfg Config, layout state.Layout, laidOut bool) (*process.Plan, error) {
	var config oci.Config
	if err := json.Unmarshal(layout.Config, &config); err != nil {
		return nil, fmt.Errorf("%w: config of %s: %w", ErrCannotRun, layout.Image, err)
	}
	hostname, err := os.Hostname()
	if err != nil {
		return nil, err
	}
	started, unprivileged, err := process.Held()
	if err != nil {
		return nil, err
	}
	s := cfg.Settings
	return process.Resolve(cfg.Root, process.Config{
		Env: config.Config.Env, User: config.Config.User, WorkingDir: config.Config.WorkingDir,
		Entrypoint: config.Config.Entrypoint, Cmd: config.Config.Cmd, StopSignal: config.Config.StopSignal,
		Volumes: slices.Sorted(maps.Keys(config.Config.Volumes)),
	}, process.Overrides{
		Args: cfg.Args, Entrypoint: s.Entrypoint, EntrypointSet: s.Entrypoint != nil, User: s.User, WorkDir: cfg.workDir(),
		CapDrop: s.CapDrop, Init: s.Init, Env: cfg.Environ, Own: OwnNames(), Hostname: hostname,
		Started: started, Unprivileged: unprivileged, LaidOut: laidOut,
	})
}

// newClient makes the client of registries that the settings describe, with
// the documents of shelf at hand.
func newClient(cfg Config, shelf registry.Shelf) (*registry.Client, *credentials.Keychain, error) {
	s := cfg.Settings
	value := s.Credentials
	if s.CredentialsFile != "" {
		f, err := cfg.Files.Open(fsPath(s.CredentialsFile))
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrSettings, envCredentialsFile, err)
		}
		defer f.Close()
		if value, err = credentials.ReadValue(f); err != nil {
			return nil, nil, err
		}
	}
	roots, err := TrustedRoots(s.CACerts, cfg.Files)
	if err != nil {
		return nil, nil, err
	}
	keychain, err := credentials.New(credentials.Settings{
		Value: value, Registry: s.CredentialsRegistry, Image: s.Image.Host(), Env: lookup(cfg.Environ), Files: cfg.Files,
		HTTP: cloudClient(roots), Mask: cfg.Mask,
	})
	if err != nil {
		return nil, nil, err
	}
	return registry.New(registry.Options{
		Keychain: keychain, Mirrors: s.Mirrors, Insecure: s.Insecure, Roots: roots, UserAgent: cfg.UserAgent, Shelf: shelf,
	}), keychain, nil
}

// cloudClient is for services other than registries, which trust is the same
// for.
func cloudClient(roots *x509.CertPool) *http.Client {
	return &http.Client{Timeout: cloudTimeout, Transport: &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: &tls.Config{RootCAs: roots},
	}}
}

// Resolve asks for the image that the settings name, and pulls nothing of it.
func Resolve(ctx context.Context, cfg Config) (*registry.Image, error) {
	client, keychain, err := newClient(cfg, nil)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return resolve(ctx, cfg, client, keychain)
}

// workDir is the directory that somebody wished, "" for the image's.
func (cfg Config) workDir() string {
	if cfg.Settings.WorkDir == "" && cfg.Dir != "/" {
		return cfg.Dir // docker run --workdir
	}
	return cfg.Settings.WorkDir
}

// keep is what the image's tree never touches: the runner's own directory, and
// the store wherever it is.
func (cfg Config) keep() []string {
	if cfg.Settings.Store == "" {
		return []string{Home}
	}
	return []string{Home, strings.TrimPrefix(cfg.Settings.Store, "/")}
}

// declaredVolumes are the image's volumes where the mount table does not say
// which mounts are volumes: on ECS.
func declaredVolumes(cfg Config, image *registry.Image) []string {
	if !onECS(cfg) {
		return nil
	}
	return slices.Sorted(maps.Keys(image.Config.Config.Volumes))
}

// onECS says whether this is a container of Amazon ECS, on any launch type.
func onECS(cfg Config) bool { return lookup(cfg.Environ)("ECS_CONTAINER_METADATA_URI_V4") != "" }

// lookup finds values in environ.
func lookup(environ []string) func(string) string {
	values := map[string]string{}
	for _, entry := range environ {
		name, value, _ := strings.Cut(entry, "=")
		values[name] = value
	}
	return func(name string) string { return values[name] }
}

func (cfg Config) statePath() string { return filepath.Join(cfg.Root, Home, "state.json") }
