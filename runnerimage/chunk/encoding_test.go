package chunk_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/chunk"
)

func noise(size int) []byte {
	b := make([]byte, size)
	rand.NewChaCha8([32]byte{}).Read(b)
	return b
}

func TestID(t *testing.T) {
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // FIPS 180-2, B.1
	id := chunk.IDOf([]byte("abc"))
	if id.String() != abc {
		t.Errorf("the ID of abc is %s", id)
	}
	if got, err := chunk.ParseID(abc); err != nil || got != id {
		t.Errorf("parse: %s, %v", got, err)
	}
	for _, bad := range []string{"", "sha256:" + abc, abc[1:], abc + "0", strings.ToUpper(abc), abc[:63] + "g", abc[:62] + "ß"} {
		if got, err := chunk.ParseID(bad); err == nil || got != (chunk.ID{}) {
			t.Errorf("%q: %s, %v", bad, got, err)
		}
	}
}

func TestEncoding(t *testing.T) {
	for _, tt := range []struct {
		name    string
		content []byte
		stored  int // size at most
		first   byte
	}{
		{"empty", nil, 1, 1},
		{"one byte", []byte("x"), 2, 1},
		{"noise", noise(chunk.MaxSize), chunk.MaxSize + 1, 1},
		{"text", bytes.Repeat([]byte("the same again, "), 20000), 20000, 2},
		{"zeros", make([]byte, chunk.MaxSize), 100, 2},
	} {
		for _, dst := range [][]byte{nil, []byte("kept"), make([]byte, 4, 2*chunk.MaxSize)} {
			stored := chunk.Encode(slices.Clip(dst), tt.content)
			if !bytes.HasPrefix(stored, dst) {
				t.Fatalf("%s: encode does not append", tt.name)
			}
			stored = stored[len(dst):]
			if len(stored) > tt.stored || stored[0] != tt.first {
				t.Errorf("%s: stored in %d bytes, encoding %d", tt.name, len(stored), stored[0])
			}
			if spare := chunk.Encode(dst, tt.content); !bytes.Equal(spare[len(dst):], stored) {
				t.Errorf("%s: room in dst changes the stored form", tt.name)
			}
			content, err := chunk.Decode(dst, stored, len(tt.content))
			if err != nil || !bytes.HasPrefix(content, dst) || !bytes.Equal(content[len(dst):], tt.content) {
				t.Errorf("%s: decode: %d bytes, %v", tt.name, len(content), err)
			}
			if content, err := chunk.Decode(dst, stored, len(tt.content)-1); !errors.Is(err, chunk.ErrCorrupt) || !bytes.Equal(content, dst) {
				t.Errorf("%s: decode within a byte less: %d bytes, %v", tt.name, len(content), err)
			}
		}
	}
}

func TestDecodeReusesMemory(t *testing.T) {
	for _, content := range [][]byte{noise(1000), make([]byte, 1000)} {
		stored := chunk.Encode(nil, content)
		dst := make([]byte, 0, 1000)
		if n := testing.AllocsPerRun(10, func() {
			if _, err := chunk.Decode(dst, stored, 1000); err != nil {
				t.Error(err)
			}
		}); n != 0 {
			t.Errorf("encoding %d: %v allocations", stored[0], n)
		}
	}
}

func TestDecodeCorrupt(t *testing.T) {
	good := chunk.Encode(nil, bytes.Repeat([]byte("0123456789"), 1000))
	for name, stored := range map[string][]byte{
		"nothing":         {},
		"a hole":          make([]byte, 100),
		"no encoding":     append([]byte{3}, good[1:]...),
		"cut off":         good[:len(good)-1],
		"more":            append(bytes.Clone(good), 0),
		"no block":        {2},
		"no length":       {2, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
		"claims 4 GiB":    {2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0},
		"claims too much": append([]byte{2, 0x80, 0x80, 0x40}, good[3:]...),
		"raw, too long":   append([]byte{1}, make([]byte, chunk.MaxSize+1)...),
	} {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		got, err := chunk.Decode(nil, stored, chunk.MaxSize)
		runtime.ReadMemStats(&after)
		if !errors.Is(err, chunk.ErrCorrupt) || got != nil {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
		if took := after.TotalAlloc - before.TotalAlloc; took > 2*chunk.MaxSize {
			t.Errorf("%s: takes %d bytes of memory", name, took)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte{}, 10)
	f.Add([]byte{1, 2, 3}, 2)
	f.Add(chunk.Encode(nil, bytes.Repeat([]byte("seed "), 100)), 500)
	f.Add([]byte{2, 0xff, 0xff, 0xff, 0xff, 0x0f, 0}, chunk.MaxSize)
	f.Fuzz(func(t *testing.T, in []byte, maxSize int) {
		maxSize = min(maxSize, chunk.MaxSize)
		content, err := chunk.Decode([]byte("kept"), in, maxSize)
		if !bytes.HasPrefix(content, []byte("kept")) {
			t.Fatal("decode does not append")
		}
		content = content[len("kept"):]
		if err != nil && (!errors.Is(err, chunk.ErrCorrupt) || len(content) > 0) {
			t.Errorf("%d bytes, %v", len(content), err)
		}
		if err == nil && len(content) > maxSize {
			t.Errorf("%d bytes, more than %d", len(content), maxSize)
		}
		again, err := chunk.Decode(nil, chunk.Encode(nil, in), len(in))
		if err != nil || !bytes.Equal(again, in) {
			t.Errorf("what was encoded is decoded to %d bytes, %v", len(again), err)
		}
	})
}

func BenchmarkEncoding(b *testing.B) {
	r := rand.New(rand.NewPCG(9, 9))
	var content []byte
	for dictionary := text(r, 4*kib); len(content) < 120*kib; {
		word := r.IntN(len(dictionary) - 20)
		content = append(content, dictionary[word:word+3+r.IntN(17)]...)
	}
	stored := chunk.Encode(nil, content)
	room := make([]byte, 0, 2*len(content))
	b.Logf("%d bytes are stored in %d", len(content), len(stored))
	b.Run("encode", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			chunk.Encode(room, content)
		}
	})
	b.Run("decode", func(b *testing.B) {
		b.SetBytes(int64(len(content)))
		for b.Loop() {
			if _, err := chunk.Decode(room, stored, chunk.MaxSize); err != nil {
				b.Fatal(err)
			}
		}
	})
}
