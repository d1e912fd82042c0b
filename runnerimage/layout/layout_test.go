package layout

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Processes of this test: what they do, with the path of the file behind it.
const (
	holder = "LAYOUT_TEST_HOLD" // takes the turn, begins, and waits to be killed or told to end
	waiter = "LAYOUT_TEST_WAIT" // waits and says the status
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(holder) != "":
		hold(os.Getenv(holder))
	case os.Getenv(waiter) != "":
		s, err := Wait(context.Background(), os.Getenv(waiter))
		if err != nil {
			os.Exit(1)
		}
		os.Stdout.WriteString(string(s.Phase) + " " + s.Message)
	default:
		os.Exit(m.Run())
	}
}

func hold(path string) {
	turn, err := Take(context.Background(), path)
	if err == nil {
		err = turn.Begin("debian:12")
	}
	if err != nil {
		os.Exit(1)
	}
	os.Stdout.WriteString("begun\n")
	io.Copy(io.Discard, os.Stdin)
	if turn.End(Status{Done, "debian:12"}) != nil {
		os.Exit(1)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func self(what, path string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), what+"="+path)
	return cmd
}

// startHolder returns once the process has begun; end lets it end well.
func startHolder(t *testing.T, path string) (cmd *exec.Cmd, end func()) {
	t.Helper()
	cmd = self(holder, path)
	in, err := cmd.StdinPipe()
	must(t, err)
	out, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "begun\n" {
		t.Fatalf("the holder said %q, %v", line, err)
	}
	return cmd, func() { in.Close() }
}

func looks(t *testing.T, path string, want Status) {
	t.Helper()
	if got, err := Look(path); err != nil || got != want {
		t.Errorf("Look: %+v, %v; want %+v", got, err, want)
	}
}

func TestTurns(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layout")
	looks(t, path, Status{Phase: None})
	for _, end := range []Status{
		{Failed, "the registry cannot be reached, with a long explanation of it"},
		{NeedsToken, "refused"},
		{Done, "debian:12"},
		{Phase: None},
	} {
		turn, err := Take(t.Context(), path)
		must(t, err)
		looks(t, path, Status{Phase: Running})
		must(t, turn.Begin("debian:12"))
		looks(t, path, Status{Running, "debian:12"})
		must(t, turn.End(end))
		looks(t, path, end)

		turn, err = Take(t.Context(), path)
		must(t, err)
		if turn.Before != end {
			t.Errorf("before: %+v, want %+v", turn.Before, end)
		}
		must(t, turn.Release())
		looks(t, path, end)
	}
}

func TestLongMessage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layout")
	turn, err := Take(t.Context(), path)
	must(t, err)
	must(t, turn.End(Status{Failed, strings.Repeat("long\x00", 10_000)}))
	s, err := Look(path)
	must(t, err)
	if s.Phase != Failed || !strings.HasPrefix(s.Message, "longlong") || len(s.Message) > maxFile {
		t.Errorf("%s with %d bytes", s.Phase, len(s.Message))
	}
}

// TestTwoWaiters has two processes wait for a third.
func TestTwoWaiters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layout")
	_, end := startHolder(t, path)
	var waiters []*exec.Cmd
	var said []*strings.Builder
	for range 2 {
		cmd, out := self(waiter, path), &strings.Builder{}
		cmd.Stdout = out
		must(t, cmd.Start())
		waiters, said = append(waiters, cmd), append(said, out)
	}
	looks(t, path, Status{Running, "debian:12"})
	end()
	for i, cmd := range waiters {
		if err := cmd.Wait(); err != nil || said[i].String() != "done debian:12" {
			t.Errorf("waiter %d said %q, %v", i, said[i], err)
		}
	}
}

// TestHolderIsKilled has a waiter and the next in turn learn of a death.
func TestHolderIsKilled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layout")
	cmd, _ := startHolder(t, path)
	waiting, out := self(waiter, path), &strings.Builder{}
	waiting.Stdout = out
	must(t, waiting.Start())

	taken := make(chan *Turn)
	go func() {
		turn, err := Take(t.Context(), path)
		if err != nil {
			t.Error(err)
		}
		taken <- turn
	}()
	must(t, cmd.Process.Signal(syscall.SIGKILL))
	turn := <-taken
	if want := (Status{Interrupted, "debian:12"}); turn.Before != want {
		t.Errorf("the next in turn finds %+v, want %+v", turn.Before, want)
	}
	must(t, turn.Release())
	if err := waiting.Wait(); err != nil || out.String() != "interrupted debian:12" {
		t.Errorf("the waiter said %q, %v", out, err)
	}
}

func TestTakeIsCancelled(t *testing.T) {
	path := filepath.Join(t.TempDir(), "layout")
	startHolder(t, path)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Take(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("Take: %v", err)
	}
	if _, err := Wait(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
}

func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	foreign, link, cut := filepath.Join(dir, "foreign"), filepath.Join(dir, "link"), filepath.Join(dir, "cut")
	must(t, os.WriteFile(foreign, []byte("version 7\n\x00"), 0o644))
	must(t, os.WriteFile(cut, []byte("fail"), 0o644))
	must(t, os.Symlink(cut, link))
	if _, err := Look(foreign); err == nil {
		t.Error("a phase that nobody knows is one")
	}
	if _, err := Take(t.Context(), link); err == nil {
		t.Error("the file may be a symlink")
	}
	looks(t, cut, Status{Phase: None})
}

// TestFileIsForEverybody looks at the mode: steps run as any user.
func TestFileIsForEverybody(t *testing.T) {
	defer syscall.Umask(syscall.Umask(0o077))
	path := filepath.Join(t.TempDir(), "layout")
	turn, err := Take(t.Context(), path)
	must(t, err)
	must(t, turn.End(Status{Phase: Done}))
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o644 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
}

func TestHints(t *testing.T) {
	for _, s := range []Status{{Phase: None}, {Phase: Interrupted}, {NeedsToken, "why"}, {Failed, "why"}} {
		if hint := s.Hint(); !strings.Contains(hint, Init) || !strings.Contains(hint, s.Message) {
			t.Errorf("%s: %q", s.Phase, hint)
		}
	}
	if hint := (Status{Phase: Done}).Hint(); hint != "" {
		t.Errorf("%q", hint)
	}
}
