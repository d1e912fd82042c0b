package link

import (
	"bytes"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"
)

// join connects two tunnels, each way by a line of this delay, until the test
// ends.
func join(t testing.TB, one, other *os.File, delay time.Duration) {
	var lines sync.WaitGroup
	for from, to := range map[*os.File]*os.File{one: other, other: one} {
		lines.Go(func() {
			if err := delayLine(from, to, delay); !errors.Is(err, os.ErrClosed) {
				t.Errorf("link: %v", err)
			}
		})
	}
	t.Cleanup(func() {
		one.Close()
		other.Close()
		lines.Wait()
	})
}

// Bounds of a line: a packet, and how many are on their way. At 100 Mbit/s,
// 125 packets of the usual size are sent in 15 ms.
const (
	mostPacket = 64 << 10
	mostOnWay  = 1024
)

// delayLine writes every packet that it reads as much later as delay says,
// until either fails.
func delayLine(from io.Reader, to io.Writer, delay time.Duration) error {
	type packet struct {
		due   time.Time
		bytes []byte
	}
	onWay, failed := make(chan packet, mostOnWay), make(chan error, 1)
	go func() {
		var err error
		for p := range onWay {
			time.Sleep(time.Until(p.due))
			if err == nil {
				_, err = to.Write(p.bytes)
			}
		}
		failed <- err
	}()
	buffer := make([]byte, mostPacket)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			close(onWay)
			return errors.Join(err, <-failed)
		}
		onWay <- packet{time.Now().Add(delay), bytes.Clone(buffer[:n])}
	}
}
