package accept

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	cluster "github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/webhook/database"
)

// payload is JSON of about so many bytes that becomes a sixth, as GitHub's
// does.
func payload(size int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"action":"opened","installation":{"id":5},"repository":{"id":6,"full_name":"octo/cat"},"commits":[`)
	for i := uint64(1); b.Len() < size; i++ {
		n := i * 0x9e3779b97f4a7c15
		fmt.Fprintf(&b, `{"id":"%016x%016x","author":{"login":"user%d","url":"https://api.github.com/users/user%d"},"message":"change %x","distinct":true},`, n, n*i, i, i, n>>32)
	}
	b.WriteString(`null]}`)
	return b.Bytes()
}

// target is a server that stores in a database.
type target struct {
	url    string
	client *http.Client
}

func targets(b *testing.B) map[string]*target {
	b.Helper()
	server, err := cluster.Start()
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { server.Stop() }) //nolint:errcheck // the figures are there
	all := map[string]*target{}
	for name, url := range map[string]string{"SQLite": filepath.Join(b.TempDir(), "clipper.db"), "PostgreSQL": server.Database(b)} {
		quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
		db, err := database.Open(b.Context(), url, database.Options{Log: quiet})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { db.Close() })
		h, err := New(Config{Apps: apps, Inbox: db, Log: quiet})
		if err != nil {
			b.Fatal(err)
		}
		s := httptest.NewServer(h)
		b.Cleanup(s.Close)
		all[name] = &target{s.URL, &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 100}}}
	}
	return all
}

func (s *target) deliver(b *testing.B, id string, content []byte, signature string) {
	r, err := http.NewRequest(http.MethodPost, s.url, bytes.NewReader(content))
	if err != nil {
		b.Fatal(err)
	}
	r.Header = request("", header(headerGUID, id), header(headerSignature, signature)).Header
	answer, err := s.client.Do(r)
	if err != nil {
		b.Error(err)
		return
	}
	io.Copy(io.Discard, answer.Body) //nolint:errcheck // it is short
	answer.Body.Close()
	if answer.StatusCode != http.StatusAccepted {
		b.Errorf("%s: %d", id, answer.StatusCode)
	}
}

// BenchmarkServe delivers 12 KB over HTTP from 64 clients, sender and receiver
// on the same cores, and says how long the slowest hundredth waited.
func BenchmarkServe(b *testing.B) {
	content := payload(12 << 10)
	signature := sign("new", content)
	for name, s := range targets(b) {
		b.Run(name, func(b *testing.B) {
			var n atomic.Int64
			var mu sync.Mutex
			var took []time.Duration
			run := time.Now().UnixNano()
			b.SetParallelism(32)
			b.ResetTimer()
			b.RunParallel(func(pb *testing.PB) {
				for pb.Next() {
					start := time.Now()
					s.deliver(b, fmt.Sprintf("%x-%d", run, n.Add(1)), content, signature)
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

// BenchmarkServeLarge delivers four bodies of 25 MB at once.
func BenchmarkServeLarge(b *testing.B) {
	content := payload(25 << 20)
	signature := sign("new", content)
	for name, s := range targets(b) {
		b.Run(name, func(b *testing.B) {
			run, n := time.Now().UnixNano(), 0
			for b.Loop() {
				var wait sync.WaitGroup
				for range 4 {
					n++
					id := fmt.Sprintf("%x-%d", run, n)
					wait.Go(func() { s.deliver(b, id, content, signature) })
				}
				wait.Wait()
			}
		})
	}
}
