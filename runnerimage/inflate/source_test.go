package inflate_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"testing"
	"testing/iotest"

	"github.com/clipperregistry/runner/runnerimage/inflate"
)

// TestSourceError: the source's error comes as it is behind the content before
// it, and stays.
func TestSourceError(t *testing.T) {
	broken := errors.New("broken")
	stream := zipped(mixed(rand.New(rand.NewSource(1)), 3000), 6, 500)
	for n := 10; n <= len(stream); n++ {
		z, err := inflate.NewReader(io.MultiReader(bytes.NewReader(stream[:n]), iotest.ErrReader(broken)))
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(z)
		want, wantErr := standard(stream[:n])
		if err != broken {
			t.Fatalf("broken at %d: error is %v", n, err)
		}
		if n == len(stream) {
			compare(t, got, nil, want, wantErr)
		} else {
			compare(t, got, io.ErrUnexpectedEOF, want, wantErr)
		}
		if n, err := z.Read(make([]byte, 9)); n != 0 || err != broken {
			t.Fatalf("after the error: %d bytes, error %v", n, err)
		}
	}
}

// TestBadSource: a source that breaks the rules of io.Reader is an error.
func TestBadSource(t *testing.T) {
	for name, read := range map[string]func([]byte) (int, error){
		"nothing":   func([]byte) (int, error) { return 0, nil },
		"too much":  func(p []byte) (int, error) { return len(p) + 1, nil },
		"below all": func([]byte) (int, error) { return -1, nil },
	} {
		if _, err := inflate.NewReader(readFunc(read)); err == nil || kind(err) == "cut" {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

type readFunc func([]byte) (int, error)

func (f readFunc) Read(p []byte) (int, error) { return f(p) }

// TestNeverWaits flushes pieces into a source that is asked for the next one
// only when all before was read.
func TestNeverWaits(t *testing.T) {
	for _, level := range []int{0, 1, 6} {
		read, flushed := 0, 0
		stream := zipped(bytes.Repeat([]byte("0123456789"), 1000), level, 100)
		parts := bytes.SplitAfter(stream, []byte{0, 0, 0xff, 0xff}) // a flush ends so
		z, err := inflate.NewReader(readFunc(func(p []byte) (int, error) {
			if read < flushed {
				return 0, fmt.Errorf("asked for more with %d of %d bytes read", read, flushed)
			}
			if len(parts) == 0 {
				return 0, io.EOF
			}
			n := copy(p, parts[0])
			parts[0] = parts[0][n:]
			if len(parts[0]) == 0 {
				parts = parts[1:]
				flushed = min(flushed+100, 10_000)
			}
			return n, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		for buf := make([]byte, 33); ; {
			n, err := z.Read(buf)
			read += n
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatalf("level %d: %v", level, err)
			}
		}
		if read != 10_000 {
			t.Errorf("level %d: read %d bytes", level, read)
		}
	}
}
