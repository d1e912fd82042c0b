package database

import (
	"bytes"
	stdgzip "compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"golang.org/x/sync/errgroup"
)

// payload is JSON of about so many bytes, that says as much and as little in
// it as GitHub's does: it becomes a sixth.
func payload(size int, seed int) []byte {
	type user struct {
		Login, NodeID, AvatarURL, URL, Type string
		ID                                  int
	}
	var b bytes.Buffer
	b.WriteString(`{"action":"opened","installation":{"id":1},"repository":{"id":10,"full_name":"octo/cat"},"commits":[`)
	for i := seed * 7919; b.Len() < size; i++ {
		login := fmt.Sprintf("user%x", i*2654435761)
		item, err := json.Marshal(user{
			Login: login, NodeID: fmt.Sprintf("MDQ6VXNlc%x", i*40503), AvatarURL: "https://avatars.githubusercontent.com/u/" + fmt.Sprint(i),
			URL: "https://api.github.com/users/" + login + "/received_events", Type: "User", ID: i,
		})
		if err != nil {
			panic(err)
		}
		b.Write(item)
		b.WriteByte(',')
	}
	b.WriteString(`null]}`)
	return b.Bytes()
}

// BenchmarkAccept stores deliveries of 12 KB from 64 clients, and says how long
// the slowest hundredth waited.
func BenchmarkAccept(b *testing.B) {
	for name, url := range urls(b) {
		b.Run(name, func(b *testing.B) {
			db, err := Open(b.Context(), url, Options{Log: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			bodies := make([][]byte, 16)
			for i := range bodies {
				bodies[i] = payload(12<<10, i)
			}
			var n atomic.Int64
			var mu sync.Mutex
			var took []time.Duration
			run := time.Now().UnixNano() // the benchmark is called several times
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					i := n.Add(1)
					d := delivery(i%20+1, fmt.Sprintf("%x-%d", run, i))
					d.Body = bodies[i%16]
					start := time.Now()
					if fresh, err := db.Accept(b.Context(), d); err != nil || !fresh {
						b.Error(fresh, err)
					}
					mu.Lock()
					took = append(took, time.Since(start))
					mu.Unlock()
				}
			})
			b.StopTimer()
			slices.Sort(took)
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "deliveries/s")
			b.ReportMetric(float64(took[len(took)*99/100].Milliseconds()), "p99-ms")
		})
	}
}

// BenchmarkWork decides about deliveries that wait and takes their runs to
// their ends, each in four jobs.
func BenchmarkWork(b *testing.B) {
	for name, url := range urls(b) {
		b.Run(name, func(b *testing.B) {
			db, err := Open(b.Context(), url, Options{Log: quiet})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			start := time.Now().UnixNano() // the benchmark is called several times
			var g errgroup.Group
			g.SetLimit(64)
			for i := range b.N {
				g.Go(func() error {
					d := delivery(int64(i%20+1), fmt.Sprintf("%x-%d", start, i))
					d.Sender = ""
					_, err := db.Accept(b.Context(), d)
					return err
				})
			}
			if err := g.Wait(); err != nil {
				b.Fatal(err)
			}
			b.ResetTimer()
			q, err := work(b.Context(), db, 50, 64, nil)
			if err != nil {
				b.Fatal(err)
			}
			decided := time.Duration(0)
			for h := (Health{Undecided: 1}); h.Undecided+h.Unended+h.Unsent > 0; {
				time.Sleep(20 * time.Millisecond)
				if h, err = db.Health(b.Context()); err != nil {
					b.Fatal(err)
				}
				if h.Undecided == 0 && decided == 0 {
					decided = b.Elapsed()
				}
			}
			b.ReportMetric(float64(b.N)/decided.Seconds(), "decided/s")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "ended/s")
			if err := q.Stop(b.Context()); err != nil {
				b.Fatal(err)
			}
		})
	}
}

// BenchmarkPack compares what could compress bodies.
func BenchmarkPack(b *testing.B) {
	body := payload(12<<10, 1)
	type writer interface {
		io.WriteCloser
		Reset(io.Writer)
	}
	writers := map[string]writer{}
	for _, level := range []int{1, 3, 5, 6} {
		z, err := gzip.NewWriterLevel(io.Discard, level)
		if err != nil {
			b.Fatal(err)
		}
		writers[fmt.Sprint("klauspost-", level)] = z
		s, err := stdgzip.NewWriterLevel(io.Discard, level)
		if err != nil {
			b.Fatal(err)
		}
		writers[fmt.Sprint("standard-", level)] = s
	}
	for name, z := range writers {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			var out bytes.Buffer
			for b.Loop() {
				out.Reset()
				z.Reset(&out)
				if _, err := z.Write(body); err != nil {
					b.Fatal(err)
				}
				if err := z.Close(); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(len(body))/float64(out.Len()), "ratio")
		})
	}
}
