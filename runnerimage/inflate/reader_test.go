package inflate_test

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/clipperregistry/runner/runnerimage/inflate"
)

// TestReader reads all shapes from sources of all kinds, in random pieces.
func TestReader(t *testing.T) {
	var z inflate.Reader
	rnd := rand.New(rand.NewSource(1))
	for name, stream := range streams() {
		t.Run(name, func(t *testing.T) {
			want, wantErr := standard(stream)
			if wantErr != nil {
				t.Fatal(wantErr)
			}
			for range 5 {
				got, err := read(&z, stream, rnd)
				compare(t, got, err, want, nil)
			}
			for _, source := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
				if err := z.Reset(source(bytes.NewReader(stream))); err != nil {
					t.Fatal(err)
				}
				got, err := io.ReadAll(struct{ io.Reader }{&z})
				compare(t, got, err, want, nil)
			}
		})
	}
}

// short is a stream of few bytes with blocks of all kinds and two members.
func short() []byte {
	rnd := rand.New(rand.NewSource(5))
	return slices.Concat(
		withFields(slices.Concat(mixed(rnd, 100), []byte(strings.Repeat("text ", 20)))),
		zipped([]byte("stored"), 0, 3),
		member(new(bitWriter).bits(0, 1).bits(1, 2).code(0x30+'f', 8).code(1, 7).code(0, 5).code(0, 7).bits(1, 1).bits(0, 2).bits(0, 7).bits(1, 16).bits(0xfffe, 16).bits('x', 8).out, []byte("ffffx")),
	)
}

// TestEverySplit cuts source and output in two at every place.
func TestEverySplit(t *testing.T) {
	var z inflate.Reader
	stream := short()
	want, err := standard(stream)
	if err != nil {
		t.Fatal(err)
	}
	for in := range stream {
		for out := range want {
			source := &pieces{stream, func(left int) int { return left - (len(stream) - in) }}
			if err := z.Reset(source); err != nil {
				t.Fatal(err)
			}
			first := make([]byte, out)
			if _, err := io.ReadFull(&z, first); err != nil {
				t.Fatal(err)
			}
			rest, err := io.ReadAll(&z)
			if got := append(first, rest...); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("split at %d and %d: %q, error %v, want %q", in, out, got, err, want)
			}
		}
	}
}

// TestEveryCut: no end but the right one is an end.
func TestEveryCut(t *testing.T) {
	var z inflate.Reader
	stream := short()
	ends := 0
	for n := range len(stream) + 1 {
		got, err := read(&z, stream[:n], rand.New(rand.NewSource(int64(n))))
		check(t, stream[:n], got, err)
		switch kind(err) {
		case "":
			ends++
		case "cut":
			if !errors.Is(err, io.ErrUnexpectedEOF) {
				t.Errorf("cut at %d: error is %v", n, err)
			}
		default:
			t.Errorf("cut at %d: error is %v", n, err)
		}
	}
	if ends != 3 {
		t.Errorf("%d ends, want one for each member", ends)
	}
}

// TestEveryBit damages every bit.
func TestEveryBit(t *testing.T) {
	var z inflate.Reader
	stream := short()
	kinds := map[string]int{}
	for i := range 8 * len(stream) {
		damaged := bytes.Clone(stream)
		damaged[i/8] ^= 1 << (i % 8)
		got, err := read(&z, damaged, rand.New(rand.NewSource(int64(i))))
		check(t, damaged, got, err)
		kinds[kind(err)]++
	}
	for _, k := range []string{"", "corrupt", "cut", "header", "sum"} {
		if kinds[k] == 0 {
			t.Errorf("no error is of kind %q", k)
		}
	}
}

// TestHandmade reads what no compressor makes, with and without more behind
// it: the end of the input is for other code than the middle.
func TestHandmade(t *testing.T) {
	var z inflate.Reader
	for _, tt := range handmade() {
		t.Run(tt.name, func(t *testing.T) {
			content, err := io.ReadAll(flate.NewReader(bytes.NewReader(tt.deflated)))
			if (err == nil) != tt.right {
				t.Fatalf("the standard library's error is %v", err)
			}
			got, err := read(&z, member(tt.deflated, content), rand.New(rand.NewSource(1)))
			if tt.right && (err != nil || !bytes.Equal(got, content)) {
				t.Fatalf("%d bytes of content, error %v, want %d", len(got), err, len(content))
			}
			for n := range len(tt.deflated) + 1 {
				stream := member(tt.deflated[:n], nil)
				got, err := read(&z, stream, rand.New(rand.NewSource(int64(n))))
				check(t, stream, got, err)
				stream = append(stream, make([]byte, 100)...)
				got, err = read(&z, stream, rand.New(rand.NewSource(int64(n))))
				check(t, stream, got, err)
			}
		})
	}
}

// TestBehind: bytes behind the last member are an error behind its content.
func TestBehind(t *testing.T) {
	var z inflate.Reader
	long := strings.Repeat("n", 511)
	for _, tt := range []struct {
		behind, want string
	}{
		{"", ""},
		{strings.Repeat("\x00", 9), "cut"},
		{strings.Repeat("\x00", 10), "header"},
		{strings.Repeat("\x00", 1<<20), "header"},
		{"garbage, garbage", "header"},
		{"\x1f\x8b\x08", "cut"},
		{"\x1f\x8b\x07\x00\x00\x00\x00\x00\x00\x00\x03\x00", "header"},
		{"\x1f\x8b\x08\x20\x00\x00\x00\x00\x00\x00\x03\x00", "header"},
		{"\x1f\x8b\x08\x08\x00\x00\x00\x00\x00\x00" + long + "\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00", ""},
		{"\x1f\x8b\x08\x10\x00\x00\x00\x00\x00\x00" + long + "n\x00\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00", "header"},
	} {
		stream := append(zipped([]byte("text"), 6, 9), tt.behind...)
		got, err := read(&z, stream, rand.New(rand.NewSource(1)))
		check(t, stream, got, err)
		if string(got) != "text" || kind(err) != tt.want {
			t.Errorf("before %.20q: %q, error %v, want %q", tt.behind, got, err, tt.want)
		}
	}
}

// TestNoGzip: what does not start as gzip gives no Reader.
func TestNoGzip(t *testing.T) {
	for stream, want := range map[string]error{"": io.ErrUnexpectedEOF, "\x1f\x8b\x08": io.ErrUnexpectedEOF, "plain and simple": inflate.ErrHeader} {
		if z, err := inflate.NewReader(strings.NewReader(stream)); z != nil || err != want {
			t.Errorf("%q: %v, error %v, want %v", stream, z, err, want)
		}
	}
}

// TestWriteTo: a writer's error ends the call and loses nothing.
func TestWriteTo(t *testing.T) {
	content := mixed(rand.New(rand.NewSource(1)), 1<<20)
	z, err := inflate.NewReader(bytes.NewReader(zipped(content, 6, 1<<20)))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	full := errors.New("full")
	calls := 0
	for err = full; err == full; calls++ {
		_, err = z.WriteTo(writeFunc(func(p []byte) (int, error) {
			n, _ := got.Write(p[:(len(p)+1)/2])
			return n, full
		}))
		if err == nil {
			break
		}
		var n int64
		if n, err = z.WriteTo(writeFunc(func(p []byte) (int, error) { return got.Write(p[:len(p)/2]) })); err == io.ErrShortWrite && n >= 0 {
			err = full
		}
	}
	if err != nil || calls < 2 || !bytes.Equal(got.Bytes(), content) {
		t.Errorf("%d calls wrote %d bytes, error %v, want %d", calls, got.Len(), err, len(content))
	}
}

type writeFunc func([]byte) (int, error)

func (f writeFunc) Write(p []byte) (int, error) { return f(p) }

// TestAllocations: a Reader that is used again needs no memory.
func TestAllocations(t *testing.T) {
	stream := slices.Concat(short(), zipped(mixed(rand.New(rand.NewSource(1)), 1<<18), 6, 1<<16))
	var z inflate.Reader
	source := bytes.NewReader(nil)
	n := testing.AllocsPerRun(10, func() {
		source.Reset(stream)
		if err := z.Reset(source); err != nil {
			t.Fatal(err)
		}
		if _, err := z.WriteTo(io.Discard); err != nil {
			t.Fatal(err)
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}
