// Package link puts a slow, long network between a server and its clients on
// one machine, for benchmarks. The address of a server goes in; out comes
// another one on the loopback, at which it is reached through the network.
//
// The network is a pair of virtual interfaces in two network namespaces that
// belong to two threads of this process: connections are forwarded into the one
// and out of the other. Neither namespace has a name, an address of this
// machine's network or a route to it, and both are gone with their threads,
// however this process ends. The kernel's token bucket (tc-tbf) keeps the rate.
// Where there is a delay, this process is the wire between the interfaces and
// holds each packet back, as the kernel's netem would where it has one: TCP
// shakes hands, opens its windows and waits for acknowledgements as over a real
// distance.
package link

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Network describes a network. The zero Network is the loopback itself.
type Network struct {
	// Rate and Burst are tc's words for the speed both ways and for what may be
	// sent at once. Without a Rate there is no Delay.
	Rate, Burst string
	// Delay is how long a packet travels, each way.
	Delay time.Duration
}

// Link is a network that is there.
type Link struct {
	// Addr is the host:port, on the loopback, of the server.
	Addr string

	counters, device string // a file like /proc/net/dev, and the end in it
}

const device, prefix = "wire", 30

// Connect makes the network before a server at host:port. It is gone when the
// test ends. It needs root.
func Connect(t testing.TB, n Network, server string) *Link {
	t.Helper()
	if n.Rate == "" {
		return &Link{Addr: server, counters: "/proc/thread-self/net/dev", device: "lo"}
	}
	near, far := newNamespace(t), newNamespace(t)
	here, there := netip.MustParseAddr("10.0.0.1"), netip.MustParseAddr("10.0.0.2")
	var wire func()
	if n.Delay == 0 {
		near.run(t, "ip", "link", "add", device, "type", "veth", "peer", "name", device, "netns", far.path())
		wire = func() {}
	} else {
		one, other := near.tunnel(t), far.tunnel(t)
		wire = func() { join(t, one, other, n.Delay) }
	}
	for end, address := range map[*namespace]netip.Addr{near: here, far: there} {
		end.run(t, "ip", "address", "add", netip.PrefixFrom(address, prefix).String(), "dev", device)
		end.run(t, "ip", "link", "set", device, "up")
		end.run(t, "tc", "qdisc", "add", "dev", device, "root", "tbf", "rate", n.Rate, "burst", n.Burst, "latency", "100ms")
	}
	wire()

	exit, err := far.listen(netip.AddrPortFrom(there, 0))
	if err != nil {
		t.Fatal(err)
	}
	forward(t, exit, func() (net.Conn, error) { return net.Dial("tcp", server) })
	entrance, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	forward(t, entrance, func() (net.Conn, error) { return near.dial(exit.Addr()) })
	return &Link{Addr: entrance.Addr().String(), counters: near.thread + "/net/dev", device: device}
}

// Carried counts the bytes that the network has carried so far, both ways, with
// all headers. The loopback carries those of other servers, too.
func (l *Link) Carried() (int64, error) {
	text, err := os.ReadFile(l.counters)
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		name, rest, _ := strings.Cut(line, ":")
		fields := strings.Fields(rest)
		if strings.TrimSpace(name) != l.device || len(fields) < 9 {
			continue
		}
		received, err := strconv.ParseInt(fields[0], 10, 64)
		if err != nil || l.device == "lo" { // which receives all that it sends
			return received, err
		}
		sent, err := strconv.ParseInt(fields[8], 10, 64)
		return received + sent, err
	}
	return 0, fmt.Errorf("%s has no %s", l.counters, l.device)
}
