package bench

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// speed is that of the link, in tc's words: an office's or a small cloud
// machine's. The burst is what it may send at once.
var speed = []string{"tbf", "rate", "100mbit", "burst", "64kb", "latency", "200ms"}

const speedName = "100 Mbit/s"

// slowRegistry returns the host:port, on the loopback, of the registry at the
// other end of a link, which the kernel slows down to speed both ways.
//
// The link is a pair of virtual interfaces in two network namespaces that
// belong to two threads of this process: connections are forwarded into the
// one and out of the other. Neither namespace has a name, an address of this
// machine's network or a route to it, and both are gone with their threads,
// however this process ends.
func slowRegistry(b *testing.B) (registry string) {
	b.Helper()
	near, far := newNamespace(b), newNamespace(b)
	const network = 30
	here, there := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	near.run(b, "ip", "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", far.path)
	for end, address := range map[*namespace]netip.Addr{near: here, far: there} {
		end.run(b, "ip", "address", "add", netip.PrefixFrom(address, network).String(), "dev", "wire")
		end.run(b, "ip", "link", "set", "wire", "up")
		end.run(b, append([]string{"tc", "qdisc", "add", "dev", "wire", "root"}, speed...)...)
	}

	exit, err := far.listen(netip.AddrPortFrom(there, 0))
	if err != nil {
		b.Fatal(err)
	}
	forward(b, exit, func() (net.Conn, error) { return net.Dial("tcp", lab.Registry) })
	entrance, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	forward(b, entrance, func() (net.Conn, error) { return near.dial(exit.Addr()) })
	return entrance.Addr().String()
}

// namespace is a network namespace that a thread has for itself.
type namespace struct {
	path string // of the namespace, for ip
	work chan func()
}

// newNamespace makes a namespace that is gone when the benchmark ends.
func newNamespace(b *testing.B) *namespace {
	b.Helper()
	n := &namespace{work: make(chan func())}
	ready, ended := make(chan error), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and never unlocked: the thread ends with this goroutine
		n.path = fmt.Sprintf("/proc/%d/task/%d/ns/net", os.Getpid(), unix.Gettid())
		ready <- unix.Unshare(unix.CLONE_NEWNET)
		for do := range n.work {
			do()
		}
	}()
	b.Cleanup(func() {
		close(n.work)
		<-ended
	})
	if err := <-ready; err != nil {
		b.Fatalf("make a network namespace (run this as root): %v", err)
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
func (n *namespace) run(b *testing.B, command ...string) {
	b.Helper()
	var out []byte
	var err error
	n.do(func() { out, err = exec.Command(command[0], command[1:]...).CombinedOutput() })
	if err != nil {
		b.Fatalf("%s (run `make bench`, which installs it): %v: %s", strings.Join(command, " "), err, out)
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

// forward connects every connection to the listener with one that dial makes,
// until the benchmark ends.
func forward(b *testing.B, listener net.Listener, dial func() (net.Conn, error)) {
	var forwarders sync.WaitGroup
	var mu sync.Mutex
	open, closed := map[net.Conn]bool{}, false
	keep := func(conns ...net.Conn) bool {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			open[c] = true
		}
		return !closed
	}
	drop := func(conns ...net.Conn) {
		mu.Lock()
		defer mu.Unlock()
		for _, c := range conns {
			c.Close()
			delete(open, c)
		}
	}
	forwarders.Go(func() {
		for {
			client, err := listener.Accept()
			if errors.Is(err, net.ErrClosed) {
				return
			}
			if err != nil {
				b.Errorf("link: %v", err)
				return
			}
			forwarders.Go(func() {
				defer drop(client)
				server, err := dial()
				if err != nil {
					return // the client sees that its connection ends
				}
				defer drop(server)
				if keep(client, server) {
					exchange(client, server)
				}
			})
		}
	})
	b.Cleanup(func() {
		listener.Close()
		mu.Lock()
		closed = true
		for c := range open {
			c.Close()
		}
		mu.Unlock()
		forwarders.Wait()
	})
}

// exchange copies both ways until both ends have said all.
func exchange(one, other net.Conn) {
	var copies sync.WaitGroup
	for from, to := range map[net.Conn]net.Conn{one: other, other: one} {
		copies.Go(func() {
			// Whoever breaks off is not waited for.
			if _, err := io.Copy(to, from); err != nil {
				from.Close()
				to.Close()
				return
			}
			_ = to.(*net.TCPConn).CloseWrite()
		})
	}
	copies.Wait()
}
