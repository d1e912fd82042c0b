package published

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"strconv"

	"github.com/clipperregistry/runner/runnerimage/inflate"
	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// eStargz is a tar file in gzip members, one of which starts at every chunk of
// content, or every few. The TOC of CRFS is the last entry of the tar file,
// in a member of its own; the blob ends with an empty member whose header says
// where that one starts. An annotation of the layer's descriptor tells the
// digest of the TOC's JSON. The description is
// https://github.com/containerd/stargz-snapshotter/blob/main/docs/estargz.md.
const (
	eStargzDigest = "containerd.io/snapshot/stargz/toc.digest"
	eStargzName   = "stargz.index.json"

	// eStargzTail is what is read of the blob's end first: the footer, and
	// with luck the TOC.
	eStargzTail = 64 << 10
	// eStargzRest bounds the headers between the last content and the TOC.
	eStargzRest = 64 << 20
)

// openEStargz reads the TOC with one or two requests, and with one more the
// last span of content: see reaches.
func openEStargz(desc oci.Descriptor, read ReadFunc) (*toc.Table, error) {
	digest, err := parseID(desc.Annotations[eStargzDigest])
	if err != nil {
		return nil, malformed(err)
	}
	start := max(0, desc.Size-eStargzTail)
	tail, err := read(start, desc.Size-start)
	if err != nil {
		return nil, err
	}
	offset, footer, err := parseFooter(tail)
	if err != nil {
		return nil, malformed(err)
	}
	end := desc.Size - footer
	if offset >= end || end-offset > maxPacked {
		return nil, malformed(fmt.Errorf("a TOC from %d to %d", offset, end))
	}
	fetch := func(offset, length int64) ([]byte, error) {
		switch {
		case length == 0:
			return nil, nil
		case offset >= start:
			return tail[offset-start:][:length], nil
		}
		return read(offset, length)
	}
	packed, err := fetch(offset, end-offset)
	if err != nil {
		return nil, err
	}
	e := &eStargz{crfsTable: newCRFSTable(EStargz, offset), packed: packed}
	if err := e.addEntries(digest); err != nil {
		return nil, malformed(err)
	}
	if offset-e.lastSpan > maxSpan {
		return nil, malformed(fmt.Errorf("%d bytes of the blob before the TOC", offset-e.lastSpan))
	}
	span, err := fetch(e.lastSpan, offset-e.lastSpan)
	if err != nil {
		return nil, err
	}
	if err := e.addTOC(span); err != nil {
		return nil, malformed(err)
	}
	return e.parsed()
}

func newEStargz(t *toc.Table) decoder { return newMembers(t) }

// parseFooter tells where the TOC's member starts, and how long the footer
// is: an empty member whose extra field holds 16 hexadecimal digits and
// "STARGZ", with or (as stargz wrote it) without the head of a subfield.
func parseFooter(tail []byte) (offset, length int64, err error) {
	const header, digits, magic, rest = 10, 16, "STARGZ", 5 + 8
	for _, head := range []string{"\x1a\x00SG\x16\x00", "\x16\x00"} {
		n := header + len(head) + digits + len(magic) + rest
		if len(tail) < n {
			continue
		}
		footer := tail[len(tail)-n:]
		extra, ok := bytes.CutPrefix(footer[header:], []byte(head))
		if ok && bytes.HasPrefix(footer, []byte{0x1f, 0x8b, 8, 4}) && bytes.HasPrefix(extra[digits:], []byte(magic)) {
			offset, err := strconv.ParseUint(string(extra[:digits]), 16, 63)
			return int64(offset), int64(n), err
		}
	}
	return 0, 0, errors.New("the blob does not end with a footer of eStargz")
}

// eStargz makes the Table of a blob. The TOC is a file of the layer as well.
type eStargz struct {
	*crfsTable
	packed []byte // the TOC's member

	header  *tar.Header
	content *pieces
}

// addEntries adds what the TOC lists.
func (e *eStargz) addEntries(digest toc.ID) error {
	z, err := inflate.NewReader(bytes.NewReader(e.packed))
	if err != nil {
		return err
	}
	archive, start, err := e.openTOC(z)
	if err != nil {
		return err
	}
	file := sha256.New()
	e.content = newPieces(toc.Chunk{Offset: e.end, Length: int64(len(e.packed)), Skip: start})
	if err := readCRFS(io.TeeReader(archive, io.MultiWriter(file, e.content)), e.add); err != nil {
		return err
	}
	if toc.ID(file.Sum(nil)) != digest {
		return errors.New("the TOC does not have the annotated digest")
	}
	return e.finish()
}

// openTOC goes to the content of the TOC's tar entry, which starts at start
// of the decoded member.
func (e *eStargz) openTOC(member io.Reader) (content io.Reader, start int64, err error) {
	counted := &counter{r: member}
	archive := tar.NewReader(counted)
	if e.header, err = archive.Next(); err != nil {
		return nil, 0, err
	}
	if e.header.Name != eStargzName {
		return nil, 0, fmt.Errorf("the TOC is named %.80q", e.header.Name)
	}
	return archive, counted.n, nil
}

// addTOC adds the TOC as a file of the layer, which it does not list, given
// the last span before it.
func (e *eStargz) addTOC(span []byte) error {
	visible, err := e.reaches(span)
	if err != nil || !visible {
		return err
	}
	entry, err := layer.FromHeader(e.header)
	if err != nil {
		return err
	}
	if err := e.table.Entry(entry, 0); err != nil {
		return err
	}
	for _, c := range e.content.end() {
		if err := e.table.Chunk(c); err != nil {
			return err
		}
	}
	return nil
}

// reaches says whether the tar file goes on from the last content to the TOC.
// BuildKit writes the archive's end mark before it, and then no reader of the
// tar file sees a TOC; the TOC is the same.
func (e *eStargz) reaches(span []byte) (bool, error) {
	z, err := inflate.NewReader(io.MultiReader(bytes.NewReader(span), bytes.NewReader(e.packed)))
	if err != nil {
		return false, err
	}
	if _, err := io.CopyN(io.Discard, z, e.lastEnd); err != nil {
		return false, err
	}
	archive := tar.NewReader(&rationed{r: z, total: eStargzRest, value: eStargzRest})
	for {
		h, err := archive.Next()
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if h.Name == eStargzName {
			return true, nil
		}
	}
}

// counter counts the bytes that are read.
type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// pieces cuts what is written into chunks of one span.
type pieces struct {
	chunks []toc.Chunk
	next   toc.Chunk
	hash   hash.Hash
}

func newPieces(first toc.Chunk) *pieces { return &pieces{next: first, hash: sha256.New()} }

func (p *pieces) Write(b []byte) (int, error) {
	for rest := b; len(rest) > 0; {
		n := min(int64(len(rest)), maxChunk-p.next.Size)
		p.hash.Write(rest[:n])
		p.next.Size += n
		rest = rest[n:]
		if p.next.Size == maxChunk {
			p.cut()
		}
	}
	return len(b), nil
}

func (p *pieces) cut() {
	p.next.ID = toc.ID(p.hash.Sum(nil))
	p.chunks = append(p.chunks, p.next)
	p.hash.Reset()
	p.next.Skip += p.next.Size
	p.next.Size = 0
}

// end is all chunks.
func (p *pieces) end() []toc.Chunk {
	if p.next.Size > 0 {
		p.cut()
	}
	return p.chunks
}
