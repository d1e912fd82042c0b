package toc

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// goldenTable is README.md's layout, written out by hand: a table in a zstd
// frame that is not compressed, RFC 8878, 3.1.1.
const goldenTable = `
	434c49505441424c        CLIPTABL
	01000000                version
	07                      format
	00                      complete
	2501000000000000        length of the body, 293

	28b52ffd                zstd frame: magic
	60                      a length of 2 bytes, no window, no checksum
	2500                    293-256
	290900                  last block, raw, 293 bytes
` + goldenBody

const goldenBody = `
	0600000000000000        lengths of the columns: heads
	0600000000000000        shared
	0600000000000000        lengths
	0700000000000000        names
	0400000000000000        links
	1100000000000000        attributes
	0200000000000000        devices
	0c00000000000000        times
	0200000000000000        sizes
	0200000000000000        leads
	0a00000000000000        extended attributes
	6000000000000000        IDs
	0300000000000000        sizes of chunks
	0800000000000000        spans

	32                      heads: directory, attributes, time
	31                      regular, attributes, time
	41                      regular, extended attributes
	13                      symlink, attributes
	15                      character device, attributes
	08                      whiteout

	000102000000            shared with the name before

	010201010101            and how much is not

	61                      a
	2f78                    a/x
	79                      a/y
	6c                      l
	6e                      n
	77                      w

	03612f78                links: a/x

	ed030000                attributes: 0755, 0, 0
	a403e80705              0644, 1000, 5
	ff030000                0777, 0, 0
	a4030000                0644, 0, 0

	0103                    devices: 1, 3

	80c49fd50c00            times: 1,700,000,000 s, 0 ns
	0280cab5ee01            1 s later, 500,000,000 ns

	03                      sizes: 3
	05                      5

	02                      leads: two blocks
	01                      one block behind 509 bytes of padding

	01                      extended attributes: one
	06757365722e6b          user.k
	0176                    v

	11111111111111111111111111111111        IDs
	11111111111111111111111111111111
	eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
	eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee
	00000000000000000000000000000000
	00000000000000000000000000000000

	060101                  sizes of chunks

	28008008                40 bytes at 0, 1024 to skip
	091400                  9 bytes, 10 behind that
	00                      no span
`

// what goldenTable says.
var (
	goldenEntries = []told{
		{Entry: layer.Entry{Name: "a", Type: layer.Directory, Mode: 0o755, ModTime: at(1.7e9, 0)}},
		{layer.Entry{Name: "a/x", Type: layer.Regular, Mode: 0o644, UID: 1000, GID: 5, Size: 3, ModTime: at(1.7e9+1, 5e8)}, 1024},
		{layer.Entry{Name: "a/y", Type: layer.Regular, Mode: 0o644, UID: 1000, GID: 5, Size: 5, ModTime: at(1.7e9+1, 5e8), Xattrs: map[string]string{"user.k": "v"}}, 1021},
		{Entry: layer.Entry{Name: "l", Type: layer.Symlink, Link: "a/x", Mode: 0o777, ModTime: at(1.7e9+1, 5e8)}},
		{Entry: layer.Entry{Name: "n", Type: layer.CharDevice, Mode: 0o644, Major: 1, Minor: 3, ModTime: at(1.7e9+1, 5e8)}},
		{Entry: layer.Entry{Name: "w", Type: layer.Whiteout}},
	}
	goldenChunks = []Chunk{
		{ID: ID(bytes.Repeat([]byte{0x11}, 32)), Size: 6, Offset: 0, Length: 40, Skip: 1024},
		{ID: ID(bytes.Repeat([]byte{0xee}, 32)), Size: 1, Offset: 50, Length: 9},
		{Size: 1},
	}
)

// bytesOf reads the first column.
func bytesOf(t testing.TB, golden string) []byte {
	t.Helper()
	var b []byte
	for line := range strings.Lines(golden) {
		digits, _, _ := strings.Cut(strings.TrimSpace(line), " ")
		raw, err := hex.DecodeString(digits)
		if err != nil {
			t.Fatal(err)
		}
		b = append(b, raw...)
	}
	return b
}

func TestTableFormat(t *testing.T) {
	golden := bytesOf(t, goldenTable)
	table := parsed(t, golden)
	if got := entriesOf(t, table); !reflect.DeepEqual(got, goldenEntries) {
		t.Errorf("entries: %+v", got)
	}
	if !slices.Equal(table.Chunks(), goldenChunks) || table.Format() != 7 {
		t.Errorf("chunks of format %d: %+v", table.Format(), table.Chunks())
	}

	b := encoded(t, write(t, 7, goldenEntries, goldenChunks))
	if !bytes.Equal(b[:headerSize], golden[:headerSize]) {
		t.Errorf("header % x", b[:headerSize])
	}
	if got := body(t, b); !bytes.Equal(got, bytesOf(t, goldenBody)) {
		t.Errorf("body % x", got)
	}
}

// body decompresses the body of a table.
func body(t testing.TB, table []byte) []byte {
	t.Helper()
	z, err := zstd.NewReader(nil)
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b, err := z.DecodeAll(table[headerSize:], nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// framed is a table with this body.
func framed(t testing.TB, format byte, body []byte) []byte {
	t.Helper()
	z, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	defer z.Close()
	b := binary.LittleEndian.AppendUint32([]byte(tableMagic), tableVersion)
	b = binary.LittleEndian.AppendUint64(append(b, format, stateComplete), uint64(len(body)))
	return z.EncodeAll(body, b)
}

// TestDamagedTable damages every byte of a table, and cuts it off everywhere.
// The header of a zstd frame has bits that say nothing.
func TestDamagedTable(t *testing.T) {
	golden := encoded(t, write(t, 7, goldenEntries, goldenChunks))
	whole := parsed(t, golden)
	const formatByte = 12 // any will do
	for i := range golden {
		if _, err := ParseTable(golden[:i]); !errors.Is(err, ErrTable) {
			t.Errorf("cut off at %d: %v", i, err)
		}
		flipped := bytes.Clone(golden)
		flipped[i] ^= 0x10
		table, err := ParseTable(flipped)
		if err == nil && (i == formatByte || reflect.DeepEqual(table, whole)) {
			continue
		}
		if !errors.Is(err, ErrTable) {
			t.Errorf("byte %d flipped: %v", i, err)
		}
	}
	if _, err := ParseTable(append(golden, 0)); !errors.Is(err, ErrTable) {
		t.Errorf("one byte too many: %v", err)
	}
}

// TestHostileBody has frames that are sound around bodies that are not.
func TestHostileBody(t *testing.T) {
	golden := bytesOf(t, goldenBody)
	for what, change := range map[string]func(b []byte) []byte{
		"nothing":                      func(b []byte) []byte { return nil },
		"no columns":                   func(b []byte) []byte { return b[:8*bodyParts-1] },
		"a column less":                func(b []byte) []byte { return b[:len(b)-1] },
		"more than the columns":        func(b []byte) []byte { return append(b, 0) },
		"a column beyond everything":   func(b []byte) []byte { b[7] = 0xff; return b },
		"a head with an unknown flag":  func(b []byte) []byte { b[8*bodyParts] |= 0x80; return b },
		"a head of type 0":             func(b []byte) []byte { b[8*bodyParts] &^= 0x0f; return b },
		"a whiteout with attributes":   func(b []byte) []byte { b[8*bodyParts+5] |= 0x10; return b },
		"a name that shares too much":  func(b []byte) []byte { b[8*bodyParts+7] = 2; return b },
		"a name longer than the names": func(b []byte) []byte { b[8*bodyParts+17]++; return b },
		"a name before its end":        func(b []byte) []byte { b[8*bodyParts+17]--; return b },
		"nanoseconds of a second": func(b []byte) []byte {
			return bytes.Replace(b, []byte{0x80, 0xca, 0xb5, 0xee, 0x01}, []byte{0x80, 0x94, 0xeb, 0xdc, 0x03}, 1)
		},
		"an empty set of attributes": func(b []byte) []byte { return bytes.Replace(b, []byte("\x01\x06user.k"), []byte("\x00\x06user.k"), 1) },
		"an owner of more than 32 bits": func(b []byte) []byte {
			return bytes.Replace(b, []byte{0xe8, 0x07, 0x05, 0xff, 0x03}, []byte{0xff, 0xff, 0xff, 0xff, 0x7f}, 1)
		},
	} {
		if _, err := ParseTable(framed(t, 7, change(bytes.Clone(golden)))); !errors.Is(err, ErrTable) {
			t.Errorf("%s: %v", what, err)
		}
	}
	parsed(t, framed(t, 7, golden))
}

// TestBomb has a few bytes that announce more than bytes can hold, and some
// that hold less or more than they announce.
func TestBomb(t *testing.T) {
	b := framed(t, 0, make([]byte, 1<<20))
	for _, size := range []uint64{1<<20 - 1, 1<<20 + 1, 1 << 29, 1 << 62} {
		binary.LittleEndian.PutUint64(b[14:], size)
		if _, err := ParseTable(b); !errors.Is(err, ErrTable) {
			t.Errorf("%d bytes announced: %v", size, err)
		}
	}
}

// FuzzParseTable proves for any bytes, as a table and as the body of one, that
// what is parsed is in order, and that a Writer makes an equal table of it.
func FuzzParseTable(f *testing.F) {
	f.Add(byte(0), encoded(f, NewWriter()))
	f.Add(byte(7), bytesOf(f, goldenTable))
	f.Add(byte(7), bytesOf(f, goldenBody))
	f.Add(byte(3), body(f, encoded(f, write(f, 3, every[:4], []Chunk{{Size: 1000, Length: 1}}))))
	f.Fuzz(func(t *testing.T, format byte, b []byte) {
		small := limits{entries: 1000, chunks: 1000, metadata: 1 << 20, content: 1 << 40, body: 1 << 20}
		for _, raw := range [][]byte{b, framed(t, format, b)} {
			table, err := decode(raw, stateComplete, small)
			if err != nil {
				if !errors.Is(err, ErrTable) {
					t.Fatal(err)
				}
				continue
			}
			all := entriesOf(t, table)
			w := write(t, table.Format(), all, table.Chunks())
			again := parsed(t, framed(t, table.Format(), w.Table().body()))
			if err := Same(table, again); err != nil || !reflect.DeepEqual(entriesOf(t, again), all) || !slices.Equal(again.Chunks(), table.Chunks()) {
				t.Fatalf("written again it is another: %v", err)
			}
		}
	})
}
