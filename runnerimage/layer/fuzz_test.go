package layer_test

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"math"
	"path"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
	. "github.com/clipperregistry/runner/test/tarball"
)

// FuzzReader proves for any blob that all ways of reading agree, that the
// limits hold, and that every entry is what the package promises.
func FuzzReader(f *testing.F) {
	seeds := []Entry{
		Dir("./"), Dir("a", Mode(0o41777)), File("a/b", "text", Xattr("user.x", "y\x00")), HardLink("c", "/a/b"),
		Symlink("../l", "../../etc"), Char("n", 0, 0), Block("m", 8, 1), FIFO("p"), Whiteout("a/b"), Opaque("a"),
		File(".wh..wh.aufs", ""), File("a/.wh..", ""), Global("path", "x"), Sparse("s", 1<<40, []Fragment{{Offset: 5, Data: "x"}}),
		File(strings.Repeat("long/", 50), "", Format(tar.FormatGNU)), File("t", "", Time(time.Unix(-9, 5))), File("u", "", Owner(-1, 0)),
		File("big", "text", Size(1<<40)),
	}
	for _, e := range seeds {
		f.Add(Build(e))
	}
	all := Build(seeds[:10]...)
	f.Add(all)
	f.Add(Gzip(all))
	f.Add(join(Gzip(all[:1024]), Gzip(all[1024:])))
	f.Add(join(skippable(4), Zstd(all)))
	f.Add([]byte("BZh9"))
	f.Fuzz(func(t *testing.T, blob []byte) {
		checkBlob(t, blob)
		checkBlob(t, withSums(blob))
	})
}

// withSums mends the sums of tar headers, which mutation would hardly hit.
func withSums(blob []byte) []byte {
	blob = bytes.Clone(blob)
	for b := blob; len(b) >= 512; b = b[512:] {
		if !bytes.HasPrefix(b[257:], []byte("ustar")) {
			continue
		}
		copy(b[148:156], "        ")
		sum := 0
		for _, c := range b[:512] {
			sum += int(c)
		}
		copy(b[148:156], fmt.Sprintf("%06o\x00 ", sum))
	}
	return blob
}

func checkBlob(t *testing.T, blob []byte) {
	limits := layer.Limits{Entries: 100, Metadata: 1 << 20, ReadAhead: -1}
	entries, contents, err := read(bytes.NewReader(blob), limits)
	limits.ReadAhead = 1
	again, contentsAgain, errAgain := read(bytes.NewReader(blob), limits)
	if (err == nil) != (errAgain == nil) || !reflect.DeepEqual(entries, again) || !reflect.DeepEqual(contents, contentsAgain) {
		t.Fatalf("direct: %v, %v; ahead: %v, %v", entries, err, again, errAgain)
	}
	if !errors.Is(err, layer.ErrTooMany) { // which counts anew
		limits = layer.Limits{Checkpoints: 1, ReadAhead: -1}
		again, contentsAgain, _, errAgain := resumed(blob, limits, 100_000, func() bool { return true })
		if (err == nil) != (errAgain == nil) || !reflect.DeepEqual(entries, again) || !reflect.DeepEqual(contents, contentsAgain) {
			t.Fatalf("direct: %v, %v; resumed: %v, %v", entries, err, again, errAgain)
		}
	}
	if len(entries) > 100 {
		t.Fatalf("%d entries", len(entries))
	}
	for i, e := range entries {
		check(t, e, contents[i])
	}
}

func check(t *testing.T, e layer.Entry, content string) {
	root := e.Name == ""
	switch {
	case !root && !isClean(e.Name),
		root && e.Type != layer.Directory && e.Type != layer.Opaque,
		e.Type < layer.Regular || e.Type > layer.Opaque,
		e.Type == layer.HardLink && !isClean(e.Link),
		e.Type == layer.Symlink && (e.Link == "" || len(e.Link) > 4095 || strings.Contains(e.Link, "\x00")),
		e.Type != layer.HardLink && e.Type != layer.Symlink && e.Link != "",
		e.Mode&^0o7777 != 0,
		e.UID == math.MaxUint32 || e.GID == math.MaxUint32,
		e.Size < 0 || e.Type != layer.Regular && e.Size != 0,
		e.Size <= largest && e.Size != int64(len(content)),
		e.Major > 4095 || e.Minor > 1<<20-1:
		t.Errorf("%+v with %d bytes of content", e, len(content))
	}
	if e.Type == layer.Whiteout || e.Type == layer.Opaque {
		if !reflect.DeepEqual(e, layer.Entry{Name: e.Name, Type: e.Type}) {
			t.Errorf("%+v, want nothing but a name", e)
		}
	} else if !time.Unix(0, e.ModTime.UnixNano()).Equal(e.ModTime) {
		t.Errorf("%+v has a time beyond nanoseconds", e)
	}
	for name := range e.Xattrs {
		if name == "" || strings.HasPrefix(name, "trusted.") || strings.Contains(name, "\x00") {
			t.Errorf("%+v has an attribute %q", e, name)
		}
	}
}

// isClean says that a name is relative, cleaned, not the root, and possible.
func isClean(name string) bool {
	for element := range strings.SplitSeq(name, "/") {
		if element == "" || element == "." || element == ".." || len(element) > 255 {
			return false
		}
	}
	return path.Clean(name) == name && len(name) <= 4095 && !strings.Contains(name, "\x00")
}
