package database

import (
	"bytes"
	"fmt"
	"io"
	"sync"

	"github.com/klauspost/compress/gzip"
)

// MaxBody is the largest body of a delivery: GitHub sends none above 25 MB.
const MaxBody = 25<<20 + 64<<10

// level compresses payloads of GitHub nearly as well as any other, and several
// times as fast (BenchmarkPack).
const level = gzip.BestSpeed

var packers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(io.Discard, level)
	if err != nil {
		panic(err) // the level is a constant
	}
	return z
}}

// pack makes a body as it is stored.
func pack(body []byte) ([]byte, error) {
	if len(body) > MaxBody {
		return nil, fmt.Errorf("a body of %d bytes: at most %d are stored", len(body), MaxBody)
	}
	z := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	var b bytes.Buffer
	b.Grow(len(body)/5 + 256)
	z.Reset(&b)
	if _, err := z.Write(body); err != nil {
		return nil, err
	}
	if err := z.Close(); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

// unpack reads a body of so many bytes back.
func unpack(packed []byte, size int64) ([]byte, error) {
	if size < 0 || size > MaxBody {
		return nil, fmt.Errorf("a body of %d bytes cannot be", size)
	}
	z, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("the stored body: %w", err)
	}
	body := make([]byte, size)
	if _, err := io.ReadFull(z, body); err != nil {
		return nil, fmt.Errorf("the stored body: %w", err)
	}
	if n, err := z.Read(make([]byte, 1)); n != 0 || err != io.EOF { // which also checks the sum
		return nil, fmt.Errorf("the stored body does not end after %d bytes: %w", size, err)
	}
	return body, nil
}
