package layer_test

import (
	"archive/tar"
	"bytes"
	"compress/bzip2"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
	. "github.com/clipperregistry/runner/test/tarball"
)

// both are the two ways of reading, which must not differ.
var both = map[string]layer.Limits{"ahead": {}, "direct": {ReadAhead: -1}}

// largest is the largest content that is read: sparse files may be huge.
const largest = 2 << 20

// read reads a whole layer. The content of entries that have none is "".
func read(r io.Reader, limits layer.Limits) (entries []layer.Entry, contents []string, err error) {
	lr, err := layer.NewReader(r, limits)
	if err != nil {
		return nil, nil, err
	}
	defer lr.Close()
	for {
		e, err := lr.Next()
		if err == io.EOF {
			return entries, contents, nil
		}
		if err != nil {
			return entries, contents, err
		}
		var content strings.Builder
		if e.Size <= largest {
			if _, err := io.Copy(&content, lr); err != nil {
				return entries, contents, err
			}
		}
		entries, contents = append(entries, *e), append(contents, content.String())
	}
}

func one(b []byte) (layer.Entry, string, error) {
	entries, contents, err := read(bytes.NewReader(b), layer.Limits{})
	if err != nil {
		return layer.Entry{}, "", err
	}
	if len(entries) != 1 {
		return layer.Entry{}, "", fmt.Errorf("%d entries, want one: %v", len(entries), entries)
	}
	return entries[0], contents[0], nil
}

func TestEntries(t *testing.T) {
	long := strings.Repeat("directory/", 30) + "name"
	fine := time.Unix(1_600_000_000, 123_456_789).UTC()
	epoch := time.Unix(0, 0).UTC()
	tests := []struct {
		name    string
		entry   Entry
		want    layer.Entry
		content string
	}{
		{"regular", File("a/b", "text", Owner(1, 2), Mode(0o640)), layer.Entry{Name: "a/b", Type: layer.Regular, Mode: 0o640, UID: 1, GID: 2, Size: 4}, "text"},
		{"regular of V7", File("a", "text", Typeflag(0)), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644, Size: 4}, "text"},
		{"contiguous", File("a", "text", Typeflag('7')), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644, Size: 4}, "text"},
		{"regular with a slash", File("a/", "text"), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644, Size: 4}, "text"},
		{"sparse", Sparse("a/b", 9, []Fragment{{Offset: 2, Data: "xy"}, {Offset: 6, Data: "z"}}), layer.Entry{Name: "a/b", Type: layer.Regular, Mode: 0o644, Size: 9}, "\x00\x00xy\x00\x00z\x00\x00"},
		{"sparse, huge", Sparse("a", 1<<40, []Fragment{{Offset: 1 << 39, Data: "x"}}), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644, Size: 1 << 40}, ""},
		{"directory", Dir("a/b", Mode(0o1777)), layer.Entry{Name: "a/b", Type: layer.Directory, Mode: 0o1777}, ""},
		{"directory of V7", Dir("a", Typeflag(0)), layer.Entry{Name: "a", Type: layer.Directory, Mode: 0o755}, ""},
		{"root", Dir("./", Mode(0o700)), layer.Entry{Type: layer.Directory, Mode: 0o700}, ""},
		{"symlink", Symlink("a", "../../b//./c"), layer.Entry{Name: "a", Type: layer.Symlink, Link: "../../b//./c", Mode: 0o777}, ""},
		{"symlink, long", Symlink("a", long+"//"), layer.Entry{Name: "a", Type: layer.Symlink, Link: long + "//", Mode: 0o777}, ""},
		{"hard link", HardLink("a", "b/c"), layer.Entry{Name: "a", Type: layer.HardLink, Link: "b/c", Mode: 0o644}, ""},
		{"hard link, absolute", HardLink("a", "/t/absname"), layer.Entry{Name: "a", Type: layer.HardLink, Link: "t/absname", Mode: 0o644}, ""},
		{"hard link, dots", HardLink("a", "./t/./dot"), layer.Entry{Name: "a", Type: layer.HardLink, Link: "t/dot", Mode: 0o644}, ""},
		{"hard link, outside", HardLink("a", "../../etc/shadow"), layer.Entry{Name: "a", Type: layer.HardLink, Link: "etc/shadow", Mode: 0o644}, ""},
		{"character device", Char("a", 1, 3), layer.Entry{Name: "a", Type: layer.CharDevice, Mode: 0o644, Major: 1, Minor: 3}, ""},
		{"character device 0:0", Char("a", 0, 0), layer.Entry{Name: "a", Type: layer.Whiteout}, ""},
		{"block device", Block("a", 4095, 1<<20-1), layer.Entry{Name: "a", Type: layer.BlockDevice, Mode: 0o644, Major: 4095, Minor: 1<<20 - 1}, ""},
		{"block device 0:0", Block("a", 0, 0), layer.Entry{Name: "a", Type: layer.BlockDevice, Mode: 0o644}, ""},
		{"FIFO", FIFO("a"), layer.Entry{Name: "a", Type: layer.FIFO, Mode: 0o644}, ""},

		{"name, long PAX", File(long, ""), layer.Entry{Name: long, Type: layer.Regular, Mode: 0o644}, ""},
		{"name, long GNU", File(long, "", Format(tar.FormatGNU)), layer.Entry{Name: long, Type: layer.Regular, Mode: 0o644}, ""},
		{"name, absolute", File("/a", ""), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644}, ""},
		{"name, dots", File("./a/.//b/../c", ""), layer.Entry{Name: "a/c", Type: layer.Regular, Mode: 0o644}, ""},
		{"name, outside", File("../../a/../../b", ""), layer.Entry{Name: "b", Type: layer.Regular, Mode: 0o644}, ""},
		{"name, any bytes", File("a\n\xff\\", ""), layer.Entry{Name: "a\n\xff\\", Type: layer.Regular, Mode: 0o644}, ""},
		{"name, longest element", File(strings.Repeat("x", 255), ""), layer.Entry{Name: strings.Repeat("x", 255), Type: layer.Regular, Mode: 0o644}, ""},
		{"name, longest", File(strings.Repeat("x/", 2047)+"x", ""), layer.Entry{Name: strings.Repeat("x/", 2047) + "x", Type: layer.Regular, Mode: 0o644}, ""},
		{"name like gzip", File("\x1f\x8b\x08", ""), layer.Entry{Name: "\x1f\x8b\x08", Type: layer.Regular, Mode: 0o644}, ""},

		{"whiteout", Whiteout("a/b"), layer.Entry{Name: "a/b", Type: layer.Whiteout}, ""},
		{"whiteout at the root", Whiteout("a"), layer.Entry{Name: "a", Type: layer.Whiteout}, ""},
		{"whiteout, longest", Whiteout(strings.Repeat("x", 255)), layer.Entry{Name: strings.Repeat("x", 255), Type: layer.Whiteout}, ""},
		{"whiteout with content", File("a/.wh.b", "text"), layer.Entry{Name: "a/b", Type: layer.Whiteout}, ""},
		{"whiteout as directory", Dir("a/.wh.b"), layer.Entry{Name: "a/b", Type: layer.Whiteout}, ""},
		{"whiteout of dots", File("a/.wh....", ""), layer.Entry{Name: "a/...", Type: layer.Whiteout}, ""},
		{"whiteout as parent", File("a/.wh.b/c", ""), layer.Entry{Name: "a/.wh.b/c", Type: layer.Regular, Mode: 0o644}, ""},
		{"opaque", Opaque("a/b"), layer.Entry{Name: "a/b", Type: layer.Opaque}, ""},
		{"opaque root", Opaque(""), layer.Entry{Type: layer.Opaque}, ""},
		{"opaque root, absolute", File("/.wh..wh..opq", ""), layer.Entry{Type: layer.Opaque}, ""},

		{"mode with type bits", File("a", "", Mode(0o106755)), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o6755}, ""},
		{"owner, largest", File("a", "", Owner(math.MaxUint32-1, math.MaxUint32-1)), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644, UID: math.MaxUint32 - 1, GID: math.MaxUint32 - 1}, ""},
		{"time, fine", File("a", "", Time(fine)), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644, ModTime: fine}, ""},
		{"time, zero", File("a", "", Time(epoch)), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644, ModTime: epoch}, ""},
		{"time, early", File("a", "", Time(time.Unix(-5, 0))), layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644, ModTime: epoch}, ""},
		{"time, early, symlink", Symlink("a", "b", Time(time.Unix(-5, 250_000_000))), layer.Entry{Name: "a", Type: layer.Symlink, Link: "b", Mode: 0o777, ModTime: time.Unix(-5, 250_000_000).UTC()}, ""},
		{"time, far", Dir("a", Time(time.Unix(1<<40, 0))), layer.Entry{Name: "a", Type: layer.Directory, Mode: 0o755, ModTime: epoch}, ""},
		{"time, farthest", Dir("a", PAX("mtime", "9223372036854775807.9")), layer.Entry{Name: "a", Type: layer.Directory, Mode: 0o755, ModTime: epoch}, ""},
		{"time, before all, symlink", Symlink("a", "b", PAX("mtime", "-9223372036854775807")), layer.Entry{Name: "a", Type: layer.Symlink, Link: "b", Mode: 0o777, ModTime: epoch}, ""},
		{"xattrs", File("a", "", Xattr("security.capability", "\x01\x00\xff="), Xattr("user.empty", ""), Xattr("trusted.overlay.opaque", "y"), PAX("LIBARCHIVE.xattr.user.x", "YQ==")),
			layer.Entry{Name: "a", Type: layer.Regular, Mode: 0o644, Xattrs: map[string]string{"security.capability": "\x01\x00\xff=", "user.empty": ""}}, ""},
		{"xattrs, only trusted", Dir("a", Xattr("trusted.x", "y")), layer.Entry{Name: "a", Type: layer.Directory, Mode: 0o755}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			want := tt.want
			if want.ModTime.IsZero() && want.Type != layer.Whiteout && want.Type != layer.Opaque {
				want.ModTime = ModTime
			}
			got, content, err := one(Build(tt.entry))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) || content != tt.content {
				t.Errorf("got\n%+v %q, want\n%+v %q", got, content, want, tt.content)
			}
		})
	}
}

func TestPassedOver(t *testing.T) {
	for name, e := range map[string]Entry{
		"global header":        Global("comment", "x"),
		"aufs":                 File(".wh..wh.aufs", "text"),
		"aufs directory":       Dir("a/.wh..wh.plnk"),
		"symlink for the root": Symlink(".", "/tmp"),
		"file for the root":    File("a/..", "text"),
		"file with no name":    File("", "text"),
	} {
		t.Run(name, func(t *testing.T) {
			got, content, err := one(Build(e, File("next", "content")))
			if err != nil || got.Name != "next" || content != "content" {
				t.Errorf("got %v %q and error %v, want only the next entry", got, content, err)
			}
		})
	}
}

func TestRefusedEntries(t *testing.T) {
	tests := map[string]Entry{
		"unknown type flag":      File("a/name", "", Typeflag('D')),
		"owner below zero":       File("a/name", "", Owner(-1, 0)),
		"group below zero":       File("a/name", "", Owner(0, -1)),
		"owner that means none":  File("a/name", "", Owner(math.MaxUint32, 0)),
		"group too large":        File("a/name", "", Owner(0, 1<<40)),
		"major too large":        Char("a/name", 4096, 0),
		"minor too large":        Block("a/name", 0, 1<<20),
		"minor below zero":       Block("a/name", 0, -1),
		"symlink to nothing":     Symlink("a/name", ""),
		"symlink too long":       Symlink("a/name", strings.Repeat("x/", 2048)),
		"hard link to nothing":   HardLink("a/name", ""),
		"hard link to the root":  HardLink("a/name", "b/../.."),
		"hard link too long":     HardLink("a/name", strings.Repeat("x", 256)),
		"element too long":       File("a/name/"+strings.Repeat("x", 256), ""),
		"parent too long":        File("a/name/"+strings.Repeat("x", 256)+"/y", ""),
		"name too long":          File("a/name/"+strings.Repeat("x/", 2048), ""),
		"name with NUL":          Sparse("a/name\x00", 1, nil),
		"whiteout of nothing":    File("a/name/.wh.", ""),
		"whiteout of itself":     File("a/name/.wh..", ""),
		"whiteout of the parent": File("a/name/.wh...", ""),
		"whiteout too long":      Whiteout("a/name/" + strings.Repeat("x", 256)),
		"opaque too long":        Opaque("a/name" + strings.Repeat("x", 256)),
		"xattr without a name":   File("a/name", "", Xattr("", "x")),
		"xattr name too long":    File("a/name", "", Xattr("user."+strings.Repeat("x", 256), "x")),
		"xattr too long":         File("a/name", "", Xattr("user.x", strings.Repeat("x", 1<<16+1))),
	}
	for name, e := range tests {
		t.Run(name, func(t *testing.T) {
			_, _, err := one(Build(e))
			if !errors.Is(err, layer.ErrEntry) || !strings.Contains(err.Error(), "a/name") || len(err.Error()) > 500 {
				t.Errorf("error is %v, want a short ErrEntry that names the entry", err)
			}
		})
	}
}

func TestMalformed(t *testing.T) {
	good := Build(File("a", "text"))
	window := []byte{0x28, 0xb5, 0x2f, 0xfd, 0, 18 << 3, 1, 0, 0} // 256 MiB
	tests := []struct {
		name string
		blob []byte
		want string
	}{
		{"unknown", []byte("<html>nothing here</html>"), `starts with 3c 68 74 6d 6c`},
		{"one byte", []byte{0x1f}, "starts with 1f"},
		{"bzip2", []byte("BZh91AY&SY"), "bzip2"},
		{"xz", []byte("\xfd7zXZ\x00\x00"), "xz"},
		{"wrong sum", append([]byte{'b'}, good[1:]...), "starts with 62"},
		{"gzip of text", Gzip([]byte(strings.Repeat("text", 200))), "invalid tar header"},
		{"gzip, damaged header", []byte{0x1f, 0x8b, 9, 0, 0, 0, 0, 0, 0, 0}, "gzip"},
		{"gzip, damaged sum", damage(Gzip(good), -6), "gzip"},
		{"zstd, damaged sum", damage(Zstd(good), -1), "CRC"},
		{"zstd, large window", window, "window"},
		{"size below zero", Build(File("a", "", Size(-1), Format(tar.FormatGNU))), "invalid tar header"},
		{"bytes after a zero block", append(make([]byte, 512), good...), "invalid tar header"},
	}
	for _, tt := range tests {
		for how, limits := range both {
			t.Run(tt.name+"/"+how, func(t *testing.T) {
				_, _, err := read(bytes.NewReader(tt.blob), limits)
				if !errors.Is(err, layer.ErrFormat) || !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error is %v, want ErrFormat with %q", err, tt.want)
				}
			})
		}
	}
}

// damage flips a bit of the byte at i, from the end if negative.
func damage(b []byte, i int) []byte {
	b = bytes.Clone(b)
	if i < 0 {
		i += len(b)
	}
	b[i] ^= 0x10
	return b
}

func skippable(n int) []byte {
	b := append([]byte{0x5a, 0x2a, 0x4d, 0x18}, make([]byte, 4+n)...)
	binary.LittleEndian.PutUint32(b[4:], uint32(n))
	return b
}

func TestCompressions(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	plain := Build(Dir("a"), File("a/b", "text"), File("large", large), Symlink("l", "a"))
	cut := len(plain) / 2
	tests := map[string][]byte{
		"plain":                       plain,
		"plain without end":           plain[:len(plain)-1024],
		"plain with one block of end": plain[:len(plain)-512],
		"plain, garbage at the end":   join(plain, []byte("garbage")),
		"plain, zeros at the end":     join(plain, make([]byte, 3<<20)),
		"gzip":                        Gzip(plain),
		"gzip of two members":         join(Gzip(plain[:cut]), Gzip(plain[cut:])),
		"gzip, empty member":          join(Gzip(nil), Gzip(plain), Gzip(nil)),
		"gzip, garbage at the end":    join(Gzip(plain), []byte("garbage, garbage")),
		"gzip, zeros at the end":      join(Gzip(plain), make([]byte, 1<<20)),
		"zstd":                        Zstd(plain),
		"zstd of two frames":          join(Zstd(plain[:cut]), skippable(3), Zstd(plain[cut:])),
		"zstd, skippable first":       join(skippable(1000), skippable(0), Zstd(plain)),
		"zstd, skippable last":        join(Zstd(plain), skippable(70_000)),
		"zstd, garbage at the end":    join(Zstd(plain), []byte("garbage, garbage")),
	}
	for name, blob := range tests {
		for how, limits := range both {
			t.Run(name+"/"+how, func(t *testing.T) {
				r := bytes.NewReader(blob)
				entries, contents, err := read(r, limits)
				if err != nil {
					t.Fatal(err)
				}
				var names []string
				for _, e := range entries {
					names = append(names, e.Name)
				}
				if got := fmt.Sprint(names); got != "[a a/b large l]" || contents[1] != "text" || contents[2] != large {
					t.Errorf("entries are %s", got)
				}
				if r.Len() != 0 {
					t.Errorf("%d bytes of the blob were not read", r.Len())
				}
			})
		}
	}
}

func join(parts ...[]byte) []byte { return bytes.Join(parts, nil) }

func TestEmpty(t *testing.T) {
	for name, blob := range map[string][]byte{
		"blob":            {},
		"archive":         Build(),
		"gzip of nothing": Gzip(nil),
		"gzip of archive": Gzip(Build()),
		"zstd of nothing": Zstd(nil),
		"skippable":       skippable(9),
	} {
		if entries, _, err := read(bytes.NewReader(blob), layer.Limits{}); err != nil || len(entries) != 0 {
			t.Errorf("%s: %d entries and error %v, want none", name, len(entries), err)
		}
	}
}

// TestTruncated cuts a layer at every byte. Compressed, each cut must be
// noticed; plain, those between two blocks and in padding cannot be.
func TestTruncated(t *testing.T) {
	plain := Build(Dir("a"), File("a/b", "text", Xattr("user.x", "y")), Sparse("s", 2000, []Fragment{{Offset: 600, Data: "data"}}), File("z", strings.Repeat("x", 700)))
	whole, wholeContents, err := read(bytes.NewReader(plain), layer.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	for name, blob := range map[string][]byte{
		"plain": plain,
		"gzip":  Gzip(plain),
		"zstd":  join(skippable(5), Zstd(plain)),
	} {
		for n := 1; n < len(blob); n++ {
			entries, contents, err := read(bytes.NewReader(blob[:n]), layer.Limits{ReadAhead: -1})
			if len(entries) > len(whole) || len(entries) > 0 && !reflect.DeepEqual(entries, whole[:len(entries)]) ||
				len(contents) > 0 && !reflect.DeepEqual(contents, wholeContents[:len(contents)]) {
				t.Fatalf("%s cut at %d gives other entries: %v", name, n, entries)
			}
			switch {
			case err == nil && name != "plain" && !(name == "zstd" && n == 13):
				t.Errorf("%s cut at %d went unnoticed", name, n)
			case err == nil && name == "plain" && !isPadding(plain[n:(n+511)/512*512]):
				t.Errorf("plain cut at %d went unnoticed", n)
			case err != nil && !errors.Is(err, layer.ErrFormat):
				t.Errorf("%s cut at %d: %v, want ErrFormat", name, n, err)
			case err != nil && n > 512 && !errors.Is(err, io.ErrUnexpectedEOF):
				t.Errorf("%s cut at %d: %v, want io.ErrUnexpectedEOF", name, n, err)
			}
		}
	}
}

func isPadding(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }

func TestDeclaredTooLarge(t *testing.T) {
	blob := Gzip(Unended(File("a", "text", Size(1<<40))))
	lr, err := layer.NewReader(bytes.NewReader(blob), layer.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer lr.Close()
	if e, err := lr.Next(); err != nil || e.Size != 1<<40 {
		t.Fatalf("entry %v, error %v", e, err)
	}
	n, err := io.Copy(io.Discard, lr)
	if n != 512 || !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("%d bytes and error %v, want 512 and io.ErrUnexpectedEOF at the entry", n, err)
	}
	if _, again := lr.Next(); again != err {
		t.Errorf("then the error is %v, want the same", again)
	}
}

// TestSourceError proves that a failure of the source is not taken for a
// malformed layer.
func TestSourceError(t *testing.T) {
	broken := errors.New("connection reset")
	blob := Gzip(Build(File("a", strings.Repeat("text", 1000)), File("b", "")))
	for how, limits := range both {
		for _, n := range []int{0, 5, 40, len(blob) - 3, len(blob)} {
			r := io.MultiReader(bytes.NewReader(blob[:n]), iotest.ErrReader(broken))
			if _, _, err := read(r, limits); !errors.Is(err, broken) || errors.Is(err, layer.ErrFormat) {
				t.Errorf("%s, source broken at %d: %v, want only its own error", how, n, err)
			}
		}
	}
}

// TestDeclaredBeyondAll: holes as large as numbers go, which would be read for
// years.
func TestDeclaredBeyondAll(t *testing.T) {
	for name, blob := range map[string][]byte{
		"one":      Build(Sparse("a", math.MaxInt64, nil)),
		"together": Build(Sparse("a", 3<<40, nil), Sparse("b", 3<<40, nil)),
	} {
		if _, _, err := read(bytes.NewReader(blob), layer.Limits{}); !errors.Is(err, layer.ErrTooMany) {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

// TestDamageIsTheSources: wrong bytes make no sense somewhere in the middle,
// and the source says at their end that they are wrong. That is what counts.
func TestDamageIsTheSources(t *testing.T) {
	wrong := errors.New("wrong digest")
	archive := Build(File("a", strings.Repeat("some content\n", 100_000)), File("b", "x"))
	flipped := func(b []byte, at int) []byte {
		b = bytes.Clone(b)
		b[at] ^= 0x10
		return b
	}
	for name, blob := range map[string][]byte{
		"first byte":         flipped(Gzip(archive), 0),
		"header of gzip":     flipped(Gzip(archive), 3),
		"middle of gzip":     flipped(Gzip(archive), 800),
		"checksum of gzip":   flipped(Gzip(archive), len(Gzip(archive))-5),
		"middle of zstd":     flipped(Zstd(archive), 100),
		"second header":      flipped(archive, len(archive)-4*512+3),
		"refused entry":      Build(File("a", ""), File("b", "", Typeflag('?')), File("c", "")),
		"early, and then on": append(flipped(Gzip(archive), 20), make([]byte, 1<<20)...),
	} {
		for way, limits := range both {
			_, _, err := read(io.MultiReader(bytes.NewReader(blob), iotest.ErrReader(wrong)), limits)
			if !errors.Is(err, wrong) || errors.Is(err, layer.ErrFormat) || errors.Is(err, layer.ErrEntry) {
				t.Errorf("%s, %s: %v", name, way, err)
			}
			if _, _, err := read(bytes.NewReader(blob), limits); !errors.Is(err, layer.ErrFormat) && !errors.Is(err, layer.ErrEntry) {
				t.Errorf("%s, %s, from a source that is content: %v", name, way, err)
			}
		}
	}
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name   string
		limits layer.Limits
		ok     bool
	}{
		{"entries reached", layer.Limits{Entries: 3}, true},
		{"entries exceeded", layer.Limits{Entries: 2}, false},
		{"metadata reached", layer.Limits{Metadata: 2 + 3 + 10}, true},
		{"metadata exceeded", layer.Limits{Metadata: 2 + 3 + 9}, false},
		{"content reached", layer.Limits{Content: 4}, true},
		{"content exceeded", layer.Limits{Content: 3}, false},
	}
	blob := Build(File("ab", "1234"), Global("comment", "x"), Symlink("c", "de", Xattr("user.x", "1234")))
	for _, tt := range tests {
		_, _, err := read(bytes.NewReader(blob), tt.limits)
		if tt.ok && err != nil || !tt.ok && !errors.Is(err, layer.ErrTooMany) {
			t.Errorf("%s: error is %v", tt.name, err)
		}
	}
}

// watched counts the reads of a source. Its count is bare: a read-ahead that
// outlived Close would be a race.
type watched struct {
	io.Reader
	reads int
}

func (w *watched) Read(p []byte) (int, error) {
	w.reads++
	return w.Reader.Read(p)
}

// TestClose closes while the read-ahead still has work: it must end.
func TestClose(t *testing.T) {
	blob := Build(File("a", strings.Repeat("0", 8<<20)))
	for range 5 {
		source := &watched{Reader: bytes.NewReader(blob)}
		lr, err := layer.NewReader(source, layer.Limits{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lr.Next(); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(lr.Close(), lr.Close()); err != nil {
			t.Fatal(err)
		}
		if _, err := lr.Next(); err == nil || err == io.EOF {
			t.Errorf("Next after Close: %v, want an error", err)
		}
		if lr.Inflated() > 4<<20 {
			t.Errorf("%d bytes were decompressed unasked", lr.Inflated())
		}
		if source.reads == 0 {
			t.Error("the source was not read")
		}
	}
}

// TestKeptEntriesAreSmall keeps entries whose headers are large: what nobody
// asked for must not stay in memory with them.
func TestKeptEntriesAreSmall(t *testing.T) {
	var entries []Entry
	for i := range 32 {
		entries = append(entries, File(fmt.Sprintf("%d", i)+strings.Repeat("/", 200_000), "",
			Xattr("user.x", "y"), PAX("comment", strings.Repeat("c", 200_000))))
	}
	blob := Build(entries...)
	entries = nil
	before := heap()
	kept, _, err := read(bytes.NewReader(blob), layer.Limits{})
	if err != nil || len(kept) != 32 {
		t.Fatalf("%d entries, error %v", len(kept), err)
	}
	if after := heap(); after > before+3<<20 {
		t.Errorf("the entries keep %d bytes alive", after-before)
	}
	runtime.KeepAlive(kept)
	runtime.KeepAlive(blob)
}

// heap is how many bytes are in use.
func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// TestGoCorpus reads the archives of Go's own tests and compares with
// archive/tar: the same content in the same order, or failure of both. Resumed
// everywhere, it is the same again.
func TestGoCorpus(t *testing.T) {
	root, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(strings.TrimSpace(string(root)), "src/archive/tar/testdata")
	files, err := filepath.Glob(filepath.Join(dir, "*.tar*"))
	if err != nil || len(files) < 30 {
		t.Fatalf("%d archives in %s, want Go's whole corpus (error %v)", len(files), dir, err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			switch filepath.Ext(file) {
			case ".bz2":
				b, err = io.ReadAll(bzip2.NewReader(bytes.NewReader(b)))
			case ".base64":
				b, err = io.ReadAll(base64.NewDecoder(base64.StdEncoding, bytes.NewReader(b)))
			}
			if err != nil {
				t.Fatal(err)
			}
			compare(t, b)
			compareResumed(t, b)
			compareResumed(t, Gzip(b))
		})
	}
}

func compareResumed(t *testing.T, blob []byte) {
	want, wantContents, wantErr := read(bytes.NewReader(blob), layer.Limits{})
	got, contents, _, err := resumed(blob, layer.Limits{Checkpoints: 100, ReadAhead: -1}, 300, func() bool { return true })
	if (err == nil) != (wantErr == nil) || !reflect.DeepEqual(got, want) || !reflect.DeepEqual(contents, wantContents) {
		t.Errorf("resumed: %d entries and error %v, want %d and %v", len(got), err, len(want), wantErr)
	}
}

// special names the archives of Go's corpus that archive/tar reads and a
// layer may not hold.
var special = map[string]string{
	"gnu-incremental.tar": "type flag", // 'D', a directory's listing
}

func compare(t *testing.T, b []byte) {
	got, contents, err := read(bytes.NewReader(b), layer.Limits{})
	want, wantContents, wantErr := plainly(b)
	name := path.Base(t.Name())
	if part := special[name]; part != "" {
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("error is %v, want one with %q", err, part)
		}
		return
	}
	if (err == nil) != (wantErr == nil) {
		t.Fatalf("error is %v, archive/tar's is %v", err, wantErr)
	}
	if len(got) != len(want) {
		t.Fatalf("%d entries, archive/tar has %d", len(got), len(want))
	}
	for i, h := range want {
		e := got[i]
		device := e.Type == layer.CharDevice || e.Type == layer.BlockDevice
		if e.Name != strings.Trim(path.Clean(h.Name), "/") || e.Mode != uint32(h.Mode&0o7777) || int(e.UID) != h.Uid || int(e.GID) != h.Gid ||
			e.Type == layer.Regular && e.Size != h.Size || e.Type == layer.Symlink && e.Link != h.Linkname || e.Type == layer.HardLink && e.Link != h.Linkname ||
			!e.ModTime.Equal(h.ModTime) || device && (int64(e.Major) != h.Devmajor || int64(e.Minor) != h.Devminor) || len(e.Xattrs) != countXattrs(h) {
			t.Errorf("entry %d is\n%+v, archive/tar has\n%+v", i, e, *h)
		}
		if contents[i] != wantContents[i] {
			t.Errorf("the content of %s differs", e.Name)
		}
	}
}

func countXattrs(h *tar.Header) (n int) {
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "SCHILY.xattr.") {
			n++
		}
	}
	return n
}

// plainly reads with archive/tar alone, as read does.
func plainly(b []byte) (headers []*tar.Header, contents []string, err error) {
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return headers, contents, nil
		}
		if err != nil {
			return headers, contents, err
		}
		if h.Typeflag == tar.TypeXGlobalHeader {
			continue
		}
		var content []byte
		if h.Size <= largest {
			if content, err = io.ReadAll(r); err != nil {
				return headers, contents, err
			}
		}
		headers, contents = append(headers, h), append(contents, string(content))
	}
}
