package database

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

func TestAccept(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		d := delivery(1, "a")
		d.Received = f.clock.now().UTC()
		if fresh, err := f.Accept(t.Context(), d); err != nil || !fresh {
			t.Fatalf("%v, %v", fresh, err)
		}
		again := d
		again.Body = []byte("another")
		if fresh, err := f.Accept(t.Context(), again); err != nil || fresh {
			t.Errorf("a GUID that is there: fresh %v, %v", fresh, err)
		}
		other := d
		other.App = 2
		if fresh, err := f.Accept(t.Context(), other); err != nil || !fresh {
			t.Errorf("the same GUID of another App: fresh %v, %v", fresh, err)
		}
		got, err := f.Delivery(t.Context(), 1, "a")
		f.must(err)
		if !reflect.DeepEqual(got.Delivery, d) {
			t.Errorf("stored\n%+v, want\n%+v", got.Delivery, d)
		}
		if got.State != Received || got.Due.IsZero() || got.Size != int64(len(d.Body)) {
			t.Errorf("%+v", got)
		}
		_, err = f.Delivery(t.Context(), 1, "b")
		wants(t, "a delivery that is not there", err, ErrNotFound)

		guids := []string{"b", "a"}
		for i := range 3 * page {
			guids = append(guids, fmt.Sprint("no", i))
		}
		known, err := f.Known(t.Context(), 1, append(guids, "a"))
		if err != nil || !reflect.DeepEqual(known, map[string]bool{"a": true}) {
			t.Errorf("known are %v, %v", known, err)
		}
	})
}

// TestAcceptAny stores what no GitHub sends.
func TestAcceptAny(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		d := delivery(-1, "a")
		d.Action, d.Sender = "a\x00b\xff", strings.Repeat("é", 1000)
		d.Body = nil
		_, err := f.Accept(t.Context(), d)
		f.must(err)
		got, err := f.Delivery(t.Context(), 1, "a")
		f.must(err)
		if got.Action != "ab" || got.Sender != strings.Repeat("é", maxText/2) || len(got.Body) != 0 {
			t.Errorf("%+v", got)
		}
		d.GUID, d.Body = "b", make([]byte, MaxBody)
		rand.NewChaCha8([32]byte{}).Read(d.Body)
		_, err = f.Accept(t.Context(), d)
		f.must(err)
		if got, err = f.Delivery(t.Context(), 1, "b"); err != nil || !bytes.Equal(got.Body, d.Body) {
			t.Errorf("a large body comes back otherwise: %v", err)
		}
		d.GUID, d.Body = "c", make([]byte, MaxBody+1)
		if _, err = f.Accept(t.Context(), d); err == nil {
			t.Error("a body above the limit is stored")
		}
	})
}

// TestAcceptAtOnce stores each delivery from two sides.
func TestAcceptAtOnce(t *testing.T) {
	const installations, each = 5, 60
	both(t, func(t *testing.T, f *fixture) {
		var fresh atomic.Int64
		var wait sync.WaitGroup
		for i := range 2 * installations * each {
			wait.Go(func() {
				n := i / 2
				is, err := f.Accept(t.Context(), delivery(int64(n%installations+1), fmt.Sprint("guid", n)))
				if err != nil {
					t.Error(err)
				}
				if is {
					fresh.Add(1)
				}
			})
		}
		wait.Wait()
		if n := fresh.Load(); n != installations*each {
			t.Errorf("%d are new, want %d", n, installations*each)
		}
		for i := range int64(installations) {
			if n := len(f.turns(Decide, i+1)); n != 1 {
				t.Errorf("installation %d has %d turns, want one", i+1, n)
			}
			if n := len(strings.Fields(f.undecided(i + 1))); n != each {
				t.Errorf("installation %d has %d deliveries, want %d", i+1, n, each)
			}
		}
	})
}

func TestAcceptClosed(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.must(f.Close())
		_, err := f.Accept(t.Context(), delivery(1, "a"))
		wants(t, "accept", err, ErrClosed)
		if err := f.SetCursor(t.Context(), "a", "b"); err == nil {
			t.Error("a closed database is written to")
		}
	})
}

// TestTakeInTurn has a flood wait in its own line.
func TestTakeInTurn(t *testing.T) {
	c := &committer{lines: map[installation][]*arrival{}}
	c.more.L = &c.mu
	for i := range 200 {
		if err := c.put(&arrival{d: delivery(1, fmt.Sprint("flood", i))}); err != nil {
			t.Fatal(err)
		}
	}
	for _, guid := range []string{"a", "b"} {
		if err := c.put(&arrival{d: delivery(2, guid)}); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, a := range c.take() {
		got = append(got, a.d.GUID)
	}
	if len(got) != maxBatch || got[1] != "a" || got[3] != "b" || got[maxBatch-1] != fmt.Sprint("flood", maxBatch-3) {
		t.Errorf("the first batch is %v", got)
	}
	if n := len(c.take()); n != 202-maxBatch {
		t.Errorf("the second batch has %d", n)
	}
	c.put(&arrival{d: delivery(1, "large"), packed: make([]byte, maxBatchBytes)}) //nolint:errcheck // it is open
	c.put(&arrival{d: delivery(1, "next")})                                       //nolint:errcheck
	if n := len(c.take()); n != 1 {
		t.Errorf("a batch of %d with a large body", n)
	}
	c.close()
	if n := len(c.take()); n != 1 {
		t.Errorf("%d are left for the end, want 1", n)
	}
	if c.take() != nil {
		t.Error("something is left after the end")
	}
	wants(t, "put", c.put(&arrival{}), ErrClosed)
}

func TestDeliveries(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		for i := range page + 5 {
			f.accept(1, fmt.Sprintf("%04d", i))
		}
		f.accept(2, "x")
		start := f.clock.now()
		f.clock.pass(time.Hour)
		f.accept(2, "y", "z")
		list := func(filter DeliveryFilter) (guids []string) {
			for r, err := range f.Deliveries(t.Context(), filter) {
				f.must(err)
				if r.Body != nil {
					t.Error("a list has bodies")
				}
				guids = append(guids, r.GUID)
			}
			return guids
		}
		if all := list(DeliveryFilter{}); len(all) != page+8 || all[0] != "0000" || all[page+7] != "z" {
			t.Errorf("all: %v", all)
		}
		if all := list(DeliveryFilter{Newest: true}); len(all) != page+8 || all[0] != "z" || all[page+7] != "0000" {
			t.Errorf("newest first: %v", all)
		}
		for _, tt := range []struct {
			filter DeliveryFilter
			want   string
		}{
			{DeliveryFilter{Installation: 2}, "x y z"},
			{DeliveryFilter{Installation: 2, Since: start.Add(time.Minute)}, "y z"},
			{DeliveryFilter{Installation: 2, Until: start.Add(time.Minute)}, "x"},
			{DeliveryFilter{App: 2}, ""},
			{DeliveryFilter{GUID: "y", App: 1, Event: "push", State: Received, Repositories: []int64{20, 30}}, "y"},
			{DeliveryFilter{GUID: "y", Repositories: []int64{}}, ""},
			{DeliveryFilter{GUID: "y", Event: "release"}, ""},
			{DeliveryFilter{State: Dead}, ""},
			{DeliveryFilter{Installation: 2, FullName: "Octo/CAT"}, "x y z"},
			{DeliveryFilter{FullName: "octo/dog"}, ""},
			{DeliveryFilter{Repositories: []int64{20}, Newest: true, Before: int64(page + 8)}, "y x"},
		} {
			if got := strings.Join(list(tt.filter), " "); got != tt.want {
				t.Errorf("%+v: %q, want %q", tt.filter, got, tt.want)
			}
		}
		for range f.Deliveries(t.Context(), DeliveryFilter{}) {
			break // a reader that goes away
		}
		f.must(f.SetCursor(t.Context(), "a", "b"))
	})
}

func TestReplay(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a")
		turn := f.turn(Decide, 1)
		f.must(f.Undecide(t.Context(), 1, "a", "GitHub is away", time.Time{}))
		f.must(f.Rest(t.Context(), turn))
		if got, err := f.Delivery(t.Context(), 1, "a"); err != nil || got.State != Dead || got.Reason != "GitHub is away" || !got.Due.IsZero() || got.Attempt != 1 {
			t.Errorf("%+v, %v", got, err)
		}
		f.must(f.Replay(t.Context(), 1, "a"))
		f.turn(Decide, 1)
		if got := f.undecided(1); got != "a" {
			t.Errorf("undecided are %q", got)
		}
		if got, err := f.Delivery(t.Context(), 1, "a"); err != nil || got.State != Received || got.Source != webhook.Replayed || got.Attempt != 0 {
			t.Errorf("%+v, %v", got, err)
		}
		wants(t, "what is not there", f.Replay(t.Context(), 1, "b"), ErrNotFound)
	})
}

// TestUnpack refuses what pack did not make.
func TestUnpack(t *testing.T) {
	body := bytes.Repeat([]byte(`{"a": 1}`), 100)
	packed, err := pack(body)
	if err != nil {
		t.Fatal(err)
	}
	size := int64(len(body))
	if got, err := unpack(packed, size); err != nil || !bytes.Equal(got, body) {
		t.Errorf("%q, %v", got, err)
	}
	spoiled := bytes.Clone(packed)
	spoiled[len(spoiled)-6]++ // the sum
	for name, err := range map[string]error{
		"a size too small":  second(unpack(packed, size-1)),
		"a size too large":  second(unpack(packed, size+1)),
		"an impossible one": second(unpack(packed, MaxBody+1)),
		"none":              second(unpack(packed, -1)),
		"a body cut short":  second(unpack(packed[:len(packed)/2], size)),
		"a wrong sum":       second(unpack(spoiled, size)),
		"no body":           second(unpack(nil, size)),
	} {
		if err == nil || errors.Is(err, ErrNotFound) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func second(_ []byte, err error) error { return err }
