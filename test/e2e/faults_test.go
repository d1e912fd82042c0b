package e2e

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"github.com/clipperregistry/runner/test/faultproxy"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

var (
	kills = flag.Int("kills", 12, "moments at which a layout is killed")
	long  = flag.Bool("long", false, "try, too, what takes minutes: registries that never answer, the largest bombs")
)

// pulled is an image in the registry, with what the faults are aimed at.
type pulled struct {
	ref     string
	config  string // its digest
	layer   string // of the largest
	size    int64  // of that
	total   int64  // of all blobs
	layers  int64  // of all layers
	last    int64  // of the last one
	snapped []treediff.Node
}

// noise is a file of n bytes that no compression makes smaller.
func noise(name string, n int) tarball.Entry {
	content := make([]byte, n)
	rand.NewChaCha8([32]byte{byte(n)}).Read(content)
	return file(name, string(content))
}

// push pushes an image, pulls it directly and takes its snapshot.
func push(t *testing.T, repository string, img stack.Image) pulled {
	t.Helper()
	p := described(t, lab.Push(t, repository, img))
	p.snapped = pulledTree(t, p.ref)
	return p
}

// inRegistry is an image as the registry has it.
func inRegistry(t *testing.T, ref string) (v1.Image, *v1.Manifest) {
	t.Helper()
	parsed, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(parsed, remote.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := img.Manifest()
	if err != nil {
		t.Fatal(err)
	}
	return img, manifest
}

// described is an image of the registry that nobody has pulled yet.
func described(t *testing.T, ref string) pulled {
	t.Helper()
	_, manifest := inRegistry(t, ref)
	p := pulled{ref: ref}
	p.config, p.total = manifest.Config.Digest.String(), manifest.Config.Size
	for _, desc := range manifest.Layers {
		p.total += desc.Size
		p.layers += desc.Size
		p.last = desc.Size
		if desc.Size > p.size {
			p.layer, p.size = desc.Digest.String(), desc.Size
		}
	}
	return p
}

// treeLayers are small layers in which something of everything must come out
// right.
func treeLayers() []stack.Layer {
	var texts entries
	for n := range 200 {
		texts = append(texts, file(fmt.Sprintf("t/text/%03d", n), strings.Repeat(fmt.Sprintf("line %d\n", n*n), n)))
	}
	return []stack.Layer{
		stack.Tar(tarball.Build(dir("t"), dir("t/gone"), file("t/gone/f", "x"), file("t/changed", "low"), dir("t/opaque"), file("t/opaque/low", "x"))),
		stack.Tar(tarball.Build(append(entries{
			dir("t"), file("t/changed", "high", owner(7, 8)), whiteout("t/gone"), opaque("t/opaque"), dir("t/opaque"), file("t/setuid", "x", mode(0o4755)),
			hardlink("t/link", "t/changed", owner(7, 8)), symlink("t/symlink", "changed"), dir("t/text", mtime(old), mode(0o711)),
		}, texts...)...)),
	}
}

// aim is what a fault is for.
type aim string

const (
	atManifest aim = "manifest"
	atConfig   aim = "config"
	atLayer    aim = "layer"
)

func (a aim) rule(p pulled) faultproxy.Rule {
	switch a {
	case atManifest:
		return faultproxy.Rule{Kind: faultproxy.Manifest}
	case atConfig:
		return faultproxy.Rule{Kind: faultproxy.Blob, Path: p.config}
	}
	return faultproxy.Rule{Kind: faultproxy.Blob, Path: p.layer}
}

// faultCase is what is wrong on the way from the registry.
type faultCase struct {
	name string
	at   aim
	// skip and times say for which requests; times 0 is for all.
	skip, times int
	// fault is made for a part of the thing's size.
	fault func(n int64) faultproxy.Fault
	// more is what is wrong with the requests after these.
	more faultproxy.Fault
	// exits are the right ends. 0 is the program's own, after the right tree.
	exits []int
	slow  bool
}

// always is a fault that no size changes.
func always(f faultproxy.Fault) func(int64) faultproxy.Fault {
	return func(int64) faultproxy.Fault { return f }
}

// mended are the ends of a pull that goes on after the fault.
var mended = []int{0}

var (
	html  = faultproxy.Replace("text/html", []byte("<html><body>Please log in to the hotel's network</body></html>"))
	zeros = func(n int64) faultproxy.Fault { return faultproxy.Replace("application/octet-stream", make([]byte, n)) }
)

// faultCases begins with those that take long, since all run side by side.
var faultCases = []faultCase{
	{name: "silent layer", at: atLayer, fault: always(faultproxy.Stall(-1)), exits: []int{85}, slow: true},
	{name: "silent manifest", at: atManifest, fault: always(faultproxy.Stall(-1)), exits: []int{85}, slow: true},
	{name: "silent once before the manifest", at: atManifest, times: 1, fault: always(faultproxy.Stall(-1)), exits: mended},
	{name: "silent once in the config", at: atConfig, times: 1, fault: always(faultproxy.Stall(20)), exits: mended},
	{name: "silent once before the layer", at: atLayer, times: 1, fault: always(faultproxy.Stall(-1)), exits: mended},
	{name: "silent once in the layer", at: atLayer, times: 1, fault: faultproxy.Stall, exits: mended},
	{name: "silent once late in the layer", at: atLayer, skip: 3, times: 1, fault: faultproxy.Stall, exits: mended},

	{name: "manifest reset", at: atManifest, fault: always(faultproxy.Cut(-1)), exits: []int{85}},
	{name: "manifest cut", at: atManifest, fault: always(faultproxy.Cut(20)), exits: []int{85}},
	{name: "manifest truncated", at: atManifest, fault: always(faultproxy.Truncate(20)), exits: []int{85}},
	{name: "manifest 500", at: atManifest, fault: always(faultproxy.Status(500)), exits: []int{85}},
	{name: "manifest 429", at: atManifest, fault: always(faultproxy.Status(429, "Retry-After", "1")), exits: []int{85}},
	{name: "config 503", at: atConfig, fault: always(faultproxy.Status(503)), exits: []int{85}},
	{name: "config reset", at: atConfig, fault: always(faultproxy.Cut(0)), exits: []int{85}},
	{name: "layer reset", at: atLayer, fault: always(faultproxy.Cut(-1)), exits: []int{85}},
	{name: "layer cut before its first byte", at: atLayer, fault: always(faultproxy.Cut(0)), exits: []int{85}},
	{name: "layer 500", at: atLayer, fault: always(faultproxy.Status(500)), exits: []int{85}},
	{name: "layer 429", at: atLayer, fault: always(faultproxy.Status(429, "Retry-After", "1")), exits: []int{85}},
	{name: "layer 502 from the third request on", at: atLayer, skip: 2, fault: always(faultproxy.Status(502)), exits: []int{0, 85}},

	{name: "manifest reset once", at: atManifest, times: 1, fault: always(faultproxy.Cut(-1)), exits: mended},
	{name: "manifest truncated once", at: atManifest, times: 1, fault: always(faultproxy.Truncate(20)), exits: mended},
	{name: "manifest 500 twice", at: atManifest, times: 2, fault: always(faultproxy.Status(500)), exits: mended},
	{name: "manifest 429 once", at: atManifest, times: 1, fault: always(faultproxy.Status(429, "Retry-After", "2")), exits: mended},
	{name: "config cut once", at: atConfig, times: 1, fault: always(faultproxy.Cut(20)), exits: mended},
	{name: "config 502 once", at: atConfig, times: 1, fault: always(faultproxy.Status(502)), exits: mended},
	{name: "layer reset once", at: atLayer, times: 1, fault: always(faultproxy.Cut(-1)), exits: mended},
	{name: "layer cut once", at: atLayer, times: 1, fault: faultproxy.Cut, exits: mended},
	{name: "layer cut late", at: atLayer, skip: 2, times: 2, fault: faultproxy.Cut, exits: mended},
	{name: "layer 500 three times", at: atLayer, times: 3, fault: always(faultproxy.Status(500)), exits: mended},
	{name: "layer 429 once", at: atLayer, times: 1, fault: always(faultproxy.Status(429, "Retry-After", "2")), exits: mended},
	{name: "layer truncated once", at: atLayer, times: 1, fault: faultproxy.Truncate, exits: mended},
	{name: "layer of unknown length cut once", at: atLayer, times: 1, fault: faultproxy.Chunked, exits: mended},
	{name: "layer always cut", at: atLayer, fault: faultproxy.Cut, exits: mended},
	{name: "layer always truncated", at: atLayer, fault: faultproxy.Truncate, exits: mended},
	{name: "layer of unknown length always cut", at: atLayer, fault: faultproxy.Chunked, exits: mended},

	{name: "range ignored", at: atLayer, fault: always(faultproxy.IgnoreRange()), exits: mended},
	{name: "cut, then range ignored", at: atLayer, times: 1, fault: faultproxy.Cut, more: faultproxy.IgnoreRange(), exits: mended},
	{name: "range 416", at: atLayer, fault: always(faultproxy.RefuseRange(416)), exits: mended},
	{name: "cut, then range 416", at: atLayer, times: 1, fault: faultproxy.Cut, more: faultproxy.RefuseRange(416), exits: mended},
	{name: "range 501", at: atLayer, fault: always(faultproxy.RefuseRange(501)), exits: mended},
	{name: "cut, then range 501", at: atLayer, times: 1, fault: faultproxy.Cut, more: faultproxy.RefuseRange(501), exits: mended},
	{name: "another range", at: atLayer, fault: always(faultproxy.ShiftRange(3)), exits: mended},
	{name: "cut, then another range", at: atLayer, times: 1, fault: faultproxy.Cut, more: faultproxy.ShiftRange(3), exits: mended},
	{name: "cut, then the wrong bytes for the range", at: atLayer, times: 1, fault: faultproxy.Cut, more: faultproxy.SwapRange(-1), exits: []int{85, 86}},
	{name: "redirected", at: atLayer, fault: always(faultproxy.Redirect(1000)), exits: mended},
	{name: "redirected by URLs for one request each", at: atLayer, fault: always(faultproxy.Redirect(1)), exits: mended},
	{name: "redirected by URLs for two requests each", at: atLayer, fault: always(faultproxy.Redirect(2)), exits: mended},
	{name: "redirected by a URL that has run out", at: atLayer, times: 1, fault: always(faultproxy.Redirect(0)), exits: mended},
	{name: "redirected by URLs that have all run out", at: atLayer, fault: always(faultproxy.Redirect(0)), exits: []int{81}},

	{name: "manifest 401", at: atManifest, fault: always(faultproxy.Status(401)), exits: []int{81}},
	{name: "manifest 403", at: atManifest, fault: always(faultproxy.Status(403)), exits: []int{81}},
	{name: "manifest 404", at: atManifest, fault: always(faultproxy.Status(404)), exits: []int{82}},
	{name: "manifest 418", at: atManifest, fault: always(faultproxy.Status(418)), exits: []int{88}},
	{name: "manifest that is a web page", at: atManifest, fault: always(html), exits: []int{88}},
	{name: "manifest with a wrong byte", at: atManifest, fault: always(faultproxy.Flip(20)), exits: []int{86}},
	{name: "manifest too short", at: atManifest, fault: always(faultproxy.Resize(-1)), exits: []int{86}},
	{name: "manifest too long", at: atManifest, fault: always(faultproxy.Resize(1)), exits: []int{86}},
	{name: "manifest of unknown length cut", at: atManifest, fault: always(faultproxy.Chunked(20)), exits: []int{86}},
	{name: "config 401", at: atConfig, fault: always(faultproxy.Status(401)), exits: []int{81}},
	{name: "config 404", at: atConfig, fault: always(faultproxy.Status(404)), exits: []int{82}},
	{name: "config with a wrong byte", at: atConfig, fault: always(faultproxy.Flip(20)), exits: []int{86}},
	{name: "config too short", at: atConfig, fault: always(faultproxy.Resize(-1)), exits: []int{86}},
	{name: "config too long", at: atConfig, fault: always(faultproxy.Resize(1)), exits: []int{86}},
	{name: "config that is a web page", at: atConfig, fault: always(html), exits: []int{86}},
	{name: "layer 401", at: atLayer, fault: always(faultproxy.Status(401)), exits: []int{81}},
	{name: "layer 401 once", at: atLayer, times: 1, fault: always(faultproxy.Status(401)), exits: mended},
	{name: "layer 401 late", at: atLayer, skip: 2, times: 1, fault: always(faultproxy.Status(401)), exits: mended},
	{name: "layer 403", at: atLayer, fault: always(faultproxy.Status(403)), exits: []int{81}},
	{name: "layer 404", at: atLayer, fault: always(faultproxy.Status(404)), exits: []int{82}},
	{name: "layer 404 from the third request on", at: atLayer, skip: 2, fault: always(faultproxy.Status(404)), exits: []int{0, 82}},
	{name: "layer with a wrong first byte", at: atLayer, fault: always(faultproxy.Flip(0)), exits: []int{86}},
	{name: "layer with a wrong byte", at: atLayer, fault: faultproxy.Flip, exits: []int{86}},
	{name: "layer with a wrong byte once", at: atLayer, times: 1, fault: faultproxy.Flip, exits: []int{0, 86}},
	{name: "layer with a wrong byte far in", at: atLayer, fault: func(n int64) faultproxy.Fault { return faultproxy.Flip(11 * n) }, exits: []int{86}},
	{name: "layer with a wrong last byte", at: atLayer, fault: func(n int64) faultproxy.Fault { return faultproxy.Flip(16*n - 1) }, exits: []int{0, 86}},
	{name: "layer too short", at: atLayer, fault: always(faultproxy.Resize(-1)), exits: []int{86}},
	{name: "layer too long", at: atLayer, fault: always(faultproxy.Resize(1)), exits: []int{86}},
	{name: "layer that is a web page", at: atLayer, fault: always(html), exits: []int{86}},
	{name: "layer of zeros", at: atLayer, fault: func(n int64) faultproxy.Fault { return zeros(16 * n) }, exits: []int{86}},
}

// faultRun is a case under way.
type faultRun struct {
	faultCase
	image     pulled
	container *stack.Container
}

// TestFaults: whatever happens to a pull, either the program finds the right
// tree, or there is no program and an exit code that says why.
func TestFaults(t *testing.T) {
	for _, img := range []struct {
		name   string
		layers []stack.Layer
	}{
		{"small", treeLayers()},
		// Large enough for one layer to come in parts.
		{"large", append(treeLayers(), stack.Tar(tarball.Build(dir("t"), noise("t/noise", 40<<20), file("t/after", "x"))))},
	} {
		t.Run(img.name, func(t *testing.T) {
			t.Parallel()
			image := push(t, "faults/"+img.name, stack.Image{Layers: img.layers, Config: v1.Config{Cmd: []string{"/none"}}})
			var running []faultRun
			collect := func(most int) {
				for ; len(running) > most; running = running[1:] {
					t.Run(running[0].name, running[0].check)
				}
			}
			for _, c := range faultCases {
				if c.slow && !*long {
					continue
				}
				running = append(running, c.start(t, image))
				const atOnce = 20
				collect(atOnce)
			}
			collect(0)
		})
	}
}

func (c faultCase) start(t *testing.T, image pulled) faultRun {
	proxy := lab.Proxy(t, c.rules(image)...)
	return faultRun{c, image, lab.Start(t, snapshotSpec(t, proxy.Through(image.ref)))}
}

// rules are those of the case for an image.
func (c faultCase) rules(image pulled) []faultproxy.Rule {
	rule := c.at.rule(image)
	rule.Skip, rule.Times, rule.Fault = c.skip, c.times, c.fault(image.size/16)
	rules := []faultproxy.Rule{rule}
	if c.more != nil {
		after := rule
		after.Skip, after.Times, after.Fault = c.skip+c.times, 0, c.more
		rules = append(rules, after)
	}
	return rules
}

// snapshotSpec is the container that Snapshot runs, to be started.
func snapshotSpec(t *testing.T, ref string) stack.RunSpec {
	return stack.RunSpec{
		Image: ref, Via: stack.Runner, User: "0:0", Entrypoint: []string{"/snapshot", "-exclude", "/.clipper-runner"},
		Flags: []string{"--volume", lab.Program(t, "test/treediff/snapshot") + ":/snapshot:ro"},
	}
}

func (r faultRun) check(t *testing.T) {
	code, err := strconv.Atoi(r.container.Wait(t))
	if err != nil {
		t.Fatal(err)
	}
	logs := r.container.Logs(t)
	r.container.Do(t, "rm", "--volumes")
	if !slices.Contains(r.exits, code) {
		t.Errorf("exit %d, want one of %d: %s", code, r.exits, logs.Stderr)
	}
	if code != 0 {
		checkRefusal(t, code, logs)
		return
	}
	got, err := treediff.Read(strings.NewReader(logs.Stdout))
	if err != nil {
		t.Fatal(err)
	}
	compare(t, r.image.snapped, got)
}

// checkRefusal checks what a runner leaves that starts no program.
func checkRefusal(t *testing.T, code int, logs stack.Result) {
	t.Helper()
	if logs.Stdout != "" {
		t.Errorf("exit %d, and yet a program ran: %.500s", code, logs.Stdout)
	}
	lines := strings.Split(strings.TrimSpace(logs.Stderr), "\n")
	last := lines[len(lines)-1]
	if !strings.HasPrefix(last, "clipper-runner: error: ") || !strings.HasSuffix(last, fmt.Sprintf(" (exit code %d)", code)) {
		t.Errorf("exit %d, and the last line does not say why: %q", code, last)
	}
}

// interrupted is the image of the tests that end a layout half-way.
func interrupted(t *testing.T, change func(*v1.Config)) stack.Image {
	img := probeImage(t, change)
	img.Layers = append(append(slices.Clone(img.Layers), treeLayers()...), stack.Tar(tarball.Build(
		dir("data", mode(0o750), owner(1000, 1000), mtime(old)), file("data/f", "x", owner(1000, 1000)), dir("data/sub", mtime(old)), noise("data/sub/noise", 2<<20),
		dir("t"), noise("t/noise", 4<<20), whiteout("t/changed"),
	)))
	return img
}

// TestStopDuringPull: a stop signal before the program started ends the
// runner with a code of its own, and the next start ends well.
func TestStopDuringPull(t *testing.T) {
	img := interrupted(t, nil)
	image := push(t, "stop/pull", stack.Image{Layers: img.Layers, Config: v1.Config{Cmd: []string{"/none"}}})
	for _, c := range []struct {
		at     aim
		fault  faultproxy.Fault
		signal []string
	}{
		{atManifest, faultproxy.Stall(-1), []string{"stop", "--time", "20"}},
		{atConfig, faultproxy.Stall(9), []string{"stop", "--time", "20"}},
		{atLayer, faultproxy.Stall(1 << 20), []string{"stop", "--time", "20"}},
		{atLayer, faultproxy.Status(503), []string{"stop", "--time", "20"}},
		{atLayer, faultproxy.Stall(1 << 20), []string{"kill", "--signal", "INT"}},
	} {
		t.Run(strings.Join(c.signal, " ")+" at "+string(c.at), func(t *testing.T) {
			t.Parallel()
			rule := c.at.rule(image)
			rule.Times = 1
			struck := make(chan struct{})
			rule.Fault = faultproxy.Announced(c.fault, struck)
			proxy := lab.Proxy(t, rule)
			container := lab.Start(t, snapshotSpec(t, proxy.Through(image.ref)))
			<-struck
			container.Do(t, c.signal[0], c.signal[1:]...)
			if code := container.Wait(t); code != "89" {
				t.Errorf("exit %s, want 89", code)
			}
			checkRefusal(t, 89, container.Logs(t))
			container.Do(t, "start")
			if code := container.Wait(t); code != "0" {
				t.Fatalf("started again: exit %s: %s", code, container.Logs(t).Stderr)
			}
			got, err := treediff.Read(strings.NewReader(container.Logs(t).Stdout))
			if err != nil {
				t.Fatal(err)
			}
			compare(t, image.snapped, got)
		})
	}
}

// TestKilledAtAnyMoment: a layout that was killed is taken up by the next
// start, again and again, and ends with the right tree, in the volume that it
// fills too.
func TestKilledAtAnyMoment(t *testing.T) {
	image := push(t, "kill/pull", interrupted(t, func(c *v1.Config) { c.Cmd = []string{"probe", "wait"} }))
	wantTree, wantVolume := startWithVolume(t, stack.Direct, image.ref).snapshots(t)
	const perContainer = 3
	for from := 0; from < *kills; from += perContainer {
		moments := make([]int, 0, perContainer)
		for n := from; n < min(from+perContainer, *kills); n++ {
			moments = append(moments, (n*7+3)%*kills) // near and far by turns
		}
		t.Run(fmt.Sprintf("moments %d of %d", moments, *kills), func(t *testing.T) {
			t.Parallel()
			proxy := lab.Proxy(t)
			c := volumeContainer{}
			for i, moment := range moments {
				// The last two of the moments come after the last byte.
				at := min(image.total*int64(moment)/int64(max(*kills-2, 1)), image.total-1)
				reached, thaw := proxy.FreezeAfter(t, at)
				before := 0
				if i == 0 {
					c = startWithVolume(t, stack.Runner, proxy.Through(image.ref))
				} else {
					before = strings.Count(c.Logs(t).Stdout, "ready\n")
					c.Do(t, "start")
				}
				c.awaitFrost(t, reached, before)
				if moment >= *kills-2 {
					thaw()
					<-time.After(time.Duration(rand.IntN(60)) * time.Millisecond)
				}
				c.Do(t, "kill")
				c.Wait(t)
				thaw()
			}
			ready := strings.Count(c.Logs(t).Stdout, "ready\n")
			c.Do(t, "start")
			c.AwaitLog(t, "ready\n", ready+1)
			tree, volume := c.snapshots(t)
			compare(t, wantTree, tree, "t")
			if differences := treediff.Diff(wantVolume, volume); len(differences) > 0 {
				t.Errorf("the volume differs:\n%s", strings.Join(differences, "\n"))
			}
		})
	}
}

// volumeContainer is a container with an empty volume over content.
type volumeContainer struct {
	*stack.Container
	dir string
}

func startWithVolume(t *testing.T, via stack.Via, ref string) volumeContainer {
	t.Helper()
	name := lab.Engine.Volume(t, lab)
	container := lab.Start(t, stack.RunSpec{Image: ref, Via: via, Flags: []string{
		"--volume", lab.Program(t, "test/treediff/snapshot") + ":/snapshot:ro", "--volume", name + ":/data",
	}})
	return volumeContainer{container, lab.Engine.VolumeDir(t, name)}
}

// awaitFrost waits until nothing is pulled any more, which may be because the
// image stands since the last kill: then the program has been ready once more
// than before.
func (c volumeContainer) awaitFrost(t *testing.T, reached <-chan struct{}, before int) {
	t.Helper()
	for {
		select {
		case <-reached:
			return
		case <-t.Context().Done():
			t.Fatal("neither frost nor program")
		case <-time.After(200 * time.Millisecond):
		}
		if strings.Count(c.Logs(t).Stdout, "ready\n") > before {
			return
		}
	}
}

func (c volumeContainer) snapshots(t *testing.T) (tree, volume []treediff.Node) {
	t.Helper()
	c.AwaitLog(t, "ready\n", 1)
	result := c.Exec(t, "/snapshot", "-exclude", "/.clipper-runner")
	tree, err := treediff.Read(strings.NewReader(result.Stdout))
	if err != nil || result.Exit != 0 {
		t.Fatalf("snapshot: exit %d: %v %s", result.Exit, err, result.Stderr)
	}
	if volume, err = treediff.Snapshot(c.dir, treediff.Options{}); err != nil {
		t.Fatal(err)
	}
	return tree, withoutDirectoryTimes(volume)
}

// TestDiskFull: an image that is larger than the disk, in bytes or in files.
func TestDiskFull(t *testing.T) {
	var many entries
	for n := range 4000 {
		many = append(many, file(fmt.Sprintf("f%d", n), ""))
	}
	refs := map[string]string{
		"bytes":  lab.Push(t, "full/bytes", stack.Image{Layers: []stack.Layer{stack.Tar(tarball.Build(noise("noise", 48<<20)))}}),
		"inodes": lab.Push(t, "full/inodes", stack.Image{Layers: []stack.Layer{stack.Tar(tarball.Build(many...))}}),
	}
	data := filepath.Join(lab.Scratch(t), "docker")
	mountSmall(t, data)
	engine := lab.StartEngine(t, "overlay2", data)
	for name, ref := range refs {
		spec := snapshotSpec(t, ref)
		got := lab.RunOn(t, engine, spec)
		if got.Exit != 84 {
			t.Errorf("%s: exit %d, want 84: %s", name, got.Exit, got.Stderr)
		}
		checkRefusal(t, got.Exit, got)
	}
}

// mountSmall mounts a file system at dir that has room for the runner image
// and little more.
func mountSmall(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	image := dir + ".img"
	for _, command := range [][]string{
		{"truncate", "--size", "64M", image},
		{"mkfs.ext4", "-q", "-N", "2000", "-m", "0", image},
		{"mount", "-o", "loop", image, dir},
	} {
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q (needs root, e2fsprogs and loop devices: run `make test`): %v: %s", command, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
}
