package tarball_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"io"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/clipperregistry/runner/test/tarball"
)

// read is what archive/tar, which shares no code with Build, makes of b.
func read(t *testing.T, b []byte) ([]*tar.Header, []string) {
	t.Helper()
	var headers []*tar.Header
	var contents []string
	r := tar.NewReader(bytes.NewReader(b))
	for {
		h, err := r.Next()
		if err == io.EOF {
			return headers, contents
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		headers, contents = append(headers, h), append(contents, string(content))
	}
}

func TestBuild(t *testing.T) {
	long := strings.Repeat("long/", 60) + "name"
	early := time.Unix(-3, 250_000_000)
	tests := []struct {
		entry   tarball.Entry
		want    tar.Header
		content string
	}{
		{tarball.Dir("a"), tar.Header{Typeflag: tar.TypeDir, Name: "a/", Mode: 0o755}, ""},
		{tarball.File("a/b", "text", tarball.Owner(1000, 50), tarball.Mode(0o4755)),
			tar.Header{Typeflag: tar.TypeReg, Name: "a/b", Mode: 0o4755, Uid: 1000, Gid: 50, Size: 4}, "text"},
		{tarball.File("owner", "", tarball.Owner(1<<32-2, 1<<21)),
			tar.Header{Typeflag: tar.TypeReg, Name: "owner", Mode: 0o644, Uid: 1<<32 - 2, Gid: 1 << 21}, ""},
		{tarball.File("owner", "", tarball.Owner(-2, 1<<32), tarball.Format(tar.FormatGNU)),
			tar.Header{Typeflag: tar.TypeReg, Name: "owner", Mode: 0o644, Uid: -2, Gid: 1 << 32}, ""},
		{tarball.File(long, "", tarball.Format(tar.FormatGNU)), tar.Header{Typeflag: tar.TypeReg, Name: long, Mode: 0o644}, ""},
		{tarball.Symlink(long, long+"2"), tar.Header{Typeflag: tar.TypeSymlink, Name: long, Linkname: long + "2", Mode: 0o777}, ""},
		{tarball.HardLink("l", "/a/b"), tar.Header{Typeflag: tar.TypeLink, Name: "l", Linkname: "/a/b", Mode: 0o644}, ""},
		{tarball.Char("c", 1, 3), tar.Header{Typeflag: tar.TypeChar, Name: "c", Mode: 0o644, Devmajor: 1, Devminor: 3}, ""},
		{tarball.Block("d", 8, 1<<19), tar.Header{Typeflag: tar.TypeBlock, Name: "d", Mode: 0o644, Devmajor: 8, Devminor: 1 << 19}, ""},
		{tarball.FIFO("p"), tar.Header{Typeflag: tar.TypeFifo, Name: "p", Mode: 0o644}, ""},
		{tarball.Whiteout("a/x"), tar.Header{Typeflag: tar.TypeReg, Name: "a/.wh.x", Mode: 0o644}, ""},
		{tarball.Opaque(""), tar.Header{Typeflag: tar.TypeReg, Name: ".wh..wh..opq", Mode: 0o644}, ""},
		{tarball.File("t", "", tarball.Time(early)), tar.Header{Typeflag: tar.TypeReg, Name: "t", Mode: 0o644, ModTime: early}, ""},
		{tarball.File("x", "", tarball.Xattr("user.a", "\x00\xff"), tarball.Typeflag('Z')),
			tar.Header{Typeflag: 'Z', Name: "x", Mode: 0o644, PAXRecords: map[string]string{"SCHILY.xattr.user.a": "\x00\xff"}}, ""},
		{tarball.Sparse("a/hole", 10, []tarball.Fragment{{Offset: 4, Data: "abc"}}),
			tar.Header{Typeflag: tar.TypeReg, Name: "a/hole", Mode: 0o644, Size: 10}, "\x00\x00\x00\x00abc\x00\x00\x00"},
	}
	var entries []tarball.Entry
	for _, tt := range tests {
		entries = append(entries, tt.entry)
	}
	headers, contents := read(t, tarball.Build(entries...))
	if len(headers) != len(tests) {
		t.Fatalf("%d entries were read back, want %d", len(headers), len(tests))
	}
	for i, tt := range tests {
		got, want := headers[i], tt.want
		if want.ModTime.IsZero() {
			want.ModTime = tarball.ModTime
		}
		if got.Typeflag != want.Typeflag || got.Name != want.Name || got.Linkname != want.Linkname || got.Mode != want.Mode ||
			got.Uid != want.Uid || got.Gid != want.Gid || got.Size != want.Size || !got.ModTime.Equal(want.ModTime) ||
			got.Devmajor != want.Devmajor || got.Devminor != want.Devminor || contents[i] != tt.content {
			t.Errorf("entry %d is\n%+v %q, want\n%+v %q", i, *got, contents[i], want, tt.content)
		}
		if want.PAXRecords != nil && !maps.Equal(got.PAXRecords, want.PAXRecords) {
			t.Errorf("entry %d has the records %q, want %q", i, got.PAXRecords, want.PAXRecords)
		}
	}
}

func TestIn(t *testing.T) {
	hole := tarball.Sparse("a/hole", 3, nil)
	headers, _ := read(t, tarball.Build(tarball.In("in",
		tarball.Dir("/a"), tarball.Opaque(""), tarball.HardLink("l", "/a/b"), tarball.Symlink("s", "/a"), tarball.Symlink("up", "../a"), hole)...))
	var got []string
	for _, h := range headers {
		got = append(got, h.Name+" "+h.Linkname)
	}
	want := []string{"in/a/ ", "in/.wh..wh..opq ", "in/l in/a/b", "in/s /in/a", "in/up ../a", "in/a/hole "}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if headers, _ := read(t, tarball.Build(hole)); headers[0].Name != "a/hole" {
		t.Errorf("the entry itself was moved to %q", headers[0].Name)
	}
}

func TestCompressed(t *testing.T) {
	want := tarball.Build(tarball.File("a", "text"), tarball.Global("comment", "x"))
	gz, err := gzip.NewReader(bytes.NewReader(tarball.Gzip(want)))
	if err != nil {
		t.Fatal(err)
	}
	zs, err := zstd.NewReader(bytes.NewReader(tarball.Zstd(want)))
	if err != nil {
		t.Fatal(err)
	}
	defer zs.Close()
	for name, r := range map[string]io.Reader{"gzip": gz, "zstd": zs} {
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s: %d bytes and error %v, want %d bytes", name, len(got), err, len(want))
		}
	}
}
