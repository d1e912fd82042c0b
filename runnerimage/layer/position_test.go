package layer_test

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math/rand"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/clipperregistry/runner/runnerimage/layer"
	. "github.com/clipperregistry/runner/test/tarball"
)

// resumed reads a layer step by step and, where stop says so, gives up the
// Reader for one that goes on from its Position, stored and loaded. The result
// is that of read. It tells how often it resumed.
func resumed(blob []byte, limits layer.Limits, step int, stop func() bool) (entries []layer.Entry, contents []string, times int, err error) {
	lr, err := layer.NewReader(bytes.NewReader(blob), limits)
	if err != nil {
		return nil, nil, 0, err
	}
	defer func() { lr.Close() }()
	again := func() error {
		if !stop() {
			return nil
		}
		p, ok := lr.Position()
		if !ok {
			return nil
		}
		times++
		other, err := resume(blob, p, limits)
		if err != nil {
			return err
		}
		lr.Close()
		lr = other
		if q, ok := lr.Position(); !ok || q.Tar != p.Tar || q.Rest != p.Rest || q.Blob < p.Blob {
			return fmt.Errorf("resumed at %d, %d left, from %d of the blob, want %d, %d, %d", q.Tar, q.Rest, q.Blob, p.Tar, p.Rest, p.Blob)
		}
		return nil
	}
	buf := make([]byte, step)
	for {
		if err := again(); err != nil {
			return entries, contents, times, err
		}
		e, err := lr.Next()
		if err == io.EOF {
			return entries, contents, times, nil
		}
		if err != nil {
			return entries, contents, times, err
		}
		var content strings.Builder
		for e.Size <= largest {
			if err := again(); err != nil {
				return entries, contents, times, err
			}
			n, err := lr.Read(buf)
			content.Write(buf[:n])
			if err == io.EOF {
				break
			}
			if err != nil {
				return entries, contents, times, err
			}
		}
		entries, contents = append(entries, *e), append(contents, content.String())
	}
}

func resume(blob []byte, p layer.Position, limits layer.Limits) (*layer.Reader, error) {
	b, err := p.MarshalBinary()
	if err != nil {
		return nil, err
	}
	var loaded layer.Position
	if err := loaded.UnmarshalBinary(b); err != nil {
		return nil, err
	}
	if loaded.Blob > int64(len(blob)) {
		return nil, fmt.Errorf("goes on at %d of %d bytes", loaded.Blob, len(blob))
	}
	return layer.ResumeReader(bytes.NewReader(blob[loaded.Blob:]), loaded, limits)
}

// TestResume reads on from every position, from random ones, and from few, in
// every shape: what comes is what would have come.
func TestResume(t *testing.T) {
	for name, blob := range shapes() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entries, contents, err := read(bytes.NewReader(blob), layer.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			rnd := rand.New(rand.NewSource(2))
			for _, tt := range []struct {
				every     int64
				step      int
				in, ahead int
			}{
				{1, 2200, 1, -1}, {1, 337, 30, 1}, {1, 512 * 7, 2, 0}, {20_000, 100_000, 1, -1}, {1 << 40, 10_000, 20, -1},
			} {
				limits := layer.Limits{Checkpoints: tt.every, ReadAhead: tt.ahead}
				got, gotContents, times, err := resumed(blob, limits, tt.step, func() bool { return rnd.Intn(tt.in) == 0 })
				if err != nil {
					t.Fatalf("%+v: %v", tt, err)
				}
				if !reflect.DeepEqual(got, entries) || !reflect.DeepEqual(gotContents, contents) {
					t.Fatalf("%+v: resumed %d times, got %+v, want %+v, or their content differs", tt, times, got, entries)
				}
				if tt.in == 1 && times < len(entries)/2+1 {
					t.Errorf("%+v: resumed %d times with %d entries", tt, times, len(entries))
				}
			}
		})
	}
}

// TestPositionIsNear reads a large file: a Position within costs no more than
// the interval and a few blocks, whatever has been read ahead.
func TestPositionIsNear(t *testing.T) {
	const every = 128 << 10
	content := make([]byte, 3<<20)
	rand.New(rand.NewSource(1)).Read(content)
	plain := Build(File("a", string(content)))
	for name, blob := range map[string][]byte{"plain": plain, "gzip": gzipWith(plain, 6, 50_000), "gzip members": storedMembers(plain, 50_000)} {
		for how, ahead := range map[string]int{"direct": -1, "ahead": 512 << 10} {
			lr, err := layer.NewReader(bytes.NewReader(blob), layer.Limits{Checkpoints: every, ReadAhead: ahead})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := lr.Next(); err != nil {
				t.Fatal(err)
			}
			var last layer.Position
			for n := int64(0); ; n += 10_000 {
				p, ok := lr.Position()
				if !ok || p.Tar != 512+n || p.Rest != int64(len(content))-n || p.Blob < last.Blob {
					t.Fatalf("%s, %s: %d of %d left at %d, after %d bytes: %v", name, how, p.Rest, p.Blob, p.Tar, n, ok)
				}
				// The content cannot be compressed.
				if behind := p.Tar - p.Blob; behind > every+150_000 || behind < -10_000 {
					t.Errorf("%s, %s: at %d of the tar stream, goes on at %d of the blob", name, how, p.Tar, p.Blob)
				}
				last = p
				if _, err := io.CopyN(io.Discard, lr, 10_000); err == io.EOF {
					break
				} else if err != nil {
					t.Fatal(err)
				}
			}
			lr.Close()
		}
	}
}

// TestNoPosition: where there is none, the one before stays the newest.
func TestNoPosition(t *testing.T) {
	text := Build(File("a", "text"))
	on := layer.Limits{Checkpoints: 1}
	for _, tt := range []struct {
		name    string
		blob    []byte
		limits  layer.Limits
		entries int // to go to
		want    bool
	}{
		{"before the first entry", text, on, 0, true},
		{"at an entry", text, on, 1, true},
		{"at the end", text, on, 2, false},
		{"after an error", text[:514], on, 2, false},
		{"not wanted", text, layer.Limits{}, 1, false},
		{"not wanted, gzip", Gzip(text), layer.Limits{}, 1, false},
		{"zstd", Zstd(text), on, 1, false},
		{"sparse", Build(Sparse("a", 9, nil), File("b", "")), on, 1, false},
		{"after sparse", Build(Sparse("a", 9, nil), File("b", "")), on, 2, true},
		{"whiteout", Build(Whiteout("a")), on, 1, true},
		{"whiteout with content", Build(File(".wh.a", "text")), on, 1, false},
	} {
		lr, err := layer.NewReader(bytes.NewReader(tt.blob), tt.limits)
		if err != nil {
			t.Fatal(err)
		}
		for range tt.entries {
			lr.Next()
		}
		if p, got := lr.Position(); got != tt.want {
			t.Errorf("%s: position %+v, %v, want %v", tt.name, p, got, tt.want)
		}
		lr.Close()
		if _, ok := lr.Position(); ok {
			t.Errorf("%s: a position after Close", tt.name)
		}
	}
}

// at reads up to content byte n of the first entry, which is the Position.
func at(t *testing.T, blob []byte, n int64) layer.Position {
	t.Helper()
	lr, err := layer.NewReader(bytes.NewReader(blob), layer.Limits{Checkpoints: 1, ReadAhead: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer lr.Close()
	if _, err := lr.Next(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, lr, n); err != nil {
		t.Fatal(err)
	}
	p, ok := lr.Position()
	if !ok || p.Blob == 0 {
		t.Fatalf("position %+v after %d bytes: %v", p, n, ok)
	}
	return p
}

// TestResumeDamaged: a resumed Reader notices what any other does.
func TestResumeDamaged(t *testing.T) {
	rnd := rand.New(rand.NewSource(1))
	var content strings.Builder
	for again := mixed(rnd, 5000); content.Len() < 100_000; { // what repeats refers to what was
		content.WriteString(again + mixed(rnd, 5000))
	}
	plain := Build(File("a", content.String()), File("b", "x"))
	blob := gzipWith(plain, 6, 5000)
	wrong := errors.New("wrong digest")
	p := at(t, blob, 50_000)
	stored, err := p.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	other := func(from, to int) (q layer.Position) {
		b := bytes.Clone(stored)
		for i := range b[from:to] {
			b[from+i] ^= 0x10
		}
		if err := q.UnmarshalBinary(b); err != nil {
			t.Fatal(err)
		}
		return q
	}
	rest := blob[p.Blob:]
	for _, tt := range []struct {
		name string
		r    io.Reader
		p    layer.Position
		want error
	}{
		{"nothing", bytes.NewReader(rest), p, nil},
		{"sum", bytes.NewReader(damage(rest, -6)), p, layer.ErrFormat},
		{"length", bytes.NewReader(damage(rest, -1)), p, layer.ErrFormat},
		{"cut", bytes.NewReader(rest[:len(rest)-9]), p, io.ErrUnexpectedEOF},
		{"cut at once", bytes.NewReader(nil), p, io.ErrUnexpectedEOF},
		{"cut before the position", bytes.NewReader(rest[:100]), p, layer.ErrFormat},
		{"source", io.MultiReader(bytes.NewReader(rest[:2000]), iotest.ErrReader(wrong)), p, wrong},
		{"source at once", iotest.ErrReader(wrong), p, wrong},
		{"middle and digest", io.MultiReader(bytes.NewReader(damage(rest, 3000)), iotest.ErrReader(wrong)), p, wrong},
		{"history", bytes.NewReader(rest), other(54, len(stored)), layer.ErrFormat},
		{"sum before", bytes.NewReader(rest), other(46, 47), layer.ErrFormat},
		{"length before", bytes.NewReader(rest), other(50, 51), layer.ErrFormat},
		{"another blob", bytes.NewReader(plain), p, layer.ErrFormat},
	} {
		for how, limits := range both {
			lr, err := layer.ResumeReader(tt.r, tt.p, limits)
			if err == nil {
				_, err = io.Copy(io.Discard, lr)
				for err == nil {
					_, err = lr.Next()
				}
				lr.Close()
			}
			want := tt.want
			if want == nil {
				want = io.EOF
			}
			if !errors.Is(err, want) || errors.Is(err, layer.ErrFormat) == (want == wrong || want == io.EOF) {
				t.Errorf("%s, %s: error is %v, want %v", tt.name, how, err, want)
			}
			if s, ok := tt.r.(io.Seeker); ok {
				s.Seek(0, io.SeekStart)
			} else {
				break // its bytes are gone
			}
		}
	}
}

// TestPlacesAreFew reads ahead what has a place to go on every few bytes: they
// must not all be kept.
func TestPlacesAreFew(t *testing.T) {
	plain := Build(File("a", mixed(rand.New(rand.NewSource(1)), 300_000)))
	for name, blob := range map[string][]byte{
		"tiny blocks":   gzipWith(plain, gzip.HuffmanOnly, 30),
		"empty members": join(storedMembers(plain[:50_000], 50_000), bytes.Repeat(Gzip(nil), 40_000), Gzip(plain[50_000:])),
	} {
		before := heap()
		lr, err := layer.NewReader(bytes.NewReader(blob), layer.Limits{Checkpoints: 1, ReadAhead: 1 << 20})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lr.Next(); err != nil {
			t.Fatal(err)
		}
		for lr.Inflated() < int64(len(plain)) {
			runtime.Gosched() // the read-ahead has room for everything
		}
		if after := heap(); after > before+2<<20 {
			t.Errorf("%s: the reader keeps %d bytes", name, after-before)
		}
		runtime.KeepAlive(blob)
		if _, err := io.Copy(io.Discard, lr); err != nil {
			t.Fatal(err)
		}
		if p, ok := lr.Position(); !ok || p.Blob < int64(len(blob))*4/5 {
			t.Errorf("%s: at the end of the file, goes on at %d of %d bytes: %v", name, p.Blob, len(blob), ok)
		}
		lr.Close()
	}
}

func TestPositionFormat(t *testing.T) {
	var zero layer.Position
	stored, err := at(t, gzipWith(Build(File("a", mixed(rand.New(rand.NewSource(1)), 100_000))), 6, 5000), 50_000).MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	start, err := zero.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	with := func(b []byte, at int, value byte) []byte {
		b = bytes.Clone(b)
		b[at] = value
		return b
	}
	for name, b := range map[string][]byte{
		"nothing":            nil,
		"magic":              damage(stored, 0),
		"version":            with(stored, 8, 2),
		"cut":                stored[:53],
		"format":             with(stored, 12, 4),
		"bit":                with(stored, 13, 8),
		"Blob below zero":    with(stored, 21, 0x80),
		"Blob too large":     with(stored, 21, 0x7f),
		"Tar before Blob":    with(with(stored, 23, 0), 24, 0),
		"Rest too large":     with(stored, 37, 0x7f),
		"history too long":   join(stored, make([]byte, 32<<10+1)),
		"start, Blob":        with(start, 14, 1),
		"start, Rest":        with(start, 30, 1),
		"start, history":     join(start, []byte("x")),
		"tar, Blob":          with(with(start, 12, 1), 14, 1),
		"tar, history":       join(with(start, 12, 1), []byte("x")),
		"member, sum":        with(with(start, 12, 2), 46, 1),
		"member, bit":        with(with(start, 12, 2), 13, 1),
		"format of the next": with(start, 12, 0xff),
	} {
		p := layer.Position{Tar: 5}
		if err := p.UnmarshalBinary(b); err == nil || p.Tar != 5 {
			t.Errorf("%s: %+v, error %v", name, p, err)
		}
	}
	if err := zero.UnmarshalBinary(start); err != nil {
		t.Error(err)
	}
}

// FuzzResume goes on in any blob at anything that passes for a Position.
func FuzzResume(f *testing.F) {
	plain := Build(File("a", mixed(rand.New(rand.NewSource(1)), 20_000)), Dir("b"))
	for _, blob := range [][]byte{plain, gzipWith(plain, 6, 3000), members(plain, 3000)} {
		lr, err := layer.NewReader(bytes.NewReader(blob), layer.Limits{Checkpoints: 1, ReadAhead: -1})
		if err != nil {
			f.Fatal(err)
		}
		for _, n := range []int64{0, 10_000, 10_000} {
			p, _ := lr.Position()
			b, err := p.MarshalBinary()
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b, blob[p.Blob:])
			lr.Next()
			io.CopyN(io.Discard, lr, n)
		}
		lr.Close()
	}
	f.Fuzz(func(t *testing.T, stored, blob []byte) {
		var p layer.Position
		if p.UnmarshalBinary(stored) != nil {
			return
		}
		if again, err := p.MarshalBinary(); err != nil || !bytes.Equal(again, stored) {
			t.Fatalf("%x was read as %x, error %v", stored, again, err)
		}
		lr, err := layer.ResumeReader(bytes.NewReader(blob), p, layer.Limits{Entries: 100, Metadata: 1 << 20, ReadAhead: -1, Checkpoints: 1})
		if err != nil {
			return
		}
		defer lr.Close()
		if q, ok := lr.Position(); ok && (q.Tar != p.Tar || q.Rest != p.Rest) {
			t.Fatalf("resumed at %+v, want %+v", q, p)
		}
		if n, err := io.Copy(io.Discard, lr); n > p.Rest || err == nil && n < p.Rest {
			t.Fatalf("%d bytes of content, error %v, want %d", n, err, p.Rest)
		}
		for {
			e, err := lr.Next()
			if err != nil {
				return
			}
			var content strings.Builder
			if e.Size <= largest {
				if _, err := io.Copy(&content, lr); err != nil {
					return
				}
			}
			check(t, *e, content.String())
		}
	})
}
