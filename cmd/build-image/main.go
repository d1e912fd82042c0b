// Command build-image builds the runner image from its static programs: an
// OCI layout with one image per platform, and an archive for `docker load`
// for each. With -push it also sends the index to a registry.
//
//	build-image [-dist DIR] [-version V] [-revision COMMIT] [-push REF[,REF…]]
//
//	-dist DIR         reads DIR/linux-ARCH/{runner,applet,loader}, writes DIR/runner-image/
//	                  and DIR/runner-image-ARCH.tar (default "dist")
//	-platforms LIST   default "linux/amd64,linux/arm64"
//	-tag TAG          what the archives load as (default clipperregistry/runner:latest)
//	-version V        for labels and image.json (default "dev")
//	-revision COMMIT  for a label
//	-push REF,…       registry references to push the index to; credentials come
//	                  from Docker's config.json
//
// SOURCE_DATE_EPOCH (seconds) is the time of every file; default 0.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/clipperregistry/runner/runnerimage/image"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Getenv("SOURCE_DATE_EPOCH"), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "build-image:", err)
		os.Exit(1)
	}
}

// run builds, writes and pushes what args say, and tells out what it made.
func run(ctx context.Context, args []string, epoch string, out io.Writer) error {
	flags := flag.NewFlagSet("build-image", flag.ContinueOnError)
	dist := flags.String("dist", "dist", "directory of the programs and the results")
	platforms := flags.String("platforms", "linux/amd64,linux/arm64", "platforms to build")
	tag := flags.String("tag", "clipperregistry/runner:latest", "what the archives load as")
	version := flags.String("version", "dev", "version of the runner")
	revision := flags.String("revision", "", "commit of the source")
	push := flags.String("push", "", "references to push to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.NArg() != 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}

	cfg := image.Config{Version: *version, Revision: *revision, Platforms: map[string]image.Programs{}}
	if epoch != "" {
		seconds, err := strconv.ParseInt(epoch, 10, 64)
		if err != nil {
			return fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
		}
		cfg.Time = time.Unix(seconds, 0)
	}
	list := strings.Split(*platforms, ",")
	for _, platform := range list {
		bin := filepath.Join(*dist, strings.ReplaceAll(platform, "/", "-"))
		cfg.Platforms[platform] = image.Programs{
			Runner: filepath.Join(bin, "runner"),
			Applet: filepath.Join(bin, "applet"),
			Loader: filepath.Join(bin, "loader"),
		}
	}

	idx, err := image.Index(cfg, list)
	if err != nil {
		return err
	}
	if err := writeFiles(*dist, *tag, idx, out); err != nil {
		return err
	}
	if *push == "" {
		return nil
	}
	return pushTo(ctx, strings.Split(*push, ","), idx, out)
}

// writeFiles writes the layout and the archives and tells their sizes.
func writeFiles(dist, tag string, idx v1.ImageIndex, out io.Writer) error {
	dir := filepath.Join(dist, "runner-image")
	if err := image.WriteLayout(dir, idx); err != nil {
		return err
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		return err
	}
	for _, desc := range manifest.Manifests {
		img, err := idx.Image(desc.Digest)
		if err != nil {
			return err
		}
		file := filepath.Join(dist, "runner-image-"+desc.Platform.Architecture+".tar")
		if err := image.WriteTar(file, tag, img); err != nil {
			return err
		}
		size, err := compressedSize(img)
		if err != nil {
			return err
		}
		fmt.Fprintf(out, "%s: %s, %.2f MiB compressed, %s\n", file, desc.Platform, float64(size)/(1<<20), desc.Digest)
	}
	digest, err := idx.Digest()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s: index %s\n", dir, digest)
	return nil
}

func compressedSize(img v1.Image) (int64, error) {
	manifest, err := img.Manifest()
	if err != nil {
		return 0, err
	}
	size := manifest.Config.Size
	for _, layer := range manifest.Layers {
		size += layer.Size
	}
	return size, nil
}

func pushTo(ctx context.Context, refs []string, idx v1.ImageIndex, out io.Writer) error {
	for _, r := range refs {
		ref, err := name.ParseReference(r)
		if err != nil {
			return err
		}
		if err := remote.WriteIndex(ref, idx, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fmt.Errorf("push %s: %w", ref, err)
		}
		fmt.Fprintf(out, "pushed %s\n", ref)
	}
	return nil
}
