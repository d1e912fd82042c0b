package main

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/tarball"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	gotarball "github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"github.com/rogpeppe/go-internal/testscript"
)

// shared is a directory that every user may enter, with the command as it is
// shipped and what unprivileged needs. TestMain makes it.
var shared string

func TestMain(m *testing.M) { os.Exit(withShared(m.Run)) }

func withShared(run func() int) int {
	var err error
	if shared, err = os.MkdirTemp("/tmp", "clipper-runner-test-"); err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(shared)
	if err := fillShared(); err != nil {
		log.Print(err)
		return 1
	}
	return run()
}

func fillShared() error {
	build := exec.Command("go", "build", "-o", shared+"/clipper-runner", ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	passwd, err := os.ReadFile("/etc/passwd")
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(shared+"/passwd", append(passwd, "nobodys:x:64242:64242::/:/bin/sh\n"...), 0o644),
		os.WriteFile(shared+"/lent", []byte("64242:100000:65536\n"), 0o644),
		os.WriteFile(shared+"/sudoers", []byte("nobodys ALL=(ALL:ALL) NOPASSWD: ALL\n"), 0o440),
		os.WriteFile(shared+"/pam", []byte("auth sufficient pam_permit.so\naccount sufficient pam_permit.so\nsession sufficient pam_permit.so\n"), 0o644),
		os.Mkdir(shared+"/tmp", 0o777), os.Chmod(shared+"/tmp", 0o777), os.Chmod(shared, 0o755),
	)
}

// TestScripts runs testdata/*.txtar against a registry with the images below.
// $REG is the registry's host, $PRIVATE one that wants robot:s3cret.
func TestScripts(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Fatal("these tests make sandboxes as root and become other users, which takes root")
	}
	open, private := registries(t)
	aws := describing(t)
	commands := map[string]func(*testscript.TestScript, bool, []string){"unprivileged": unprivileged}
	maps.Copy(commands, storeCommands)
	maps.Copy(commands, actionCommands)
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("REG", open)
			env.Setenv("PRIVATE", private)
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("PATH", shared+":"+env.Getenv("PATH"))
			env.Setenv("CLIPPER_LOG", "quiet")
			env.Setenv("AWS_ENDPOINT_URL_ECS", aws)
			env.Setenv("AWS_REGION", "eu-west-1")
			env.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
			env.Setenv("AWS_SECRET_ACCESS_KEY", "example")
			nobodys, err := os.MkdirTemp(shared+"/tmp", "nobodys-")
			if err != nil {
				return err
			}
			env.Setenv("NOBODYS", nobodys)
			env.Values[theCloud{}] = newCacheService(env)
			return os.Chmod(nobodys, 0o777)
		},
		Cmds: commands,
	})
}

// unprivileged runs clipper-runner as a user without rights, to whom the
// machine lends ids if the first argument is "lent". Its cache is $NOBODYS.
func unprivileged(ts *testscript.TestScript, neg bool, args []string) {
	lent := "/dev/null"
	if args[0] == "lent" {
		lent, args = shared+"/lent", args[1:]
	}
	// The machine's own lists stay as they are.
	script := `mount --bind "$1" /etc/subuid && mount --bind "$1" /etc/subgid && mount --bind "$2/passwd" /etc/passwd && cd "$XDG_CACHE_HOME" && shift 2 && exec setpriv --reuid 64242 --regid 64242 --clear-groups "$@"`
	err := ts.Exec("unshare", append([]string{"--mount", "env", "XDG_CACHE_HOME=" + ts.Getenv("NOBODYS"), "HOME=/", "sh", "-c", script, "sh", lent, shared, shared + "/clipper-runner"}, args...)...)
	if err != nil && !neg {
		ts.Fatalf("unexpected failure: %v", err)
	}
	if err == nil && neg {
		ts.Fatalf("unexpected success")
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// registries starts two registries with the same images, and gives their hosts.
func registries(t *testing.T) (open, private string) {
	t.Helper()
	images := registry.New(registry.Logger(log.New(io.Discard, "", 0)))
	plain := httptest.NewServer(images)
	t.Cleanup(plain.Close)
	guarded := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if user, password, _ := r.BasicAuth(); user != "robot" || password != "s3cret" {
			w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
			w.WriteHeader(http.StatusUnauthorized)
			return
		}
		images.ServeHTTP(w, r)
	}))
	t.Cleanup(guarded.Close)
	open = strings.TrimPrefix(plain.URL, "http://")
	pushImages(t, open)
	return open, strings.TrimPrefix(guarded.URL, "http://")
}

// pushImages pushes box (a shell with its tools, as root), user (the same with
// a config of many words) and many (an index of box and another platform).
func pushImages(t *testing.T, host string) {
	t.Helper()
	blob := tarball.Gzip(tarball.Build(boxEntries(t)...))
	layer, err := gotarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(blob)), nil }, gotarball.WithMediaType(types.OCILayer))
	if err != nil {
		t.Fatal(err)
	}
	box := imageOf(t, layer, v1.Config{Env: []string{"PATH=/bin", "FROM=image"}, Cmd: []string{"sh", "-c", "echo from cmd"}})
	push(t, host+"/box", box)
	push(t, host+"/user", imageOf(t, layer, v1.Config{
		User: "app", Env: []string{"PATH=/bin"}, Entrypoint: []string{"sh", "-c", `echo "$0 $*"`}, Cmd: []string{"some", "<words>"},
		WorkingDir: "/home/app", Volumes: map[string]struct{}{"/data": {}}, ExposedPorts: map[string]struct{}{"80/tcp": {}},
		StopSignal: "SIGQUIT", Healthcheck: &v1.HealthConfig{Test: []string{"CMD", "true"}}, Labels: map[string]string{"made": "here"},
	}))
	index := mutate.AppendManifests(mutate.IndexMediaType(empty.Index, types.OCIImageIndex),
		mutate.IndexAddendum{Add: box, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "amd64"}}},
		mutate.IndexAddendum{Add: box, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: "s390x"}}})
	ref, err := name.ParseReference(host + "/many")
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.WriteIndex(ref, index); err != nil {
		t.Fatal(err)
	}
}

func push(t *testing.T, reference string, image v1.Image) {
	t.Helper()
	ref, err := name.ParseReference(reference)
	if err != nil {
		t.Fatal(err)
	}
	if err := remote.Write(ref, image); err != nil {
		t.Fatal(err)
	}
}

func imageOf(t *testing.T, layer v1.Layer, config v1.Config) v1.Image {
	t.Helper()
	image, err := mutate.ConfigFile(mutate.MediaType(empty.Image, types.OCIManifestSchema1), &v1.ConfigFile{
		OS: "linux", Architecture: "amd64", Created: v1.Time{Time: time.Date(2024, 5, 6, 7, 8, 9, 0, time.UTC)}, Config: config,
	})
	if err != nil {
		t.Fatal(err)
	}
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		t.Fatal(err)
	}
	return image
}

// boxEntries are the files of a small system: busybox under the names of all
// its commands, two users, and some to look at.
func boxEntries(t *testing.T) []tarball.Entry {
	t.Helper()
	busybox := read(t, "/bin/busybox")
	commands, err := exec.Command("/bin/busybox", "--list").Output()
	if err != nil {
		t.Fatalf("busybox-static is needed: %v", err)
	}
	entries := []tarball.Entry{
		tarball.Dir("bin"), tarball.File("bin/busybox", busybox, tarball.Mode(0o755)),
		tarball.Dir("etc"),
		tarball.File("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n"),
		tarball.File("etc/group", "root:x:0:\napp:x:1000:\nextra:x:2500:app\n"),
		tarball.Dir("home"), tarball.Dir("home/app", tarball.Owner(1000, 1000)), tarball.Dir("root"),
		tarball.Dir("data"), tarball.File("data/from-image", "content\n", tarball.Owner(1000, 1000)),
		tarball.Dir("run"), tarball.Dir("var"), tarball.Symlink("var/run", "/run"),
		tarball.Dir("tmp", tarball.Mode(0o1777)),
		tarball.File("bin/as-root", "", tarball.Mode(0o4755)), tarball.File("bin/as-app", "", tarball.Owner(1000, 1000), tarball.Mode(0o4755)),
	}
	for command := range strings.Lines(string(commands)) {
		if command = strings.TrimSpace(command); command != "busybox" {
			entries = append(entries, tarball.Symlink("bin/"+command, "busybox"))
		}
	}
	return entries
}

// TestBoxIsWhatItSays guards the fixtures: a test that runs another program
// than it thinks proves nothing.
func TestBoxIsWhatItSays(t *testing.T) {
	names := map[string]bool{}
	for r := tar.NewReader(bytes.NewReader(tarball.Build(boxEntries(t)...))); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		names[h.Name] = true
	}
	for _, command := range []string{"sh", "id", "cat", "ip", "nc", "stat", "sleep"} {
		if !names["bin/"+command] {
			t.Errorf("no %s in the image", command)
		}
	}
}
