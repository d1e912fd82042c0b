package toc

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

// Same returns nil if both tables have the same entries with the same
// attributes, else an error that names the first difference. Chunks, leads and
// the format are not looked at.
func Same(a, b *Table) error { return same(a, b, 0) }

// SameToTheSecond is Same, but takes times that are less than a second apart
// for equal: whoever keeps whole seconds may round up, down or to the nearest.
func SameToTheSecond(a, b *Table) error { return same(a, b, time.Second-1) }

// same lets times be so far apart.
func same(a, b *Table, apart time.Duration) error {
	left, right := a.Entries(), b.Entries()
	for i := 0; ; i++ {
		x, _, err := left.Next()
		y, _, other := right.Next()
		switch {
		case err == io.EOF && other == io.EOF:
			return nil
		case err == io.EOF && other == nil:
			return fmt.Errorf("entry %d, %.200q, is missing in the first", i, y.Name)
		case other == io.EOF && err == nil:
			return fmt.Errorf("entry %d, %.200q, is missing in the second", i, x.Name)
		case err != nil || other != nil:
			return errors.Join(err, other)
		}
		if what := difference(x, y, apart); what != "" {
			return fmt.Errorf("entry %d, %.200q: %s", i, x.Name, what)
		}
	}
}

// difference says what two entries do not share, "" for nothing.
func difference(a, b *layer.Entry, apart time.Duration) string {
	switch {
	case a.Name != b.Name:
		return fmt.Sprintf("the second has %.200q there", b.Name)
	case a.Type != b.Type:
		return fmt.Sprintf("type %d, and %d in the second", a.Type, b.Type)
	case a.Link != b.Link:
		return fmt.Sprintf("target %.200q, and %.200q in the second", a.Link, b.Link)
	case a.Mode != b.Mode:
		return fmt.Sprintf("mode %04o, and %04o in the second", a.Mode, b.Mode)
	case a.UID != b.UID, a.GID != b.GID:
		return fmt.Sprintf("owner %d:%d, and %d:%d in the second", a.UID, a.GID, b.UID, b.GID)
	case a.Size != b.Size:
		return fmt.Sprintf("%d bytes, and %d in the second", a.Size, b.Size)
	case a.Major != b.Major, a.Minor != b.Minor:
		return fmt.Sprintf("device %d:%d, and %d:%d in the second", a.Major, a.Minor, b.Major, b.Minor)
	case a.ModTime.Sub(b.ModTime).Abs() > apart:
		return fmt.Sprintf("time %s, and %s in the second", a.ModTime, b.ModTime)
	case !maps.Equal(a.Xattrs, b.Xattrs):
		return fmt.Sprintf("%d extended attributes, and others in the second", len(a.Xattrs))
	}
	return ""
}
