package process

import (
	"bufio"
	"fmt"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func initRunner(t *testing.T, c Config) runner {
	t.Helper()
	return runner{Root: accounts(t), Config: c, Overrides: Overrides{Init: InitAlways}}
}

// newPIDs makes the child PID 1, to which the kernel gives all orphans.
var newPIDs = syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}

func TestInitExitCode(t *testing.T) {
	file := binary(t, 0o755)
	for script, want := range map[string]int{
		"exit 0":                 0,
		"exit 7":                 7,
		"kill -KILL $$":          137,
		"kill -TERM $$":          143,
		"kill -SEGV $$":          139,
		"(exit 3) & wait; :":     0,
		"(sleep 1000 &); exit 5": 5, // does not wait for orphans
	} {
		// In its own PID namespace, so that the sleep ends with it. The shell
		// knows its number there from getpid, not from /proc.
		cmd := initRunner(t, Config{User: "app", Cmd: []string{"sh", "-c", script}}).command(t, file)
		cmd.Stderr = nil
		attr := newPIDs
		cmd.SysProcAttr = &attr
		_ = cmd.Run()
		if got := exitOf(t, cmd); got != want {
			t.Errorf("%s: exit %d, want %d", script, got, want)
		}
	}
}

func TestInitSignals(t *testing.T) {
	file := binary(t, 0o755)
	for _, test := range []struct {
		stop string
		send syscall.Signal
		want string
	}{
		{"SIGQUIT", syscall.SIGTERM, "QUIT"},
		{"SIGINT", syscall.SIGTERM, "INT"},
		{"", syscall.SIGTERM, "TERM"},
		{"SIGQUIT", syscall.SIGHUP, "HUP"},
		{"SIGQUIT", syscall.SIGUSR1, "USR1"},
		{"SIGQUIT", syscall.SIGQUIT, "QUIT"},
		{"SIGQUIT", syscall.SIGPIPE, "PIPE"},
		{"RTMIN+3", syscall.SIGTERM, "37"},
	} {
		t.Run(fmt.Sprintf("%v to %s", test.send, test.want), func(t *testing.T) {
			// The loop is of short sleeps: a shell runs its trap between them.
			script := ""
			for _, name := range []string{"TERM", "QUIT", "INT", "HUP", "USR1", "PIPE", "37"} {
				script += fmt.Sprintf("trap 'echo %s; exit 9' %s\n", name, name)
			}
			script += "echo ready\nwhile :; do sleep 0.02; done"
			cmd := initRunner(t, Config{User: "app", StopSignal: test.stop, Cmd: []string{"sh", "-c", script}}).command(t, file)
			attr := newPIDs
			cmd.SysProcAttr = &attr
			lines := start(t, cmd)
			expectLine(t, lines, "ready")
			if err := cmd.Process.Signal(test.send); err != nil {
				t.Fatal(err)
			}
			expectLine(t, lines, test.want)
			_ = cmd.Wait()
			if code := exitOf(t, cmd); code != 9 {
				t.Errorf("exit %d, want 9", code)
			}
		})
	}
}

func TestInitReapsAndHoldsNothing(t *testing.T) {
	file := binary(t, 0o755)
	const script = `i=0; while [ $i -lt 20 ]; do (sleep 0.01 &); i=$((i+1)); done; echo ready; read line; exit 4`
	cmd := initRunner(t, Config{User: "app", Env: []string{"IN=image"}, Cmd: []string{"sh", "-c", script}}).command(t, file)
	attr := newPIDs
	cmd.SysProcAttr = &attr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	lines := start(t, cmd)
	expectLine(t, lines, "ready")

	proc := fmt.Sprintf("/proc/%d/", cmd.Process.Pid)
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(proc + name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	// One child is left when all orphans are reaped: the program.
	children := func() int {
		tasks, err := os.ReadDir(proc + "task")
		if err != nil {
			t.Fatal(err)
		}
		count := 0
		for _, task := range tasks {
			count += len(strings.Fields(read("task/" + task.Name() + "/children")))
		}
		return count
	}
	for tries := 0; children() != 1; tries++ {
		if tries == 1000 {
			t.Fatal("zombies are left")
		}
		time.Sleep(10 * time.Millisecond)
	}

	if got := read("environ"); got != "" {
		t.Errorf("the init's environment is %q", got)
	}
	if got := strings.Split(read("cmdline"), "\x00"); len(got) != 3 || got[0] != InitName || len(got[1]) > 3 {
		t.Errorf("the init's arguments are %q", got)
	}
	own := status(read("status"))
	for name, want := range map[string]string{
		"Uid": "1000 1000 1000 1000", "Gid": "1001 1001 1001 1001", "Groups": "44 45 1001",
		"CapPrm": none, "CapEff": none,
	} {
		if own[name] != want {
			t.Errorf("the init's %s is %q, want %q", name, own[name], want)
		}
	}
	stdin.Close()
	_ = cmd.Wait()
	if code := exitOf(t, cmd); code != 4 {
		t.Errorf("exit %d, want 4", code)
	}
}

func TestInitOnTerminal(t *testing.T) {
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer master.Close()
	if err := unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	slave, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer slave.Close()

	// Reading from a terminal is the foreground's right, Ctrl-C its signal.
	const script = `trap 'echo int; exit 5' INT; stty -echo; echo ready; read line; echo "got $line"; while :; do sleep 0.02; done`
	cmd := initRunner(t, Config{User: "app", Cmd: []string{"sh", "-c", script}}).command(t, binary(t, 0o755))
	cmd.Stdin, cmd.Stdout, cmd.Stderr = slave, slave, slave
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	slave.Close()  // so that the end of the program ends the reading
	defer func() { // nothing is left to kill if all went well
		if cmd.ProcessState == nil {
			cmd.Process.Kill()
			cmd.Wait()
		}
	}()
	lines := bufio.NewScanner(master)
	expectLine(t, lines, "ready")
	if _, err := master.WriteString("text\n"); err != nil {
		t.Fatal(err)
	}
	expectLine(t, lines, "got text")
	if _, err := master.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	if lines.Scan(); !strings.HasSuffix(strings.TrimSpace(lines.Text()), "int") { // the terminal may echo ^C
		t.Fatalf("line %q, want int", lines.Text())
	}
	_ = cmd.Wait()
	if code := exitOf(t, cmd); code != 5 {
		t.Errorf("exit %d, want 5", code)
	}
}

func TestInitRefuses(t *testing.T) {
	for _, args := range [][]string{{InitName}, {InitName, "x"}, {InitName, "1"}, {InitName, "99999"}, {InitName, "3", "4"}} {
		if _, err := Init(args); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}

func TestInitPlanTravels(t *testing.T) {
	for _, plan := range []initPlan{
		{file: "/x", argv: []string{""}, stop: 15},
		{file: "/x", argv: []string{"a", "", "\xff\n"}, env: []string{"A=", "B=\xfe"}, stop: 37},
	} {
		got, err := decodeInitPlan(plan.encode())
		if err != nil || got.file != plan.file || got.stop != plan.stop || !slices.Equal(got.argv, plan.argv) || !slices.Equal(got.env, plan.env) {
			t.Errorf("%+v came as %+v, error %v", plan, got, err)
		}
	}
}
