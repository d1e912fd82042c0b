package database

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// crashVariable has this test's program be a server for the database that it
// names: it accepts a delivery for every GUID that it reads, writes those
// that it has accepted, and works.
const crashVariable = "CLIPPER_CRASH_TEST"

func crash(url string) {
	ctx := context.Background()
	db, err := Open(ctx, url, Options{Log: quiet})
	if err == nil {
		_, err = work(ctx, db, 10, quantum, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	guids := make(chan string)
	var wait sync.WaitGroup
	for range 32 {
		wait.Go(func() {
			for guid := range guids {
				d := delivery(int64(len(guid)%3+1), guid)
				d.Sender = "" // no group
				if _, err := db.Accept(ctx, d); err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Println(guid) // in one write
			}
		})
	}
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		guids <- in.Text()
	}
	close(guids)
	wait.Wait()
}

// TestCrash kills a server under load, again and again. What it has accepted
// is there, has one run, and is worked to its end by the next one.
func TestCrash(t *testing.T) {
	const kills, each = 4, 150
	both(t, func(t *testing.T, f *fixture) {
		f.must(f.Close())
		accepted := map[string]bool{}
		sent := 0
		for range kills {
			sent = killed(t, f.url, sent, each, accepted)
		}
		// On PostgreSQL, nobody knows at once that the dead are dead.
		f.clock.pass(time.Since(f.clock.now()) + laneOverdue + time.Hour)
		f.open(Options{})
		if !isPostgres(f.url) {
			var sound string
			f.must(f.engine.read(t.Context(), func(ctx context.Context, q querier) error {
				_, err := one(ctx, q, `PRAGMA integrity_check`, nil, &sound)
				return err
			}))
			if sound != "ok" {
				t.Errorf("the file is damaged: %s", sound)
			}
		}
		if _, err := f.Revive(t.Context()); err != nil {
			t.Fatal(err)
		}
		q, err := work(t.Context(), f.DB, 10, quantum, nil)
		f.must(err)
		f.settled()
		f.must(q.Stop(t.Context()))
		f.whole(accepted)
	})
}

// TestReplicas has a replica die beside one that lives, and that takes it for
// dead all the time, since its clock is ahead by just so much: whatever both
// are at is done once.
func TestReplicas(t *testing.T) {
	f := &fixture{t: t, url: server.Database(t)}
	db, err := Open(t.Context(), f.url, Options{Log: quiet, Now: func() time.Time { return time.Now().Add(replicaLease + time.Second) }})
	f.must(err)
	defer db.Close()
	f.DB = db
	q, err := work(t.Context(), db, 10, quantum, nil)
	f.must(err)
	ctx, cancel := context.WithCancel(t.Context())
	var wait sync.WaitGroup
	wait.Go(func() {
		for tick := time.Tick(50 * time.Millisecond); ; {
			select {
			case <-ctx.Done():
				return
			case <-tick:
			}
			if _, err := db.Revive(ctx); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
		}
	})
	defer wait.Wait()
	defer cancel()
	accepted := map[string]bool{}
	sent := killed(t, f.url, 0, 200, accepted)
	killed(t, f.url, sent, 200, accepted)
	f.settled()
	f.must(q.Stop(t.Context()))
	f.whole(accepted)
}

// whole checks that all accepted deliveries are there, and that each one that
// is has one run, at its end.
func (f *fixture) whole(accepted map[string]bool) {
	f.t.Helper()
	stored := 0
	for d, err := range f.Deliveries(f.t.Context(), DeliveryFilter{}) {
		f.must(err)
		delete(accepted, d.GUID)
		if d.State != Matched {
			f.t.Errorf("delivery %s is %s", d.GUID, d.State)
		}
		stored++
	}
	if len(accepted) > 0 {
		f.t.Errorf("%d deliveries that were accepted are lost: %v", len(accepted), accepted)
	}
	f.ended(stored)
}

// killed starts a server, sends it deliveries, and kills it when it has
// accepted enough. It returns how many were sent in all.
func killed(t *testing.T, url string, sent, enough int, accepted map[string]bool) int {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), crashVariable+"="+url)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	total := make(chan int)
	go func() {
		n := sent
		for ; ; n++ {
			if _, err := io.WriteString(in, fmt.Sprintf("guid%d\n", n)); err != nil {
				break
			}
		}
		total <- n + 1
	}()
	n := 0
	for lines := bufio.NewScanner(out); lines.Scan(); n++ {
		accepted[lines.Text()] = true
		if n == enough {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	if err := cmd.Wait(); n < enough {
		t.Fatalf("the server ended after %d deliveries: %v: %s", n, err, stderr.String())
	}
	in.Close()
	return <-total
}
