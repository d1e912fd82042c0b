package accept

import (
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// doors say who a client is and whether it may deliver.
type doors struct{ hooks, proxies []netip.Prefix }

// private are the networks in which proxies stand, unless it is said
// otherwise. Who is in there and lies about whom it stands for only gains that
// its failures are counted to others.
var private = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128"),
	netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"), netip.MustParsePrefix("192.168.0.0/16"),
	netip.MustParsePrefix("100.64.0.0/10"), netip.MustParsePrefix("fc00::/7"),
}

func newDoors(hooks, proxies []netip.Prefix) doors {
	if len(proxies) == 0 {
		proxies = private
	}
	return doors{hooks, proxies}
}

// client is the address that a request comes from: the last one that no proxy
// of ours has. It is the zero address if that cannot be told.
func (d doors) client(r *http.Request) netip.Addr {
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	addr := peer.Addr().Unmap().WithZone("")
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		if !within(d.proxies, addr) {
			break
		}
		next, ok := parseHop(strings.TrimSpace(hop))
		if !ok {
			break
		}
		addr = next
	}
	return addr
}

// parseHop reads an address, which some proxies write with the port.
func parseHop(s string) (a netip.Addr, ok bool) {
	a, err := netip.ParseAddr(s)
	if err != nil {
		var with netip.AddrPort
		with, err = netip.ParseAddrPort(s)
		a = with.Addr()
	}
	return a.Unmap().WithZone(""), err == nil
}

// open says whether a client may deliver at all.
func (d doors) open(client netip.Addr) bool { return len(d.hooks) == 0 || within(d.hooks, client) }

func within(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(a) })
}
