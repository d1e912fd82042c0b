package link

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// namespace is a network namespace that a thread has for itself.
type namespace struct {
	thread string // its directory below /proc
	work   chan func()
}

// path is the namespace, for ip.
func (n *namespace) path() string { return n.thread + "/ns/net" }

// newNamespace makes a namespace that is gone when the test ends.
func newNamespace(t testing.TB) *namespace {
	t.Helper()
	n := &namespace{work: make(chan func())}
	ready, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		n.thread = fmt.Sprintf("/proc/%d/task/%d", os.Getpid(), unix.Gettid())
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for do := range n.work {
			do()
		}
	}()
	t.Cleanup(func() {
		close(n.work)
		<-ended
	})
	if err := <-ready; err != nil {
		t.Fatalf("make a network namespace (run this as root): %v", err)
	}
	return n
}

// do calls a function on the namespace's thread.
func (n *namespace) do(f func()) {
	done := make(chan struct{})
	n.work <- func() {
		defer close(done)
		f()
	}
	<-done
}

// run runs a command in the namespace: a child is where its parent's thread
// is.
func (n *namespace) run(t testing.TB, command ...string) {
	t.Helper()
	var out []byte
	var err error
	n.do(func() { out, err = exec.Command(command[0], command[1:]...).CombinedOutput() })
	if err != nil {
		t.Fatalf("%s (run `make bench`, which installs it): %v: %s", strings.Join(command, " "), err, out)
	}
}

// listen and dial make sockets of the namespace. They stay such wherever they
// are used.
func (n *namespace) listen(at netip.AddrPort) (listener *net.TCPListener, err error) {
	n.do(func() { listener, err = net.ListenTCP("tcp", net.TCPAddrFromAddrPort(at)) })
	return listener, err
}

func (n *namespace) dial(to net.Addr) (conn *net.TCPConn, err error) {
	n.do(func() { conn, err = net.DialTCP("tcp", nil, to.(*net.TCPAddr)) })
	return conn, err
}

// tunnel makes a device of the namespace, of which this process is the wire.
func (n *namespace) tunnel(t testing.TB) *os.File {
	t.Helper()
	var fd int
	var err error
	n.do(func() {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return
		}
		var request *unix.Ifreq
		if request, err = unix.NewIfreq(device); err != nil {
			return
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	})
	if err != nil {
		t.Fatalf("make a tunnel (run this as root): %v", err)
	}
	return os.NewFile(uintptr(fd), "tunnel")
}
