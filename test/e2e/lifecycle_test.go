package e2e

import (
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
)

func TestStopSignal(t *testing.T) {
	for _, c := range []struct {
		signal, want string
	}{
		{"", "terminated"},
		{"SIGQUIT", "quit"},
		{"SIGINT", "interrupt"},
		{"SIGWINCH", "window changed"},
		{"10", "user defined signal 1"},
	} {
		t.Run("stop signal "+c.signal, func(t *testing.T) {
			t.Parallel()
			ref := lab.Push(t, "stop/signal-"+slug(c.signal+"x"), probeImage(t, func(config *v1.Config) {
				config.StopSignal, config.User, config.Cmd = c.signal, "app", []string{"probe", "wait"}
			}))
			lab.Engine.Pull(t, ref)
			for _, via := range []stack.Via{stack.Direct, stack.Runner} {
				container := lab.Start(t, stack.RunSpec{Image: ref, Via: via})
				container.AwaitLog(t, "ready\n", 1)
				container.Do(t, "stop", "--time", "20")
				if out := container.Logs(t).Stdout; out != "ready\nsignal: "+c.want+"\n" {
					t.Errorf("%s: %q", via, out)
				}
				if code := container.Wait(t); code != "40" {
					t.Errorf("%s: exit %s, want the program's own 40", via, code)
				}
			}
		})
	}
}

func TestKill(t *testing.T) {
	for _, stopSignal := range []string{"", "SIGQUIT"} {
		t.Run("image's stop signal "+stopSignal, func(t *testing.T) {
			t.Parallel()
			ref := lab.Push(t, "kill/signal-"+slug(stopSignal+"x"), probeImage(t, func(config *v1.Config) {
				config.StopSignal, config.Cmd = stopSignal, []string{"probe", "wait"}
			}))
			for _, c := range []struct{ signal, log, exit string }{
				{"KILL", "ready\n", "137"},
				{"HUP", "ready\nsignal: hangup\n", "40"},
				{"USR1", "ready\nsignal: user defined signal 1\n", "40"},
			} {
				container := lab.Start(t, stack.RunSpec{Image: ref, Via: stack.Runner})
				container.AwaitLog(t, "ready\n", 1)
				container.Do(t, "kill", "--signal", c.signal)
				code := container.Wait(t)
				if out := container.Logs(t).Stdout; out != c.log || code != c.exit {
					t.Errorf("%s: exit %s, want %s; %q", c.signal, code, c.exit, out)
				}
			}
		})
	}
}

// TestRestart: the second start of a container asks the registry for nothing,
// and keeps what the program has changed.
func TestRestart(t *testing.T) {
	for _, config := range []struct {
		name string
		v1   func(*v1.Config)
	}{
		{"exec", nil},
		{"exec with a user", user("app")},
		{"init", func(c *v1.Config) { c.StopSignal = "SIGQUIT" }},
	} {
		t.Run(config.name, func(t *testing.T) {
			t.Parallel()
			proxy := lab.Proxy(t)
			ref := lab.Push(t, "restart/"+slug(config.name), probeImage(t, config.v1))
			container := lab.Start(t, stack.RunSpec{Image: proxy.Through(ref), Via: stack.Runner, Args: []string{"sh", "-c", "echo start >>/tmp/starts; cat /tmp/starts; exec probe wait"}})
			container.AwaitLog(t, "ready\n", 1)
			manifests, blobs := proxy.Counts()
			if manifests == 0 || blobs == 0 {
				t.Fatalf("the image did not come through the proxy: %d requests for manifests, %d for blobs", manifests, blobs)
			}
			container.Do(t, "restart", "--time", "20")
			container.AwaitLog(t, "ready\n", 2)
			if m, b := proxy.Counts(); m != manifests || b != blobs {
				t.Errorf("the restart asked for %d manifests and %d blobs", m-manifests, b-blobs)
			}
			if out := container.Logs(t).Stdout; strings.Count(out, "start\n") != 3 {
				t.Errorf("the second start did not see the first one's file: %q", out)
			}
			if privileged := container.Exec(t, "/.clipper-runner/exec", "sh", "-c", "ls -l /.clipper-runner/runner"); strings.HasPrefix(privileged.Stdout, "-rws") {
				t.Errorf("the runner is still set-uid: %s", privileged.Stdout)
			}
		})
	}
}

func TestSetUIDFiles(t *testing.T) {
	ref := lab.Push(t, "setuid/image", mountImage(t))
	for _, flags := range [][]string{nil, {"--user", "1000"}} {
		lab.Engine.Pull(t, ref)
		// Mode bits above 0777 of every file, as both give them.
		list := func(via stack.Via) (files []string) {
			spec := stack.RunSpec{Image: ref, Via: via, Flags: append([]string{"--volume", lab.Program(t, "test/treediff/snapshot") + ":/snapshot:ro"}, flags...)}
			spec.Args = []string{"sh", "-c", "for f in /* /.[!.]*/* /.[!.]*/*/* /*/* /*/*/* /*/*/*/*; do test -f $f && test ! -L $f && test -u $f && echo $f; done; true"}
			return strings.Fields(lab.Run(t, spec).Stdout)
		}
		want, got := list(stack.Direct), list(stack.Runner)
		if len(want) == 0 && flags == nil || strings.Join(want, " ") != strings.Join(got, " ") {
			t.Errorf("%q: set-uid files: want %q, got %q", flags, want, got)
		}
	}
}

// TestExec: a shell answers before the image is laid out, after it, and in an
// image that has none; /.clipper-runner/exec gives the image's process.
func TestExec(t *testing.T) {
	proxy := lab.Proxy(t)
	release := proxy.Hold(t)
	ref := lab.Push(t, "exec/probe", probeImage(t, func(c *v1.Config) {
		c.User, c.WorkingDir, c.Cmd = "app", "/home/app", []string{"probe", "wait"}
	}))
	container := lab.Start(t, stack.RunSpec{Image: proxy.Through(ref), Via: stack.Runner})
	if before := container.Exec(t, "sh", "-c", "echo before; cat /etc/passwd | grep ^root"); !strings.HasPrefix(before.Stdout, "before\nroot:") {
		t.Errorf("docker exec before the image is laid out: exit %d: %q %q", before.Exit, before.Stdout, before.Stderr)
	}
	release()
	container.AwaitLog(t, "ready\n", 1)
	if after := container.Exec(t, "sh", "-c", "echo after; id -u; cat /etc/os-release"); after.Stdout != "after\n0\nID=alike\n" {
		t.Errorf("docker exec afterwards: exit %d: %q %q", after.Exit, after.Stdout, after.Stderr)
	}
	if image := container.Exec(t, "/.clipper-runner/exec", "sh", "-c", "id -u; id -G; pwd; echo $COLOR $HOME"); image.Stdout != "1000\n1000 29 2500\n/home/app\nimage /home/app\n" {
		t.Errorf("/.clipper-runner/exec: exit %d: %q %q", image.Exit, image.Stdout, image.Stderr)
	}
	if missing := container.Exec(t, "/.clipper-runner/exec", "nothing-of-this-name"); missing.Exit != 127 {
		t.Errorf("/.clipper-runner/exec of nothing: exit %d, want 127", missing.Exit)
	}
}

func TestExecInAnImageWithoutShell(t *testing.T) {
	img := scratch(t)
	img.Config.Cmd = []string{"wait"}
	ref := lab.Push(t, "exec/scratch", img)
	container := lab.Start(t, stack.RunSpec{Image: ref, Via: stack.Runner})
	container.AwaitLog(t, "ready\n", 1)
	if shell := container.Exec(t, "sh", "-c", "echo $((6 * 7)) && test -f /app && ls / | grep -c app"); shell.Exit != 0 || !strings.HasPrefix(shell.Stdout, "42\n") {
		t.Errorf("docker exec sh: exit %d: %q %q", shell.Exit, shell.Stdout, shell.Stderr)
	}
}

// TestZombies: a runner that stays as the first process reaps what is left to it.
func TestZombies(t *testing.T) {
	ref := lab.Push(t, "init/zombies", probeImage(t, func(c *v1.Config) { c.StopSignal = "SIGQUIT" }))
	got := lab.Run(t, stack.RunSpec{Image: ref, Via: stack.Runner, Args: []string{"sh", "-c", "for i in 1 2 3; do (sleep 0.1 & exec true); done; sleep 1; grep -l '^State:.Z' /proc/[0-9]*/status; echo done"}})
	if got.Stdout != "done\n" {
		t.Errorf("exit %d: %q %s", got.Exit, got.Stdout, got.Stderr)
	}
}
