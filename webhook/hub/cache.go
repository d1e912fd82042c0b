package hub

import "sync"

// cache keeps what never changes, up to about a number of bytes: two halves, of
// which the older is dropped when the newer is full. It is safe for concurrent
// use.
type cache[K comparable, V any] struct {
	half int

	mu       sync.Mutex
	new, old map[K]V
	size     int // of new
}

func newCache[K comparable, V any](bytes int) *cache[K, V] {
	return &cache[K, V]{half: bytes / 2, new: map[K]V{}}
}

// entryCost is added to each value's.
const entryCost = 256

func (c *cache[K, V]) get(k K) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	v, there := c.new[k]
	if !there {
		v, there = c.old[k]
	}
	return v, there
}

func (c *cache[K, V]) put(k K, v V, bytes int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if bytes += entryCost; c.size+bytes > c.half {
		c.old, c.new, c.size = c.new, map[K]V{}, 0
	}
	c.new[k] = v
	c.size += bytes
}
