package e2e

import (
	"os/exec"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/faultproxy"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// rangeCase is a registry that has its own way with the ranges of a layer. All
// of them end well.
type rangeCase struct {
	faultCase
	// patched says that the table is of use: far less than the layer is
	// fetched. resets says that bytes are lost on their way.
	patched, resets bool
}

// The first request is for the table, or for the end of it.
var rangeCases = []rangeCase{
	{faultCase: faultCase{name: "ignored", fault: always(faultproxy.IgnoreRange())}},
	{faultCase: faultCase{name: "ignored behind the table", skip: 1, fault: always(faultproxy.IgnoreRange())}},
	{faultCase: faultCase{name: "416", fault: always(faultproxy.RefuseRange(416))}},
	{faultCase: faultCase{name: "416 behind the table", skip: 1, fault: always(faultproxy.RefuseRange(416))}},
	{faultCase: faultCase{name: "501", fault: always(faultproxy.RefuseRange(501))}},
	{faultCase: faultCase{name: "501 behind the table", skip: 1, fault: always(faultproxy.RefuseRange(501))}},
	{faultCase: faultCase{name: "another range", fault: always(faultproxy.ShiftRange(3))}},
	{faultCase: faultCase{name: "cut", fault: faultproxy.Cut}, patched: true, resets: true},
	{faultCase: faultCase{name: "truncated", fault: faultproxy.Truncate}, patched: true},
	{faultCase: faultCase{name: "of unknown length and cut", fault: faultproxy.Chunked}, patched: true},
	{faultCase: faultCase{name: "truncated behind the table, then ignored", skip: 1, times: 1, fault: faultproxy.Truncate, more: faultproxy.IgnoreRange()}},
	{faultCase: faultCase{name: "truncated behind the table, then 416", skip: 1, times: 1, fault: faultproxy.Truncate, more: faultproxy.RefuseRange(416)}},
}

// rangesImage has a layer of which most stays and some changes.
func rangesImage(changed int) stack.Image {
	return stack.Image{Config: v1.Config{Cmd: []string{"/none"}}, Layers: append(treeLayers(), stack.Tar(tarball.Build(
		dir("t"), whiteout("t/setuid"), noise("t/stays", 6<<20), file("t/suid", "x", mode(0o4755)), noise("t/changed", 1<<20+changed), hardlink("t/link", "t/suid"),
	)))}
}

// TestRanges: however a registry answers requests for ranges, an update ends
// with the right tree, and no layer is fetched twice.
func TestRanges(t *testing.T) {
	twin := push(t, "ranges/twin", rangesImage(2))
	for _, f := range formats {
		if !f.tables {
			continue
		}
		t.Run(f.name, func(t *testing.T) {
			t.Parallel()
			filled := newStore(t)
			filled.snapshot(t, f.push(t, "ranges/"+f.name+"-before", rangesImage(1)))
			image := described(t, f.push(t, "ranges/"+f.name+"-after", rangesImage(2)))
			if image.snapped = twin.snapped; f.own {
				image.snapped = pulledTree(t, image.ref)
			}
			for _, c := range rangeCases {
				t.Run(c.name, func(t *testing.T) { c.run(t, f, image, filled.copied(t)) })
			}
		})
	}
}

func (c rangeCase) run(t *testing.T, f format, image pulled, store shared) {
	proxy := lab.Proxy(t, c.rules(image)...)
	tree, s := store.snapshot(t, proxy.Through(image.ref))
	f.compare(t, image.snapped, tree, s)
	// What came before the registry showed itself: the config, the table, a
	// piece of which no use was made.
	most := image.size*17/16 + 128<<10
	if c.patched {
		most = image.size / 2
	}
	fetched := proxy.Bytes()
	if c.resets {
		fetched = s.Pulled
	}
	if fetched > most || len(s.warnings) > 0 {
		t.Errorf("%d bytes were fetched of a layer of %d, want at most %d; warnings %q", fetched, image.size, most, s.warnings)
	}
	store.verify(t)
}

// copied is a store with the same in it.
func (s shared) copied(t *testing.T) shared {
	t.Helper()
	other := newStore(t)
	if out, err := exec.CommandContext(t.Context(), "cp", "--archive", s.dir+"/.", other.dir).CombinedOutput(); err != nil {
		t.Fatalf("copy the store: %v: %s", err, strings.TrimSpace(string(out)))
	}
	return other
}
