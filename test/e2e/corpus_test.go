package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

// image is one image of the corpus.
type image struct {
	name  string
	build func(*testing.T) stack.Image
	// try is a command whose output must be the same both ways. Empty: the
	// image's own.
	try []string
	// entries and bytes are how many the image has at least.
	entries int
	bytes   int64
	// made are directories that come with the container: a WORKDIR that the
	// image does not have.
	made []string
}

var corpus = []image{
	{name: "python-data", build: pythonData, try: []string{"python3", "-c", "import numpy, scipy, pandas; print(numpy.arange(6).reshape(2, 3), pandas.__version__)"}, entries: 50_000, bytes: 1 << 30, made: []string{"workspace"}},
	{name: "debian", build: debian, try: []string{"cat", "/etc/debian_version"}, entries: 5000},
	{name: "nginx", build: nginx, try: []string{"nginx", "-t"}, entries: 5000},
	{name: "postgresql", build: postgresql, try: []string{"sh", "-c", "id; /usr/lib/postgresql/*/bin/postgres --version"}, entries: 5000},
	{name: "non-root", build: nonRoot, try: []string{"sh", "-c", "id; pwd; echo ~; cat private"}, entries: 5000},
	{name: "musl-busybox", build: busybox, try: []string{"sh", "-c", "echo $PATH; ls -l /bin | wc -l; ls /lib"}, entries: 300},
	{name: "distroless", build: distroless, entries: 300},
	{name: "scratch", build: scratch, entries: 1},
}

func TestCorpus(t *testing.T) {
	for _, c := range corpus {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			ref := lab.Push(t, "corpus/"+c.name, c.build(t))
			lab.Engine.Pull(t, ref)
			want := lab.Snapshot(t, stack.RunSpec{Image: ref, Via: stack.Direct})
			if bytes := size(want); len(want) < c.entries || bytes < c.bytes {
				t.Errorf("the image has %d paths and %d bytes, less than the %d and %d it stands for", len(want), bytes, c.entries, c.bytes)
			}
			compare(t, want, lab.Snapshot(t, stack.RunSpec{Image: ref, Via: stack.Runner}), c.made...)

			wantOut := lab.Run(t, stack.RunSpec{Image: ref, Via: stack.Direct, Args: c.try, Flags: []string{"--hostname", "box"}})
			gotOut := lab.Run(t, stack.RunSpec{Image: ref, Via: stack.Runner, Args: c.try, Flags: []string{"--hostname", "box"}})
			if wantOut.Exit != 0 {
				t.Errorf("%q exits %d directly: %s", c.try, wantOut.Exit, wantOut.Stderr)
			}
			if gotOut.Stdout != wantOut.Stdout || gotOut.Exit != wantOut.Exit {
				t.Errorf("%q: want exit %d and %q, got exit %d and %q, stderr %s", c.try, wantOut.Exit, wantOut.Stdout, gotOut.Exit, gotOut.Stdout, gotOut.Stderr)
			}
		})
	}
}

// size is the number of bytes in a tree's files.
func size(nodes []treediff.Node) (bytes int64) {
	for _, node := range nodes {
		bytes += node.Size
	}
	return bytes
}

const debianPath = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// debian is a base with what a Dockerfile's RUN lines leave on top of it.
func debian(t *testing.T) stack.Image {
	return stack.Image{
		Layers: []stack.Layer{
			stack.TarFile(lab.Debian(t, stack.Debian{})),
			stack.Tar(tarball.Build(
				tarball.Dir("etc"), tarball.File("etc/motd", "changed\n"),
				tarball.Dir("usr"), tarball.Dir("usr/share"), tarball.Dir("usr/share/doc"), tarball.Opaque("usr/share/doc"),
				tarball.File("usr/share/doc/README", "the rest is gone\n"),
				tarball.Dir("var"), tarball.Dir("var/lib"), tarball.Whiteout("var/lib/apt"),
			)),
			stack.Tar(tarball.Build(
				tarball.Dir("etc"), tarball.Whiteout("etc/motd"),
				tarball.Dir("var"), tarball.Dir("var/lib"), tarball.Dir("var/lib/apt"), tarball.File("var/lib/apt/new", "new\n"),
				tarball.Dir("opt", tarball.Mode(0o700)),
			)),
		},
		Config: v1.Config{Env: []string{debianPath}, Cmd: []string{"bash"}},
	}
}

// pythonData is what a data team's image weighs: most of it in one layer.
func pythonData(t *testing.T) stack.Image {
	return stack.Image{
		Layers: []stack.Layer{stack.TarFile(lab.Debian(t, stack.Debian{Packages: []string{
			"python3", "python3-numpy", "python3-scipy", "python3-pandas", "python3-sklearn", "python3-matplotlib",
			"python3-nltk", "python3-django", "libboost-dev",
		}}))},
		Config: v1.Config{Env: []string{debianPath, "LANG=C.UTF-8"}, Cmd: []string{"python3"}, WorkingDir: "/workspace"},
	}
}

func nginx(t *testing.T) stack.Image {
	return stack.Image{
		Docker: true,
		Layers: []stack.Layer{stack.TarFile(lab.Debian(t, stack.Debian{
			Packages:  []string{"nginx-light"},
			Customize: []string{`ln -sf /dev/stdout "$1/var/log/nginx/access.log"; ln -sf /dev/stderr "$1/var/log/nginx/error.log"`},
		}))},
		Config: v1.Config{
			Env: []string{debianPath}, Cmd: []string{"nginx", "-g", "daemon off;"}, StopSignal: "SIGQUIT",
			ExposedPorts: map[string]struct{}{"80/tcp": {}},
		},
	}
}

func postgresql(t *testing.T) stack.Image {
	return stack.Image{
		Docker: true,
		Layers: []stack.Layer{stack.TarFile(lab.Debian(t, stack.Debian{Packages: []string{"postgresql"}}))},
		Config: v1.Config{
			Env: []string{debianPath, "PGDATA=/var/lib/postgresql/data"}, User: "postgres", StopSignal: "SIGINT",
			Cmd: []string{"postgres"},
		},
	}
}

// nonRoot has a user with supplementary groups who owns part of the tree.
func nonRoot(t *testing.T) stack.Image {
	owner := tarball.Owner(1000, 1000)
	return stack.Image{
		Layers: []stack.Layer{
			stack.TarFile(lab.Debian(t, stack.Debian{})),
			stack.Tar(tarball.Build(
				tarball.Dir("etc"),
				tarball.File("etc/passwd", passwd), tarball.File("etc/group", group),
				tarball.Dir("home"), tarball.Dir("home/app", owner, tarball.Mode(0o750)),
				tarball.File("home/app/private", "mine\n", owner, tarball.Mode(0o600)),
			)),
		},
		Config: v1.Config{Env: []string{debianPath}, User: "app", WorkingDir: "/home/app", Cmd: []string{"bash"}},
	}
}

const (
	passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000:App:/home/app:/bin/sh\nsvc:x:101:102::/var/svc:/bin/false\n2000:x:3000:3000:a number for a name:/:/bin/sh\n"
	group  = "root:x:0:\nwheel:x:10:root\naudio:x:29:app\napp:x:1000:\nsvc:x:102:\nextra:x:2500:svc,app\n"
)

// busybox is an image in the manner of Alpine: musl, busybox and links to it.
func busybox(t *testing.T) stack.Image {
	applets := []string{"cat", "chmod", "cp", "date", "echo", "env", "false", "grep", "id", "kill", "ln", "ls", "mkdir", "mount", "mv", "printf", "ps", "pwd", "readlink", "rm", "sed", "sh", "sleep", "stat", "sync", "test", "touch", "true", "uname", "wc"}
	entries := []tarball.Entry{tarball.Dir("bin")}
	for _, applet := range applets {
		entries = append(entries, tarball.Symlink(path.Join("bin", applet), "/bin/busybox"))
	}
	// Newer packages have it in /usr/bin, for an image whose /bin is a link.
	files, err := exec.Command("dpkg", "-L", "busybox-static").Output()
	if err != nil {
		t.Fatalf("list the package's files: %v", err)
	}
	if strings.Contains(string(files), "\n/usr/bin/busybox\n") {
		entries = append(entries, tarball.Symlink("bin/busybox", "../usr/bin/busybox"))
	}
	entries = append(entries, tarball.Dir("usr"), tarball.Dir("usr/bin"))
	for n := range 300 {
		entries = append(entries, tarball.Symlink(fmt.Sprintf("usr/bin/applet-%03d", n), "../../bin/busybox"))
	}
	entries = append(entries,
		tarball.Dir("etc"), tarball.File("etc/passwd", passwd), tarball.File("etc/group", group),
		tarball.File("etc/os-release", "ID=alike\n"),
		tarball.Dir("run"), tarball.Dir("var"), tarball.Symlink("var/run", "/run"),
		tarball.Dir("tmp", tarball.Mode(0o1777)), tarball.Dir("root", tarball.Mode(0o700)),
		tarball.Dir("proc"), tarball.Dir("sys"), tarball.Dir("dev"),
		tarball.Dir("home"), tarball.Dir("home/app", tarball.Owner(1000, 1000)),
	)
	return stack.Image{
		Layers: append(lab.Packages(t, "musl", "busybox-static"), stack.Tar(tarball.Build(entries...))),
		Config: v1.Config{Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin"}, Cmd: []string{"/bin/sh"}},
	}
}

// distroless has a libc, a dynamic program and data, but no shell.
func distroless(t *testing.T) stack.Image {
	return stack.Image{
		Layers: lab.Packages(t, "libc6", "libgcc-s1", "tzdata", "netbase", "hello"),
		Config: v1.Config{Env: []string{"PATH=/usr/bin", "LC_ALL=C"}, User: "65532", Entrypoint: []string{"/usr/bin/hello"}, Cmd: []string{"-g", "hello from no shell"}},
	}
}

// scratch is one static binary and nothing else, not even its directory.
func scratch(t *testing.T) stack.Image {
	return stack.Image{
		Layers: []stack.Layer{stack.Tar(tarball.Build(program(t, "app", "test/e2e/probe")))},
		Config: v1.Config{Entrypoint: []string{"/app"}, Cmd: []string{"exit", "0"}},
	}
}

// program is a command of this module as an entry.
func program(t *testing.T, name, pkg string) tarball.Entry {
	t.Helper()
	content, err := os.ReadFile(lab.Program(t, pkg))
	if err != nil {
		t.Fatal(err)
	}
	return tarball.File(strings.TrimPrefix(name, "/"), string(content), tarball.Mode(0o755))
}
