package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
)

// TestStorageDrivers compares a subset on engines that keep layers in other
// ways than overlay2, where other system calls work.
func TestStorageDrivers(t *testing.T) {
	for _, driver := range []string{"vfs", "btrfs"} {
		t.Run(driver, func(t *testing.T) {
			data := filepath.Join(lab.Scratch(t), "engine")
			if err := os.Mkdir(data, 0o700); err != nil {
				t.Fatal(err)
			}
			if driver == "btrfs" {
				mountBtrfs(t, data)
			}
			engine := lab.StartEngine(t, driver, data)
			images := map[string]stack.Image{"musl-busybox": busybox(t), "scratch": scratch(t), "mounts": mountImage(t)}
			for _, c := range handMade {
				// Not the rows that hang on overlayfs: a driver without it
				// writes each layer over a copy of those below, so it follows
				// their symlinks and has no merging after a whiteout.
				if slices.Contains([]string{"kinds", "modes", "owners", "times", "xattrs", "names", "whiteouts", "file over directory", "directory over file"}, c.name) {
					images[slug(c.name)] = c.image(false)
				}
			}
			if driver == "vfs" {
				delete(images, "xattrs") // it copies each layer without user.* of those below
			}
			for name, img := range images {
				t.Run(name, func(t *testing.T) {
					ref := lab.Push(t, "driver/"+name, img)
					engine.Pull(t, ref)
					want := lab.SnapshotOn(t, engine, stack.RunSpec{Image: ref, Via: stack.Direct})
					compare(t, want, lab.SnapshotOn(t, engine, stack.RunSpec{Image: ref, Via: stack.Runner}))
				})
			}
		})
	}
}

// mountBtrfs mounts a small btrfs of its own at dir.
func mountBtrfs(t *testing.T, dir string) {
	t.Helper()
	file := dir + ".img"
	for _, command := range [][]string{
		{"truncate", "--size", "2G", file},
		{"mkfs.btrfs", "--quiet", file},
		{"mount", "-o", "loop", file, dir},
	} {
		if out, err := exec.CommandContext(t.Context(), command[0], command[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%q (needs root, btrfs-progs and a kernel with btrfs: run `make test`): %v: %s", command, err, out)
		}
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
}

// otherEngine runs containers without Docker.
type otherEngine struct {
	name string
	// start returns a function that runs a command with this environment in
	// the runner image and returns what it prints.
	start func(*testing.T) func(t *testing.T, env []string, args ...string) []byte
}

// TestOtherEngines: an image through the runner, under engines that order the
// environment in their own way and mount other things.
func TestOtherEngines(t *testing.T) {
	ref := lab.Push(t, "engines/probe", probeImage(t, func(c *v1.Config) { c.User, c.WorkingDir = "app", "/home/app" }))
	for _, engine := range []otherEngine{{"podman", startPodman}, {"ctr", startContainerd}} {
		t.Run(engine.name, func(t *testing.T) {
			run := engine.start(t)
			env := []string{"CLIPPER_MAGIC_IMAGE=" + ref, "COLOR=mine"}
			out := run(t, env)
			var report struct {
				UID, GID [4]string
				Groups   []string
				Env      []string
				Dir      string
				Args     []string
				First    bool
			}
			if err := json.Unmarshal(out, &report); err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			if report.UID[1] != "1000" || report.GID[1] != "1000" || !slices.Equal(report.Groups, []string{"29", "1000", "2500"}) || report.Dir != "/home/app" || !report.First {
				t.Errorf("process: %+v", report)
			}
			if !slices.Equal(report.Args, []string{"probe"}) {
				t.Errorf("arguments: %q", report.Args)
			}
			for _, want := range []string{"COLOR=mine", "SIZE=image", "EMPTY=", "PATH=/usr/local/bin:/usr/bin:/bin", "HOME=/home/app"} {
				if !slices.Contains(report.Env, want) {
					t.Errorf("no %s in the environment %q", want, report.Env)
				}
			}
			for _, variable := range report.Env {
				if strings.HasPrefix(variable, "CLIPPER_") {
					t.Errorf("the runner's own %s is left in the environment", variable)
				}
			}
			if out := run(t, env, "sh", "-c", "echo $COLOR; ls /bin/busybox; cat /etc/os-release"); string(out) != "mine\n/bin/busybox\nID=alike\n" {
				t.Errorf("a command of its own: %q", out)
			}
		})
	}
}

func runnerArchive(t *testing.T) string {
	t.Helper()
	archive, err := filepath.Abs("../../dist/runner-image-amd64.tar")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(archive); err != nil {
		t.Fatalf("the runner image is not built (run `make image`): %v", err)
	}
	return archive
}

// output runs a command that must succeed and returns its standard output.
func output(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	return stack.Output(t, exec.CommandContext(t.Context(), name, args...))
}

func startPodman(t *testing.T) func(*testing.T, []string, ...string) []byte {
	podman := lab.NewPodman(t)
	// It says which of its registries it takes the name to be of.
	loaded := strings.Fields(string(podman.Output(t, "load", "--quiet", "--input", runnerArchive(t))))
	return func(t *testing.T, env []string, args ...string) []byte {
		command := append([]string{"run", "--rm", "--network", "host", "--pull", "never"}, stack.PodmanRun...)
		for _, variable := range env {
			command = append(command, "--env", variable)
		}
		return podman.Output(t, append(append(command, loaded[len(loaded)-1]), args...)...)
	}
}

func startContainerd(t *testing.T) func(*testing.T, []string, ...string) []byte {
	ctr := lab.StartContainerd(t, stack.Containerd{})
	ctr.Output(t, "images", "import", runnerArchive(t))
	runs := 0
	return func(t *testing.T, env []string, args ...string) []byte {
		runs++
		command := []string{"run", "--rm", "--net-host"}
		for _, variable := range env {
			command = append(command, "--env", variable)
		}
		command = append(command, "docker.io/"+stack.RunnerImage, fmt.Sprintf("clipper-e2e-%d-%d", os.Getpid(), runs))
		if len(args) > 0 {
			// For ctr, arguments replace the entrypoint too.
			command = append(append(command, "/.clipper-runner/runner"), args...)
		}
		return ctr.Output(t, command...)
	}
}

// TestARM64 runs the arm64 runner, and the program of an arm64 image, under
// qemu-user. It is named as the command, so no binfmt_misc is needed.
func TestARM64(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Fatalf("no qemu-user (run `make test`, which installs it): %v", err)
	}
	runner := lab.PushArchive(t, "engines/runner-arm64", "../../dist/runner-image-arm64.tar")
	content, err := os.ReadFile(lab.ProgramFor(t, "test/e2e/probe", "arm64"))
	if err != nil {
		t.Fatal(err)
	}
	ref := lab.Push(t, "engines/arm64", stack.Image{
		Arch: "arm64",
		Layers: []stack.Layer{stack.Tar(tarball.Build(
			dir("bin"), file("bin/probe", string(content), mode(0o755)), dir("srv", owner(1000, 29), mode(0o750)),
		))},
		Config: v1.Config{Cmd: []string{"/bin/probe", "exit", "43"}, User: "1000:29", WorkingDir: "/srv"},
	})
	lab.Engine.Pull(t, runner)
	got := lab.Run(t, stack.RunSpec{
		Image: runner, Via: stack.Direct, Entrypoint: []string{"/qemu", "/.clipper-runner/runner"},
		Env:   []string{"CLIPPER_MAGIC_IMAGE=" + ref, `CLIPPER_ENTRYPOINT=["/qemu", "/bin/probe"]`},
		Args:  []string{"exit", "43"},
		Flags: []string{"--platform", "linux/arm64", "--volume", qemu + ":/qemu:ro"},
	})
	if got.Exit != 43 {
		t.Errorf("want the program's exit 43, got %d: %s%s", got.Exit, got.Stdout, got.Stderr)
	}
}
