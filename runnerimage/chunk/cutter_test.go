package chunk_test

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/chunk"
)

// Sizes in bytes, as the package comment has them in a table.
const (
	kib       = 1 << 10
	smallFile = 64 * kib
	minGroup  = 16 * kib
	maxGroup  = 256 * kib
	minFile   = 32 * kib
	maxFile   = 512 * kib
)

// files is a layer: the content of its regular files.
type files [][]byte

func (l files) size() (n int) {
	for _, f := range l {
		n += len(f)
	}
	return n
}

func text(r *rand.Rand, size int) []byte {
	b := make([]byte, size)
	for i := 0; i < size; {
		for bits := r.Uint64(); bits > 0 && i < size; bits >>= 5 {
			b[i] = "etaoin shrdlu\n{}();=0123456789AB"[bits%32]
			i++
		}
	}
	return b
}

// layerOf makes a layer of small files, sized about as in a distribution, with
// a larger one after every so many.
func layerOf(r *rand.Rand, small, everyLarge int) files {
	var l files
	for i := range small {
		size := min(smallFile-1, int(math.Exp(7.2+1.5*r.NormFloat64()))) // median 1.3 KiB, mean 4 KiB
		l = append(l, text(r, size))
		if everyLarge > 0 && i%everyLarge == everyLarge-1 {
			l = append(l, text(r, smallFile+r.IntN(1<<20)))
		}
	}
	return l
}

// cut cuts a layer; step says how many bytes the next Write gets.
func cut(t testing.TB, l files, step func() int) (chunks []chunk.Chunk) {
	t.Helper()
	cutTo(t, l, step, func(c chunk.Chunk) {
		c.Content = bytes.Clone(c.Content)
		chunks = append(chunks, c)
	})
	return chunks
}

func cutTo(t testing.TB, l files, step func() int, emit func(chunk.Chunk)) {
	t.Helper()
	c := chunk.NewCutter(func(c chunk.Chunk) error {
		emit(c)
		return nil
	})
	for _, f := range l {
		if err := c.File(int64(len(f))); err != nil {
			t.Fatal(err)
		}
		for len(f) > 0 {
			n := min(step(), len(f))
			if wrote, err := c.Write(f[:n]); err != nil || wrote != n {
				t.Fatalf("write %d bytes: %d, %v", n, wrote, err)
			}
			f = f[n:]
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func whole() int { return math.MaxInt }

// check tests everything that chunks promise about one layer.
func check(t testing.TB, l files, chunks []chunk.Chunk) {
	t.Helper()
	const small, large = 1, 2
	var stream []byte
	begins := make([]byte, l.size()+1) // the kind of file that begins there, by offset
	for _, f := range l {
		if len(f) > 0 {
			begins[len(stream)] = small
			if len(f) >= smallFile {
				begins[len(stream)] = large
			}
		}
		stream = append(stream, f...)
	}
	end, inLarge := 0, false
	for i, c := range chunks {
		if c.Offset != int64(end) || !bytes.Equal(c.Content, stream[end:min(len(stream), int(c.End()))]) {
			t.Fatalf("chunk %d, %d bytes at %d, does not go on at %d with what was written", i, len(c.Content), c.Offset, end)
		}
		if c.ID() != sha256.Sum256(c.Content) {
			t.Errorf("chunk %d has the ID %s", i, c.ID())
		}
		start := end
		end = int(c.End())
		if begins[start] != 0 {
			inLarge = begins[start] == large
		}
		inside := begins[min(start+1, end):end]
		if bytes.IndexByte(inside, large) >= 0 || inLarge && bytes.IndexByte(inside, small) >= 0 {
			t.Errorf("chunk %d, %d to %d, holds parts of a small and a large file, or of two large ones", i, start, end)
		}
		last := end == len(stream)
		switch size := len(c.Content); {
		case inLarge && (size < minFile || size > maxFile):
			t.Errorf("chunk %d of a large file has %d bytes", i, size)
		case !inLarge && size > maxGroup:
			t.Errorf("chunk %d of small files has %d bytes", i, size)
		case !inLarge && size < minGroup && !last && begins[end] != large:
			t.Errorf("chunk %d of small files has %d bytes", i, size)
		case !inLarge && !last && begins[end] == 0:
			t.Errorf("chunk %d ends within a small file", i)
		case size == 0:
			t.Errorf("chunk %d is empty", i)
		}
	}
	if end != len(stream) {
		t.Errorf("chunks end at %d of %d", end, len(stream))
	}
}

func ids(chunks []chunk.Chunk) (list []chunk.ID) {
	for _, c := range chunks {
		list = append(list, c.ID())
	}
	return list
}

func TestCutterKeepsItsPromises(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	of := func(sizes ...int) (l files) {
		for _, n := range sizes {
			l = append(l, text(r, n))
		}
		return l
	}
	for name, l := range map[string]files{
		"nothing":              {},
		"an empty file":        of(0),
		"empty files":          of(0, 0, 1, 0, 0),
		"one byte":             of(1),
		"small and large":      of(100, smallFile-1, smallFile, 100, smallFile+1, 0, 5),
		"large after large":    of(maxFile, maxFile+1, maxFile+minFile-1, maxFile+minFile, 3*maxFile),
		"a zero":               {make([]byte, 1)},
		"small zeros":          slices.Repeat(files{make([]byte, 10*kib)}, 100),
		"large zeros":          {make([]byte, 3*maxFile+5)},
		"zeros below two cuts": {make([]byte, maxFile+5)},
		"many tiny files":      slices.Repeat(files{[]byte("x")}, 50000),
		"many alike":           slices.Repeat(of(3000), 1000),
		"almost large":         of(slices.Repeat([]int{smallFile - 1}, 50)...),
	} {
		t.Run(name, func(t *testing.T) {
			chunks := cut(t, l, whole)
			check(t, l, chunks)
			for _, size := range []int{1<<12 + 1, minFile, maxFile} {
				if got := cut(t, l, func() int { return size }); !slices.Equal(ids(got), ids(chunks)) {
					t.Errorf("writes of %d bytes give other chunks", size)
				}
			}
		})
	}
}

func TestCutsDoNotDependOnWrites(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	l := layerOf(r, 300, 50)
	chunks := cut(t, l, whole)
	check(t, l, chunks)
	for name, step := range map[string]func() int{
		"a byte each":   func() int { return 1 },
		"a window each": func() int { return 64 },
		"odd":           func() int { return 997 },
		"any":           func() int { return 1 + r.IntN(200*kib) },
		"tiny and long": func() int { return 1 + r.IntN(2)*300*kib },
	} {
		if got := cut(t, l, step); !slices.Equal(ids(got), ids(chunks)) {
			t.Errorf("%s: other chunks", name)
		}
	}
}

// TestFormat holds the cuts to what they were when the format was made: if it
// fails, every store and every published image is cut anew.
func TestFormat(t *testing.T) {
	var l files
	state := uint32(1)
	for i := range 400 {
		size := i * 37 % 9000
		if i%100 == 50 {
			size = 700*kib + i
		}
		f := make([]byte, size)
		for j := range f {
			state = state*1664525 + 1013904223 // any generator that no library can change
			f[j] = byte(state >> 24)
		}
		l = append(l, f)
	}
	chunks := cut(t, l, whole)
	check(t, l, chunks)
	sum := sha256.New()
	var sizes []int
	for _, c := range chunks {
		id := c.ID()
		sum.Write(id[:])
		sizes = append(sizes, len(c.Content))
	}
	if got, want := hex.EncodeToString(sum.Sum(nil)), "29e43a16b2268c45938f2c84dca5f2272c2c9867c5eb589b2bbe1e97193225a2"; got != want {
		t.Errorf("the IDs of the chunks have the digest %s, want %s\nsizes: %v", got, want, sizes)
	}
}

func TestSizes(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for _, tt := range []struct {
		name           string
		layer          files
		low, high      int // of the average, KiB
		long, longer   int // KiB, and percent of the chunks that are longer
		short, shorter int // KiB, and percent of the chunks that are shorter
	}{
		{"small files", layerOf(r, 4000, 0), 70, 90, 160, 8, 24, 10},
		{"files of 500 bytes", slices.Collect(func(yield func([]byte) bool) {
			for range 30000 {
				if !yield(text(r, 500)) {
					return
				}
			}
		}), 70, 90, 160, 8, 24, 10},
		{"one large file", files{text(r, 24<<20)}, 108, 132, 260, 6, 40, 12},
	} {
		chunks := cut(t, tt.layer, whole)
		check(t, tt.layer, chunks)
		average := tt.layer.size() / len(chunks) / kib
		longer, shorter := 0, 0
		for _, c := range chunks {
			if len(c.Content) > tt.long*kib {
				longer++
			}
			if len(c.Content) < tt.short*kib {
				shorter++
			}
		}
		t.Logf("%s: %d chunks of %d KiB on average, %d above %d KiB, %d below %d KiB", tt.name, len(chunks), average, longer, tt.long, shorter, tt.short)
		if average < tt.low || average > tt.high {
			t.Errorf("%s: the average chunk has %d KiB, want %d to %d", tt.name, average, tt.low, tt.high)
		}
		if longer*100 > len(chunks)*tt.longer {
			t.Errorf("%s: %d of %d chunks are above %d KiB", tt.name, longer, len(chunks), tt.long)
		}
		if shorter*100 > len(chunks)*tt.shorter {
			t.Errorf("%s: %d of %d chunks are below %d KiB", tt.name, shorter, len(chunks), tt.short)
		}
	}
}

// TestLocality updates a layer in all ways and counts what a store that has
// the layer must fetch for the update.
func TestLocality(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	base := layerOf(r, 2000, 250)
	stored := map[chunk.ID]bool{}
	chunks := cut(t, base, whole)
	for _, c := range chunks {
		stored[c.ID()] = true
	}
	t.Logf("%d files, %d KiB, %d chunks", len(base), base.size()/kib, len(chunks))
	if len(chunks) < 120 {
		t.Fatalf("%d chunks are too few to tell", len(chunks))
	}
	pick := func(large bool) int {
		for {
			if i := r.IntN(len(base)); len(base[i]) >= smallFile == large && len(base[i]) > 0 {
				return i
			}
		}
	}
	replace := func(i int, f []byte) files { return slices.Concat(base[:i], files{f}, base[i+1:]) }
	for _, tt := range []struct {
		name   string
		update func() files
		// Chunks that are new, on average of all rounds and in the worst
		// round; and their bytes on average.
		average float64
		worst   int
		bytes   int
	}{
		{"nothing", func() files { return slices.Clone(base) }, 0, 0, 0},
		{"insert a small file", func() files { return slices.Insert(slices.Clone(base), r.IntN(len(base)), text(r, 1+r.IntN(10*kib))) }, 2, 6, 160 * kib},
		{"insert an empty file", func() files { return slices.Insert(slices.Clone(base), r.IntN(len(base)), nil) }, 0, 0, 0},
		{"remove a small file", func() files { i := pick(false); return slices.Delete(slices.Clone(base), i, i+1) }, 2, 6, 160 * kib},
		{"remove the first file", func() files { return base[1:] }, 2, 6, 160 * kib},
		{"change a byte in a small file", func() files {
			i := pick(false)
			f := bytes.Clone(base[i])
			f[r.IntN(len(f))] ^= 1
			return replace(i, f)
		}, 2, 6, 160 * kib},
		{"move a small file", func() files {
			i := pick(false)
			return slices.Insert(slices.Delete(slices.Clone(base), i, i+1), r.IntN(len(base)), base[i])
		}, 4, 10, 320 * kib},
		{"replace a run of small files", func() files {
			i := r.IntN(len(base) - 40)
			l := slices.Clone(base)
			for j := i; j < i+40; j++ {
				if len(l[j]) < smallFile {
					l[j] = text(r, len(l[j]))
				}
			}
			return l
		}, 7, 12, 600 * kib},
		{"insert a large file", func() files { return slices.Insert(slices.Clone(base), r.IntN(len(base)), text(r, 500*kib)) }, 9, 14, 660 * kib},
		{"remove a large file", func() files { i := pick(true); return slices.Delete(slices.Clone(base), i, i+1) }, 2, 6, 160 * kib},
		{"a byte more in a large file", func() files {
			i := pick(true)
			return replace(i, slices.Insert(bytes.Clone(base[i]), r.IntN(len(base[i])), 'x'))
		}, 2, 6, 320 * kib},
		{"a large file grows", func() files { i := pick(true); return replace(i, append(bytes.Clone(base[i]), "more\n"...)) }, 2, 3, 320 * kib},
		{"a large file begins otherwise", func() files { i := pick(true); return replace(i, append([]byte("more\n"), base[i]...)) }, 2, 6, 320 * kib},
	} {
		const rounds = 6
		fetched, size, worst := 0, 0, 0
		for range rounds {
			now := 0
			cutTo(t, tt.update(), whole, func(c chunk.Chunk) {
				if !stored[c.ID()] {
					now++
					size += len(c.Content)
				}
			})
			fetched += now
			worst = max(worst, now)
		}
		average := float64(fetched) / rounds
		t.Logf("%s: %.1f new chunks, %d at worst, %d KiB", tt.name, average, worst, size/rounds/kib)
		if average > tt.average || worst > tt.worst || size/rounds > tt.bytes {
			t.Errorf("%s: %.1f new chunks on average, %d at worst, %d bytes; want at most %.1f, %d, %d",
				tt.name, average, worst, size/rounds, tt.average, tt.worst, tt.bytes)
		}
	}
}

// TestLargeFileIsCutTheSameAnywhere: neighbours do not matter to a large file.
func TestLargeFileIsCutTheSameAnywhere(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	large := text(r, 2<<20)
	alone := ids(cut(t, files{large}, whole))
	for _, before := range []int{1, 100, 20 * kib, smallFile, 3 << 20} {
		got := ids(cut(t, files{text(r, before), large, text(r, 10)}, whole))
		if i := slices.Index(got, alone[0]); i < 0 || !slices.Equal(got[i:min(len(got), i+len(alone))], alone) {
			t.Errorf("behind a file of %d bytes it has other chunks", before)
		}
	}
}

func TestMemory(t *testing.T) {
	p := text(rand.New(rand.NewPCG(6, 6)), 10*kib)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	c := chunk.NewCutter(func(chunk.Chunk) error { return nil })
	for range 4 {
		for range 200 {
			if err := cmp.Or(c.File(int64(len(p))), second(c.Write(p))); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.File(int64(200 * len(p))); err != nil {
			t.Fatal(err)
		}
		for range 200 {
			if _, err := c.Write(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; took > 1<<20 {
		t.Errorf("%d bytes of memory to cut 16 MB", took)
	}
}

func second[T any](_ T, err error) error { return err }

func TestCutterErrors(t *testing.T) {
	type call = func(*chunk.Cutter) error
	file := func(size int64) call { return func(c *chunk.Cutter) error { return c.File(size) } }
	write := func(size int) call { return func(c *chunk.Cutter) error { return second(c.Write(make([]byte, size))) } }
	full := errors.New("full")
	for _, tt := range []struct {
		name  string
		calls []call // the last fails
		want  string
	}{
		{"no file", []call{write(1)}, "has more content"},
		{"too much", []call{file(3), write(2), write(2)}, "a file of 3 bytes has more content"},
		{"too much for a large file", []call{file(smallFile), write(smallFile), write(1)}, "has more content"},
		{"next file too early", []call{file(3), write(2), file(1)}, "1 bytes of a file of 3 bytes are missing"},
		{"end too early", []call{file(smallFile), write(2), (*chunk.Cutter).Close}, "65534 bytes of a file of 65536 bytes are missing"},
		{"negative", []call{file(-1)}, "no file is -1 bytes long"},
		{"beyond 64 bits", []call{file(1), write(1), file(math.MaxInt64)}, "no file is 9223372036854775807 bytes long"},
		{"emit fails at the end", []call{file(3), write(3), (*chunk.Cutter).Close}, "full"},
		{"emit fails before a large file", []call{file(3), write(3), file(smallFile)}, "full"},
		{"emit fails within a large file", []call{file(2 * maxFile), write(maxFile + 1)}, "full"},
	} {
		c := chunk.NewCutter(func(chunk.Chunk) error {
			if tt.want == full.Error() {
				return full
			}
			return nil
		})
		for i, call := range tt.calls {
			err := call(c)
			if last := i == len(tt.calls)-1; last != (err != nil) {
				t.Fatalf("%s: call %d: %v", tt.name, i, err)
			} else if last && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
			} else if last && errors.Is(err, full) != (tt.want == "full") {
				t.Errorf("%s: %v", tt.name, err)
			}
		}
		for _, again := range []call{file(0), write(0), (*chunk.Cutter).Close} {
			if again(c) == nil {
				t.Errorf("%s: the Cutter works on behind its error", tt.name)
			}
		}
	}
}

// FuzzCutter reads a layer and the sizes of writes from its input: for each
// file two bytes of size (in units that reach all kinds of files), one that
// says what content it has, one for the size of writes.
func FuzzCutter(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\x01a\x05\x04\x00bc\x10\x00zq"))
	f.Add(bytes.Repeat([]byte("\x00\x90c\xff"), 12))
	f.Add([]byte("\x90\xff\x00\x80\x90\x00\x01\x90\xa0\x00\x02\xff"))
	f.Fuzz(func(t *testing.T, in []byte) {
		var l files
		var steps []int
		for ; len(in) >= 4 && len(l) < 40; in = in[4:] {
			size := (int(in[0])<<8 | int(in[1])) * 20 // up to 1.3 MB
			if in[0] < 0x80 {
				size /= 50
			}
			content := make([]byte, size) // of zeros
			if in[2]%4 > 0 {
				content = text(rand.New(rand.NewPCG(uint64(in[2]), 0)), size)
			}
			l = append(l, content)
			steps = append(steps, 1+int(in[3])*509)
			if l.size() > 2<<20 {
				break
			}
		}
		chunks := cut(t, l, whole)
		check(t, l, chunks)
		turn := 0
		got := cut(t, l, func() int { turn++; return steps[turn%len(steps)] })
		if !slices.Equal(ids(got), ids(chunks)) {
			t.Error("other writes give other chunks")
		}
	})
}

func BenchmarkCutter(b *testing.B) {
	r := rand.New(rand.NewPCG(7, 7))
	for _, bb := range []struct {
		name  string
		layer files
	}{
		{"small", layerOf(r, 2000, 0)},
		{"large", files{text(r, 16<<20)}},
	} {
		b.Run(bb.name, func(b *testing.B) {
			b.SetBytes(int64(bb.layer.size()))
			for b.Loop() {
				cutTo(b, bb.layer, func() int { return 256 * kib }, func(chunk.Chunk) {})
			}
		})
	}
}

func ExampleCutter() {
	c := chunk.NewCutter(func(c chunk.Chunk) error {
		fmt.Printf("%d to %d: %.8s\n", c.Offset, c.End(), c.ID())
		return nil
	})
	for _, content := range []string{"hello, ", "world"} {
		if err := c.File(int64(len(content))); err != nil {
			fmt.Println(err)
		}
		if _, err := c.Write([]byte(content)); err != nil {
			fmt.Println(err)
		}
	}
	if err := c.Close(); err != nil {
		fmt.Println(err)
	}
	// Output: 0 to 12: 09ca7e4e
}

// A Cutter that goes on from the state of another one, at any place, cuts as
// if nothing had happened.
func TestResumeCutter(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var l files
	for _, size := range []int{10, 3000, 60 << 10, 0, smallFile, 900 << 10, 5, 70 << 10, 40 << 10, 40 << 10, 1} {
		l = append(l, text(r, size))
	}
	want := cut(t, l, whole)
	for range 50 {
		var got []chunk.Chunk
		keep := func(c chunk.Chunk) error {
			c.Content = bytes.Clone(c.Content)
			got = append(got, c)
			return nil
		}
		c := chunk.NewCutter(keep)
		resume := func() {
			state := c.State()
			c.Close() // has nothing to do with the one that goes on
			got = slices.DeleteFunc(got, func(c chunk.Chunk) bool { return c.Offset >= state.Offset })
			var err error
			if c, err = chunk.ResumeCutter(state, keep); err != nil {
				t.Fatal(err)
			}
		}
		for _, f := range l {
			if err := c.File(int64(len(f))); err != nil {
				t.Fatal(err)
			}
			for len(f) > 0 {
				n := min(1+r.IntN(100<<10), len(f))
				if _, err := c.Write(f[:n]); err != nil {
					t.Fatal(err)
				}
				f = f[n:]
				if r.IntN(4) == 0 {
					resume()
				}
			}
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(ids(got), ids(want)) {
			t.Fatalf("%d chunks after resuming, %d without, or others", len(got), len(want))
		}
	}
	if _, err := chunk.ResumeCutter(chunk.State{Size: 1, Left: 2}, nil); err == nil {
		t.Error("an impossible state is accepted")
	}
}
