package rootfs

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/clipperregistry/runner/runnerimage/layer"
	"github.com/clipperregistry/runner/runnerimage/toc"
	. "github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/test/treediff"
)

// merged is an image as today's distributions make them: /bin, /lib and /lib64
// are symlinks into /usr.
func merged() []byte {
	entries := []Entry{
		Symlink("bin", "usr/bin"), Symlink("lib", "usr/lib"), Symlink("lib64", "usr/lib64"), Symlink("sbin", "usr/sbin"),
		Dir("usr/lib", Mode(0o755), nanos(3)),
		File("usr/bin/sh", "image's"), File("usr/lib64/ld-linux", "image's"), File("usr/sbin/init", "image's"),
		File("etc/passwd", "image's"), File("usr/lib/libc", "image's"), File("var/lib/x", "image's"), Symlink("var/run", "/run"),
	}
	for n := range 60 {
		entries = append(entries, File(fmt.Sprintf("usr/share/%d/%d", n%7, n), "image's"))
	}
	return Build(entries...)
}

// musl is an image with a libc of its own in a real /lib, and no /lib64.
func musl() []byte {
	return Build(Dir("lib", nanos(4)), File("lib/ld-musl", "image's"), Symlink("bin/sh", "/bin/busybox"), File("bin/busybox", "image's"))
}

func atOnce(t *testing.T) *container {
	c := newContainer(t)
	c.way.once = true
	c.bindFile("etc/hosts", 0)
	c.bindFile("run/docker.sock", 0)
	return c
}

func TestAtOnce(t *testing.T) {
	for _, test := range []struct {
		name  string
		mount func(c *container)
		image []byte
		want  map[string]string
	}{{
		name: "merged", image: merged(),
		want: map[string]string{
			"bin": "-> usr/bin", "lib": "-> usr/lib", "lib64": "-> usr/lib64", "lib/ld-musl": "absent",
			"lib64/ld-linux": "image's", "bin/sh": "image's", "etc/passwd": "image's", "etc/hosts": "mounted", "var/run": "-> /run",
		},
	}, {
		name: "musl", image: musl(),
		want: map[string]string{
			"lib": "dir", "lib/ld-musl": "image's", "bin/sh": "-> /bin/busybox", "lib64/ld-linux": "-> /.clipper-runner/loader",
			"etc/passwd": "absent", "tmp": "absent", "var": "dir", "var/run": "-> ../run",
		},
	}, {
		name: "nothing", image: Build(File("app", "image's")),
		want: map[string]string{"bin": "absent", "lib": "absent", "lib64/ld-linux": "-> /.clipper-runner/loader", "app": "image's"},
	}, {
		name: "a directory without a loader", image: Build(Symlink("lib64", "usr/lib64"), File("usr/lib64/libx", "image's")),
		want: map[string]string{"lib64": "-> usr/lib64", "usr/lib64/ld-linux": "-> /.clipper-runner/loader"},
	}, {
		name: "no directory at all", image: Build(File("lib64", "a file")),
		want: map[string]string{"lib64": "a file"},
	}, {
		name: "a loader that leads nowhere yet", image: Build(Symlink("lib64", "opt/libs")),
		want: map[string]string{"opt/libs/ld-linux": "-> /.clipper-runner/loader"},
	}, {
		name: "a mount beneath a waiter's directory", image: merged(),
		mount: func(c *container) { c.bindDir("m", "lib/modules", 0); c.file("../outside/m/ko", "ko") },
		want: map[string]string{
			"lib": "dir", "lib/modules/ko": "ko", "lib/libc": "-> ../usr/lib/libc", "lib/ld-musl": "absent", "lib64/ld-linux": "image's",
		},
	}, {
		name: "a mount beneath the programs", image: merged(),
		mount: func(c *container) { c.bindFile("usr/bin/docker", 0) },
		want:  map[string]string{"bin": "-> usr/bin", "usr/bin/docker": "mounted", "usr/bin/sh": "image's", "lib64/ld-linux": "image's"},
	}, {
		name: "a mount on a waiter", image: merged(),
		mount: func(c *container) { c.overWaiter("lib64/ld-linux") },
		want:  map[string]string{"lib64/ld-linux": "mounted", "usr/lib64/ld-linux": "-> ../../lib64/ld-linux"},
	}} {
		t.Run(test.name, func(t *testing.T) {
			c := atOnce(t)
			if test.mount != nil {
				test.mount(c)
			}
			c.layOut(test.image)
			c.shows(test.want)
			c.shows(map[string]string{".clipper-runner/tmp": "absent", "run/docker.sock": "mounted"})
		})
	}
}

// overWaiter mounts a file where a waiter stands.
func (c *container) overWaiter(path string) {
	c.t.Helper()
	must(c.t, os.Remove(c.at(path)))
	c.bindFile(path, 0)
}

// TestAtOnceIsTheSameTree holds the tree against that of a layout in place.
func TestAtOnceIsTheSameTree(t *testing.T) {
	var trees [2][]treediff.Node
	for i, once := range []bool{false, true} {
		c := atOnce(t)
		c.way.once = once
		c.layOut(merged())
		var err error
		trees[i], err = treediff.Snapshot(c.root, treediff.Options{Exclude: []string{".clipper-runner", "etc/hosts", "run"}})
		must(t, err)
	}
	implied := func(line string) bool { return strings.Contains(line, "mtime: want 20") } // now
	for _, line := range slices.DeleteFunc(treediff.Diff(trees[0][1:], trees[1][1:]), implied) {
		t.Error(line)
	}
}

// TestWaiterThatStaysChangesNoTime has one put back into a directory of the
// image, whose time is the image's all the same.
func TestWaiterThatStaysChangesNoTime(t *testing.T) {
	c := atOnce(t)
	c.layOut(Build(Dir("lib64", Mode(0o755), nanos(5)), File("lib64/libx", "image's")))
	c.shows(map[string]string{"lib64/ld-linux": "-> /.clipper-runner/loader"})
	info, err := os.Stat(c.at("lib64"))
	must(t, err)
	if got := info.ModTime().Nanosecond(); got != 5 {
		t.Errorf("the time of /lib64 ends in %d ns", got)
	}
}

// beheld calls look before each entry of a layer.
type beheld struct {
	Entries
	look func()
}

func (b beheld) Next() (*layer.Entry, error) {
	b.look()
	return b.Entries.Next()
}

// TestNothingAppearsBeforeFinish looks at the bare image all through a layout
// that fails at its end.
func TestNothingAppearsBeforeFinish(t *testing.T) {
	c := atOnce(t)
	bare := map[string]string{
		"bin/sh": "-> /.clipper-runner/sh", "lib/ld-musl": "-> /.clipper-runner/loader", "lib64/ld-linux": "-> /.clipper-runner/loader",
		"etc/passwd": "bare", "tmp": "dir", "usr": "absent", "lib/libc": "absent", "var/lib": "absent",
	}
	r := c.open()
	found, err := r.Survey()
	must(t, err)
	must(t, r.Clear(found, false))
	must(t, r.Plant())
	w, err := r.NewWriter(t.Context(), toc.NewTree(1))
	must(t, err)
	entries, err := layer.NewReader(strings.NewReader(string(merged())), layer.Limits{})
	must(t, err)
	must(t, w.Layer(t.Context(), 0, beheld{entries, func() { c.shows(bare) }}))
	c.shows(bare)
	w.Close() // in place of Finish
	bare[".clipper-runner/tmp"] = "absent"
	c.shows(bare)
}

// TestSwitch has somebody look at the loader and what it opens, as fast as
// possible, while the tree appears.
func TestSwitch(t *testing.T) {
	for _, test := range []struct {
		name, loader string
		image        []byte
		opens        []string
	}{
		{"merged", "lib64/ld-linux", merged(), []string{"usr/lib/libc", "usr/lib64/ld-linux", "etc/passwd", "var/lib/x", "usr/sbin/init"}},
		{"musl", "lib/ld-musl", musl(), []string{"bin/busybox", "bin/sh"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := atOnce(t)
			r := c.open()
			found, err := r.Survey()
			must(t, err)
			must(t, r.Clear(found, false))
			must(t, r.Plant())
			var ended atomic.Bool
			looked := make(chan bool, 1)
			var watcher sync.WaitGroup
			watcher.Go(func() {
				for !ended.Load() {
					switch _, err := os.Readlink(c.at(test.loader)); { // one system call
					case err == nil: // the waiter
						select {
						case looked <- true:
						default:
						}
					case errors.Is(err, unix.EINVAL): // the image's, no symlink
						for _, path := range test.opens {
							if show(c.at(path)) == "absent" {
								t.Errorf("the loader is the image's, and /%s is absent", path)
							}
						}
					default:
						t.Error(err)
					}
				}
			})
			<-looked
			_, err = write(r, test.image)
			ended.Store(true)
			watcher.Wait()
			must(t, err)
			c.shows(map[string]string{test.loader: "image's"})
		})
	}
}

// layingOut has a process lay an image out in the root that it names.
const layingOut = "ROOTFS_TEST_LAY_OUT"

// layOutForever lays out two images by turns, as an interrupted container
// would, until it is killed.
func layOutForever(root string) int {
	opts := Options{Keep: []string{".clipper-runner"}, Bare: bare, BareLinks: map[string]string{"var/run": "../run"}, AtOnce: true, Waiters: waiters, Default: waiters[2:]}
	for n := 0; ; n++ {
		r, err := Open(root, opts)
		if err == nil {
			err = errors.Join(r.Clear(strings.Fields(os.Getenv(layingOut+"_FOUND")), true), r.Plant())
		}
		if err == nil {
			_, err = write(r, [][]byte{merged(), musl()}[n%2])
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		r.Close()
		fmt.Println("laid out")
	}
}

// TestKilledAtAnyMoment kills layouts and takes them up: the tree at the end
// is the image's and nothing else.
func TestKilledAtAnyMoment(t *testing.T) {
	c := atOnce(t)
	c.file("found/file", "found")
	r := c.open()
	found, err := r.Survey()
	must(t, err)
	reference := atOnce(t)
	reference.file("found/file", "found")
	reference.layOut(merged())
	opts := treediff.Options{Exclude: []string{".clipper-runner", "etc/hosts", "run/docker.sock"}}
	want, err := treediff.Snapshot(reference.root, opts)
	must(t, err)

	random := rand.New(rand.NewPCG(1, 1))
	for n := range 15 {
		cmd := exec.Command("/proc/self/exe")
		cmd.Env = append(os.Environ(), layingOut+"="+c.root, layingOut+"_FOUND="+strings.Join(found, " "))
		cmd.Stderr = os.Stderr
		out, err := cmd.StdoutPipe()
		must(t, err)
		must(t, cmd.Start())
		if _, err := io.ReadFull(out, make([]byte, len("laid out\n"))); err != nil {
			t.Fatalf("nothing was laid out: %v", err)
		}
		go io.Copy(io.Discard, out)
		time.Sleep(time.Duration(random.IntN(40_000)) * time.Microsecond) // any moment
		must(t, cmd.Process.Kill())
		cmd.Wait()

		r := c.open()
		must(t, r.Clear(found, true))
		must(t, r.Plant())
		c.shows(map[string]string{"lib64/ld-linux": "-> /.clipper-runner/loader", "lib/ld-musl": "-> /.clipper-runner/loader", "bin/sh": "-> /.clipper-runner/sh"})
		_, err = write(r, merged())
		must(t, err)
		got, err := treediff.Snapshot(c.root, opts)
		must(t, err)
		implied := func(line string) bool { return strings.Contains(line, "mtime: want 20") } // now
		for _, line := range slices.DeleteFunc(treediff.Diff(want[1:], got[1:]), implied) {
			t.Errorf("kill %d: %s", n, line)
		}
		if t.Failed() {
			return
		}
	}
}

// TestWithoutExchange has a directory of the lower layer in the way, which
// overlay cannot exchange.
func TestWithoutExchange(t *testing.T) {
	c := atOnce(t)
	r := c.open()
	if err := unix.Renameat2(unix.AT_FDCWD, c.at("lib64"), unix.AT_FDCWD, c.at("lib"), unix.RENAME_EXCHANGE); err == nil {
		t.Fatal("this kernel exchanges directories of the lower layer: the test shows nothing")
	}
	found, err := r.Survey()
	must(t, err)
	must(t, r.Clear(found, false)) // and no Plant
	_, err = write(r, merged())
	must(t, err)
	c.shows(map[string]string{"lib64": "-> usr/lib64", "lib64/ld-linux": "image's"})
	left, err := os.ReadDir(c.root)
	must(t, err)
	want := "[d .clipper-runner/ - .dockerenv L bin d etc/ L lib L lib64 d run/ L sbin d usr/ d var/]"
	if got := fmt.Sprint(left); got != want {
		t.Errorf("the root holds %s, want %s", got, want)
	}
}
