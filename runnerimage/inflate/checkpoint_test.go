package inflate_test

import (
	"bytes"
	"math/rand"
	"reflect"
	"testing"

	"github.com/clipperregistry/runner/runnerimage/inflate"
)

// checkpoints reads to an error, and keeps the Checkpoint of every block.
func checkpoints(t *testing.T, z *inflate.Reader, before int64, n func() int) (all []inflate.Checkpoint, content []byte, err error) {
	t.Helper()
	read := func() int64 { return before + int64(len(content)) }
	z.OnBlock(func(in, out int64) {
		c := z.Checkpoint()
		if c.In != in || c.Out != out || out != read() {
			t.Fatalf("told byte %d and %d of content; checkpoint %d and %d; %d were read", in, out, c.In, c.Out, read())
		}
		all = append(all, c)
	})
	for buf := make([]byte, 1<<17); ; {
		m, err := z.Read(buf[:n()])
		content = append(content, buf[:m]...)
		if err != nil {
			return all, content, err
		}
	}
}

// checkResumed goes on at every block of a stream that gives content and err:
// the rest is the same, and so are the checkpoints in it.
func checkResumed(t *testing.T, stream, content []byte, err error) {
	t.Helper()
	z, headerErr := inflate.NewReader(bytes.NewReader(stream))
	if headerErr != nil {
		return
	}
	rnd := rand.New(rand.NewSource(1))
	n := func() int { return 1 + rnd.Intn(1<<16) }
	all, got, again := checkpoints(t, z, 0, n)
	compare(t, got, again, content, err)
	for i := 0; i < len(all); i += 1 + len(all)/50 {
		c := all[i]
		source := &pieces{stream[c.In:], func(int) int { return n() }}
		z, err := inflate.Resume(source, c)
		if err != nil {
			t.Fatal(err)
		}
		rest, got, err := checkpoints(t, z, c.Out, n)
		compare(t, got, err, content[c.Out:], again)
		if !reflect.DeepEqual(rest, all[i:]) {
			t.Fatalf("resumed at byte %d: %d checkpoints, want %d, or they differ", c.In, len(rest), len(all)-i)
		}
	}
}

func TestResume(t *testing.T) {
	for name, stream := range streams() {
		t.Run(name, func(t *testing.T) {
			content, err := standard(stream)
			checkResumed(t, stream, content, err)
		})
	}
	t.Run("short", func(t *testing.T) {
		stream := short()
		content, err := standard(stream)
		checkResumed(t, stream, content, err)
	})
}

// TestCheckpoints: there is one at the start of every block, that of a member
// included.
func TestCheckpoints(t *testing.T) {
	stream := bytes.Repeat(zipped([]byte("abcdef"), 6, 2), 2) // 3 blocks, each with an empty one, and a last one
	z, err := inflate.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	all, _, _ := checkpoints(t, z, 0, func() int { return 100 })
	if len(all) != 14 {
		t.Errorf("%d checkpoints, want 14", len(all))
	}
	for i, out := range map[int]int64{0: 0, 1: 2, 3: 4, 6: 6, 7: 6, 13: 12} {
		c := all[i]
		if c.Out != out || int64(c.Size) != out-int64(i/7*6) || len(c.Window) != int(c.Size) {
			t.Errorf("checkpoint %d is %+v, want content %d", i, c, out)
		}
	}
}

// TestResumeDamaged: the sums of what came before count.
func TestResumeDamaged(t *testing.T) {
	content := mixed(rand.New(rand.NewSource(1)), 10_000)
	stream := zipped(content, 6, 1000)
	z, err := inflate.NewReader(bytes.NewReader(stream))
	if err != nil {
		t.Fatal(err)
	}
	all, _, _ := checkpoints(t, z, 0, func() int { return 100 })
	c := all[len(all)/2]
	for name, damage := range map[string]func(*inflate.Checkpoint){
		"CRC":    func(c *inflate.Checkpoint) { c.CRC++ },
		"size":   func(c *inflate.Checkpoint) { c.Size++ },
		"window": func(c *inflate.Checkpoint) { c.Window = bytes.Repeat([]byte{1}, len(c.Window)) },
		"short":  func(c *inflate.Checkpoint) { c.Window = nil },
	} {
		damaged := c
		damage(&damaged)
		z, err := inflate.Resume(bytes.NewReader(stream[c.In:]), damaged)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := checkpoints(t, z, c.Out, func() int { return 100 }); kind(err) != "sum" && kind(err) != "corrupt" {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestResumeRefuses(t *testing.T) {
	for name, c := range map[string]inflate.Checkpoint{
		"before the source":     {In: -1},
		"bit":                   {Bit: 8},
		"window before content": {Out: 1, Window: make([]byte, 2)},
		"window too long":       {Out: 1 << 20, Window: make([]byte, 32<<10+1)},
		"source ends":           {Bit: 1},
	} {
		if _, err := inflate.Resume(bytes.NewReader(nil), c); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
