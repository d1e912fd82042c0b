package inflate_test

import (
	"bytes"
	"compress/gzip"
	"math/rand"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/inflate"
)

// FuzzReader reads anything, as a gzip stream and as the DEFLATE stream of a
// member, in random pieces. The standard library says what is right.
func FuzzReader(f *testing.F) {
	rnd := rand.New(rand.NewSource(3))
	for _, level := range []int{0, 1, 6, gzip.HuffmanOnly} {
		f.Add(zipped(mixed(rnd, 2000), level, 500), int64(level))
	}
	f.Add(zipped(skewed(rnd, 5000), 9, 5000)[10:], int64(1))
	f.Add(withFields([]byte("text")), int64(2))
	f.Add(append(zipped([]byte("a"), 6, 1), zipped([]byte("b"), 6, 1)...), int64(3))
	for _, tt := range handmade() {
		f.Add(tt.deflated, int64(4))
	}
	var z inflate.Reader
	f.Fuzz(func(t *testing.T, b []byte, seed int64) {
		rnd := rand.New(rand.NewSource(seed))
		for _, stream := range [][]byte{b, member(b, nil), append(zipped(b, 6, 1000), b...)} {
			got, err := read(&z, stream, rnd)
			check(t, stream, got, err)
		}
	})
}

// FuzzCompressed reads what compressors make of any content, with damage, and
// goes on at every checkpoint.
func FuzzCompressed(f *testing.F) {
	f.Add([]byte("text, text, text"), int64(1), 6, 5, uint(0), byte(0))
	rnd := rand.New(rand.NewSource(4))
	for level := -2; level <= 9; level++ {
		f.Add(mixed(rnd, 5000), int64(level), level, 1000, uint(rnd.Intn(3000)), byte(rnd.Intn(2)))
	}
	f.Fuzz(func(t *testing.T, content []byte, seed int64, level, piece int, at uint, flip byte) {
		rnd := rand.New(rand.NewSource(seed))
		// Repeated, it has long matches and many blocks.
		content = bytes.Repeat(content, 1+rnd.Intn(8))
		stream := zipped(content, min(max(level, gzip.HuffmanOnly), gzip.BestCompression), max(piece, len(content)/10+1))
		stream[at%uint(len(stream))] ^= flip
		var z inflate.Reader
		got, err := read(&z, stream, rnd)
		check(t, stream, got, err)
		checkResumed(t, stream, got, err)
	})
}
