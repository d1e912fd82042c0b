package database

import (
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDeadHolder opens a file whose server died while it held something: nobody
// else can have it, so the next one does not wait.
func TestDeadHolder(t *testing.T) {
	file := filepath.Join(t.TempDir(), "clipper.db")
	for _, who := range []string{"a", "b"} {
		db, err := Open(t.Context(), file, Options{Log: quiet})
		if err != nil {
			t.Fatal(err)
		}
		if held, err := db.Hold(t.Context(), "reconcile", who, time.Hour); err != nil || !held {
			t.Errorf("%s holds it: %v, %v", who, held, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// TestDeadReplica: what a replica holds is free once nothing was heard of it,
// however long it may hold it.
func TestDeadReplica(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		hold := func(who string, want bool) {
			t.Helper()
			if held, err := f.Hold(t.Context(), "reconcile", who, time.Hour); err != nil || held != want {
				t.Errorf("%s holds it: %v, want %v: %v", who, held, want, err)
			}
		}
		f.must(f.live(t.Context()))
		hold(f.Replica(), true)
		f.clock.pass(replicaLease - time.Second)
		hold("another", false)
		f.must(f.live(t.Context()))
		f.clock.pass(replicaLease - time.Second)
		hold("another", false)
		f.clock.pass(2 * time.Second)
		hold("another", true)
		hold(f.Replica(), false)
	})
}

func TestHold(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		hold := func(who string, want bool) {
			t.Helper()
			if held, err := f.Hold(t.Context(), "reconcile", who, time.Minute); err != nil || held != want {
				t.Errorf("%s holds it: %v, want %v: %v", who, held, want, err)
			}
		}
		hold("a", true)
		hold("b", false)
		f.clock.pass(50 * time.Second)
		hold("a", true)
		f.clock.pass(50 * time.Second)
		hold("b", false)
		f.clock.pass(11 * time.Second)
		hold("b", true)
		hold("a", false)
		f.must(f.Yield(t.Context(), "reconcile", "a"))
		hold("a", false)
		f.must(f.Yield(t.Context(), "reconcile", "b"))

		var holders atomic.Int64
		var wait sync.WaitGroup
		for i := range 10 {
			wait.Go(func() {
				held, err := f.Hold(t.Context(), "reconcile", fmt.Sprint(i), time.Minute)
				if err != nil {
					t.Error(err)
				}
				if held {
					holders.Add(1)
				}
			})
		}
		wait.Wait()
		if n := holders.Load(); n != 1 {
			t.Errorf("%d hold it", n)
		}
	})
}
