package accept

import (
	"container/list"
	"net/netip"
	"sync"
	"time"
)

// A client may fail this often at once, and then this often in the long run.
const (
	failures   = 20
	forgiven   = 6 * time.Second // after which one failure is
	maxClients = 4096
)

// suspects counts failures per client, of those that failed last.
type suspects struct {
	now func() time.Time

	mu      sync.Mutex
	clients map[netip.Prefix]*list.Element
	recent  *list.List // of *suspect, the one that failed last first
}

type suspect struct {
	client netip.Prefix
	// clear is when all its failures will be forgiven.
	clear time.Time
}

func newSuspects(now func() time.Time) *suspects {
	return &suspects{now: now, clients: map[netip.Prefix]*list.Element{}, recent: list.New()}
}

// network is what is counted as one client: in IPv6, everybody has a /64.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.Prefix(bits) // which is not more than it has
	return p
}

// blocked says whether a client has failed too often.
func (s *suspects) blocked(a netip.Addr) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.clients[network(a)]
	return e != nil && e.Value.(*suspect).clear.Sub(s.now()) > (failures-1)*forgiven
}

func (s *suspects) failed(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	client, now := network(a), s.now()
	e := s.clients[client]
	if e == nil {
		if s.recent.Len() >= maxClients {
			delete(s.clients, s.recent.Remove(s.recent.Back()).(*suspect).client)
		}
		e = s.recent.PushFront(&suspect{client, now})
		s.clients[client] = e
	}
	s.recent.MoveToFront(e)
	c := e.Value.(*suspect)
	if c.clear.Before(now) {
		c.clear = now
	}
	c.clear = c.clear.Add(forgiven)
}

// passed forgives a client who has the secret.
func (s *suspects) passed(a netip.Addr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.clients[network(a)]; e != nil {
		delete(s.clients, s.recent.Remove(e).(*suspect).client)
	}
}
