package process

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// tree lays out small files in a new root. A value of "-> x" is a symlink.
func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		var err error
		if target, ok := strings.CutPrefix(content, "-> "); ok {
			err = os.Symlink(target, file)
		} else {
			err = os.WriteFile(file, []byte(content), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return root
}

const passwd = `root:x:0:0::/root:/bin/sh
toor:x:0:0::/toor:/bin/sh
app:x:1000:1001::/home/app:/bin/sh
1234:x:7:7::/seven:/bin/sh
homeless:x:8:8:::/bin/sh
`

const group = `root:x:0:
wheel:x:10:root
app:x:1001:
video:x:44:app
audio:x:45:app,other
`

func accounts(t *testing.T) string {
	return tree(t, map[string]string{"etc/passwd": passwd, "etc/group": group})
}

func TestResolveIDs(t *testing.T) {
	root := accounts(t)
	for _, test := range []struct {
		name   string
		image  string
		o      Overrides
		uid    int
		gid    int
		groups []int
		home   string
		err    error
	}{
		{name: "empty is root with its groups", groups: []int{0, 10}, home: "/root"},
		{name: "name", image: "app", uid: 1000, gid: 1001, groups: []int{1001, 44, 45}, home: "/home/app"},
		{name: "uid with an entry", image: "1000", uid: 1000, gid: 1001, groups: []int{1001, 44, 45}, home: "/home/app"},
		{name: "uid without an entry", image: "777", uid: 777, groups: []int{0}, home: "/"},
		{name: "user:group drops the others", image: "app:wheel", uid: 1000, gid: 10, groups: []int{10}, home: "/home/app"},
		{name: "user:gid", image: "app:10", uid: 1000, gid: 10, groups: []int{10}, home: "/home/app"},
		{name: "uid:group", image: "777:video", uid: 777, gid: 44, groups: []int{44}, home: "/"},
		{name: "uid:unknown gid", image: "777:888", uid: 777, gid: 888, groups: []int{888}, home: "/"},
		{name: "only a group", image: ":wheel", gid: 10, groups: []int{10}, home: "/root"},
		{name: "a number is never a name", image: "1234", uid: 1234, groups: []int{0}, home: "/"},
		{name: "home is of the first entry with the uid", image: "toor", groups: []int{0}, home: "/root"},
		{name: "empty home as it stands", image: "homeless", uid: 8, gid: 8, groups: []int{8}, home: ""},
		{name: "unknown name", image: "nobody", err: ErrUser},
		{name: "unknown group", image: "app:nobody", err: ErrUser},
		{name: "number out of range", image: "4294967295", err: ErrUser},
		{name: "negative", image: "-1", err: ErrUser},

		{name: "override wins", image: "nobody", o: Overrides{User: "app"}, uid: 1000, gid: 1001, groups: []int{1001, 44, 45}, home: "/home/app"},
		{name: "--group-add", image: "app", o: Overrides{Started: IDs{Groups: []int{0, 99, 44}}},
			uid: 1000, gid: 1001, groups: []int{1001, 44, 45, 99}, home: "/home/app"},
		{name: "--user uid takes the entry", image: "nobody", o: Overrides{Started: IDs{UID: 1000, Groups: []int{0}}},
			uid: 1000, gid: 1001, groups: []int{1001, 44, 45}, home: "/home/app"},
		{name: "--user uid without an entry", o: Overrides{Started: IDs{UID: 777, Groups: []int{0, 5}}},
			uid: 777, groups: []int{0, 5}, home: "/"},
		{name: "--user uid:gid", o: Overrides{Started: IDs{UID: 1000, GID: 10, Groups: []int{10, 5}}},
			uid: 1000, gid: 10, groups: []int{10, 5}, home: "/home/app"},
		{name: "--user 0:gid", image: "app", o: Overrides{Started: IDs{GID: 10}}, gid: 10, groups: []int{10}, home: "/root"},
		{name: "--user and override", o: Overrides{User: "app", Started: IDs{UID: 1000}}, err: ErrSettings},
		{name: "no privilege keeps what is held", image: "nobody", o: Overrides{Unprivileged: true, Started: IDs{1000, 0, []int{5}}},
			uid: 1000, groups: []int{5}, home: "/home/app"},
		{name: "no privilege and override", o: Overrides{User: "app", Unprivileged: true}, err: ErrSettings},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := Resolve(root, Config{User: test.image, Cmd: []string{"x"}}, test.o)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err != nil {
				return
			}
			if plan.UID != test.uid || plan.GID != test.gid || !slices.Equal(plan.Groups, test.groups) {
				t.Errorf("ids %d:%d %v, want %d:%d %v", plan.UID, plan.GID, plan.Groups, test.uid, test.gid, test.groups)
			}
			if home, _ := lookupEnv(plan.Env, "HOME"); home != test.home {
				t.Errorf("HOME %q, want %q", home, test.home)
			}
		})
	}
}

func TestAccountsAreOfTheTree(t *testing.T) {
	file := "app:x:5:6::/h:\n"
	for name, files := range map[string]map[string]string{
		"absolute symlink": {"etc/passwd": "-> /usr/passwd", "usr/passwd": file},
		"relative symlink": {"etc/passwd": "-> ../usr/passwd", "usr/passwd": file},
		"escaping symlink": {"etc/passwd": "-> ../../../../../usr/passwd", "usr/passwd": file},
		"symlinked parent": {"etc": "-> /usr/etc", "usr/etc/passwd": file},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := Resolve(tree(t, files), Config{User: "app", Cmd: []string{"x"}}, Overrides{})
			if err != nil {
				t.Fatal(err)
			}
			if plan.UID != 5 || plan.GID != 6 {
				t.Errorf("ids %d:%d, want 5:6", plan.UID, plan.GID)
			}
		})
	}

	t.Run("loop, FIFO, directory and nothing are empty", func(t *testing.T) {
		root := tree(t, map[string]string{"loop/etc/passwd": "-> passwd", "dir/etc/passwd/x": "", "none/x": "", "fifo/etc/x": ""})
		if err := syscall.Mkfifo(filepath.Join(root, "fifo/etc/passwd"), 0o644); err != nil {
			t.Fatal(err)
		}
		for _, sub := range []string{"loop", "dir", "none", "fifo"} {
			c := Config{User: "5", Cmd: []string{"x"}}
			if plan, err := Resolve(filepath.Join(root, sub), c, Overrides{}); err != nil || plan.UID != 5 || plan.GID != 0 {
				t.Errorf("%s: plan %+v, error %v", sub, plan, err)
			}
			c.User = "app"
			if _, err := Resolve(filepath.Join(root, sub), c, Overrides{}); !errors.Is(err, ErrUser) {
				t.Errorf("%s: error %v, want ErrUser", sub, err)
			}
		}
	})
}

func TestResolveCommand(t *testing.T) {
	root := accounts(t)
	image := Config{Entrypoint: []string{"entry", "e1"}, Cmd: []string{"cmd"}}
	for _, test := range []struct {
		name string
		c    Config
		o    Overrides
		want []string
		err  error
	}{
		{name: "both", c: image, want: []string{"entry", "e1", "cmd"}},
		{name: "arguments replace CMD", c: image, o: Overrides{Args: []string{"a"}}, want: []string{"entry", "e1", "a"}},
		{name: "entrypoint drops CMD", c: image, o: Overrides{Entrypoint: []string{"x"}, EntrypointSet: true}, want: []string{"x"}},
		{name: "entrypoint and arguments", c: image, o: Overrides{Entrypoint: []string{"x"}, EntrypointSet: true, Args: []string{"a"}}, want: []string{"x", "a"}},
		{name: "no entrypoint", c: image, o: Overrides{EntrypointSet: true, Args: []string{"a"}}, want: []string{"a"}},
		{name: "entrypoint not set", c: image, o: Overrides{Entrypoint: []string{"x"}}, want: []string{"entry", "e1", "cmd"}},
		{name: "empty entrypoint is none", c: Config{Entrypoint: []string{""}, Cmd: []string{"cmd"}}, want: []string{"cmd"}},
		{name: "nothing", err: ErrNoCommand},
		{name: "everything dropped", c: image, o: Overrides{EntrypointSet: true}, err: ErrNoCommand},
		{name: "NUL", c: Config{Cmd: []string{"a\x00b"}}, err: ErrImage},
		{name: "NUL in ENV", c: Config{Cmd: []string{"a"}, Env: []string{"A=\x00"}}, err: ErrImage},
		{name: "unknown capability", c: image, o: Overrides{CapDrop: []string{"NET"}}, err: ErrSettings},
		{name: "relative override of WORKDIR", c: image, o: Overrides{WorkDir: "x"}, err: ErrSettings},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := Resolve(root, test.c, test.o)
			if !errors.Is(err, test.err) {
				t.Fatalf("error %v, want %v", err, test.err)
			}
			if err == nil && !slices.Equal(plan.Argv, test.want) {
				t.Errorf("argv %q, want %q", plan.Argv, test.want)
			}
		})
	}
}

func TestSentinelsAreOfTheImage(t *testing.T) {
	for _, err := range []error{ErrUser, ErrNoCommand} {
		if !errors.Is(err, ErrImage) {
			t.Errorf("%v is not an ErrImage", err)
		}
	}
}

func TestResolveDirAndInit(t *testing.T) {
	root := accounts(t)
	for _, test := range []struct {
		name     string
		dir, sig string
		o        Overrides
		wantDir  string
		init     bool
		stop     syscall.Signal
	}{
		{name: "nothing", wantDir: "/", stop: syscall.SIGTERM},
		{name: "cleaned by words", dir: "/a/../b//c/.", wantDir: "/b/c", stop: syscall.SIGTERM},
		{name: "never above root", dir: "/../../x", wantDir: "/x", stop: syscall.SIGTERM},
		{name: "relative", dir: "x", wantDir: "/x", stop: syscall.SIGTERM},
		{name: "override", dir: "/x", o: Overrides{WorkDir: "/y/"}, wantDir: "/y", stop: syscall.SIGTERM},
		{name: "stop signal", sig: "SIGQUIT", wantDir: "/", init: true, stop: syscall.SIGQUIT},
		{name: "the engine's own", sig: "15", wantDir: "/", stop: syscall.SIGTERM},
		{name: "never", sig: "SIGQUIT", o: Overrides{Init: InitNever}, wantDir: "/", stop: syscall.SIGQUIT},
		{name: "always", o: Overrides{Init: InitAlways}, wantDir: "/", init: true, stop: syscall.SIGTERM},
	} {
		t.Run(test.name, func(t *testing.T) {
			plan, err := Resolve(root, Config{Cmd: []string{"x"}, WorkingDir: test.dir, StopSignal: test.sig}, test.o)
			if err != nil {
				t.Fatal(err)
			}
			if plan.Dir != test.wantDir || plan.Init != test.init || plan.StopSignal != test.stop {
				t.Errorf("dir %s, init %t, stop %v; want %s, %t, %v", plan.Dir, plan.Init, plan.StopSignal, test.wantDir, test.init, test.stop)
			}
		})
	}
}

func TestEnvironment(t *testing.T) {
	for _, test := range []struct {
		name  string
		image []string
		given []string
		own   []string
		want  []string
	}{
		{name: "nothing", want: []string{"PATH=" + defaultPath, "HOME=/h"}},
		{
			name:  "Docker's order",
			image: []string{"PATH=/img", "FOO=img", "BAR=img"},
			given: []string{"PATH=" + BakedPath, "HOSTNAME=host", "TERM=xterm", "FOO=user", "ZED=1", "HOME=" + BakedHome},
			want:  []string{"PATH=/img", "HOSTNAME=host", "TERM=xterm", "FOO=user", "ZED=1", "BAR=img", "HOME=/h"},
		},
		{name: "user's PATH", image: []string{"PATH=/img"}, given: []string{"PATH=/user"}, want: []string{"PATH=/user", "HOME=/h"}},
		{name: "user's default PATH", image: []string{"PATH=/img"}, given: []string{"PATH=" + defaultPath}, want: []string{"PATH=" + defaultPath, "HOME=/h"}},
		{name: "PATH elsewhere", image: []string{"PATH=/img"}, given: []string{"A=1"}, want: []string{"PATH=/img", "A=1", "HOME=/h"}},
		{
			name:  "the image over the engine",
			image: []string{"HOSTNAME=img", "TERM=vt"},
			given: []string{"PATH=" + BakedPath, "HOSTNAME=host", "TERM=xterm", "A=1"},
			want:  []string{"PATH=" + defaultPath, "HOSTNAME=img", "TERM=vt", "A=1", "HOME=/h"},
		},
		{
			name:  "the user over the image",
			image: []string{"HOSTNAME=img", "TERM=vt"},
			given: []string{"HOSTNAME=other", "TERM=linux"},
			want:  []string{"PATH=" + defaultPath, "HOSTNAME=other", "TERM=linux", "HOME=/h"},
		},
		{name: "image's HOME in its place", image: []string{"HOME=/img", "A=1"}, given: []string{"HOME=/"}, want: []string{"PATH=" + defaultPath, "HOME=/img", "A=1"}},
		{name: "image's empty HOME", image: []string{"HOME=", "A=1"}, want: []string{"PATH=" + defaultPath, "HOME=/h", "A=1"}},
		{name: "user's HOME", image: []string{"HOME=/img"}, given: []string{"HOME=/user"}, want: []string{"PATH=" + defaultPath, "HOME=/user"}},
		{name: "engine's HOME", given: []string{"HOME=/"}, want: []string{"PATH=" + defaultPath, "HOME=/h"}},
		{
			name:  "own settings exactly",
			image: []string{"CLIPPER_LOG=img"},
			given: []string{"CLIPPER_LOG=x", "CLIPPER_LOGS=y", "CLIPPER_OTHER=z"},
			own:   []string{"CLIPPER_LOG"},
			want:  []string{"PATH=" + defaultPath, "CLIPPER_LOGS=y", "CLIPPER_OTHER=z", "CLIPPER_LOG=img", "HOME=/h"},
		},
		{
			name:  "the last duplicate at the first place",
			image: []string{"I=1", "I=2"},
			given: []string{"A=1", "B=1", "A=2"},
			want:  []string{"PATH=" + defaultPath, "A=2", "B=1", "I=2", "HOME=/h"},
		},
		{name: "empty values stay", image: []string{"A=img", "B="}, given: []string{"A="}, want: []string{"PATH=" + defaultPath, "A=", "B=", "HOME=/h"}},
		{name: "a name alone unsets the engine's", image: []string{"TERM", "A"}, given: []string{"TERM=xterm", "A=1"}, want: []string{"PATH=" + defaultPath, "A=1", "HOME=/h"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := Environment(test.image, Overrides{Env: test.given, Own: test.own, Hostname: "host"}, "/h")
			if !slices.Equal(got, test.want) {
				t.Errorf("got\n%q, want\n%q", got, test.want)
			}
		})
	}
}

func TestHealthCommand(t *testing.T) {
	for _, test := range []struct{ test, shell, want []string }{
		{},
		{test: []string{"NONE"}},
		{test: []string{"NONE", "x"}},
		{test: []string{"CMD"}},
		{test: []string{"other", "x"}},
		{test: []string{"CMD", "a", "b"}, shell: []string{"bash"}, want: []string{"a", "b"}},
		{test: []string{"CMD-SHELL", "a b"}, want: []string{"/bin/sh", "-c", "a b"}},
		{test: []string{"CMD-SHELL", "a b"}, shell: []string{"bash", "-ec"}, want: []string{"bash", "-ec", "a b"}},
	} {
		if got := HealthCommand(test.test, test.shell); !slices.Equal(got, test.want) {
			t.Errorf("%q in %q gives %q, want %q", test.test, test.shell, got, test.want)
		}
	}
}

func TestStopSignal(t *testing.T) {
	for s, want := range map[string]syscall.Signal{
		"": 15, "SIGQUIT": 3, "QUIT": 3, "quit": 3, "sigQuit": 3, "3": 3, "WINCH": 28, "SIGKILL": 9,
		"SIGRTMIN": 34, "RTMIN+3": 37, "SIGRTMIN+3": 37, "SIGRTMAX": 64, "RTMAX-1": 63, "SIGRTMAX-30": 34,
		"IOT": 6, "CLD": 17, "POLL": 29, "IO": 29, "64": 64,
		"0": 15, "-1": 15, "65": 15, "99999999999999999999": 15, "SIGNOPE": 15, "SIG": 15,
		"RTMIN-1": 15, "RTMIN+31": 15, "RTMAX+1": 15, "RTMAX-31": 15, "RTMIN+": 15, "RTMIN3": 15,
	} {
		if got := stopSignal(s); got != want {
			t.Errorf("%q is %d, want %d", s, got, want)
		}
	}
}

func TestParseCapabilities(t *testing.T) {
	for _, test := range []struct {
		names []string
		want  Capabilities
	}{
		{nil, 0},
		{[]string{"CHOWN"}, 1},
		{[]string{"cap_net_raw", " NET_ADMIN "}, 1<<13 | 1<<12},
		{[]string{"CHECKPOINT_RESTORE"}, 1 << 40},
		{[]string{"CHOWN", "all"}, ^Capabilities(0)},
	} {
		if got, err := ParseCapabilities(test.names); err != nil || got != test.want {
			t.Errorf("%q is %x (error %v), want %x", test.names, got, err, test.want)
		}
	}
}

func TestLookPath(t *testing.T) {
	root := tree(t, map[string]string{"a/plain": "", "a/dir/x": "", "b/plain": "#!/bin/sh\n", "b/dir": "#!/bin/sh\n", "here": "x"})
	for _, name := range []string{"b/plain", "b/dir", "here"} {
		if err := os.Chmod(filepath.Join(root, name), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Chdir(root)
	env := []string{"XPATH=/", "PATH=" + root + "/a:" + root + "/b/"}
	for _, test := range []struct {
		name string
		env  []string
		want string
		err  error
	}{
		{name: "plain", want: root + "/b/plain"}, // a/plain may not be executed
		{name: "dir", want: root + "/b/dir"},
		{name: "here", err: ErrNotFound},
		{name: "here", env: []string{"PATH=/nowhere:"}, want: "./here"},
		{name: "plain", env: []string{"PATH=b"}, want: "b/plain"},
		{name: "plain", env: []string{"A=1"}, err: ErrNotFound},
		{name: "./here", want: "./here"},
		{name: "b/plain", want: "b/plain"},
		{name: "./plain", err: ErrNotFound},
		{name: "./a/plain", err: ErrNotExecutable},
		{name: "./a", err: ErrNotExecutable},
		{name: "./here/x", err: ErrNotExecutable},
		{name: "", err: ErrNotFound},
		{name: "/", err: ErrNotExecutable},
	} {
		if test.env == nil {
			test.env = env
		}
		got, err := lookPath(test.name, test.env)
		if got != test.want || !errors.Is(err, test.err) {
			t.Errorf("%q in %q: %q, error %v; want %q, %v", test.name, test.env, got, err, test.want, test.err)
		}
	}
}

// On a restart the engine has looked up its user in the image's own passwd
// and group. What it found there must not reach the program of another user.
func TestResolveInALaidOutContainer(t *testing.T) {
	root := t.TempDir()
	if err := os.Mkdir(filepath.Join(root, "etc"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{
		"passwd": "root:x:0:0::/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n",
		"group":  "root:x:0:\nwheel:x:10:root\nextra:x:20:\n",
	} {
		if err := os.WriteFile(filepath.Join(root, "etc", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	o := Overrides{Args: []string{"x"}, Env: []string{"HOME=/root"}, Started: IDs{Groups: []int{0, 10, 20}}}
	for _, test := range []struct {
		laidOut bool
		home    string
		groups  []int
	}{
		{false, "HOME=/root", []int{1000, 10, 20}}, // a wish, and --group-add
		{true, "HOME=/home/app", []int{1000, 20}},
	} {
		o.LaidOut = test.laidOut
		p, err := Resolve(root, Config{User: "app"}, o)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(p.Env, test.home) || !slices.Equal(p.Groups, test.groups) {
			t.Errorf("laid out %v: %q, groups %v", test.laidOut, p.Env, p.Groups)
		}
	}
}
