package image

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/runnerimage/applet"
	"github.com/clipperregistry/runner/runnerimage/libc"
)

// home is the directory of the runner image that outlives the layout.
const home = "/.clipper-runner"

const passwd = `root:x:0:0:root:/.clipper-runner/home:/.clipper-runner/bin/sh
nobody:x:65534:65534:nobody:/nonexistent:/.clipper-runner/bin/false
`

const group = `root:x:0:
nogroup:x:65534:
`

// node is one path of the image: a directory, a file with content, or a
// symlink. All belong to root.
type node struct {
	name    string // absolute
	mode    int64  // the kind is a directory's, unless content or link is set
	content []byte
	link    string
}

func dir(name string, mode int64) node { return node{name: name, mode: mode} }
func file(name string, mode int64, content []byte) node {
	return node{name: name, mode: mode, content: content}
}
func symlink(name, target string) node { return node{name: name, mode: 0o777, link: target} }

// tree lists the runner image, parents before what they hold.
//
// The runner is set-uid so that it can lay out the image under `docker run
// --user`; it gives the bit up before any program of the image starts. The
// applets and the loader have no part in that, so they are other files, not
// links to it. The runner's other names are those that a job's container needs
// its rights for: tail, which GitHub starts one with, and github-init.
func tree(version, arch string, runnerFile, appletFile, loaderFile []byte) ([]node, error) {
	bare := []node{
		dir("/etc", 0o755),
		// Docker looks up `--user root` here before anything runs.
		file("/etc/passwd", 0o644, []byte(passwd)),
		file("/etc/group", 0o644, []byte(group)),
		// GitHub mounts /var/run/docker.sock. With the symlink that most
		// images have too, the mount is at /run/docker.sock, and /var/run can
		// become the image's.
		dir("/run", 0o755),
		dir("/tmp", 0o1777),
		dir("/var", 0o755),
		symlink("/var/run", "../run"),
	}
	d := Description{Version: version, Links: map[string]string{}, Waiters: waiters(arch)}
	for _, n := range bare {
		if n.link != "" {
			d.Links[n.name] = n.link
		}
	}
	for _, w := range d.Waiters {
		parent := dir(path.Dir(w.Path), 0o755)
		if !slices.ContainsFunc(bare, func(n node) bool { return n.name == parent.name }) {
			bare = append(bare, parent)
		}
		bare = append(bare, symlink(w.Path, w.Target))
	}
	for _, n := range bare {
		d.Bare = append(d.Bare, n.name)
	}
	description, err := json.MarshalIndent(d, "", "  ")
	if err != nil {
		return nil, err
	}
	nodes := append(bare,
		dir(home, 0o755),
		file(home+"/image.json", 0o644, append(description, '\n')),
		dir(home+"/home", 0o700),
		// Health checks run as whoever the container was started as.
		dir(home+"/health", 0o1777),
		file(home+"/runner", 0o4755, runnerFile),
		file(home+"/applet", 0o755, appletFile),
		file(home+"/loader", 0o755, loaderFile),
		symlink(home+"/github-init", "runner"),
		symlink(home+"/exec", "applet"),
		symlink(home+"/healthcheck", "applet"),
		dir(home+"/bin", 0o755),
	)
	for _, name := range applet.Names() {
		target := "../applet"
		if name == "tail" {
			target = "../runner"
		}
		nodes = append(nodes, symlink(home+"/bin/"+name, target))
	}
	return nodes, nil
}

// waiters are what waits in the bare image for a job's: the shells that are
// called by their paths, and the loaders.
func waiters(arch string) []Waiter {
	glibc, musl := libc.Loaders(arch)
	return []Waiter{
		{Path: "/bin/sh", Target: home + "/bin/sh"},
		{Path: "/bin/bash", Target: home + "/bin/bash"},
		{Path: musl, Target: home + "/loader"},
		{Path: glibc, Target: home + "/loader"},
	}
}

// writeTar writes nodes as a tar archive in which nothing depends on the
// machine that writes it.
func writeTar(w io.Writer, nodes []node, t time.Time) error {
	tw := tar.NewWriter(w)
	for _, n := range nodes {
		h := &tar.Header{Name: strings.TrimPrefix(n.name, "/"), Mode: n.mode, ModTime: t}
		switch {
		case n.link != "":
			h.Typeflag, h.Linkname = tar.TypeSymlink, n.link
		case n.content != nil:
			h.Typeflag, h.Size = tar.TypeReg, int64(len(n.content))
		default:
			h.Typeflag, h.Name = tar.TypeDir, h.Name+"/"
		}
		if err := tw.WriteHeader(h); err != nil {
			return fmt.Errorf("pack %s: %w", n.name, err)
		}
		if _, err := tw.Write(n.content); err != nil {
			return fmt.Errorf("pack %s: %w", n.name, err)
		}
	}
	return tw.Close()
}

// machines are the ELF machines of the platforms that the runner is built for.
var machines = map[string]elf.Machine{"amd64": elf.EM_X86_64, "arm64": elf.EM_AARCH64}

// readProgram reads a program of the image and makes sure that it can start
// there: in an image that has no dynamic loader, on that platform.
func readProgram(file string, p v1.Platform) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	f, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("%s is not a Linux program: %w", file, err)
	}
	if want, ok := machines[p.Architecture]; !ok || f.Machine != want {
		return nil, fmt.Errorf("%s is built for %v, not for %s", file, f.Machine, p)
	}
	for _, part := range f.Progs {
		if part.Type == elf.PT_INTERP {
			return nil, fmt.Errorf("%s needs a dynamic loader: build it with CGO_ENABLED=0", file)
		}
	}
	return content, nil
}
