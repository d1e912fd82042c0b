package layer_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/layer"
	. "github.com/clipperregistry/runner/test/tarball"
	"github.com/klauspost/compress/gzip"
)

// gzipHeader is a header with the fields that the flags ask for. What is added
// to its sum makes it wrong.
func gzipHeader(flags byte, text string, wrong uint16) []byte {
	h := []byte{0x1f, 0x8b, 8, flags, 1, 2, 3, 4, 5, 6}
	if flags&4 != 0 {
		h = append(h, 3, 0, 'a', 0, 'b')
	}
	for _, flag := range []byte{8, 16} {
		if flags&flag != 0 {
			h = append(append(h, text...), 0)
		}
	}
	if flags&2 != 0 {
		h = binary.LittleEndian.AppendUint16(h, uint16(crc32.ChecksumIEEE(h))+wrong)
	}
	return h
}

// TestGzipHeaders reads first and second members with every combination of
// flags. The reader of gzip that engines use says what is right.
func TestGzipHeaders(t *testing.T) {
	plain := Build(File("a", "text"))
	body := Gzip(plain)[10:]
	accepted := 0
	for flags := range 256 {
		if flags > 32 && flags != 64 && flags != 128 { // reserved
			continue
		}
		for _, text := range []string{"", "name\xff", strings.Repeat("x", 511), strings.Repeat("x", 512)} {
			for wrong := range uint16(2) {
				header := gzipHeader(byte(flags), text, wrong)
				for _, blob := range [][]byte{join(header, body), join(Gzip(nil), header, body)} {
					_, _, err := one(blob)
					want := gunzips(blob)
					if (err == nil) != want || err != nil && !errors.Is(err, layer.ErrFormat) {
						t.Fatalf("header %q: error is %v, for engines it is right: %v", header, err, want)
					}
					if want {
						accepted++
					}
				}
			}
		}
	}
	if accepted < 100 {
		t.Errorf("%d were accepted", accepted)
	}
}

func gunzips(blob []byte) bool {
	z, err := gzip.NewReader(bytes.NewReader(blob))
	if err != nil {
		return false
	}
	_, err = io.Copy(io.Discard, z)
	return err == nil
}

// TestGzipHeaderCut: the end of the blob is no end of a header.
func TestGzipHeaderCut(t *testing.T) {
	whole := gzipHeader(0x1f, "text", 0)
	for n := 2; n <= len(whole); n++ {
		for name, before := range map[string][]byte{"first": nil, "second": Gzip(Build())} {
			_, _, err := read(bytes.NewReader(join(before, whole[:n])), layer.Limits{})
			if !errors.Is(err, layer.ErrFormat) || !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("%s, cut at %d: error is %v, want io.ErrUnexpectedEOF", name, n, err)
			}
		}
	}
}
