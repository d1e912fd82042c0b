// Package image builds the runner image, without Docker and reproducibly: the
// same programs, version and time give the same digest on every machine.
//
// In go the three static programs of each platform, out comes an index that
// holds one image per platform: one layer with the tree that tree.go lists,
// and the config that config.go tells. Exactly one file of the image is
// set-uid, the runner (tree.go says why), and no two names share an inode.
package image

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/partial"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Config says what to build.
type Config struct {
	// Version is the version of the runner, for labels and image.json.
	Version string
	// Revision is the source's commit, for a label; "" leaves the label out.
	Revision string
	// Time is the time of every file and of the config. Default: the Unix
	// epoch.
	Time time.Time
	// Platforms maps a platform ("linux/amd64") to its programs.
	Platforms map[string]Programs
}

// Programs are the paths of one platform's programs, all linked statically.
type Programs struct {
	Runner string // becomes /.clipper-runner/runner
	Applet string // becomes /.clipper-runner/applet
	Loader string // becomes /.clipper-runner/loader
}

// Description is the content of /.clipper-runner/image.json.
type Description struct {
	// Version is the version of the runner image.
	Version string `json:"version"`
	// Bare lists every path of the image outside /.clipper-runner, absolute,
	// parents before what they hold. It is what the runner clears away before
	// it lays out the image that it becomes.
	Bare []string `json:"bare"`
	// Links holds the symlinks to directories among them with their targets.
	// The engine has followed them when it mounted something beneath.
	Links map[string]string `json:"links"`
	// Waiters are the symlinks among them to programs that wait for the
	// layout, loaders last.
	Waiters []Waiter `json:"waiters"`
}

// Waiter is a place where images have a program of their own.
type Waiter struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

// Build makes the image of one platform.
func Build(cfg Config, platform string) (v1.Image, error) {
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, fmt.Errorf("build runner image: %w", err)
	}
	if cfg.Time.IsZero() {
		cfg.Time = time.Unix(0, 0)
	}
	cfg.Time = cfg.Time.UTC().Truncate(time.Second)

	layer, err := buildLayer(cfg, *p)
	if err != nil {
		return nil, fmt.Errorf("build runner image for %s: %w", platform, err)
	}
	img, err := assemble(cfg, *p, layer)
	if err != nil {
		return nil, fmt.Errorf("build runner image for %s: %w", platform, err)
	}
	return img, nil
}

// Index puts the images of cfg's platforms into one index, in the order of
// platforms.
func Index(cfg Config, platforms []string) (v1.ImageIndex, error) {
	idx := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, platform := range platforms {
		img, err := Build(cfg, platform)
		if err != nil {
			return nil, err
		}
		p, err := v1.ParsePlatform(platform)
		if err != nil {
			return nil, err
		}
		idx = mutate.AppendManifests(idx, mutate.IndexAddendum{
			Add:        img,
			Descriptor: v1.Descriptor{Platform: p},
		})
	}
	return idx, nil
}

// buildLayer packs the tree of one platform. The layer is kept in memory.
func buildLayer(cfg Config, p v1.Platform) (v1.Layer, error) {
	programs, ok := cfg.Platforms[p.String()]
	if !ok {
		return nil, fmt.Errorf("no programs given")
	}
	runner, err := readProgram(programs.Runner, p)
	if err != nil {
		return nil, err
	}
	applet, err := readProgram(programs.Applet, p)
	if err != nil {
		return nil, err
	}
	loader, err := readProgram(programs.Loader, p)
	if err != nil {
		return nil, err
	}
	nodes, err := tree(cfg.Version, p.Architecture, runner, applet, loader)
	if err != nil {
		return nil, err
	}
	var tar bytes.Buffer
	if err := writeTar(&tar, nodes, cfg.Time); err != nil {
		return nil, err
	}
	open := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(tar.Bytes())), nil }
	return tarball.LayerFromOpener(open,
		tarball.WithMediaType(types.OCILayer),
		tarball.WithCompressionLevel(gzip.BestCompression),
		tarball.WithCompressedCaching)
}

// assemble joins layer and config. It writes the JSON itself because
// v1.ConfigFile knows no StartInterval (see config.go).
func assemble(cfg Config, p v1.Platform, layer v1.Layer) (v1.Image, error) {
	diffID, err := layer.DiffID()
	if err != nil {
		return nil, err
	}
	config, err := json.Marshal(newConfigFile(cfg, p, diffID))
	if err != nil {
		return nil, err
	}
	desc, err := partial.Descriptor(layer)
	if err != nil {
		return nil, err
	}
	configDigest, configSize, err := v1.SHA256(bytes.NewReader(config))
	if err != nil {
		return nil, err
	}
	manifest, err := json.Marshal(v1.Manifest{
		SchemaVersion: 2,
		MediaType:     types.OCIManifestSchema1,
		Config:        v1.Descriptor{MediaType: types.OCIConfigJSON, Digest: configDigest, Size: configSize},
		Layers:        []v1.Descriptor{*desc},
	})
	if err != nil {
		return nil, err
	}
	return partial.CompressedToImage(&rawImage{config: config, manifest: manifest, layer: layer})
}

// rawImage is an image whose JSON is fixed byte for byte.
type rawImage struct {
	config, manifest []byte
	layer            v1.Layer
}

func (i *rawImage) RawConfigFile() ([]byte, error)      { return i.config, nil }
func (i *rawImage) RawManifest() ([]byte, error)        { return i.manifest, nil }
func (i *rawImage) MediaType() (types.MediaType, error) { return types.OCIManifestSchema1, nil }

func (i *rawImage) LayerByDigest(digest v1.Hash) (partial.CompressedLayer, error) {
	have, err := i.layer.Digest()
	if err != nil {
		return nil, err
	}
	if digest != have {
		return nil, fmt.Errorf("no layer %s in the runner image", digest)
	}
	return i.layer, nil
}

// WriteLayout writes idx as an OCI layout into dir under the name "latest". A
// layout that dir held before is replaced.
func WriteLayout(dir string, idx v1.ImageIndex) error {
	if err := os.MkdirAll(filepath.Dir(dir), 0o755); err != nil {
		return err
	}
	next, err := os.MkdirTemp(filepath.Dir(dir), filepath.Base(dir)+".*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(next)
	if err := os.Chmod(next, 0o755); err != nil {
		return err
	}
	path, err := layout.Write(next, empty.Index)
	if err != nil {
		return fmt.Errorf("write OCI layout %s: %w", dir, err)
	}
	ref := layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "latest"})
	if err := path.AppendIndex(idx, ref); err != nil {
		return fmt.Errorf("write OCI layout %s: %w", dir, err)
	}
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	return os.Rename(next, dir)
}

// WriteTar writes img as an archive for `docker load` that loads as tag.
func WriteTar(file, tag string, img v1.Image) error {
	ref, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	if err := tarball.WriteToFile(file, ref, img); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return nil
}
