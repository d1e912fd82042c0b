package toc

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/runnerimage/layer"
)

func TestSame(t *testing.T) {
	a := write(t, 0, every, covering(0)).Table()
	if err := Same(a, write(t, 3, every, covering(3)[:1]).Table()); err != nil {
		t.Errorf("the same entries, cut differently: %v", err)
	}
	for i, c := range []struct {
		at     int
		change func(*layer.Entry)
		say    string
	}{
		{1, func(e *layer.Entry) { e.Name = "else" }, "else"},
		{3, func(e *layer.Entry) { e.Type, e.Size = layer.Directory, 0 }, "type"},
		{7, func(e *layer.Entry) { e.Link = "t" }, "target"},
		{1, func(e *layer.Entry) { e.Mode = 0o755 }, "mode 1777, and 0755"},
		{1, func(e *layer.Entry) { e.UID = 8 }, "owner"},
		{1, func(e *layer.Entry) { e.GID = 8 }, "owner"},
		{3, func(e *layer.Entry) { e.Size = 8 }, "1000 bytes, and 8"},
		{9, func(e *layer.Entry) { e.Major = 8 }, "device"},
		{9, func(e *layer.Entry) { e.Minor = 8 }, "device"},
		{1, func(e *layer.Entry) { e.ModTime = at(1e9+2, 0) }, "time"},
		{4, func(e *layer.Entry) { e.Xattrs = map[string]string{"user.a": "y"} }, "extended attributes"},
	} {
		other := slices.Clone(every)
		c.change(&other[c.at].Entry)
		for j := range other {
			other[j].lead = 0
		}
		b := write(t, 0, other, nil).Table()
		for _, compare := range []func(a, b *Table) error{Same, SameToTheSecond} {
			if err := compare(a, b); err == nil || !strings.Contains(err.Error(), fmt.Sprintf("entry %d, ", c.at)) || !strings.Contains(err.Error(), c.say) {
				t.Errorf("difference %d: %v", i, err)
			}
		}
	}
	less := write(t, 0, every[:len(every)-1], nil).Table()
	if err := Same(a, less); err == nil || !strings.Contains(err.Error(), "missing in the second") {
		t.Error(err)
	}
	if err := Same(less, a); err == nil || !strings.Contains(err.Error(), "missing in the first") {
		t.Error(err)
	}
	for _, up := range []time.Duration{0, time.Second - 1} {
		coarse := slices.Clone(every)
		for i := range coarse {
			coarse[i].lead = 0
			if !isWhiteout(coarse[i].Type) {
				coarse[i].ModTime = coarse[i].ModTime.Add(up).Truncate(time.Second)
			}
		}
		b := write(t, 0, coarse, nil).Table()
		if err := Same(a, b); err == nil || !strings.Contains(err.Error(), "entry 1, ") {
			t.Error(err)
		}
		if err := SameToTheSecond(a, b); err != nil {
			t.Error(err)
		}
	}
}
