package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

func init() { runtime.LockOSThread() } // as commands do

func TestMain(m *testing.M) {
	if Entered(os.Args) {
		if os.Getenv(collect) != "" {
			go func() {
				for {
					runtime.GC()
				}
			}()
		}
		os.Exit(Enter(os.Args, Hooks{
			Start: func(w *World) int {
				name, args, _ := strings.Cut(string(w.Payload), " ")
				if err := programs[name](w, strings.Fields(args)); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return 1
				}
				return 0
			},
			Fail: func(_ []byte, err error) int {
				fmt.Fprintln(os.Stderr, "FAIL", err)
				return 99
			},
		}))
	}
	if len(os.Args) == 3 && os.Args[0] == "caller" {
		// A process that a test can kill: it runs one program in a directory.
		code, err := Run(context.Background(), Spec{Dir: os.Args[1], Payload: []byte(os.Args[2]), Network: NetworkHost, Env: quick, Stdout: os.Stdout, Stderr: os.Stderr})
		fmt.Fprintln(os.Stderr, err)
		os.Exit(code)
	}
	os.Exit(m.Run())
}

// collect is the variable by which a sandbox's processes collect garbage all the
// time.
const collect = "COLLECT"

// quick keeps the race detector from sleeping for a second at every exit.
var quick = []string{"GORACE=atexit_sleep_ms=0"}

// programs are what runs in the sandboxes of these tests.
var programs = map[string]func(w *World, args []string) error{
	"exit":    func(*World, []string) error { os.Exit(7); return nil },
	"breathe": func(*World, []string) error { time.Sleep(50 * time.Millisecond); os.Exit(7); return nil },
	"kill": func(*World, []string) error { // process 1 can be killed from outside only
		signal.Notify(make(chan os.Signal, 1), Signals()...) // Go's runtime would end it, with exit code 2
		fmt.Println("up")
		select {}
	},
	"look":    look,
	"network": lookAtNetwork,
	"write": func(w *World, args []string) error {
		return os.WriteFile(args[0], []byte("written\n"), 0o644)
	},
	"refused": func(w *World, args []string) error {
		if err := os.WriteFile(args[0], nil, 0o644); !errors.Is(err, unix.EROFS) {
			return fmt.Errorf("write %s: %v, want a read-only file system", args[0], err)
		}
		return nil
	},
	"copy": func(w *World, args []string) error {
		_, err := io.Copy(os.Stdout, os.Stdin)
		return err
	},
	"print": func(w *World, args []string) error {
		for _, name := range args {
			data, err := os.ReadFile(name)
			if err != nil {
				return err
			}
			os.Stdout.Write(data)
		}
		return nil
	},
	"ids": func(w *World, args []string) error { // how many users there are
		data, err := os.ReadFile("/proc/self/uid_map")
		total := 0
		for line := range strings.Lines(string(data)) {
			var first, outer, count int
			if _, err := fmt.Sscan(line, &first, &outer, &count); err != nil {
				return err
			}
			total += count
		}
		fmt.Println(total)
		return err
	},
	"hostname": func(*World, []string) error {
		name, err := os.Hostname()
		fmt.Println(name)
		return err
	},
	"trap": func(*World, []string) error {
		signals := make(chan os.Signal, 1)
		signal.Notify(signals, unix.SIGTERM, unix.SIGUSR1)
		fmt.Println("up")
		os.Exit(int((<-signals).(syscall.Signal)))
		return nil
	},
	"host": func(w *World, args []string) error {
		data, err := fs.ReadFile(w.Host, args[0])
		if err != nil {
			return err
		}
		os.Stdout.Write(data)
		return seal(w)
	},
	"own": func(w *World, args []string) error { // something in OwnDir
		if err := os.WriteFile(args[0], []byte("written\n"), 0o644); err != nil {
			return err
		}
		return seal(w)
	},
	"chown": func(w *World, args []string) error { return os.Stdout.Chown(12345, -1) },
	"litter": func(w *World, args []string) error { // what is not easy to remove
		if err := os.MkdirAll("/a/b", 0o755); err != nil {
			return err
		}
		if err := os.WriteFile("/a/b/c", nil, 0); err != nil {
			return err
		}
		if !w.SingleID {
			if err := os.Chown("/a/b/c", 33, 33); err != nil {
				return err
			}
		}
		return errors.Join(os.Chmod("/a/b", 0), os.Chmod("/a", 0o500))
	},
}

// seal checks that nothing is left for the program to find.
func seal(w *World) error {
	if err := w.Seal(); err != nil {
		return err
	}
	if _, err := os.Stat("/" + OwnDir); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("/%s after Seal: %v", OwnDir, err)
	}
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter("/" + OwnDir))
	if err != nil || len(mounts) > 0 {
		return fmt.Errorf("mounts after Seal: %v, %v", mounts, err)
	}
	return nil
}

// look checks what every sandbox has, from inside.
func look(w *World, _ []string) error {
	var faults []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	check(os.Getpid() == 1, "pid %d, want 1", os.Getpid())
	check(os.Geteuid() == 0, "uid %d, want 0", os.Geteuid())
	check(slices.Equal(os.Environ(), append([]string{"GIVEN=1"}, quick...)), "environment %q", os.Environ())

	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return err
	}
	types := map[string]string{}
	for _, m := range mounts {
		if !strings.HasPrefix(m.Mountpoint, "/"+hostDir) {
			types[m.Mountpoint] = m.FSType
			check(m.Optional == "", "%s takes part in propagation: %s", m.Mountpoint, m.Optional)
		}
	}
	for point, kind := range map[string]string{
		"/proc": "proc", "/dev": "tmpfs", "/dev/pts": "devpts", "/dev/shm": "tmpfs", "/dev/mqueue": "mqueue", "/sys": "sysfs",
	} {
		check(types[point] == kind, "%s is a %q, want %s", point, types[point], kind)
	}
	for _, point := range []string{"/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/proc/sys", "/proc/keys"} {
		check(types[point] != "", "%s is no mount point", point)
	}

	for _, file := range []string{"/proc/sys/kernel/hostname", "/sys/kernel/uevent_helper"} {
		f, err := os.OpenFile(file, os.O_WRONLY, 0)
		check(errors.Is(err, unix.EROFS) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOENT), "%s is writable: %v", file, err)
		f.Close()
	}
	keys, err := os.ReadFile("/proc/keys")
	check(err == nil && len(keys) == 0, "/proc/keys tells %q, %v", keys, err)

	for name, want := range map[string]int{"/dev/null": 0, "/dev/zero": 4, "/dev/full": 4, "/dev/urandom": 4} {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			check(false, "%v", err)
			continue
		}
		n, _ := f.Read(make([]byte, 4))
		check(n == want, "%s gave %d bytes, want %d", name, n, want)
		f.Close()
	}
	for link, want := range map[string]string{"/dev/fd": "/proc/self/fd", "/dev/ptmx": "pts/ptmx", "/etc/mtab": "/proc/mounts"} {
		target, err := os.Readlink(link)
		check(target == want, "%s leads to %q (%v), want %s", link, target, err, want)
	}
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	check(err == nil, "no terminal can be made: %v", err)
	master.Close()

	groups, err := os.Getgroups()
	check(err == nil && (w.SingleID || len(groups) == 0), "groups %v, %v", groups, err)
	entries, err := os.ReadDir("/")
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	check(fmt.Sprint(names) == "[.clipper-runner .dockerenv dev etc proc sys]", "/ has %v, %v", names, err)
	return errors.Join(faults...)
}

func lookAtNetwork(w *World, _ []string) error {
	before, err := net.Interfaces()
	if err != nil {
		return err
	}
	if err := w.Seal(); err != nil {
		return err
	}
	after, err := net.Interfaces()
	if err != nil {
		return err
	}
	if len(after) != 1 || after[0].Name != "lo" || after[0].Flags&net.FlagUp == 0 {
		return fmt.Errorf("interfaces %v, before that %d", after, len(before))
	}
	devices, err := os.ReadDir("/sys/class/net")
	if err != nil || len(devices) != 1 || devices[0].Name() != "lo" {
		return fmt.Errorf("/sys/class/net has %v, %v", devices, err)
	}
	if err := os.WriteFile("/sys/class/net/lo/mtu", []byte("1000"), 0); !errors.Is(err, unix.EROFS) && !errors.Is(err, unix.EACCES) {
		return fmt.Errorf("/sys is writable: %v", err)
	}
	if f, err := os.ReadDir("/sys/firmware"); err != nil || len(f) != 0 {
		return fmt.Errorf("/sys/firmware has %v, %v", f, err)
	}
	if _, err := net.LookupHost("localhost"); err != nil {
		return err
	}
	if _, err := net.Dial("udp", "192.0.2.1:9"); !errors.Is(err, unix.ENETUNREACH) {
		return fmt.Errorf("a route leads out: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	return l.Close()
}

// result is what a sandbox left.
type result struct {
	code           int
	stdout, stderr string
}

// run runs a program with its output in files.
func run(t *testing.T, spec Spec) result {
	t.Helper()
	stdout, stderr := tempFile(t), tempFile(t)
	if spec.Dir == "" {
		spec.Dir = t.TempDir()
	}
	if spec.Network == "" {
		spec.Network = NetworkHost
	}
	spec.Env = append(spec.Env, quick...)
	spec.Stdout, spec.Stderr = stdout, stderr
	code, err := Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(spec.Dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	return result{code, content(t, stdout), content(t, stderr)}
}

func (r result) want(t *testing.T, code int, stdout string) {
	t.Helper()
	if r.code != code || r.stdout != stdout {
		t.Errorf("exit code %d, output %q; want %d, %q\n%s", r.code, r.stdout, code, stdout, r.stderr)
	}
}

func tempFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func content(t *testing.T, f *os.File) string {
	t.Helper()
	data, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t *testing.T, path, content string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestSurroundings(t *testing.T) {
	run(t, Spec{Payload: []byte("look"), Env: []string{"GIVEN=1"}}).want(t, 0, "")
}

func TestExitCode(t *testing.T) {
	run(t, Spec{Payload: []byte("exit")}).want(t, 7, "")
}

// TestCollector: the collector closes files that nobody uses any more, and none
// of those is the keeper's control.
func TestCollector(t *testing.T) {
	run(t, Spec{Payload: []byte("breathe"), Env: []string{collect + "=1"}}).want(t, 7, "")
}

func TestNetworkNone(t *testing.T) {
	run(t, Spec{Payload: []byte("network"), Network: NetworkNone}).want(t, 0, "")
}

func TestHostname(t *testing.T) {
	own, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	run(t, Spec{Payload: []byte("hostname")}).want(t, 0, own+"\n")
	run(t, Spec{Payload: []byte("print /etc/hostname /proc/sys/kernel/hostname"), Hostname: "box"}).want(t, 0, "box\nbox\n")
	if got := run(t, Spec{Payload: []byte("hostname"), Network: NetworkNone}); len(got.stdout) != 13 {
		t.Errorf("host name %q, want 12 digits", got.stdout)
	}
	if now, err := os.Hostname(); now != own {
		t.Errorf("the machine is called %q now, %v", now, err)
	}
}

func TestStandardFiles(t *testing.T) {
	stdin, feed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	go func() {
		defer feed.Close()
		fmt.Fprint(feed, strings.Repeat("0123456789", 20_000))
	}()
	got := run(t, Spec{Payload: []byte("copy"), Stdin: stdin})
	if got.code != 0 || len(got.stdout) != 200_000 {
		t.Errorf("exit code %d, %d bytes\n%s", got.code, len(got.stdout), got.stderr)
	}
	run(t, Spec{Payload: []byte("copy")}).want(t, 0, "") // without any

	// What becomes the program's user's is a pipe, not the caller's file.
	out := tempFile(t)
	if _, err := Run(t.Context(), Spec{Dir: t.TempDir(), Network: NetworkHost, Payload: []byte("chown"), Env: quick, Stdout: out}); err != nil {
		t.Fatal(err)
	}
	info, err := out.Stat()
	if err != nil {
		t.Fatal(err)
	}
	if uid := int(info.Sys().(*syscall.Stat_t).Uid); uid != os.Geteuid() {
		t.Errorf("the caller's file belongs to %d now", uid)
	}
}

func TestVolumes(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/data/in", "in\n")
	write(t, dir+"/file", "file\n")
	if err := os.Symlink("/etc", dir+"/data/out"); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir+"/data/sub", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, program, stdout string
		mounts                []Mount
	}{
		{"directory", "print /mnt/data/in", "in\n", []Mount{{Source: dir + "/data", Target: "/mnt/data"}}},
		{"file", "print /etc/app.conf", "file\n", []Mount{{Source: dir + "/file", Target: "/etc/app.conf"}}},
		{"over the engine's file", "print /etc/hosts", "file\n", []Mount{{Source: dir + "/file", Target: "/etc/hosts"}}},
		{"write", "write /data/new", "", []Mount{{Source: dir + "/data", Target: "/data"}}},
		{"read-only directory", "refused /data/other", "", []Mount{{Source: dir + "/data", Target: "/data", ReadOnly: true}}},
		{"read-only file", "refused /file", "", []Mount{{Source: dir + "/file", Target: "/file", ReadOnly: true}}},
		{"one in another, in any order", "print /data/sub/in /data/in", "in\nin\n", []Mount{
			{Source: dir + "/data", Target: "/data/sub"}, {Source: dir + "/data", Target: "/data"},
		}},
		{"device", "print /dev/mine", "", []Mount{{Source: "/dev/null", Target: "/dev/mine"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			run(t, Spec{Payload: []byte(tt.program), Mounts: tt.mounts}).want(t, 0, tt.stdout)
		})
	}
	if got, err := os.ReadFile(dir + "/data/new"); string(got) != "written\n" {
		t.Errorf("on the machine: %q, %v", got, err)
	}

	for name, mounts := range map[string][]Mount{
		"through a symlink out of a volume": {{Source: dir + "/data", Target: "/data"}, {Source: dir + "/file", Target: "/data/out/file"}},
		"source missing":                    {{Source: dir + "/nothing", Target: "/data"}},
		"directory over file":               {{Source: dir + "/data", Target: "/etc/hosts"}},
	} {
		if got := run(t, Spec{Payload: []byte("exit"), Mounts: mounts}); got.code != 99 || !strings.Contains(got.stderr, "FAIL mount ") {
			t.Errorf("%s: exit code %d, %q", name, got.code, got.stderr)
		}
	}
	if _, err := os.Stat("/etc/file"); err == nil {
		t.Error("a mount point was made on the machine")
	}
}

func TestHostFiles(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/file", "content\n")
	if err := os.Symlink(dir+"/file", dir+"/absolute"); err != nil {
		t.Fatal(err)
	}
	run(t, Spec{Payload: []byte("host " + dir[1:] + "/absolute")}).want(t, 0, "content\n")
}

// TestOwnMounts: what is mounted in OwnDir can be used until Seal, is not there
// for the program, and stays on the machine.
func TestOwnMounts(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/store/kept", "kept\n")
	write(t, dir+"/file", "file\n")
	run(t, Spec{Payload: []byte("own /.clipper-runner/store/new"), Mounts: []Mount{
		{Source: dir + "/store", Target: "/.clipper-runner/store"}, {Source: dir + "/file", Target: "/.clipper-runner/deep/file"},
	}}).want(t, 0, "")
	for name, want := range map[string]string{"store/kept": "kept\n", "store/new": "written\n", "file": "file\n"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); string(got) != want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, want)
		}
	}
}

func TestRemovesEverything(t *testing.T) {
	run(t, Spec{Payload: []byte("litter")}).want(t, 0, "")
}

func TestSignals(t *testing.T) {
	for _, tt := range []struct {
		program string
		signals []os.Signal
		cancel  bool
		code    int
	}{
		{"trap", []os.Signal{unix.SIGTERM}, false, 15},
		{"trap", []os.Signal{unix.SIGUSR1}, false, 10},
		{"kill", []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGUSR1, unix.SIGTERM}, false, 128 + 9},
		{"kill", nil, true, 128 + 9},
	} {
		t.Run(fmt.Sprint(tt.program, tt.signals), func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			up, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer up.Close()
			signals := make(chan os.Signal, 8)
			go func() {
				_, _ = up.Read(make([]byte, 3)) // "up"
				for _, s := range tt.signals {
					signals <- s
				}
				if tt.cancel {
					cancel()
				}
			}()
			code, err := Run(ctx, Spec{Dir: t.TempDir(), Network: NetworkHost, Payload: []byte(tt.program), Env: quick, Stdout: out, Signals: signals})
			out.Close()
			if err != nil || code != tt.code {
				t.Errorf("exit code %d, %v; want %d", code, err, tt.code)
			}
		})
	}
}

// caller starts a Run in a process of its own and waits until its program is
// up.
func caller(t *testing.T, dir string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command("/proc/self/exe")
	cmd.Args = []string{"caller", dir, "kill"}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(out, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// until waits for a condition that is sure to come.
func until(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not so after 20 seconds", what)
		}
	}
}

func isEmpty(t *testing.T, dir string) bool {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(entries) == 0
}

func TestCallerKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := caller(t, dir)
	if isEmpty(t, dir) {
		t.Fatal("no directory while the program runs")
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	until(t, "the directory is removed", func() bool { return isEmpty(t, dir) })
}

func TestKeeperKilled(t *testing.T) {
	dir := t.TempDir()
	cmd := caller(t, dir)
	keeper := childOf(t, cmd.Process.Pid)
	program := childOf(t, keeper)
	if err := syscall.Kill(keeper, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	until(t, "the program is gone", func() bool {
		return errors.Is(syscall.Kill(program, 0), unix.ESRCH)
	})
	if isEmpty(t, dir) {
		t.Fatal("nothing was left, so there is nothing to prove")
	}
	run(t, Spec{Dir: dir, Payload: []byte("exit")}).want(t, 7, "") // and checks the directory
}

func childOf(t *testing.T, pid int) int {
	t.Helper()
	var child int
	tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, task := range tasks {
		if text, err := os.ReadFile(task); err == nil {
			_, _ = fmt.Sscan(string(text), &child)
		}
	}
	if child == 0 {
		t.Fatalf("process %d has no child", pid)
	}
	return child
}

// TestSweep leaves alone what is in use.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	used, err := newHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	left, err := newHome(dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, left.path+"/root/file", "")
	left.lock.Close()
	if err := sweep(dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left.path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a leftover is there: %v", err)
	}
	if _, err := os.Stat(used.path); err != nil {
		t.Errorf("what is in use is gone: %v", err)
	}
	used.remove()
	if !isEmpty(t, dir) {
		t.Error("a lock file is there")
	}
}

// TestPayloadIsPrivate looks for the payload where others could read it.
func TestPayloadIsPrivate(t *testing.T) {
	dir := t.TempDir()
	const secret = "s3cr3t-of-the-payload"
	up, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer up.Close()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		_, err := Run(ctx, Spec{Dir: dir, Network: NetworkHost, Payload: []byte("kill " + secret), Stdout: out})
		ended <- err
	}()
	if _, err := io.ReadFull(up, make([]byte, 2)); err != nil {
		t.Fatal(err)
	}
	keeper := childOf(t, os.Getpid())
	for _, pid := range []int{keeper, childOf(t, keeper)} {
		for _, name := range []string{"cmdline", "environ"} {
			data, err := os.ReadFile(fmt.Sprintf("/proc/%d/%s", pid, name))
			if err != nil || name == "cmdline" && len(data) == 0 || bytes.Contains(data, []byte(secret)) {
				t.Errorf("%s of %d: %q, %v", name, pid, data, err)
			}
		}
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	out.Close()
}

func TestSignalsList(t *testing.T) {
	list := Signals()
	for _, s := range []os.Signal{unix.SIGTERM, unix.SIGINT, unix.SIGHUP, unix.SIGWINCH, syscall.Signal(34 + 3)} {
		if !slices.Contains(list, s) {
			t.Errorf("%v is not forwarded", s)
		}
	}
	for _, s := range []os.Signal{unix.SIGKILL, unix.SIGCHLD, unix.SIGURG, unix.SIGTSTP, unix.SIGPIPE, syscall.Signal(33)} {
		if slices.Contains(list, s) {
			t.Errorf("%v is forwarded", s)
		}
	}
}
