package pull_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"testing"

	"github.com/containerd/stargz-snapshotter/estargz"
	"go.podman.io/storage/pkg/chunked/compressor"

	"github.com/clipperregistry/runner/runnerimage/published"
	. "github.com/clipperregistry/runner/test/tarball"
)

// format is a way to make a blob of an archive.
type format struct {
	name string
	make func(t *testing.T, archive []byte) blob
}

var (
	plain  = format{"plain", func(_ *testing.T, archive []byte) blob { return blob{bytes: archive} }}
	gzip   = format{"gzip", func(_ *testing.T, archive []byte) blob { return blob{bytes: Gzip(archive)} }}
	zstd   = format{"zstd", func(_ *testing.T, archive []byte) blob { return blob{bytes: Zstd(archive)} }}
	frames = format{"frames", inFrames}
	podman = format{"zstd:chunked", zstdChunked}
	stargz = format{"eStargz", eStargz}
)

// built are the blobs that were made so far: compressing the same archives
// over and over took most of these tests' time under the race detector.
var built = map[string]blob{}

// build makes the blob of an archive. Nobody writes to its bytes.
func (f format) build(t *testing.T, archive []byte) blob {
	t.Helper()
	key := fmt.Sprintf("%s %x", f.name, sha256.Sum256(archive))
	if _, ok := built[key]; !ok {
		built[key] = f.make(t, archive)
	}
	b := built[key]
	b.annotations = maps.Clone(b.annotations)
	return b
}

var (
	ordinary = []format{plain, gzip, zstd}
	tabled   = []format{frames, podman, stargz}
)

func inFrames(t *testing.T, archive []byte) blob {
	t.Helper()
	var out bytes.Buffer
	r, err := published.Write(&out, bytes.NewReader(archive), published.Level)
	if err != nil || r.NoTOC != nil {
		t.Fatal(err, r.NoTOC)
	}
	return blob{out.Bytes(), r.Annotations}
}

func zstdChunked(t *testing.T, archive []byte) blob {
	t.Helper()
	var out bytes.Buffer
	annotations := map[string]string{}
	z, err := compressor.ZstdCompressor(&out, annotations, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := z.Write(archive); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return blob{out.Bytes(), annotations}
}

func eStargz(t *testing.T, archive []byte) blob {
	return stargzOf(t, archive, estargz.WithChunkSize(1<<20))
}

func stargzOf(t *testing.T, archive []byte, o estargz.Option) blob {
	t.Helper()
	source := io.NewSectionReader(bytes.NewReader(archive), 0, int64(len(archive)))
	built, err := estargz.Build(source, estargz.WithParallelism(2), o)
	if err != nil {
		t.Fatal(err)
	}
	defer built.Close()
	b, err := io.ReadAll(built)
	if err != nil {
		t.Fatal(err)
	}
	return blob{b, map[string]string{"containerd.io/snapshot/stargz/toc.digest": built.TOCDigest().String()}}
}

// each runs a test for formats.
func each(t *testing.T, formats []format, test func(t *testing.T, f format)) {
	for _, f := range formats {
		t.Run(f.name, func(t *testing.T) { test(t, f) })
	}
}
