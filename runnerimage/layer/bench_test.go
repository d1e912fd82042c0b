package layer_test

import (
	"bytes"
	"fmt"
	"io"
	"math/rand"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/layer"
	. "github.com/clipperregistry/runner/test/tarball"
)

// BenchmarkReader reads a layer of 100 MB in 2,000 files of text-like content
// with and without read-ahead. The consumer looks at every byte.
func BenchmarkReader(b *testing.B) {
	plain := Build(textFiles(2000, 50_000)...)
	for _, kind := range []struct {
		name string
		blob []byte
	}{{"plain", plain}, {"gzip", Gzip(plain)}, {"zstd", Zstd(plain)}} {
		for _, ahead := range []int{-1, 512 << 10, 1 << 20, 4 << 20} {
			b.Run(fmt.Sprintf("%s/ahead=%d", kind.name, ahead), func(b *testing.B) {
				b.SetBytes(int64(len(plain)))
				for b.Loop() {
					benchRead(b, kind.blob, layer.Limits{ReadAhead: ahead})
				}
				b.ReportMetric(float64(len(plain))/float64(len(kind.blob)), "ratio")
			})
		}
	}
}

// BenchmarkPositions reads the same layer without places to go on, and with
// them, as one member of gzip and as many small ones.
func BenchmarkPositions(b *testing.B) {
	plain := Build(textFiles(2000, 50_000)...)
	for _, kind := range []struct {
		name string
		blob []byte
	}{{"plain", plain}, {"gzip", Gzip(plain)}, {"members", members(plain, 10_000)}} {
		for _, every := range []int64{0, 1 << 20, 4 << 20} {
			b.Run(fmt.Sprintf("%s/every=%d", kind.name, every), func(b *testing.B) {
				b.SetBytes(int64(len(plain)))
				b.ReportAllocs()
				for b.Loop() {
					benchRead(b, kind.blob, layer.Limits{Checkpoints: every})
				}
			})
		}
	}
}

func benchRead(b *testing.B, blob []byte, limits layer.Limits) {
	lr, err := layer.NewReader(bytes.NewReader(blob), limits)
	if err != nil {
		b.Fatal(err)
	}
	defer lr.Close()
	for {
		if _, err := lr.Next(); err == io.EOF {
			return
		} else if err != nil {
			b.Fatal(err)
		}
		if _, err := lr.WriteTo(&xor{}); err != nil {
			b.Fatal(err)
		}
	}
}

// xor looks at every byte, as a consumer that digests would.
type xor struct{ sum byte }

func (x *xor) Write(p []byte) (int, error) {
	for _, c := range p {
		x.sum ^= c
	}
	return len(p), nil
}

func textFiles(n, size int) []Entry {
	rnd := rand.New(rand.NewSource(1))
	words := make([]string, 4000)
	for i := range words {
		words[i] = fmt.Sprintf("%x ", rnd.Intn(1<<(4+rnd.Intn(28))))
	}
	var entries []Entry
	for i := range n {
		var content bytes.Buffer
		for content.Len() < size {
			content.WriteString(words[int(rnd.ExpFloat64()*400)%len(words)])
		}
		entries = append(entries, File(fmt.Sprintf("dir%d/file%d", i%50, i), content.String()))
	}
	return entries
}
