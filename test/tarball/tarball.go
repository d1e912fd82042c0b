// Package tarball is the language in which tests write layers down:
//
//	tarball.Build(
//		tarball.Dir("etc"),
//		tarball.File("etc/motd", "hello\n", tarball.Owner(0, 5)),
//		tarball.Symlink("etc/issue", "motd"),
//		tarball.Whiteout("etc/old"),
//	)
//
// What comes in are entries, what goes out are the bytes of a tar file, the
// same for the same entries. It has an encoder of its own, because the one of
// archive/tar refuses to write what a hostile layer contains: here any name,
// number, size and type flag is written as asked. Only tests import it.
package tarball

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"maps"
	"path"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"
)

// ModTime is the modification time of entries that set none.
var ModTime = time.Unix(1_700_000_000, 0).UTC()

const block = 512

// Entry is one entry to write. Make it with one of the functions below.
type Entry struct {
	header  tar.Header
	content string
	raw     []byte
}

// Option changes an entry.
type Option func(*Entry)

// Mode sets the mode field, which may hold more than permission bits.
func Mode(mode int64) Option { return func(e *Entry) { e.header.Mode = mode } }

// Owner sets the numeric owner and group; any value is written.
func Owner(uid, gid int) Option {
	return func(e *Entry) { e.header.Uid, e.header.Gid = uid, gid }
}

// Time sets the modification time, to the nanosecond.
func Time(t time.Time) Option { return func(e *Entry) { e.header.ModTime = t } }

// Xattr adds an extended attribute by its full name.
func Xattr(name, value string) Option { return PAX("SCHILY.xattr."+name, value) }

// PAX adds a record to the entry's extended header. It wins over the field
// that it stands for.
func PAX(key, value string) Option {
	return func(e *Entry) {
		if e.header.PAXRecords == nil {
			e.header.PAXRecords = make(map[string]string)
		}
		e.header.PAXRecords[key] = value
	}
}

// Format says how to write what does not fit in a plain header: in PAX
// records, which is the default, or with tar.FormatGNU as GNU tar does.
func Format(f tar.Format) Option { return func(e *Entry) { e.header.Format = f } }

// Typeflag replaces the type flag and leaves the rest as it is.
func Typeflag(flag byte) Option { return func(e *Entry) { e.header.Typeflag = flag } }

// Size declares a size whatever the content's is.
func Size(n int64) Option { return func(e *Entry) { e.header.Size = n } }

// Dir makes a directory of mode 0755.
func Dir(name string, opts ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeDir, Name: strings.TrimSuffix(name, "/") + "/", Mode: 0o755}, "", opts)
}

// File makes a regular file of mode 0644.
func File(name, content string, opts ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644}, content, opts)
}

// Symlink makes a symbolic link of mode 0777.
func Symlink(name, target string, opts ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeSymlink, Name: name, Linkname: target, Mode: 0o777}, "", opts)
}

// HardLink makes another name for the file target.
func HardLink(name, target string, opts ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeLink, Name: name, Linkname: target, Mode: 0o644}, "", opts)
}

// Char makes a character device of mode 0644.
func Char(name string, major, minor int64, opts ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeChar, Name: name, Mode: 0o644, Devmajor: major, Devminor: minor}, "", opts)
}

// Block makes a block device of mode 0644.
func Block(name string, major, minor int64, opts ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeBlock, Name: name, Mode: 0o644, Devmajor: major, Devminor: minor}, "", opts)
}

// FIFO makes a named pipe of mode 0644.
func FIFO(name string, opts ...Option) Entry {
	return entry(tar.Header{Typeflag: tar.TypeFifo, Name: name, Mode: 0o644}, "", opts)
}

// Whiteout hides name: an empty file with ".wh." before its last element.
func Whiteout(name string, opts ...Option) Entry {
	dir, base := path.Split(name)
	return File(dir+".wh."+base, "", opts...)
}

// Opaque hides what lower layers have beneath dir, which may be "" for the root.
func Opaque(dir string, opts ...Option) Entry {
	return File(path.Join(dir, ".wh..wh..opq"), "", opts...)
}

// Global is a PAX global header with one record.
func Global(key, value string) Entry {
	return entry(tar.Header{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", Mode: 0o644}, record(key, value), nil)
}

// In puts entries into a directory: their names, and what hard links and
// absolute symlinks name. Raw bytes stay as they are.
func In(dir string, entries ...Entry) []Entry {
	moved := make([]Entry, 0, len(entries))
	for _, e := range entries {
		if e.raw == nil {
			e.moveTo(dir)
		}
		moved = append(moved, e)
	}
	return moved
}

func (e *Entry) moveTo(dir string) {
	h := &e.header
	h.Name = dir + "/" + strings.TrimPrefix(h.Name, "/")
	switch {
	case h.Typeflag == tar.TypeLink:
		h.Linkname = dir + "/" + strings.TrimPrefix(h.Linkname, "/")
	case strings.HasPrefix(h.Linkname, "/"):
		h.Linkname = "/" + dir + h.Linkname
	}
	if name, ok := h.PAXRecords[sparseName]; ok {
		h.PAXRecords = maps.Clone(h.PAXRecords)
		h.PAXRecords[sparseName] = dir + "/" + name
	}
}

// Raw puts bytes between entries as they are.
func Raw(b []byte) Entry { return Entry{raw: b} }

// sparseName is the record that has a sparse file's real name.
const sparseName = "GNU.sparse.name"

// Fragment is a piece of data within a sparse file.
type Fragment struct {
	Offset int64
	Data   string
}

// Sparse makes a regular file of size bytes that is zero outside the
// fragments, in the PAX sparse format 1.0 that GNU tar writes.
func Sparse(name string, size int64, fragments []Fragment, opts ...Option) Entry {
	var index, data strings.Builder
	fmt.Fprintf(&index, "%d\n", len(fragments))
	for _, f := range fragments {
		fmt.Fprintf(&index, "%d\n%d\n", f.Offset, len(f.Data))
		data.WriteString(f.Data)
	}
	content := index.String() + string(padding(index.Len())) + data.String()
	opts = append([]Option{
		PAX("GNU.sparse.major", "1"),
		PAX("GNU.sparse.minor", "0"),
		PAX(sparseName, name),
		PAX("GNU.sparse.realsize", strconv.FormatInt(size, 10)),
	}, opts...)
	return File("GNUSparseFile.0/"+path.Base(name), content, opts...)
}

func entry(h tar.Header, content string, opts []Option) Entry {
	h.ModTime = ModTime
	h.Size = int64(len(content))
	e := Entry{header: h, content: content}
	for _, o := range opts {
		o(&e)
	}
	return e
}

// Build writes the entries and the two zero blocks that end an archive.
func Build(entries ...Entry) []byte {
	return append(Unended(entries...), make([]byte, 2*block)...)
}

// Unended is Build without the end of the archive.
func Unended(entries ...Entry) []byte {
	var b bytes.Buffer
	for _, e := range entries {
		e.write(&b)
	}
	return b.Bytes()
}

func (e Entry) write(b *bytes.Buffer) {
	if e.raw != nil {
		b.Write(e.raw)
		return
	}
	if e.header.Format == tar.FormatGNU {
		e.writeLongGNU(b)
	}
	if records := e.records(); records != "" {
		writeBlocks(b, tar.Header{Typeflag: tar.TypeXHeader, Name: "PaxHeaders.0/entry", Mode: 0o644, Size: int64(len(records))}, records)
	}
	writeBlocks(b, e.header, e.content)
}

// records is the extended header: what was asked for and what does not fit.
func (e Entry) records() string {
	h := e.header
	all := make(map[string]string)
	if h.Format != tar.FormatGNU {
		all = e.overflow()
	}
	for k, v := range h.PAXRecords {
		all[k] = v
	}
	keys := make([]string, 0, len(all))
	for k := range all {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	var s strings.Builder
	for _, k := range keys {
		s.WriteString(record(k, all[k]))
	}
	return s.String()
}

func (e Entry) overflow() map[string]string {
	h, all := e.header, make(map[string]string)
	if len(h.Name) > 100 {
		all["path"] = h.Name
	}
	if len(h.Linkname) > 100 {
		all["linkpath"] = h.Linkname
	}
	for _, n := range []struct {
		key   string
		value int64
		width int
	}{
		{"uid", int64(h.Uid), 8},
		{"gid", int64(h.Gid), 8},
		{"size", h.Size, 12},
	} {
		if !fitsOctal(n.value, n.width) {
			all[n.key] = strconv.FormatInt(n.value, 10)
		}
	}
	if sec := h.ModTime.Unix(); h.ModTime.Nanosecond() != 0 || !fitsOctal(sec, 12) {
		all["mtime"] = paxTime(h.ModTime)
	}
	return all
}

func (e Entry) writeLongGNU(b *bytes.Buffer) {
	for _, long := range []struct {
		flag byte
		text string
	}{
		{tar.TypeGNULongName, e.header.Name},
		{tar.TypeGNULongLink, e.header.Linkname},
	} {
		if len(long.text) > 100 {
			text := long.text + "\x00"
			writeBlocks(b, tar.Header{Typeflag: long.flag, Name: "././@LongLink", Size: int64(len(text))}, text)
		}
	}
}

// writeBlocks writes a header, cut to its fields, and the content with its
// padding.
func writeBlocks(b *bytes.Buffer, h tar.Header, content string) {
	var blk [block]byte
	copy(blk[0:100], h.Name)
	number(blk[100:108], h.Mode)
	number(blk[108:116], int64(h.Uid))
	number(blk[116:124], int64(h.Gid))
	number(blk[124:136], h.Size)
	if h.ModTime.IsZero() {
		h.ModTime = time.Unix(0, 0)
	}
	number(blk[136:148], h.ModTime.Unix())
	blk[156] = h.Typeflag
	copy(blk[157:257], h.Linkname)
	if h.Format == tar.FormatGNU {
		copy(blk[257:], "ustar  \x00")
	} else {
		copy(blk[257:], "ustar\x0000")
	}
	number(blk[329:337], h.Devmajor)
	number(blk[337:345], h.Devminor)

	copy(blk[148:156], "        ")
	var sum int64
	for _, c := range blk {
		sum += int64(c)
	}
	copy(blk[148:156], fmt.Sprintf("%06o\x00 ", sum))

	b.Write(blk[:])
	b.WriteString(content)
	b.Write(padding(len(content)))
}

// number writes octal where the value fits, else the base-256 form, which
// every reader knows and which has room for negative values.
func number(field []byte, n int64) {
	if fitsOctal(n, len(field)) {
		copy(field, fmt.Sprintf("%0*o\x00", len(field)-1, n))
		return
	}
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], uint64(n))
	if n < 0 {
		for i := range field {
			field[i] = 0xff
		}
	}
	copy(field[max(0, len(field)-8):], be[:])
	field[0] |= 0x80
}

func fitsOctal(n int64, width int) bool {
	return n >= 0 && n < 1<<(3*(width-1))
}

func padding(n int) []byte { return make([]byte, (block-n%block)%block) }

// record is "LENGTH KEY=VALUE\n", whose length counts itself.
func record(key, value string) string {
	rest := len(key) + len(value) + len(" =\n")
	n := rest + len(strconv.Itoa(rest))
	for n != rest+len(strconv.Itoa(n)) {
		n++
	}
	return fmt.Sprintf("%d %s=%s\n", n, key, value)
}

func paxTime(t time.Time) string {
	sec, ns, sign := t.Unix(), int64(t.Nanosecond()), ""
	if sec < 0 && ns > 0 {
		sec, ns = sec+1, int64(time.Second)-ns
	}
	if sec < 0 || sec == 0 && t.Unix() < 0 {
		sec, sign = -sec, "-"
	}
	s := fmt.Sprintf("%s%d", sign, sec)
	if ns != 0 {
		s += strings.TrimRight(fmt.Sprintf(".%09d", ns), "0")
	}
	return s
}

// Gzip compresses b to a stream of one member.
func Gzip(b []byte) []byte {
	var out bytes.Buffer
	w := gzip.NewWriter(&out)
	write(w, b)
	return out.Bytes()
}

// Zstd compresses b to one frame.
func Zstd(b []byte) []byte {
	var out bytes.Buffer
	w, err := zstd.NewWriter(&out, zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err)
	}
	write(w, b)
	return out.Bytes()
}

// write cannot fail: the writers end in memory.
func write(w interface {
	Write([]byte) (int, error)
	Close() error
}, b []byte) {
	if _, err := w.Write(b); err != nil {
		panic(err)
	}
	if err := w.Close(); err != nil {
		panic(err)
	}
}
