package link

import (
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

func TestDelayLine(t *testing.T) {
	const delay, gap = 15 * time.Millisecond, 4 * time.Millisecond
	synctest.Test(t, func(t *testing.T) {
		from, in := io.Pipe()
		out, to := io.Pipe()
		ended := make(chan error)
		go func() { ended <- delayLine(from, to, delay) }()
		start := time.Now()
		go func() {
			for _, packet := range []string{"one", "two", "three"} {
				_, _ = in.Write([]byte(packet))
				time.Sleep(gap)
			}
			in.Close()
		}()
		buffer := make([]byte, mostPacket)
		for n, want := range []string{"one", "two", "three"} {
			got, err := out.Read(buffer)
			if err != nil || string(buffer[:got]) != want {
				t.Fatalf("packet %d: %q, %v", n, buffer[:got], err)
			}
			if at := time.Since(start); at != delay+time.Duration(n)*gap {
				t.Errorf("packet %d arrives after %v", n, at)
			}
		}
		if err := <-ended; !errors.Is(err, io.EOF) {
			t.Errorf("the line ends with %v", err)
		}
	})
}

// TestConnect: a network of either kind carries what is said, and counts it.
func TestConnect(t *testing.T) {
	const said = 1 << 20
	for name, network := range map[string]Network{
		"loopback": {}, "rate": {Rate: "1gbit", Burst: "256kb"}, "delay": {Rate: "1gbit", Burst: "256kb", Delay: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			server, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer server.Close()
			go func() {
				if conn, err := server.Accept(); err == nil {
					_, _ = conn.Write(make([]byte, said)) // the client counts
					conn.Close()
				}
			}()
			link := Connect(t, network, server.Addr().String())
			before, err := link.Carried()
			if err != nil {
				t.Fatal(err)
			}
			conn, err := net.Dial("tcp", link.Addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if heard, err := io.Copy(io.Discard, conn); err != nil || heard != said {
				t.Errorf("heard %d bytes of %d: %v", heard, said, err)
			}
			if after, err := link.Carried(); err != nil || after-before < said {
				t.Errorf("counted %d bytes of %d: %v", after-before, said, err)
			}
		})
	}
}
