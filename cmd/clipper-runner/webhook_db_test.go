package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// pushed is the n-th push, with names as long as they are kept.
func pushed(n int) webhook.Delivery {
	return webhook.Delivery{
		App: 1, GUID: fmt.Sprintf("guid-%06d", n), Event: strings.Repeat("e", 256), HookID: 7, Source: webhook.Pushed,
		Head: webhook.Head{Installation: 3, Action: strings.Repeat("a", 256), FullName: strings.Repeat("n", 256), Repository: 10, Sender: strings.Repeat("s", 256)},
		Body: []byte(`{"n": ` + strconv.Itoa(n) + `}`),
	}
}

// acceptMany has a server take in deliveries, many at a time.
func acceptMany(t *testing.T, db *database.DB, from, to int) {
	t.Helper()
	var g errgroup.Group
	g.SetLimit(128)
	for n := from; n < to; n++ {
		g.Go(func() error {
			_, err := db.Accept(t.Context(), pushed(n))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
}

// collected is a line by which Go's collector tells how much of the heap it
// found, and how much of it was in use, in MiB.
var collected = regexp.MustCompile(`(?m)^gc .* \d+->\d+->(\d+) MB`)

// listed runs deliveries list --json and returns the GUIDs and how much of its
// heap was in use at most, in MiB. The whole process's memory is mostly the race
// detector's.
func listed(t *testing.T, url string) (guids []string, most int) {
	t.Helper()
	cmd := exec.Command(shared+"/clipper-runner", "webhook", "deliveries", "list", "--json", "--database", url)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var told bytes.Buffer
	cmd.Stderr = &told
	cmd.Env = append(os.Environ(), "GODEBUG=gctrace=1", "GOGC=10")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := int64(0)
	for lines := bufio.NewScanner(out); lines.Scan(); {
		var d listedDelivery
		if err := json.Unmarshal(lines.Bytes(), &d); err != nil {
			t.Errorf("%q: %v", lines.Text(), err)
		}
		if last != 0 && d.Seq >= last {
			t.Errorf("%d comes after %d", d.Seq, last)
		}
		last = d.Seq
		guids = append(guids, d.GUID)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %s", err, &told)
	}
	lines := collected.FindAllSubmatch(told.Bytes(), -1)
	if len(lines) == 0 {
		t.Fatalf("the collector told nothing: %s", &told)
	}
	for _, line := range lines {
		used, err := strconv.Atoi(string(line[1]))
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, used)
	}
	return guids, most
}

// TestListMany lists twenty thousand deliveries, each once, in hardly more
// memory than two thousand: their names alone come to 20 MiB.
func TestListMany(t *testing.T) {
	const few, many, most = 2_000, 20_000, 10
	bothDatabases(t, func(t *testing.T, url string) {
		db := serverOf(t, url)
		acceptMany(t, db, 0, few)
		_, small := listed(t, url)
		acceptMany(t, db, few, many)
		guids, large := listed(t, url)
		slices.Sort(guids)
		if guids = slices.Compact(guids); len(guids) != many {
			t.Errorf("%d deliveries of %d", len(guids), many)
		}
		if large > small+most {
			t.Errorf("%d deliveries took %d MiB, %d took %d", few, small, many, large)
		}
		t.Logf("%d deliveries: %d MiB, %d deliveries: %d MiB", few, small, many, large)
	})
}

// TestPrintListHoldsNothing has a list print what it read before it reads much
// more.
func TestPrintListHoldsNothing(t *testing.T) {
	const rows = 100_000
	for _, asJSON := range []bool{true, false} {
		var out bytes.Buffer
		most := 0
		err := printList(&out, func(yield func(string, error) bool) {
			for n := range rows {
				most = max(most, n*64-out.Len())
				if !yield(fmt.Sprintf("%061d", n), nil) {
					return
				}
			}
		}, asJSON, 0, "NUMBER", func(s string) string { return s + "\t-" })
		if err != nil {
			t.Error(err)
		}
		if lines := strings.Count(out.String(), "\n"); lines < rows || lines > rows+1 {
			t.Errorf("%d lines", lines)
		}
		if most > 128<<10 {
			t.Errorf("JSON %v: %d bytes were held", asJSON, most)
		}
	}
}

// TestPrintListFails says what went wrong, after what was there before.
func TestPrintListFails(t *testing.T) {
	gone := errors.New("gone")
	for _, asJSON := range []bool{true, false} {
		var out bytes.Buffer
		err := printList(&out, func(yield func(int, error) bool) { _ = yield(1, nil) && yield(0, gone) }, asJSON, 0, "NUMBER", strconv.Itoa)
		if !errors.Is(err, gone) || !strings.HasSuffix(out.String(), "1\n") {
			t.Errorf("%v: %q", err, out.String())
		}
	}
}

// TestListBesideWriter lists while the server takes in more: whatever was there
// before is there, each once.
func TestListBesideWriter(t *testing.T) {
	bothDatabases(t, func(t *testing.T, url string) {
		db := serverOf(t, url)
		var done atomic.Int64
		stop := make(chan struct{})
		var g errgroup.Group
		g.Go(func() error {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return nil
				default:
				}
				if _, err := db.Accept(t.Context(), pushed(n)); err != nil {
					return err
				}
				done.Store(int64(n) + 1)
			}
		})
		lists := 0
		for ; lists < 3 || done.Load() < 500; lists++ {
			before := done.Load()
			guids, _ := listed(t, url)
			all := map[string]bool{}
			for _, guid := range guids {
				if all[guid] {
					t.Errorf("%s is there twice", guid)
				}
				all[guid] = true
			}
			for n := range before {
				if guid := pushed(int(n)).GUID; !all[guid] {
					t.Fatalf("%s was there and is not listed", guid)
				}
			}
		}
		close(stop)
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
		t.Logf("%d lists beside %d deliveries", lists, done.Load())
	})
}
