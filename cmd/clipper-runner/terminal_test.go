package main

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTerminal works at a terminal as a person does: keys reach what stands in
// its foreground, and after the program the shell outside has it back.
func TestTerminal(t *testing.T) {
	open, _ := registries(t)
	p := startTerminal(t, fmt.Sprintf("%s/clipper-runner run --log quiet --root %s %s/box sh; echo code $?; read line; echo read $line", shared, t.TempDir(), open))

	p.expect("/ # ")
	p.key("sh -c 'echo be$((1+1))fore; exec sleep 1000'\n")
	p.expect("be2fore") // the foreground is no longer the shell's
	p.key("\x03")
	p.expect("/ # ")
	p.key("echo sta$((1+1))tus $?\n")
	p.expect("sta2tus 130")
	p.key("ls -l /dev/console; tty\n")
	p.expect("\n/dev/console")
	p.key("exit 5\n")
	p.expect("code 5")
	p.key("hello\n")
	p.expect("read hello")
}

// person sits at a terminal.
type person struct {
	t        *testing.T
	terminal *os.File
	seen     string
}

func startTerminal(t *testing.T, script string) *person {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	terminal := os.NewFile(uintptr(fd), "terminal") // not blocking, so with deadlines
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("sh", "-c", script)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	cmd.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close()
	t.Cleanup(func() {
		terminal.Close() // hangs up
		_ = cmd.Wait()
	})
	return &person{t: t, terminal: terminal}
}

func (p *person) key(keys string) {
	p.t.Helper()
	if _, err := p.terminal.WriteString(keys); err != nil {
		p.t.Fatal(err)
	}
}

// expect reads until text has come, and goes on after it.
func (p *person) expect(text string) {
	p.t.Helper()
	if err := p.terminal.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		p.t.Fatal(err)
	}
	buffer := make([]byte, 4096)
	for !strings.Contains(p.seen, text) {
		n, err := p.terminal.Read(buffer)
		if err != nil {
			p.t.Fatalf("waiting for %q: %v; seen: %q", text, err, p.seen)
		}
		p.seen += string(buffer[:n])
	}
	_, p.seen, _ = strings.Cut(p.seen, text)
}
