package accept

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Defaults of Config.
const (
	defaultMemory = 64 << 20
	defaultLarge  = 4
)

// room bounds the memory of bodies that are being read and stored. Small ones
// share a number of bytes, large ones a number of seats. Since who sends a
// body is known only once it was read, installations are bounded after that:
// one may fill half of the room.
type room struct {
	bytes *semaphore.Weighted
	large *semaphore.Weighted

	share int
	mu    sync.Mutex
	used  map[installation]int
}

type installation struct{ app, id int64 }

func newRoom(memory, large int64) *room {
	if memory <= 0 {
		memory = defaultMemory
	}
	if large <= 0 {
		large = defaultLarge
	}
	memory = max(memory, 2*small)
	return &room{
		bytes: semaphore.NewWeighted(memory), large: semaphore.NewWeighted(large),
		share: int(memory / 2), used: map[installation]int{},
	}
}

// seat is the room that one body has.
type seat struct {
	room  *room
	bytes int64
	large bool
}

// sit waits for room for a body: as much as its length says, or as a small one
// may need. The seat is to be released after an error too.
func (r *room) sit(ctx context.Context, head headers) (*seat, error) {
	s := &seat{room: r}
	if head.length > small {
		return s, s.grow(ctx, small+1)
	}
	n := int64(small)
	if head.length >= 0 && !head.gzip {
		n = head.length + 1
	}
	if err := r.bytes.Acquire(ctx, n); err != nil {
		return s, err
	}
	s.bytes = n
	return s, nil
}

// grow waits for a large seat, if the body needs one and does not have it.
func (s *seat) grow(ctx context.Context, size int) error {
	if size <= small || s.large {
		return nil
	}
	if err := s.room.large.Acquire(ctx, 1); err != nil {
		return err
	}
	s.large = true
	return nil
}

func (s *seat) release() {
	s.room.bytes.Release(s.bytes)
	if s.large {
		s.room.large.Release(1)
	}
	s.bytes, s.large = 0, false
}

// enter counts a small body to its installation's share, until leave. It is
// not ok if the share is used up. Large ones have few seats as it is.
func (r *room) enter(app, id int64, n int) (leave func(), ok bool) {
	if n > small {
		return func() {}, true
	}
	key := installation{app, id}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.used[key]+n > r.share {
		return nil, false
	}
	r.used[key] += n
	return func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		if r.used[key] -= n; r.used[key] == 0 {
			delete(r.used, key)
		}
	}, true
}
