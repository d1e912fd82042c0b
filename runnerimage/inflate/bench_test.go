package inflate_test

import (
	"bytes"
	"compress/gzip"
	"flag"
	"fmt"
	"io"
	"math/rand"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/inflate"
	faster "github.com/klauspost/compress/gzip"
)

var layer = flag.String("layer", "", "a gzip file that BenchmarkReader measures too: go test -bench Reader -args -layer /layer.tar.gz")

type resetter interface {
	io.Reader
	Reset(io.Reader) error
}

// BenchmarkReader reads by turns with this package and with those that there
// are besides, and compares the CPU time of each turn.
func BenchmarkReader(b *testing.B) {
	for _, kind := range []struct {
		name   string
		stream func() ([]byte, error)
	}{
		{"program", func() ([]byte, error) {
			path, err := os.Executable()
			if err != nil {
				return nil, err
			}
			program, err := os.ReadFile(path)
			return zipped(program, 6, 1<<30), err
		}},
		{"text", func() ([]byte, error) { return zipped(text(20<<20), 6, 1<<30), nil }},
		{"stored", func() ([]byte, error) { return zipped(text(20<<20), 0, 1<<30), nil }},
		{"layer", func() ([]byte, error) { return os.ReadFile(*layer) }},
	} {
		if kind.name == "layer" && *layer == "" {
			continue
		}
		b.Run(kind.name, func(b *testing.B) {
			stream, err := kind.stream()
			if err != nil {
				b.Fatal(err)
			}
			benchmarkTurns(b, stream)
		})
	}
}

func benchmarkTurns(b *testing.B, stream []byte) {
	names := []string{"inflate", "klauspost", "compress"}
	readers := []resetter{new(inflate.Reader), new(faster.Reader), new(gzip.Reader)}
	times := make([][]float64, len(readers))
	buf := make([]byte, 128<<10)
	var size int64
	for b.Loop() {
		for i, z := range readers {
			begin := cpuTime(b)
			if err := z.Reset(bytes.NewReader(stream)); err != nil {
				b.Fatal(err)
			}
			// Only this package writes to a writer by itself.
			n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{z}, buf)
			if err != nil || size != 0 && n != size {
				b.Fatalf("%s: %d bytes, error %v", names[i], n, err)
			}
			size = n
			times[i] = append(times[i], (cpuTime(b) - begin).Seconds())
		}
	}
	for i, name := range names {
		var rates, ratios []float64
		for round, seconds := range times[i] {
			rates = append(rates, float64(size)/1e6/seconds)
			ratios = append(ratios, seconds/times[0][round])
		}
		b.ReportMetric(median(rates), name+"-MB/s")
		if i > 0 {
			b.ReportMetric(median(ratios), "×"+name)
		}
	}
}

func cpuTime(b *testing.B) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func median(all []float64) float64 {
	slices.Sort(all)
	return all[len(all)/2]
}

// text is words of which some are common.
func text(n int) []byte {
	rnd := rand.New(rand.NewSource(1))
	words := make([]string, 4000)
	for i := range words {
		words[i] = fmt.Sprintf("%x ", rnd.Intn(1<<(4+rnd.Intn(28))))
	}
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[int(rnd.ExpFloat64()*400)%len(words)])
	}
	return []byte(b.String())
}
