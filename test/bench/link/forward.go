package link

import (
	"errors"
	"io"
	"net"
	"sync"
	"testing"
)

// forward connects every connection to the listener with one that dial makes,
// until the test ends.
func forward(t testing.TB, listener net.Listener, dial func() (net.Conn, error)) {
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
				t.Errorf("link: %v", err)
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
	t.Cleanup(func() {
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
