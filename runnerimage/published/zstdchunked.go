package published

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// zstd:chunked is a tar file in zstd frames, one per chunk of content and one
// for what is between. The TOC of CRFS, compressed, is in a skippable frame
// behind them. Annotations of the layer's descriptor tell its digest, that of
// the compressed bytes, and its position, "offset:length:JSON length:1".
//
// containers-storage (Podman, Buildah, skopeo) and the estargz package
// (nerdctl) differ: the first keeps nanoseconds, says where frames end and
// which chunks are holes. Its annotations have a name of their own; skopeo 1.9
// still named them as the estargz package does.
const (
	zstdChunkedPodman  = "io.github.containers.zstd-chunked.manifest-"
	zstdChunkedEStargz = "io.containers.zstd-chunked.manifest-"

	zstdChunkedTypeCRFS = 1
	skippableHeader     = 8 // bytes of a skippable frame before its content
)

// openZstdChunked reads the TOC with one request.
func openZstdChunked(desc oci.Descriptor, read ReadFunc) (*toc.Table, error) {
	a, err := zstdChunkedAnnotations(desc)
	if err != nil {
		return nil, malformed(err)
	}
	packed, err := read(a.offset, a.length)
	if err != nil {
		return nil, err
	}
	if sha256.Sum256(packed) != a.digest {
		return nil, malformed(errors.New("the TOC does not have the annotated digest"))
	}
	table, err := parseZstdChunked(packed, newCRFSTable(a.format, a.offset-skippableHeader))
	if err != nil {
		return nil, malformed(err)
	}
	return table, nil
}

func newZstdChunked(t *toc.Table) decoder { return newMembers(t) }

// annotated is what the annotations of zstd:chunked say.
type annotated struct {
	// format is EStargz as long as the estargz package may have written the
	// TOC.
	format         Format
	digest         toc.ID
	offset, length int64
}

func zstdChunkedAnnotations(desc oci.Descriptor) (annotated, error) {
	a, prefix := annotated{format: ZstdChunked}, zstdChunkedPodman
	if desc.Annotations[prefix+"checksum"] == "" {
		a.format, prefix = EStargz, zstdChunkedEStargz
	}
	var err error
	if a.digest, err = parseID(desc.Annotations[prefix+"checksum"]); err != nil {
		return a, err
	}
	position := desc.Annotations[prefix+"position"]
	var numbers []int64
	for field := range strings.SplitSeq(position, ":") {
		n, err := strconv.ParseUint(field, 10, 63)
		if err != nil {
			return a, fmt.Errorf("position of the TOC: %w", err)
		}
		numbers = append(numbers, int64(n))
	}
	if len(numbers) != 4 || numbers[3] != zstdChunkedTypeCRFS {
		return a, fmt.Errorf("position of the TOC: %.80q", position)
	}
	a.offset, a.length = numbers[0], numbers[1]
	switch {
	case a.length > maxPacked || numbers[2] > maxJSON:
		return a, errors.New("the TOC is larger than can be handled")
	case a.length == 0 || a.offset < skippableHeader || a.offset > desc.Size-a.length:
		return a, fmt.Errorf("the TOC at %s is not within the %d bytes of the blob", position, desc.Size)
	}
	return a, nil
}

func parseZstdChunked(packed []byte, t *crfsTable) (*toc.Table, error) {
	z, err := newZstdReader(bytes.NewReader(packed))
	if err != nil {
		return nil, err
	}
	defer z.Close()
	if err := readCRFS(z, t.add); err != nil {
		return nil, err
	}
	if err := t.finish(); err != nil {
		return nil, err
	}
	return t.parsed()
}
