package process

import (
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// The kernel's range of signals, and of those the real-time ones as libc
// counts them, which keeps 32 and 33 for itself.
const (
	lastSignal = 64
	rtMin      = 34
	rtMax      = lastSignal
)

// stopSignal reads a STOPSIGNAL: QUIT, SIGQUIT, 3, RTMIN+3, SIGRTMAX-1, in
// either case. As in Docker what cannot be read is SIGTERM.
func stopSignal(s string) syscall.Signal {
	if n, err := strconv.Atoi(s); err == nil {
		return validOr(n, syscall.SIGTERM)
	}
	name := strings.TrimPrefix(strings.ToUpper(s), "SIG")
	switch {
	case name == "CLD":
		return syscall.SIGCHLD
	case name == "IOT":
		return syscall.SIGABRT
	case name == "POLL":
		return syscall.SIGIO
	case strings.HasPrefix(name, "RTMIN"):
		return realTime(rtMin, name[len("RTMIN"):], '+')
	case strings.HasPrefix(name, "RTMAX"):
		return realTime(rtMax, name[len("RTMAX"):], '-')
	}
	return validOr(int(unix.SignalNum("SIG"+name)), syscall.SIGTERM)
}

// realTime reads the offset in SIGRTMIN+3 or SIGRTMAX-3.
func realTime(base int, offset string, sign byte) syscall.Signal {
	if offset == "" {
		return syscall.Signal(base)
	}
	n, err := strconv.Atoi(offset)
	if err != nil || offset[0] != sign || base+n < rtMin {
		return syscall.SIGTERM
	}
	return validOr(base+n, syscall.SIGTERM)
}

func validOr(n int, other syscall.Signal) syscall.Signal {
	if n < 1 || n > lastSignal {
		return other
	}
	return syscall.Signal(n)
}
