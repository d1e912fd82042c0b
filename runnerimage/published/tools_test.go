package published_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/published"
	"github.com/clipperregistry/runner/runnerimage/toc"
)

// blob is a layer as a registry has it.
type blob struct {
	desc  oci.Descriptor
	bytes []byte
}

func newBlob(b []byte, annotations map[string]string) blob {
	return blob{oci.Descriptor{Size: int64(len(b)), Annotations: annotations}, b}
}

// read is a range request.
func (b blob) read(offset, length int64) ([]byte, error) {
	if length <= 0 {
		return nil, fmt.Errorf("%d bytes asked for", length)
	}
	return bytes.Clone(b.bytes[offset:][:length]), nil
}

func (b blob) open(t *testing.T) *published.Layer {
	t.Helper()
	l, err := published.Open(b.desc, b.read)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// archive is what a reader of the whole blob sees.
func (b blob) archive(t *testing.T) (entries []layer.Entry, content []byte) {
	t.Helper()
	r, err := layer.NewReader(bytes.NewReader(b.bytes), layer.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var all bytes.Buffer
	for {
		e, err := r.Next()
		if err == io.EOF {
			return entries, all.Bytes()
		}
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, *e)
		if _, err := r.WriteTo(&all); err != nil {
			t.Fatal(err)
		}
	}
}

// checkAgainstArchive checks that the TOC alone gives what the archive gives.
// told is what the format tells of a time.
func (b blob) checkAgainstArchive(t *testing.T, told func(time.Time) time.Time) {
	t.Helper()
	l := b.open(t)
	entries, content := b.archive(t)
	archive := toc.NewWriter()
	for _, e := range entries {
		if err := archive.Entry(&e, 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Same(archive.Table()); err != nil {
		t.Errorf("Same: %v", err)
	}
	r := l.Table().Entries()
	for _, want := range entries {
		got, _, err := r.Next()
		if err != nil {
			t.Fatalf("%v, want %+v", err, want)
		}
		if want.Type != layer.Whiteout && want.Type != layer.Opaque {
			want.ModTime = told(want.ModTime)
		}
		if !reflect.DeepEqual(*got, want) {
			t.Errorf("%+v, want %+v", *got, want)
		}
	}
	if e, _, err := r.Next(); err != io.EOF {
		t.Errorf("%+v, %v behind the last entry", e, err)
	}
	if got := b.content(t, l); !bytes.Equal(got, content) {
		t.Errorf("the chunks have %d bytes, which are not the %d bytes of the files", len(got), len(content))
	}
}

// content is the content stream, from ranges of the blob.
func (b blob) content(t *testing.T, l *published.Layer) []byte {
	t.Helper()
	var all []byte
	for i, c := range l.Table().Chunks() {
		var err error
		if all, err = l.Content(all, i, b.bytes[c.Offset:][:c.Length]); err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// refused checks that the TOC is of no use, for the reason that is named.
func (b blob) refused(t *testing.T, reason string) {
	t.Helper()
	_, err := published.Open(b.desc, b.read)
	if !errors.Is(err, published.ErrFormat) || !bytes.Contains([]byte(err.Error()), []byte(reason)) {
		t.Errorf("%v, want an ErrFormat that says %q", err, reason)
	}
}
