package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"
)

// errorMark is how the line begins that says why a command failed.
const errorMark = "clipper-runner: error: "

// call runs an ecs command and returns its standard output. What it says on
// standard error is shown as it comes, and its error beside the job. Signals go
// on to it: it stops its task, and ends.
func (s *ecsStep) call(command string, args []string) (stdout []byte, code int, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, 0, err
	}
	cmd := exec.Command(self, append([]string{"ecs", command}, args...)...)
	cmd.Env = s.environ()
	var out bytes.Buffer
	stderr := &eachLine{do: func(line string) {
		if text, ok := strings.CutPrefix(line, errorMark); ok {
			s.log.Error(strings.TrimSpace(text))
			return
		}
		fmt.Fprint(s.log.Text(), line)
	}}
	cmd.Stdout, cmd.Stderr = &out, stderr
	// A group of its own, so that no signal comes twice; and it goes if this goes.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	signals, done := make(chan os.Signal, 4), make(chan struct{})
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	defer signal.Stop(signals)
	if err := cmd.Start(); err != nil {
		return nil, 0, err
	}
	go func() {
		for {
			select {
			case received := <-signals:
				_ = cmd.Process.Signal(received) // it may have ended
			case <-done:
				return
			}
		}
	}()
	err = cmd.Wait()
	close(done)
	stderr.end()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		if status := exit.Sys().(syscall.WaitStatus); status.Signaled() {
			return out.Bytes(), 128 + int(status.Signal()), nil
		}
		return out.Bytes(), exit.ExitCode(), nil
	}
	return out.Bytes(), 0, err
}

// eachLine is a writer that hands its lines on, one by one.
type eachLine struct {
	do   func(line string)
	rest []byte
}

func (w *eachLine) Write(p []byte) (int, error) {
	w.rest = append(w.rest, p...)
	for {
		at := bytes.IndexByte(w.rest, '\n') + 1
		if at == 0 {
			return len(p), nil
		}
		w.do(string(w.rest[:at]))
		w.rest = w.rest[at:]
	}
}

// end hands on a last line that has no end.
func (w *eachLine) end() {
	if len(w.rest) > 0 {
		w.do(string(w.rest) + "\n")
	}
}
