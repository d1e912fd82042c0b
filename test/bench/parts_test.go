package bench

import (
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"

	"github.com/clipperregistry/runner/runnerimage/inflate"
)

// The parts of the work that nobody can do without who pulls an image of gzip,
// each alone. Writing is the way named copy.
const (
	transferring = "transfer"
	inflating    = "inflate"
	hashing      = "sha256"
)

// parts are turns that do a part of the work each, on as many cores as the
// image has layers for.
func parts(b *testing.B, img *built, over connection) []turn {
	b.Helper()
	dir := lab.Scratch(b)
	var files []string
	for n, url := range img.blobs(b, lab.Registry) {
		file := filepath.Join(dir, fmt.Sprint(n))
		if err := fetch(b, url, file); err != nil {
			b.Fatal(err)
		}
		files = append(files, file)
	}
	part := func(name string, of []string, do func(string) error) turn {
		return turn{name, func() measurement {
			return measure(b, over, func() {
				var work errgroup.Group
				work.SetLimit(runtime.NumCPU())
				for _, one := range of {
					work.Go(func() error { return do(one) })
				}
				if err := work.Wait(); err != nil {
					b.Fatal(err)
				}
			})
		}}
	}
	return []turn{
		part(transferring, img.blobs(b, over.Addr), func(url string) error { return fetch(b, url, os.DevNull) }),
		part(inflating, files, inflateFile),
		part(hashing, files, hashFile),
	}
}

// fetch transfers a blob to a file with few large reads.
func fetch(b *testing.B, url, file string) error {
	request, err := http.NewRequestWithContext(b.Context(), http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, response.Status)
	}
	out, err := os.Create(file)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.CopyBuffer(struct{ io.Writer }{out}, response.Body, make([]byte, 256<<10))
	return err
}

// inflateFile inflates as the runner does.
func inflateFile(file string) error {
	return readFile(file, io.Discard, func(r io.Reader) (io.Reader, error) { return inflate.NewReader(r) })
}

func hashFile(file string) error {
	return readFile(file, sha256.New(), func(r io.Reader) (io.Reader, error) { return r, nil })
}

// readFile reads a file through a reader of its content.
func readFile(file string, to io.Writer, through func(io.Reader) (io.Reader, error)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	r, err := through(f)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{r}, make([]byte, 256<<10))
	return err
}

// BenchmarkInflate: the layer of the large image on one core, by the runner's
// inflater and by the quickest other one in Go.
func BenchmarkInflate(b *testing.B) {
	file := filepath.Join(lab.Scratch(b), "blob")
	if err := fetch(b, made.get(b, large, gzipped).blobs(b, lab.Registry)[0], file); err != nil {
		b.Fatal(err)
	}
	took := func(through func(io.Reader) (io.Reader, error)) func() measurement {
		return func() measurement {
			start := time.Now()
			if err := readFile(file, io.Discard, through); err != nil {
				b.Fatal(err)
			}
			return measurement{took: time.Since(start)}
		}
	}
	by := map[string]samples{}
	inTurns(b, "inflate", by,
		turn{"ours", took(func(r io.Reader) (io.Reader, error) { return inflate.NewReader(r) })},
		turn{"klauspost", took(func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) })})
	results.inflate(by["ours"].took(), by["klauspost"].took())
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(by["ours"].took().seconds(), "ours-s")
	b.ReportMetric(by["klauspost"].took().seconds(), "klauspost-s")
}
