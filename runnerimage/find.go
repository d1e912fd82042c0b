package runnerimage

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/registry"
	"github.com/clipperregistry/runner/runnerimage/stock"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

// StorePath is where a volume is mounted that keeps content between runs.
const StorePath = "/" + Home + "/store"

// openStock opens the store; nil is none. A store that cannot be used is told
// in a warning and costs nothing but speed.
func openStock(ctx context.Context, cfg Config, report *report) (*stock.Stock, error) {
	dir, err := cfg.storeDir()
	if dir == "" && err == nil {
		return nil, nil
	}
	var s *stock.Stock
	if err == nil {
		s, err = stock.Open(ctx, dir, stock.Options{Max: cfg.Settings.StoreMax, Warn: report.warn})
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		report.warn(fmt.Sprintf("going on without a store: %v", err))
	}
	return s, nil
}

// storeDir is the directory of the store, "" if there is none: content that
// would end with the container is not worth keeping.
func (cfg Config) storeDir() (string, error) {
	if cfg.Store != "" {
		return cfg.Store, nil
	}
	dir := cfg.Settings.Store
	named := dir != ""
	if !named {
		dir = StorePath
	}
	dir = filepath.Join(cfg.Root, dir)
	onVolume, err := cfg.onVolume(dir)
	switch {
	case err != nil:
		return "", err
	case !onVolume && named:
		return "", fmt.Errorf("%s: %s is on no volume, so it would end with this container", envStore, dir)
	case !onVolume:
		return "", nil
	}
	// Whoever starts a set-uid runner names only what is open to himself:
	// access(2) goes by the real ids.
	if err := unix.Access(dir, unix.R_OK|unix.X_OK); named && err != nil && !errors.Is(err, unix.ENOENT) {
		return "", fmt.Errorf("%s: %s: %w", envStore, dir, err)
	}
	return dir, nil
}

// onVolume says whether dir is a mount point or beneath one, other than the
// root's.
func (cfg Config) onVolume(dir string) (bool, error) {
	root := filepath.Clean(cfg.Root)
	points, err := mountinfo.GetMounts(mountinfo.ParentsFilter(dir))
	if err != nil {
		return false, fmt.Errorf("read the mount table: %w", err)
	}
	for _, point := range points {
		if len(point.Mountpoint) > len(root) {
			return true, nil
		}
	}
	return false, nil
}

// find finds the image that the reference stands for, where the pull policy
// says: it asks the registry, and so whether these credentials may pull it, or
// takes what the store remembers.
func find(ctx context.Context, cfg Config, client *registry.Client, keychain *credentials.Keychain, s *stock.Stock, report *report) (*registry.Image, error) {
	policy := cfg.Settings.Pull
	if policy != PullAlways {
		image, err := recall(cfg, client, s)
		if err == nil || policy == PullNever {
			return image, err
		}
	}
	image, err := resolve(ctx, cfg, client, keychain)
	if policy == PullAlways && registry.OutOfReach(err) {
		if stored, missing := recall(cfg, client, s); missing == nil {
			report.warn(fmt.Sprintf("the registry is out of reach, so the image is what was stored (%s): %v", stored.Digest, err))
			return stored, nil
		}
	}
	if err == nil && s != nil {
		s.Remember(cfg.Settings.Image, cfg.Settings.Platform, image.Named(), image.Digest)
	}
	return image, err
}

// recall takes the image from the store.
func recall(cfg Config, client *registry.Client, s *stock.Stock) (*registry.Image, error) {
	ref := cfg.Settings.Image
	if s == nil {
		return nil, fmt.Errorf("%s is %w: there is no store; mount a volume at %s", ref, registry.ErrNotStored, StorePath)
	}
	digest, ok := ref.Digest()
	if !ok {
		digest, ok = s.Recall(ref, cfg.Settings.Platform)
	}
	if !ok {
		return nil, fmt.Errorf("%s for %s is %w: run it once with %s=%s", ref, cfg.Settings.Platform, registry.ErrNotStored, envPull, PullAlways)
	}
	return client.Stored(ref, digest, cfg.Settings.Platform)
}

// resolve asks the registry for the image. Where it is refused, the error says
// which identities were looked for in vain.
func resolve(ctx context.Context, cfg Config, client *registry.Client, keychain *credentials.Keychain) (*registry.Image, error) {
	image, err := client.Resolve(ctx, cfg.Settings.Image, cfg.Settings.Platform)
	if notes := keychain.Notes(); errors.Is(err, registry.ErrDenied) && len(notes) > 0 {
		err = fmt.Errorf("%w (%s)", err, strings.Join(notes, "; "))
	}
	return image, err
}

// shelf is the stock as the registry's client sees it.
func shelf(s *stock.Stock) registry.Shelf {
	if s == nil {
		return nil // and not an interface that holds nil
	}
	return s
}
