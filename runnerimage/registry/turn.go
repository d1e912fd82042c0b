package registry

import (
	"context"
	"strings"
	"sync"
	"time"
)

const (
	// mostAtOnce bounds the requests that one host answers at a time, for all
	// blobs of a client together. Six layers with four parts each reach it.
	mostAtOnce = 24
	// longestIdle is how long an answer that nobody reads keeps its turn.
	longestIdle = time.Second
)

// turns are the places of requests at each host. Whoever has none waits, in
// the order of coming.
type turns struct {
	mu    sync.Mutex
	hosts map[string]chan struct{} // as full as requests are under way
}

// at returns a turn at the host that is not taken yet.
func (t *turns) at(host string) *turn {
	host = strings.ToLower(host)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.hosts == nil {
		t.hosts = map[string]chan struct{}{}
	}
	if t.hosts[host] == nil {
		t.hosts[host] = make(chan struct{}, mostAtOnce)
	}
	return &turn{host: t.hosts[host]}
}

// turn is one request's place at its host, from before it is sent until its
// answer is closed. An answer that its reader leaves alone gives its turn up
// meanwhile, and takes one again to go on: readers that stand still, however
// many and whomever they wait for, hold up nobody.
type turn struct {
	host chan struct{}
	idle *time.Timer

	mu         sync.Mutex
	held, busy bool
}

// take waits for the turn, unless it is held. It stays held until rest or end.
func (t *turn) take(ctx context.Context) error {
	t.mu.Lock()
	t.busy = true
	held := t.held
	t.mu.Unlock()
	if held {
		return nil
	}
	select {
	case t.host <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	t.mu.Lock()
	t.held = true
	t.mu.Unlock()
	return nil
}

// rest says that the answer is not being read just now.
func (t *turn) rest() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.busy = false
	if t.idle == nil {
		t.idle = time.AfterFunc(longestIdle, t.yield)
		return
	}
	t.idle.Reset(longestIdle)
}

// yield lets another request have the turn, unless the answer is being read.
func (t *turn) yield() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.busy {
		t.leave()
	}
}

// end gives the turn up for good.
func (t *turn) end() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.idle != nil {
		t.idle.Stop()
	}
	t.leave()
}

// leave gives the turn up. The caller holds mu.
func (t *turn) leave() {
	if t.held {
		t.held = false
		<-t.host
	}
}
