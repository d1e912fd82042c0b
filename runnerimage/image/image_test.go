package image_test

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/clipperregistry/runner/runnerimage/image"
)

var platforms = []string{"linux/amd64", "linux/arm64"}

var machines = map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64}

// config makes three programs for each platform and returns a Config with them.
func config(t *testing.T) image.Config {
	t.Helper()
	dir := t.TempDir()
	cfg := image.Config{Version: "1.2.3", Revision: "abc", Platforms: map[string]image.Programs{}}
	for _, platform := range platforms {
		cfg.Platforms[platform] = image.Programs{
			Runner: program(t, dir, "runner of "+platform, machines[platform]),
			Applet: program(t, dir, "applet of "+platform, machines[platform]),
			Loader: program(t, dir, "loader of "+platform, machines[platform]),
		}
	}
	return cfg
}

// program writes the headers of a Linux program, then name to tell it from
// others. What it would do is not looked at.
func program(t *testing.T, dir, name string, machine elf.Machine, parts ...elf.ProgType) string {
	t.Helper()
	var b bytes.Buffer
	header := elf.Header64{
		Ident:   [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type:    uint16(elf.ET_EXEC),
		Machine: uint16(machine),
		Version: uint32(elf.EV_CURRENT),
	}
	header.Ehsize = uint16(binary.Size(header))
	header.Phoff = uint64(header.Ehsize)
	header.Phentsize = uint16(binary.Size(elf.Prog64{}))
	header.Phnum = uint16(len(parts))
	written := []any{header}
	for _, part := range parts {
		written = append(written, elf.Prog64{Type: uint32(part)})
	}
	for _, w := range append(written, []byte(name)) {
		if err := binary.Write(&b, binary.LittleEndian, w); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, strings.ReplaceAll(name, "/", "-"))
	if err := os.WriteFile(file, b.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestIndex(t *testing.T) {
	cfg := config(t)
	idx, err := image.Index(cfg, platforms)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(idx); err != nil {
		t.Error(err)
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range manifest.Manifests {
		got = append(got, m.Platform.String())
	}
	if !slices.Equal(got, platforms) {
		t.Errorf("platforms %v, want %v", got, platforms)
	}

	t.Run("the same input gives the same digest", func(t *testing.T) {
		again, err := image.Index(config(t), platforms)
		if err != nil {
			t.Fatal(err)
		}
		if a, b := digest(t, idx), digest(t, again); a != b {
			t.Errorf("%s, then %s", a, b)
		}
	})
	t.Run("another time gives another digest", func(t *testing.T) {
		cfg := cfg
		cfg.Time = time.Unix(1_700_000_000, 0)
		other, err := image.Index(cfg, platforms)
		if err != nil {
			t.Fatal(err)
		}
		if digest(t, idx) == digest(t, other) {
			t.Error("the time is not in the image")
		}
	})
}

func digest(t *testing.T, i interface{ Digest() (v1.Hash, error) }) v1.Hash {
	t.Helper()
	d, err := i.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestConfig(t *testing.T) {
	img, err := image.Build(config(t), "linux/arm64")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	var got struct {
		Architecture, OS, Created string
		Config                    map[string]any
	}
	if err := json.Unmarshal(raw, &got); err != nil {
		t.Fatal(err)
	}
	if got.Architecture != "arm64" || got.OS != "linux" || got.Created != "1970-01-01T00:00:00Z" {
		t.Errorf("%s/%s made at %s", got.OS, got.Architecture, got.Created)
	}
	labels, _ := got.Config["Labels"].(map[string]any)
	delete(got.Config, "Labels")
	if labels["org.opencontainers.image.version"] != "1.2.3" || labels["org.opencontainers.image.revision"] != "abc" {
		t.Errorf("labels %v", labels)
	}
	// Nothing else: whatever the bare image sets, the image that it becomes
	// would have to get rid of.
	want := map[string]any{
		"Env":        []any{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/.clipper-runner/bin"},
		"User":       "0",
		"WorkingDir": "/",
		"Entrypoint": []any{"/.clipper-runner/runner"},
		"Healthcheck": map[string]any{
			"Test":          []any{"CMD", "/.clipper-runner/healthcheck"},
			"Interval":      10e9,
			"Timeout":       60e9,
			"StartPeriod":   1800e9,
			"StartInterval": 1e9,
		},
	}
	if !reflect.DeepEqual(got.Config, want) {
		t.Errorf("config\n%v, want\n%v", got.Config, want)
	}
}

func TestLayer(t *testing.T) {
	cfg := config(t)
	cfg.Time = time.Unix(1_700_000_000, 5)
	img, err := image.Build(cfg, "linux/amd64")
	if err != nil {
		t.Fatal(err)
	}
	tree := unpack(t, img)

	content := func(file string) string {
		content, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	for _, want := range []entry{
		{name: "/etc", kind: tar.TypeDir, mode: 0o755},
		{name: "/etc/passwd", kind: tar.TypeReg, mode: 0o644, content: "root:x:0:0:root:/.clipper-runner/home:/.clipper-runner/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/.clipper-runner/bin/false\n"},
		{name: "/etc/group", kind: tar.TypeReg, mode: 0o644, content: "root:x:0:\nnogroup:x:65534:\n"},
		{name: "/run", kind: tar.TypeDir, mode: 0o755},
		{name: "/tmp", kind: tar.TypeDir, mode: 0o1777},
		{name: "/var", kind: tar.TypeDir, mode: 0o755},
		{name: "/var/run", kind: tar.TypeSymlink, mode: 0o777, link: "../run"},
		{name: "/.clipper-runner", kind: tar.TypeDir, mode: 0o755},
		{name: "/.clipper-runner/home", kind: tar.TypeDir, mode: 0o700},
		{name: "/.clipper-runner/health", kind: tar.TypeDir, mode: 0o1777},
		{name: "/.clipper-runner/runner", kind: tar.TypeReg, mode: 0o4755, content: content(cfg.Platforms["linux/amd64"].Runner)},
		{name: "/.clipper-runner/applet", kind: tar.TypeReg, mode: 0o755, content: content(cfg.Platforms["linux/amd64"].Applet)},
		{name: "/.clipper-runner/healthcheck", kind: tar.TypeSymlink, mode: 0o777, link: "applet"},
		{name: "/.clipper-runner/exec", kind: tar.TypeSymlink, mode: 0o777, link: "applet"},
		{name: "/.clipper-runner/bin", kind: tar.TypeDir, mode: 0o755},
		{name: "/.clipper-runner/applet", kind: tar.TypeReg, mode: 0o755, content: content(cfg.Platforms["linux/amd64"].Applet)},
		{name: "/.clipper-runner/loader", kind: tar.TypeReg, mode: 0o755, content: content(cfg.Platforms["linux/amd64"].Loader)},
		{name: "/.clipper-runner/github-init", kind: tar.TypeSymlink, mode: 0o777, link: "runner"},
		{name: "/.clipper-runner/bin/tail", kind: tar.TypeSymlink, mode: 0o777, link: "../runner"},
		{name: "/.clipper-runner/bin/bash", kind: tar.TypeSymlink, mode: 0o777, link: "../applet"},
		{name: "/bin/sh", kind: tar.TypeSymlink, mode: 0o777, link: "/.clipper-runner/bin/sh"},
		{name: "/lib64/ld-linux-x86-64.so.2", kind: tar.TypeSymlink, mode: 0o777, link: "/.clipper-runner/loader"},
		{name: "/lib/ld-musl-x86_64.so.1", kind: tar.TypeSymlink, mode: 0o777, link: "/.clipper-runner/loader"},
		{name: "/.clipper-runner/bin/sh", kind: tar.TypeSymlink, mode: 0o777, link: "../applet"},
		{name: "/.clipper-runner/bin/cat", kind: tar.TypeSymlink, mode: 0o777, link: "../applet"},
	} {
		if got := tree[want.name]; got != want {
			t.Errorf("%s: got %+v, want %+v", want.name, got.brief(), want.brief())
		}
	}

	var privileged, bare []string
	for name, e := range tree {
		if e.mode&0o6000 != 0 {
			privileged = append(privileged, name)
		}
		if e.kind == tar.TypeSymlink {
			target := e.link
			if !path.IsAbs(target) {
				target = path.Join(path.Dir(name), target)
			}
			if _, ok := tree[target]; !ok {
				t.Errorf("%s points to %s, which is not there", name, target)
			}
		}
		if !strings.HasPrefix(name, "/.clipper-runner") {
			bare = append(bare, name)
		}
	}
	if !slices.Equal(privileged, []string{"/.clipper-runner/runner"}) {
		t.Errorf("set-uid or set-gid: %v, want the runner alone", privileged)
	}

	var d image.Description
	if err := json.Unmarshal([]byte(tree["/.clipper-runner/image.json"].content), &d); err != nil {
		t.Fatal(err)
	}
	for _, w := range d.Waiters {
		if e := tree[w.Path]; e.link != w.Target {
			t.Errorf("image.json says %+v, the tree has %+v", w, e.brief())
		}
	}
	if want := map[string]string{"/var/run": "../run"}; !maps.Equal(d.Links, want) {
		t.Errorf("image.json says that %v lead to directories, want %v", d.Links, want)
	}
	slices.Sort(bare)
	if got := slices.Sorted(slices.Values(d.Bare)); d.Version != "1.2.3" || !slices.Equal(got, bare) {
		t.Errorf("image.json says %+v; outside /.clipper-runner there are %v", d, bare)
	}

	size, err := img.Size()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d entries; manifest %d bytes", len(tree), size)
}

// entry is what the tests look at in a layer. Owner and time are the same for
// all and checked while unpacking.
type entry struct {
	name, link, content string
	kind                byte
	mode                int64
}

func (e entry) brief() string {
	return fmt.Sprintf("%c %o link %q, %d bytes", e.kind, e.mode, e.link, len(e.content))
}

// unpack reads img's only layer. It fails the test for entries without a
// parent before them, owners other than root, foreign times and hard links.
func unpack(t *testing.T, img v1.Image) map[string]entry {
	t.Helper()
	layers, err := img.Layers()
	if err != nil || len(layers) != 1 {
		t.Fatalf("%d layers (%v), want 1", len(layers), err)
	}
	if mt, err := layers[0].MediaType(); err != nil || mt != types.OCILayer {
		t.Errorf("layer is %s (%v)", mt, err)
	}
	rc, err := layers[0].Uncompressed()
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	tree := map[string]entry{}
	for tr := tar.NewReader(rc); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return tree
		}
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(tr)
		if err != nil {
			t.Fatal(err)
		}
		name := path.Clean("/" + h.Name)
		if parent := path.Dir(name); parent != "/" && tree[parent].kind != tar.TypeDir {
			t.Errorf("%s comes before its directory", name)
		}
		if _, twice := tree[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		if h.Uid != 0 || h.Gid != 0 || h.Uname != "" || h.Gname != "" || h.ModTime.Unix() != 1_700_000_000 || len(h.PAXRecords) != 0 {
			t.Errorf("%s: foreign owner, time or records: %+v", name, h)
		}
		if h.Typeflag == tar.TypeLink {
			t.Errorf("%s is a hard link", name)
		}
		tree[name] = entry{name: name, kind: h.Typeflag, mode: h.Mode, link: h.Linkname, content: string(content)}
	}
}

func TestBuildRefuses(t *testing.T) {
	cfg := config(t)
	good := cfg.Platforms["linux/amd64"]
	script := filepath.Join(t.TempDir(), "script")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	dynamic := program(t, t.TempDir(), "dynamic", elf.EM_X86_64, elf.PT_LOAD, elf.PT_INTERP)
	for _, test := range []struct {
		name, platform, want string
		programs             image.Programs
	}{
		{"a script", "linux/amd64", "not a Linux program", image.Programs{Runner: script, Applet: good.Applet}},
		{"another machine", "linux/arm64", "not for linux/arm64", good},
		{"an unknown machine", "linux/s390x", "not for linux/s390x", good},
		{"a dynamic program", "linux/amd64", "CGO_ENABLED=0", image.Programs{Runner: good.Runner, Applet: good.Applet, Loader: dynamic}},
		{"a missing program", "linux/amd64", "no such file", image.Programs{Runner: good.Runner, Applet: script + ".gone"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := cfg
			cfg.Platforms = maps.Clone(cfg.Platforms)
			cfg.Platforms[test.platform] = test.programs
			if _, err := image.Build(cfg, test.platform); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
		})
	}
	if _, err := image.Build(image.Config{}, "linux/amd64"); err == nil {
		t.Error("built an image without programs")
	}
}

func TestWrite(t *testing.T) {
	idx, err := image.Index(config(t), platforms)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := idx.IndexManifest()
	if err != nil {
		t.Fatal(err)
	}
	img, err := idx.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("layout", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "dist", "runner-image")
		for range 2 { // the second replaces the first
			if err := image.WriteLayout(dir, idx); err != nil {
				t.Fatal(err)
			}
		}
		root, err := layout.ImageIndexFromPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := validate.Index(root); err != nil {
			t.Error(err)
		}
		top, err := root.IndexManifest()
		if err != nil {
			t.Fatal(err)
		}
		if len(top.Manifests) != 1 || top.Manifests[0].Digest != digest(t, idx) ||
			top.Manifests[0].Annotations["org.opencontainers.image.ref.name"] != "latest" {
			t.Errorf("index.json names %+v", top.Manifests)
		}
		siblings, err := os.ReadDir(filepath.Dir(dir))
		if err != nil || len(siblings) != 1 {
			t.Errorf("left beside the layout: %v (%v)", siblings, err)
		}
	})

	t.Run("tar", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "image.tar")
		const tag = "clipperregistry/runner:latest"
		if err := image.WriteTar(file, tag, img); err != nil {
			t.Fatal(err)
		}
		ref, err := name.NewTag(tag)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tarball.ImageFromPath(file, &ref)
		if err != nil {
			t.Fatal(err)
		}
		want, err := img.ConfigName()
		if err != nil {
			t.Fatal(err)
		}
		if id, err := got.ConfigName(); err != nil || id != want {
			t.Errorf("image %s (%v), want %s", id, err, want)
		}
		archive, err := tarball.LoadManifest(func() (io.ReadCloser, error) { return os.Open(file) })
		if err != nil || len(archive) != 1 || !slices.Equal(archive[0].RepoTags, []string{tag}) {
			t.Errorf("the archive loads as %+v (%v)", archive, err)
		}
	})
}
