package process

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The tests need root and start this binary again: as a runner that becomes
// something ("become"), and as the init that it may turn into.
func TestMain(m *testing.M) {
	if os.Args[0] == InitName {
		code, err := Init(os.Args)
		if err != nil {
			code = fail(err)
		}
		syscall.Exit(code) // os.Exit waits a second under the race detector
	}
	if len(os.Args) == 3 && os.Args[1] == "become" {
		syscall.Exit(fail(become(os.Args[2])))
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "these tests change users: run them as root")
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// runner is what a child does before Become. Its surroundings are as bad as
// they can be: a file left open, signals ignored and blocked, a tight umask.
type runner struct {
	Root      string
	Config    Config
	Overrides Overrides
	Leak      string // a file to leave open
	Setuid    string // a file to give up the bit of
}

func become(arg string) error {
	var r runner
	if err := json.Unmarshal([]byte(arg), &r); err != nil {
		return err
	}
	if r.Leak != "" {
		if _, err := syscall.Open(r.Leak, syscall.O_RDONLY, 0); err != nil {
			return err
		}
	}
	signal.Ignore(syscall.SIGHUP, syscall.SIGPIPE, syscall.SIGUSR1)
	runtime.LockOSThread()
	if err := unix.PthreadSigmask(unix.SIG_BLOCK, &unix.Sigset_t{Val: [16]uint64{1 << (syscall.SIGUSR2 - 1)}}, nil); err != nil {
		return err
	}
	unix.Umask(0o077)
	if r.Setuid != "" {
		if err := GiveUpSetuid(r.Setuid); err != nil {
			return err
		}
	}
	var err error
	r.Overrides.Started, r.Overrides.Unprivileged, err = Held()
	if err != nil {
		return err
	}
	if r.Overrides.Env, err = GivenEnv(); err != nil {
		return err
	}
	r.Overrides.Own = []string{"SECRET"}
	plan, err := Resolve(r.Root, r.Config, r.Overrides)
	if err != nil {
		return err
	}
	return plan.Become()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	switch {
	case errors.Is(err, ErrNotFound):
		return 127
	case errors.Is(err, ErrNotExecutable):
		return 126
	case errors.Is(err, ErrImage):
		return 88
	}
	return 80
}

// binary copies this test to a place every user may execute it from.
func binary(t *testing.T, mode os.FileMode) string {
	t.Helper()
	self, err := os.Open("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	defer self.Close()
	file := filepath.Join(openDir(t), "runner")
	f, err := os.OpenFile(file, os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, self); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Chmod(mode), f.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

// openDir is a temporary directory that every user may enter.
func openDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != os.TempDir() && d != "/"; d = filepath.Dir(d) {
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func (r runner) command(t *testing.T, file string) *exec.Cmd {
	t.Helper()
	arg, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	// What hangs is a failure, and soon.
	ctx, cancel := context.WithTimeout(context.Background(), 15*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, file, "become", string(arg))
	cmd.WaitDelay = time.Second
	cmd.Env = []string{"SECRET=of-the-runner"}
	cmd.Dir = "/"
	cmd.Stderr = &bytes.Buffer{}
	return cmd
}

func exitOf(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	if cmd.ProcessState == nil {
		t.Fatalf("%v did not end", cmd)
	}
	return cmd.ProcessState.ExitCode()
}

// status reads the fields of a /proc/PID/status.
func status(text string) map[string]string {
	fields := map[string]string{}
	for line := range strings.Lines(text) {
		if name, value, ok := strings.Cut(line, ":"); ok {
			fields[name] = strings.Join(strings.Fields(value), " ")
		}
	}
	return fields
}

func ownStatus(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	return status(string(text))
}

// without gives a set of capabilities in status' form, less some.
func without(t *testing.T, set string, drop Capabilities) string {
	t.Helper()
	n, err := strconv.ParseUint(set, 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%016x", n&^uint64(drop))
}

const none = "0000000000000000"

// look prints what the tests ask about the process, in a form status reads.
const look = `cat /proc/self/status; echo "umask: $(umask)"; echo "cwd: $(pwd -P)"; echo "leak: $(ls -l /proc/self/fd | grep -c leak)"; echo "names: $(env | cut -d= -f1 | sort | tr '\n' ' ')"`

func TestBecome(t *testing.T) {
	file := binary(t, 0o755)
	accounts := accounts(t)
	leak := filepath.Join(t.TempDir(), "leak")
	if err := os.WriteFile(leak, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	rootsOwn := filepath.Join(openDir(t), "roots")
	if err := os.Mkdir(rootsOwn, 0o700); err != nil {
		t.Fatal(err)
	}
	bounding := ownStatus(t)["CapBnd"]
	permitted := ownStatus(t)["CapPrm"]
	const netRaw = Capabilities(1 << 13)

	for _, init := range []InitMode{InitNever, InitAlways} {
		for _, test := range []struct {
			name string
			user string
			dir  string
			drop []string
			as   *syscall.Credential
			want map[string]string
		}{
			{name: "root", want: map[string]string{
				"Uid": "0 0 0 0", "Gid": "0 0 0 0", "Groups": "0 10", "cwd": "/",
				"CapPrm": permitted, "CapEff": permitted, "CapBnd": bounding, "NoNewPrivs": "0",
			}},
			{name: "user", user: "app", dir: rootsOwn, want: map[string]string{
				"Uid": "1000 1000 1000 1000", "Gid": "1001 1001 1001 1001", "Groups": "44 45 1001", "cwd": rootsOwn,
				"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": bounding, "CapAmb": none, "NoNewPrivs": "0",
			}},
			{name: "root drops one", drop: []string{"NET_RAW"}, want: map[string]string{
				"CapPrm": without(t, permitted, netRaw), "CapEff": without(t, permitted, netRaw), "CapBnd": without(t, bounding, netRaw), "NoNewPrivs": "0",
			}},
			{name: "root drops all", drop: []string{"ALL"}, want: map[string]string{
				"Uid": "0 0 0 0", "CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none, "NoNewPrivs": "0",
			}},
			{name: "user drops all", user: "app", drop: []string{"ALL"}, want: map[string]string{
				"Uid": "1000 1000 1000 1000", "Groups": "44 45 1001", "CapPrm": none, "CapEff": none, "CapBnd": none, "NoNewPrivs": "0",
			}},
			{name: "no privilege", user: "nobody", as: &syscall.Credential{Uid: 1000, Gid: 7, Groups: []uint32{9}}, want: map[string]string{
				"Uid": "1000 1000 1000 1000", "Gid": "7 7 7 7", "Groups": "9", "CapEff": none, "CapBnd": bounding, "NoNewPrivs": "0",
			}},
			{name: "no privilege to drop", drop: []string{"NET_RAW"}, as: &syscall.Credential{Uid: 1000, Gid: 7}, want: map[string]string{
				"CapEff": none, "NoNewPrivs": "1",
			}},
		} {
			t.Run(fmt.Sprintf("%s/init=%d", test.name, init), func(t *testing.T) {
				t.Parallel()
				r := runner{
					Root:      accounts,
					Config:    Config{User: test.user, WorkingDir: test.dir, Cmd: []string{"sh", "-c", look}},
					Overrides: Overrides{CapDrop: test.drop, Init: init},
					Leak:      leak,
				}
				if test.as != nil {
					r.Leak, r.Root = "", openDir(t)
				}
				cmd := r.command(t, file)
				cmd.SysProcAttr = &syscall.SysProcAttr{Credential: test.as}
				out, err := cmd.Output()
				if err != nil {
					t.Fatalf("%v: %s", err, cmd.Stderr)
				}
				got := status(string(out))
				test.want["umask"], test.want["leak"] = "0022", "0"
				test.want["SigIgn"], test.want["SigBlk"] = ownLibcSignals(t), none
				for name, want := range test.want {
					if got[name] != want {
						t.Errorf("%s: %q, want %q", name, got[name], want)
					}
				}
			})
		}
	}
}

func TestBecomeEnvironmentAndArguments(t *testing.T) {
	file := binary(t, 0o755)
	for _, init := range []InitMode{InitNever, InitAlways} {
		r := runner{
			Root: accounts(t),
			Config: Config{
				User: "app", Env: []string{"A=\n=", "B="},
				Cmd: []string{"cat", "/proc/self/environ", "/proc/self/cmdline", "/dev/null"},
			},
			Overrides: Overrides{Init: init},
		}
		out, err := r.command(t, file).Output()
		if err != nil {
			t.Fatal(err)
		}
		want := "PATH=" + defaultPath + "|A=\n=|B=|HOME=/home/app|cat|/proc/self/environ|/proc/self/cmdline|/dev/null|"
		if got := strings.ReplaceAll(string(out), "\x00", "|"); got != want {
			t.Errorf("init=%d: %q, want %q", init, got, want)
		}
	}
}

func TestBecomeGivesStdio(t *testing.T) {
	file := binary(t, 0o755)
	out, err := os.Create(filepath.Join(t.TempDir(), "out"))
	if err != nil {
		t.Fatal(err)
	}
	defer out.Close()
	if err := out.Chown(3, 4); err != nil {
		t.Fatal(err)
	}
	cmd := runner{Root: accounts(t), Config: Config{User: "app", Cmd: []string{"sh", "-c", "echo again >>/dev/stderr"}}}.command(t, file)
	pipe, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer pipe.Close()
	cmd.Stdout, cmd.Stderr = out, write
	err = cmd.Run()
	write.Close()
	text, _ := io.ReadAll(pipe)
	if err != nil || string(text) != "again\n" {
		t.Errorf("error %v, text %q", err, text)
	}
	var st, null unix.Stat_t
	if err := errors.Join(unix.Fstat(int(out.Fd()), &st), unix.Stat("/dev/null", &null)); err != nil {
		t.Fatal(err)
	}
	if st.Uid != 1000 || st.Gid != 4 {
		t.Errorf("stdout is of %d:%d, want 1000:4", st.Uid, st.Gid)
	}
	if null.Uid != 0 {
		t.Errorf("/dev/null is of %d", null.Uid)
	}
}

func TestBecomeMakesWorkingDir(t *testing.T) {
	// A set-uid runner's files would be of its real group by themselves.
	file := binary(t, 0o755|os.ModeSetuid)
	dir := openDir(t)
	if err := os.Symlink(dir+"/dang/ling", dir+"/link"); err != nil {
		t.Fatal(err)
	}
	cmd := runner{
		Root:   accounts(t),
		Config: Config{WorkingDir: dir + "/link/sub", Cmd: []string{"pwd", "-P"}},
		Setuid: file,
	}.command(t, file)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000, Gid: 7}}
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, cmd.Stderr)
	}
	if got, want := strings.TrimSpace(string(out)), dir+"/dang/ling/sub"; got != want {
		t.Errorf("in %s, want %s", got, want)
	}
	for _, made := range []string{"dang", "dang/ling", "dang/ling/sub"} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, made), &st); err != nil {
			t.Fatal(err)
		}
		if st.Mode != unix.S_IFDIR|0o755 || st.Uid != 0 || st.Gid != 0 {
			t.Errorf("%s: mode %o of %d:%d, want a directory 0755 of root", made, st.Mode, st.Uid, st.Gid)
		}
	}
}

func TestBecomeFails(t *testing.T) {
	file := binary(t, 0o755)
	dir := openDir(t)
	for name, content := range map[string]string{"orphan": "#!/no/such/interpreter\n", "text": "text", "roots": "#!/bin/sh\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(filepath.Join(dir, "roots"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name string
		c    Config
		want int
		says string
	}{
		{"not in PATH", Config{Cmd: []string{"no-such-program"}}, 127, "executable file not found in $PATH"},
		{"not there", Config{Cmd: []string{"./no"}}, 127, "no such file"},
		{"without its interpreter", Config{Cmd: []string{dir + "/orphan"}}, 127, "interpreter"},
		{"not a program", Config{Cmd: []string{dir + "/text"}}, 126, "exec format error"},
		{"another user's", Config{User: "app", Cmd: []string{dir + "/roots"}}, 126, "permission denied"},
		{"a directory", Config{Cmd: []string{dir}}, 126, "is a directory"},
		{"no directory to work in", Config{WorkingDir: dir + "/text", Cmd: []string{"true"}}, 88, "not a directory"},
		{"nor below a file", Config{WorkingDir: dir + "/text/x", Cmd: []string{"true"}}, 88, "not a directory"},
	} {
		for _, init := range []InitMode{InitNever, InitAlways} {
			t.Run(fmt.Sprintf("%s/init=%d", test.name, init), func(t *testing.T) {
				cmd := runner{Root: accounts(t), Config: test.c, Overrides: Overrides{Init: init}}.command(t, file)
				if err := cmd.Run(); err == nil {
					t.Fatal("no error")
				}
				said := fmt.Sprint(cmd.Stderr)
				if code := exitOf(t, cmd); code != test.want || !strings.Contains(said, test.says) {
					t.Errorf("exit %d, %q; want %d, %q", code, said, test.want, test.says)
				}
			})
		}
	}
}

func TestBecomeWithoutSetpcap(t *testing.T) {
	// Root that may not cut its bounding set is bound by no_new_privs instead.
	file := binary(t, 0o755)
	accounts := accounts(t)
	inner := runner{
		Root: accounts, Config: Config{Cmd: []string{"cat", "/proc/self/status"}}, Overrides: Overrides{CapDrop: []string{"NET_RAW"}},
	}.command(t, file)
	outer := runner{Root: accounts, Config: Config{Cmd: inner.Args}, Overrides: Overrides{CapDrop: []string{"SETPCAP"}}}.command(t, file)
	out, err := outer.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, outer.Stderr)
	}
	got := status(string(out))
	want := without(t, ownStatus(t)["CapPrm"], 1<<8|1<<13)
	if got["CapPrm"] != want || got["CapEff"] != want || got["NoNewPrivs"] != "1" {
		t.Errorf("permitted %s, effective %s, no_new_privs %s; want %s, twice, and 1", got["CapPrm"], got["CapEff"], got["NoNewPrivs"], want)
	}
}

func TestBecomeWithoutSetgid(t *testing.T) {
	// Root without any capability cannot take the groups of another user.
	cmd := runner{Root: accounts(t), Config: Config{User: "app", Cmd: []string{"true"}}}.command(t, binary(t, 0o755))
	inner := runner{Root: accounts(t), Config: Config{Cmd: cmd.Args}, Overrides: Overrides{CapDrop: []string{"ALL"}}}
	outer := inner.command(t, cmd.Path)
	if err := outer.Run(); err == nil {
		t.Fatal("no error")
	}
	said := fmt.Sprint(outer.Stderr)
	if code := exitOf(t, outer); code != 88 || !strings.Contains(said, "SETGID") {
		t.Errorf("exit %d, %q; want 88 and the capability's name", code, said)
	}
}

func TestSetuidRunner(t *testing.T) {
	file := binary(t, 0o755|os.ModeSetuid)
	accounts := accounts(t)
	as := &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000}}

	t.Run("refuses while it has the bit", func(t *testing.T) {
		cmd := runner{Root: accounts, Config: Config{Cmd: []string{"true"}}}.command(t, file)
		cmd.SysProcAttr = as
		if err := cmd.Run(); err == nil || !strings.Contains(fmt.Sprint(cmd.Stderr), "set-uid bit") {
			t.Errorf("error %v, %s", err, cmd.Stderr)
		}
	})

	for _, test := range []struct {
		name   string
		init   InitMode
		groups string
		gid    string
	}{
		{"first start, init", InitAlways, "44 45 1001", "1001 1001 1001 1001"},
		{"first start", InitNever, "44 45 1001", "1001 1001 1001 1001"},
		{"restart without the bit", InitNever, "", "0 0 0 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			if strings.HasPrefix(test.name, "first") {
				if err := os.Chmod(file, 0o755|os.ModeSetuid); err != nil {
					t.Fatal(err)
				}
			}
			r := runner{
				Root:      accounts,
				Config:    Config{User: "nobody", Cmd: []string{"sh", "-c", look}},
				Overrides: Overrides{Init: test.init},
				Setuid:    file,
			}
			cmd := r.command(t, file)
			cmd.SysProcAttr = as
			out, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, cmd.Stderr)
			}
			got := status(string(out))
			for name, want := range map[string]string{
				"Uid": "1000 1000 1000 1000", "Gid": test.gid, "Groups": test.groups,
				"CapInh": none, "CapPrm": none, "CapEff": none, "CapAmb": none, "umask": "0022",
				"names": "HOME PATH PWD", // PWD is the shell's
			} {
				if got[name] != want {
					t.Errorf("%s: %q, want %q", name, got[name], want)
				}
			}
			if info, err := os.Stat(file); err != nil || info.Mode() != 0o755 {
				t.Errorf("the runner's file: %v, error %v", info.Mode(), err)
			}
		})
	}
}

func TestGiveUpSetuidFails(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o755|os.ModeSetuid); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("file", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	t.Run("without privilege", func(t *testing.T) {
		file := binary(t, 0o755)
		other := filepath.Join(filepath.Dir(file), "other")
		if err := errors.Join(os.WriteFile(other, nil, 0o755), os.Chmod(other, 0o755|os.ModeSetuid)); err != nil {
			t.Fatal(err)
		}
		cmd := runner{Setuid: other}.command(t, file)
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 1000}}
		if err := cmd.Run(); err == nil || !strings.Contains(fmt.Sprint(cmd.Stderr), "no-new-privileges") {
			t.Errorf("error %v, %s", err, cmd.Stderr)
		}
	})
	for _, name := range []string{"link", "none"} {
		if err := GiveUpSetuid(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s: no error", name)
		}
	}

	if err := unix.Mount(dir, dir, "", unix.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	defer unix.Unmount(dir, unix.MNT_DETACH)
	if err := unix.Mount("", dir, "", unix.MS_BIND|unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := GiveUpSetuid(file); !errors.Is(err, unix.EROFS) {
		t.Errorf("read-only: error %v", err)
	}
}

// start starts the command and gives what it prints, line by line.
func start(t *testing.T, cmd *exec.Cmd) *bufio.Scanner {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	})
	return bufio.NewScanner(out)
}

func expectLine(t *testing.T, lines *bufio.Scanner, want string) {
	t.Helper()
	if !lines.Scan() {
		t.Fatalf("the output ended before %q: %v", want, lines.Err())
	}
	if got := strings.TrimSpace(lines.Text()); got != want {
		t.Fatalf("line %q, want %q", got, want)
	}
}

// ownLibcSignals is the set of libc's signals that this process ignores, as
// below make(1): the program finds them as they were.
func ownLibcSignals(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	ignored, err := strconv.ParseUint(status(string(text))["SigIgn"], 16, 64)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%016x", ignored&(1<<(32-1)|1<<(33-1)))
}
