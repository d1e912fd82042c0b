package actions

import (
	"bufio"
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"
)

// How long a process has after SIGINT, and then after SIGTERM, before it is
// killed (ProcessInvoker.cs).
const (
	afterInterrupt = 7500 * time.Millisecond
	afterTerminate = 2500 * time.Millisecond
)

// invoke runs a process to its end and hands over its lines, from both streams,
// one at a time. When cancelled is done the process is asked to end, and ended.
func invoke(cancelled context.Context, cmd *exec.Cmd, line func(string)) (exit int, err error) {
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return 0, err
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	var lines sync.Mutex
	var streams sync.WaitGroup
	for _, stream := range []io.Reader{stdout, stderr} {
		streams.Go(func() {
			eachLine(stream, func(text string) {
				lines.Lock()
				defer lines.Unlock()
				line(text)
			})
		})
	}
	ended := make(chan struct{})
	go func() {
		streams.Wait()
		err = cmd.Wait()
		close(ended)
	}()
	await(cancelled, cmd.Process, ended)
	if exit := new(exec.ExitError); errors.As(err, &exit) {
		if status, ok := exit.Sys().(syscall.WaitStatus); ok && status.Signaled() {
			return 128 + int(status.Signal()), nil
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// await waits for a process's end, or brings it about.
func await(cancelled context.Context, process *os.Process, ended <-chan struct{}) {
	select {
	case <-ended:
		return
	case <-cancelled.Done():
	}
	for _, try := range []struct {
		signal syscall.Signal
		wait   time.Duration
	}{{syscall.SIGINT, afterInterrupt}, {syscall.SIGTERM, afterTerminate}} {
		_ = process.Signal(try.signal) // it may have ended
		select {
		case <-ended:
			return
		case <-time.After(try.wait):
		}
	}
	_ = process.Kill()
	<-ended
}

func eachLine(stream io.Reader, each func(string)) {
	reader := bufio.NewReader(stream)
	for {
		text, err := reader.ReadString('\n')
		if text != "" {
			each(strings.TrimSuffix(strings.TrimSuffix(text, "\n"), "\r"))
		}
		if err != nil {
			return
		}
	}
}

// splitArguments cuts a command line into words as .NET does for the runner:
// blanks part words, double quotes hold them together, and backslashes mean
// something only before a double quote. Single quotes mean nothing.
func splitArguments(line string) (words []string) {
	var word strings.Builder
	quoted, any := false, false
	for n := 0; n < len(line); n++ {
		switch c := line[n]; {
		case c == '\\':
			slashes := len(line[n:]) - len(strings.TrimLeft(line[n:], `\`))
			n += slashes - 1
			if !strings.HasPrefix(line[n+1:], `"`) {
				word.WriteString(strings.Repeat(`\`, slashes))
			} else {
				word.WriteString(strings.Repeat(`\`, slashes/2))
				if slashes%2 == 1 {
					word.WriteByte('"')
					n++
				}
			}
			any = true
		case c == '"':
			if quoted && strings.HasPrefix(line[n+1:], `"`) {
				word.WriteByte('"')
				n++
				continue
			}
			quoted, any = !quoted, true
		case !quoted && (c == ' ' || c == '\t'):
			if any {
				words = append(words, word.String())
			}
			word.Reset()
			any = false
		default:
			word.WriteByte(c)
			any = true
		}
	}
	if any {
		words = append(words, word.String())
	}
	return words
}

// quote makes one word of a value (DockerUtil.cs, EscapeString).
func quote(value string) string {
	if value == "" {
		return ""
	}
	var b strings.Builder
	slashes := 0
	for n := range len(value) {
		switch value[n] {
		case '\\':
			slashes++
		case '"':
			b.WriteString(strings.Repeat(`\`, slashes) + `\`)
			slashes = 0
		default:
			slashes = 0
		}
		b.WriteByte(value[n])
	}
	return `"` + b.String() + strings.Repeat(`\`, slashes) + `"`
}
