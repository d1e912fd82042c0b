package rootfs

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/runnerimage/toc"
	. "github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

func TestMounts(t *testing.T) {
	const ro = unix.MS_RDONLY
	for _, test := range []struct {
		name     string
		mount    func(c *container)
		layers   [][]byte
		want     map[string]string
		warnings []string
	}{{
		name:   "engine files",
		mount:  func(c *container) { c.bindFile("etc/hosts", 0); c.bindFile("etc/resolv.conf", 0) },
		layers: [][]byte{Build(File("etc/hosts", "image"), Symlink("etc/resolv.conf", "../run/systemd/resolv.conf"), File(".dockerenv", "image"), File("etc/mtab", "image"), File("etc/other", "image"))},
		want: map[string]string{
			"etc/hosts": "mounted", "etc/resolv.conf": "mounted", "run/systemd": "absent",
			".dockerenv": "", "etc/mtab": "-> /proc/mounts", "etc/other": "image",
		},
	}, {
		name:   "--init and an image whose /sbin is a symlink",
		mount:  func(c *container) { c.bindFile("sbin/docker-init", ro) },
		layers: [][]byte{Build(Symlink("sbin", "usr/sbin"), File("usr/sbin/ip", "ip"), Dir("usr/sbin/d"), File("usr/sbin/d/x", "x"))},
		want: map[string]string{
			"sbin": "dir", "sbin/docker-init": "mounted", "sbin/ip": "-> ../usr/sbin/ip", "sbin/d": "-> ../usr/sbin/d",
			"usr/sbin/docker-init": "-> ../../sbin/docker-init", "usr/sbin/ip": "ip",
		},
	}, {
		name:   "--init, an absolute symlink by way of another, the mounted name in the image, and a later layer",
		mount:  func(c *container) { c.bindFile("sbin/docker-init", 0) },
		layers: [][]byte{Build(File("sbin/gone", "")), Build(Symlink("sbin", "/s"), Symlink("s", "usr/sbin")), Build(File("usr/sbin/docker-init", "image"), File("usr/sbin/ip", "ip"))},
		want: map[string]string{
			"sbin/docker-init": "mounted", "usr/sbin/docker-init": "-> ../../sbin/docker-init", "sbin/ip": "-> ../usr/sbin/ip", "sbin/gone": "absent", "s": "-> usr/sbin",
		},
	}, {
		name:   "a symlink that a higher layer makes a directory is none",
		mount:  func(c *container) { c.bindFile("sbin/docker-init", 0) },
		layers: [][]byte{Build(Symlink("sbin", "usr/sbin"), File("usr/sbin/ip", "ip")), Build(Dir("sbin"), File("sbin/x", "x"))},
		want:   map[string]string{"sbin/docker-init": "mounted", "sbin/x": "x", "sbin/ip": "absent", "usr/sbin/docker-init": "absent"},
	}, {
		name:   "a mount deep below a symlink",
		mount:  func(c *container) { c.bindDir("m", "lib/modules/6.1", 0); c.file("../outside/m/ko", "ko") },
		layers: [][]byte{Build(Symlink("lib", "usr/lib"), File("usr/lib/libc", "libc"), File("usr/lib/modules/5.0/x", "x"), Dir("usr/lib/modules/6.1"))},
		want: map[string]string{
			"lib/libc": "-> ../usr/lib/libc", "lib/modules/5.0": "-> ../../usr/lib/modules/5.0", "lib/modules/6.1/ko": "ko",
			"usr/lib/modules/6.1": "-> ../../../lib/modules/6.1", "usr/lib/modules/6.1/ko": "ko",
		},
	}, {
		name:     "an ancestor that is a file in the image",
		mount:    func(c *container) { c.bindFile("opt/tool/config", 0) },
		layers:   [][]byte{Build(File("opt/tool", "a file"), HardLink("opt/other", "opt/tool"))},
		want:     map[string]string{"opt/tool": "dir", "opt/tool/config": "mounted", "opt/other": "a file"},
		warnings: []string{`"/opt/tool" is left out`},
	}, {
		name:   "docker.sock, /var/run a symlink in the image",
		mount:  func(c *container) { c.bindFile("run/docker.sock", 0) },
		layers: [][]byte{Build(Symlink("var/run", "./../run"), Dir("run", Mode(0o755)))},
		want:   map[string]string{"var/run": "-> ./../run", "var/run/docker.sock": "mounted"},
	}, {
		name:   "docker.sock, /var/run a directory in the image",
		mount:  func(c *container) { c.bindFile("run/docker.sock", 0); c.bindFile("run/a/b", 0) },
		layers: [][]byte{Build(Dir("var/run"), File("var/run/pid", "1"), File("var/run/a/own", "own"))},
		want:   map[string]string{"var/run": "dir", "var/run/pid": "1", "var/run/docker.sock": "-> ../../run/docker.sock", "var/run/a/b": "-> ../../../run/a/b", "var/run/a/own": "own"},
	}, {
		name:   "docker.sock, no /var in the image",
		mount:  func(c *container) { c.bindFile("run/docker.sock", 0) },
		layers: [][]byte{Build(File("hello", "hello"))},
		want:   map[string]string{"var/run": "-> ../run", "var/run/docker.sock": "mounted", "hello": "hello"},
	}, {
		name:   "no mount below /run, no /var/run",
		layers: [][]byte{Build(File("hello", "hello"))},
		mount:  func(*container) {},
		want:   map[string]string{"var": "absent", "run": "absent"},
	}, {
		name:   "a bind over a directory of the image, and hard links out of and into it",
		mount:  func(c *container) { c.bindDir("b", "srv/data", 0) },
		layers: [][]byte{Build(Dir("srv/data", Mode(0o700), Owner(5, 5)), File("srv/data/a", "a"), HardLink("srv/link", "srv/data/a"), File("srv/f", "f"), HardLink("srv/data/f", "srv/f"), HardLink("srv/g", "srv/data/f")), Build(Whiteout("srv/data/a"), File("srv/h", "h"))},
		want:   map[string]string{"srv/data/a": "absent", "srv/link": "a", "srv/f": "f", "srv/g": "f", "srv/data/f": "absent", "srv/h": "h"},
	}, {
		name:   "a read-only bind",
		mount:  func(c *container) { c.bindDir("b", "srv/data", ro) },
		layers: [][]byte{Build(Dir("srv/data", Owner(5, 5)), File("srv/data/a", "a"), Symlink("srv/data/l", "a")), Build(Whiteout("srv/data"))},
		want:   map[string]string{"srv/data": "dir", "srv/data/a": "absent"},
	}, {
		name: "mounts in mounts, and a file bind in a directory of the image",
		mount: func(c *container) {
			c.bindDir("b", "srv/data", 0)
			c.bindDir("b2", "srv/data/in/ner", 0)
			c.bindFile("srv/conf/file", 0)
		},
		layers: [][]byte{Build(File("srv/data/x", "x"), File("srv/data/in/ner/y", "y"), File("srv/data/in/z", "z"), File("srv/conf/file", "image"), File("srv/conf/next", "next"))},
		want:   map[string]string{"srv/data/x": "absent", "srv/data/in/ner/y": "absent", "srv/data/in/z": "absent", "srv/conf/file": "mounted", "srv/conf/next": "next"},
	}, {
		name:   "whiteouts of mounts and of what leads there",
		mount:  func(c *container) { c.bindDir("b", "srv/data", 0); c.file("../outside/b/own", "own") },
		layers: [][]byte{Build(File("srv/data/x", "x"), File("srv/y", "y")), Build(Whiteout("srv/data")), Build(Whiteout("srv")), Build(File("srv/z", "z")), Build(Opaque("srv/data"), Opaque("srv"))},
		want:   map[string]string{"srv/data/own": "own", "srv/y": "absent", "srv/z": "absent"},
	}, {
		name:   "a mount where the image has a symlink to nothing",
		mount:  func(c *container) { c.bindDir("b", "data", 0); c.file("../outside/b/own", "own") },
		layers: [][]byte{Build(Symlink("data", "/mnt/deep/data"))},
		want:   map[string]string{"data/own": "own", "mnt/deep/data": "-> ../../data", "mnt/deep/data/own": "own"},
	}, {
		name:   "a mount where the image has a symlink to an empty directory",
		mount:  func(c *container) { c.bindDir("b", "data", 0); c.file("../outside/b/own", "own") },
		layers: [][]byte{Build(Symlink("data", "mnt/data"), Dir("mnt/data", Owner(4, 4)))},
		want:   map[string]string{"data/own": "own", "mnt/data": "-> ../data"},
	}, {
		name:     "a mount where the image has a symlink to a full directory",
		mount:    func(c *container) { c.bindDir("b", "data", 0) },
		layers:   [][]byte{Build(Symlink("data", "mnt/data"), File("mnt/data/x", "x"))},
		want:     map[string]string{"mnt/data/x": "x"},
		warnings: []string{"is not empty"},
	}, {
		name:   "a file mounted where the image has a symlink",
		mount:  func(c *container) { c.bindFile("etc/localtime", 0) },
		layers: [][]byte{Build(Symlink("etc/localtime", "../usr/share/zoneinfo/UTC"), File("usr/share/zoneinfo/UTC", "UTC"))},
		want:   map[string]string{"etc/localtime": "mounted", "usr/share/zoneinfo/UTC": "-> ../../../etc/localtime"},
	}, {
		name:   "odd names of mounts",
		mount:  func(c *container) { c.bindDir("b", "a b\\c\n\td", 0); c.file("../outside/b/own", "own") },
		layers: [][]byte{Build(File("a b\\c\n\td/x", "x"), File("a b", "y"))},
		want:   map[string]string{"a b\\c\n\td/own": "own", "a b\\c\n\td/x": "absent", "a b": "y"},
	}, {
		name: "writing through symlinks",
		mount: func(c *container) {
			c.bindDir("b", "data", 0)
		},
		layers: [][]byte{
			Build(Symlink("l", "data"), File("l/x", "x"), Symlink("k", ".clipper-runner"), File("k/runner", "evil"), Symlink("up", "../../.."), File("up/out", "out")),
			Build(Symlink("m", "/data"), Symlink("n", "m"), File("n/y", "y"), Symlink("dir", "data")),
			Build(File("dir/z", "z"), Symlink("d", "/"), File("d/data/w", "w")),
		},
		want:     map[string]string{"data/x": "absent", "data/y": "absent", "data/z": "absent", "data/w": "absent", ".clipper-runner/runner": "runner", "dir": "dir", "dir/z": "z", "out": "out"},
		warnings: []string{`/.clipper-runner/runner" is left out`},
	}, {
		name:     "the kept place",
		mount:    func(*container) {},
		layers:   [][]byte{Build(File(".clipper-runner/runner", "evil"), File(".clipper-runner/new", "evil"), Symlink("x", ".clipper-runner/runner")), Build(Whiteout(".clipper-runner"), Symlink(".clipper-runner", "etc"))},
		want:     map[string]string{".clipper-runner": "dir", ".clipper-runner/runner": "runner", ".clipper-runner/new": "absent", "x": "-> .clipper-runner/runner"},
		warnings: []string{".clipper-runner"},
	}} {
		t.Run(test.name, func(t *testing.T) {
			for _, way := range ways {
				c := newContainer(t)
				c.way = way
				test.mount(c)
				before := snapshot(t, c.outside)
				c.layOut(test.layers...)
				c.shows(test.want)
				c.warned(test.warnings...)
				for _, line := range treediff.Diff(before, snapshot(t, c.outside)) {
					t.Errorf("what is mounted has changed: %s", line)
				}
				c.shows(map[string]string{".clipper-runner/tmp": "absent"})
			}
		})
	}
}

func snapshot(t *testing.T, dir string) []treediff.Node {
	t.Helper()
	nodes, err := treediff.Snapshot(dir, treediff.Options{})
	must(t, err)
	return nodes
}

// content lists the files and symlinks of a directory with what they hold.
func content(t *testing.T, dir string) []string {
	t.Helper()
	var lines []string
	for _, node := range snapshot(t, dir) {
		lines = append(lines, node.Path+" "+show(filepath.Join(dir, node.Path)))
	}
	return lines
}

const volumePath = "volumes/data/_data"

// volumeImage is an image with content at /data.
func volumeImage() []byte {
	return Build(
		Dir("data", Mode(0o2750), Owner(33, 44), nanos(7)),
		File("data/a", "a", Mode(0o4755), Owner(33, 44), nanos(8)),
		HardLink("data/b", "data/a", Mode(0o4755), Owner(33, 44), nanos(8)),
		HardLink("outside", "data/a", Mode(0o4755), Owner(33, 44), nanos(8)),
		Symlink("data/l", "a"), File("data/sub/x", strings.Repeat("x", 200_000)),
		File("first", "first"), HardLink("data/from-outside", "first"),
	)
}

var volumeContent = []string{". dir", "a a", "b a", "from-outside first", "l -> a", "sub dir", "sub/x " + strings.Repeat("x", 200_000)}

func TestVolumes(t *testing.T) {
	for _, test := range []struct {
		name    string
		source  string
		prepare func(c *container, volume string)
		filled  bool
		want    []string // when not filled
	}{
		{"named volume", volumePath, nil, true, nil},
		{"bind mount", "srv/data", nil, false, []string{". dir"}},
		{"bind mount below a volume", volumePath + "/x", nil, false, []string{". dir"}},
		{"declared volume", "srv/data", func(c *container, _ string) { c.opts.DeclaredVolumes = []string{"/data/"} }, true, nil},
		{"declared, Kubernetes", "pods/volumes/kubernetes.io~empty-dir/x", func(c *container, _ string) { c.opts.DeclaredVolumes = []string{"/data"} }, false, []string{". dir"}},
		{"volume with content", volumePath, func(c *container, volume string) { must(t, os.WriteFile(volume+"/own", []byte("own"), 0o644)) }, false, []string{". dir", "own own"}},
		{"half filled", volumePath, func(c *container, volume string) {
			must(t, os.WriteFile(volume+"/"+marker, nil, 0o600))
			must(t, os.MkdirAll(volume+"/sub/old", 0o755))
			must(t, os.WriteFile(volume+"/sub/old/half", []byte("ha"), 0o644))
			must(t, os.Symlink("/etc", volume+"/a"))
		}, true, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newContainer(t)
			volume := c.bindDir(test.source, "data", 0)
			if test.prepare != nil {
				test.prepare(c, volume)
			}
			before := snapshot(t, volume)
			c.layOut(volumeImage())
			c.warned()
			c.shows(map[string]string{"outside": "a", "first": "first"})
			if !test.filled {
				if got := content(t, volume); !slices.Equal(got, test.want) {
					t.Errorf("%q", got)
				}
				for _, line := range treediff.Diff(before, snapshot(t, volume)) {
					t.Error(line)
				}
				return
			}
			if got := content(t, volume); !slices.Equal(got, volumeContent) {
				t.Errorf("%q", got)
			}
			nodes := snapshot(t, volume)
			if n := nodes[0]; n.Mode != 0o2750 || n.UID != 33 || n.GID != 44 || n.MTime != 1_500_000_000_000000007 {
				t.Errorf("root of the volume: %+v", n)
			}
			if n := nodes[1]; n.Mode != 0o4755 || n.UID != 33 || n.Group != "a" || nodes[2].Group != "a" {
				t.Errorf("file of the volume: %+v", n)
			}
			outside, err := treediff.Snapshot(c.root, treediff.Options{Exclude: []string{".clipper-runner"}})
			must(t, err)
			for _, n := range outside {
				if n.Path == "outside" && (n.Mode != 0o4755 || n.UID != 33 || n.MTime != 1_500_000_000_000000008) {
					t.Errorf("copy outside of the volume: %+v", n)
				}
			}
		})
	}
}

func TestVolumeThatIsNotInTheImage(t *testing.T) {
	c := newContainer(t)
	volume := c.bindDir(volumePath, "data", 0)
	before := snapshot(t, volume)
	c.layOut(Build(File("x", "x")))
	for _, line := range treediff.Diff(before, snapshot(t, volume), treediff.MTime) {
		t.Error(line)
	}
}

func TestVolumeReadOnly(t *testing.T) {
	c := newContainer(t)
	volume := c.bindDir(volumePath, "data", unix.MS_RDONLY)
	c.layOut(volumeImage())
	c.warned("cannot be written")
	if got := content(t, volume); len(got) != 1 {
		t.Errorf("%q", got)
	}
}

// TestVolumeWithMountsInside has a bind mount in a volume: the engine has made
// its mount point there, which is no content.
func TestVolumeWithMountsInside(t *testing.T) {
	c := newContainer(t)
	volume := c.bindDir(volumePath, "data", 0)
	bound := c.bindDir("b", "data/sub/bound", 0)
	c.layOut(Build(File("data/a", "a"), File("data/sub/x", "x"), File("data/sub/bound/y", "y"), HardLink("y", "data/sub/bound/y")))
	c.shows(map[string]string{"data/a": "a", "data/sub/x": "x", "data/sub/bound/y": "absent", "y": "y"})
	if got := content(t, bound); len(got) != 1 {
		t.Errorf("%q", got)
	}
	if got := content(t, volume); !slices.Equal(got, []string{". dir", "a a", "sub dir", "sub/bound dir", "sub/x x"}) {
		t.Errorf("%q", got)
	}
}

// TestVolumeInUse lets a second runner come while a first one fills.
func TestVolumeInUse(t *testing.T) {
	c := newContainer(t)
	volume := c.bindDir(volumePath, "data", 0)
	ctx := t.Context()
	first, err := c.open().NewWriter(ctx, toc.NewTree(0))
	must(t, err)

	other := newContainer(t)
	must(t, os.Mkdir(other.at("data"), 0o755))
	mount(t, volume, other.at("data"), "", unix.MS_BIND, "")
	done := make(chan error)
	go func() {
		r, err := Open(other.root, other.opts)
		if err == nil {
			_, err = write(r, volumeImage())
			r.Close()
		}
		done <- err
	}()
	select {
	case err := <-done:
		t.Fatalf("did not wait: %v", err)
	case <-time.After(3 * lockInterval):
	}
	must(t, os.WriteFile(volume+"/first", []byte("first"), 0o644))
	must(t, first.Finish())
	first.Close()
	must(t, <-done)
	if got := content(t, volume); !slices.Equal(got, []string{". dir", "first first"}) {
		t.Errorf("%q", got)
	}
}

// TestVolumeInterrupted kills a layout in the middle: the next one starts the
// volume anew.
func TestVolumeInterrupted(t *testing.T) {
	c := newContainer(t)
	volume := c.bindDir(volumePath, "data", 0)
	r := c.open()
	found, err := r.Survey()
	must(t, err)
	must(t, r.Clear(found, false))
	blob := volumeImage()
	if _, err := write(r, blob[:len(blob)-150_000]); err == nil {
		t.Fatal("a truncated layer is accepted")
	}
	if got := content(t, volume); !strings.HasPrefix(got[1], marker) {
		t.Fatalf("no marker: %q", got)
	}
	r = c.open()
	must(t, r.Clear(found, false))
	_, err = write(r, blob)
	must(t, err)
	if got := content(t, volume); !slices.Equal(got, volumeContent) {
		t.Errorf("%q", got)
	}
}

func TestSurveyAndClear(t *testing.T) {
	c := newContainer(t)
	c.bindFile("run/docker.sock", 0)
	volume := c.bindDir("b", "srv/data", 0)
	must(t, os.WriteFile(volume+"/own", []byte("own"), 0o644))
	c.file("app/derived/file", "derived")
	c.file("dev/console", "")

	r := c.open()
	found, err := r.Survey()
	must(t, err)
	want := []string{".dockerenv", "app", "app/derived", "app/derived/file", "dev", "dev/console", "etc/mtab", "srv"}
	if !slices.Equal(found, want) {
		t.Fatalf("found %q, want %q", found, want)
	}
	must(t, r.Clear(found, false))
	kept := map[string]string{
		".dockerenv": "", "etc/mtab": "-> /proc/mounts", "etc/passwd": "absent", "tmp": "absent", "var": "absent",
		"run/docker.sock": "mounted", "srv/data/own": "own", "app/derived/file": "derived", ".clipper-runner/runner": "runner",
	}
	c.shows(kept)

	// An interrupted layout leaves whatever it was at.
	must(t, os.MkdirAll(c.at("usr/lib/deep/er"), 0o700))
	c.file("usr/lib/x", "x")
	c.file("app/derived/half", "half")
	c.file("srv/half", "half")
	c.file(".clipper-runner/tmp/path-1", "spare")
	must(t, os.Symlink("../srv/data", c.at("usr/link")))
	r = c.open()
	must(t, r.Clear(found, false))
	kept["usr"], kept["app/derived/half"], kept["srv/half"] = "absent", "absent", "absent"
	c.shows(kept)

	// What a derived image brought is beneath the image.
	_, err = write(r, Build(File("app/derived/file", "image"), File("app/image", "image"), Symlink("dev", "elsewhere")))
	must(t, err)
	c.shows(map[string]string{"app/derived/file": "image", "app/image": "image", "dev": "dir", ".clipper-runner/tmp": "absent"})
}

// TestFoundInTheWay has things at paths where the image wants others.
func TestFoundInTheWay(t *testing.T) {
	c := newContainer(t)
	c.file("file", "found")
	c.file("file-for-dir", "found")
	c.file("file-for-link", "found")
	must(t, os.Mkdir(c.at("dir-for-file"), 0o755))
	must(t, os.Mkdir(c.at("dir"), 0o700))
	must(t, os.Symlink("/etc", c.at("link-for-dir")))
	c.layOut(Build(File("file", "image"), File("file-for-dir/x", "x"), File("dir-for-file", "image"), Dir("dir", Mode(0o751)),
		HardLink("file-for-link", "file"), File("link-for-dir/passwd", "image")))
	c.shows(map[string]string{"file": "image", "file-for-dir/x": "x", "dir-for-file": "image", "file-for-link": "image", "link-for-dir/passwd": "image", "etc/passwd": "absent"})
	st, err := os.Stat(c.at("dir"))
	must(t, err)
	if st.Mode().Perm() != 0o751 {
		t.Errorf("dir: %v", st.Mode())
	}
	c.warned()
}

// TestMountThatIsNotInTheTable mounts after Open: the kernel guards it alone.
func TestMountThatIsNotInTheTable(t *testing.T) {
	c := newContainer(t)
	r := c.open()
	volume := c.bindDir("b", "srv/data", 0)
	must(t, os.WriteFile(volume+"/own", []byte("own"), 0o644))
	if _, err := write(r, Build(File("srv/data/x", "x"))); err == nil {
		t.Error("a mount was written to")
	}
	if err := c.open().Clear(nil, false); err != nil {
		t.Error(err)
	}
	if err := r.Clear(nil, false); err == nil {
		t.Error("a mount was removed")
	}
	if got := content(t, volume); !slices.Equal(got, []string{". dir", "own own"}) {
		t.Errorf("%q", got)
	}
}

func TestPlaces(t *testing.T) {
	p := newPlaces()
	p.set("data", filled)
	p.set("data/sub/bind", mounted)
	p.set("data/sub/bind/vol", filled)
	p.set("etc/hosts", mounted)
	for path, want := range map[string]struct {
		kind   kind
		volume string
	}{
		"data":                  {filled, "data"},
		"data/x":                {free, "data"},
		"data/x/y":              {free, "data"},
		"data/sub":              {leading, "data"},
		"data/sub/x":            {free, "data"},
		"data/sub/bind":         {mounted, ""},
		"data/sub/bind/x":       {mounted, ""},
		"data/sub/bind/vol":     {filled, "data/sub/bind/vol"},
		"data/sub/bind/vol/x/y": {free, "data/sub/bind/vol"},
		"etc":                   {leading, ""},
		"etc/hosts":             {mounted, ""},
		"etc/hosts.allow":       {free, ""},
		"usr/etc/hosts":         {free, ""},
		"":                      {free, ""},
	} {
		if k, volume := p.of(path); k != want.kind || volume != want.volume {
			t.Errorf("%q: %d in %q, want %d in %q", path, k, volume, want.kind, want.volume)
		}
	}
}
