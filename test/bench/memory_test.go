package bench

import (
	"errors"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// memoryWatch looks again and again at the memory of all processes that is no
// file's.
type memoryWatch struct {
	before, most int64
	stop         chan struct{}
	ended        sync.WaitGroup
	once         sync.Once
}

// sampleEvery is short beside anything that is measured and costs next to
// nothing.
const sampleEvery = 20 * time.Millisecond

func watchMemory(b *testing.B) *memoryWatch {
	b.Helper()
	before, err := processMemory()
	if err != nil {
		b.Fatal(err)
	}
	w := &memoryWatch{before: before, most: before, stop: make(chan struct{})}
	w.ended.Go(func() {
		ticks := time.NewTicker(sampleEvery)
		defer ticks.Stop()
		for {
			select {
			case <-w.stop:
				return
			case <-ticks.C:
				if now, err := processMemory(); err == nil {
					w.most = max(w.most, now)
				}
			}
		}
	})
	return w
}

// end returns by how much the memory has grown at most.
func (w *memoryWatch) end() int64 {
	w.once.Do(func() { close(w.stop) })
	w.ended.Wait()
	return w.most - w.before
}

func processMemory() (bytes int64, err error) {
	text, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "AnonPages:"); ok {
			kib, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(rest), " kB"), 10, 64)
			return kib << 10, err
		}
	}
	return 0, errors.New("/proc/meminfo has no AnonPages")
}
