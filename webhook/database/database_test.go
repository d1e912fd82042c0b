package database

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// TestOpenAgain finds everything as it was.
func TestOpenAgain(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a")
		f.must(f.SetCursor(t.Context(), "deliveries", "4711"))
		f.must(f.SetCursor(t.Context(), "deliveries", "4712"))
		f.must(f.Close())
		f.open(Options{})
		if got := f.undecided(1); got != "a" {
			t.Errorf("undecided are %q", got)
		}
		if got, err := f.Cursor(t.Context(), "deliveries"); err != nil || got != "4712" {
			t.Errorf("the cursor is %q, %v", got, err)
		}
		if got, err := f.Cursor(t.Context(), "other"); err != nil || got != "" {
			t.Errorf("a cursor that is not there is %q, %v", got, err)
		}
		f.must(f.engine.write(t.Context(), func(ctx context.Context, tx tx) error {
			_, err := tx.exec(ctx, `INSERT INTO clipper_version (version) VALUES ($1)`, len(migrations)+1)
			return err
		}))
		f.must(f.Close())
		if db, err := Open(t.Context(), f.url, Options{Log: quiet}); err == nil {
			db.Close()
			t.Error("a database of a newer program is opened")
		}
	})
}

func TestOpenAtOnce(t *testing.T) {
	url := server.Database(t)
	errs := make(chan error)
	for range 3 {
		go func() {
			db, err := Open(t.Context(), url, Options{Log: quiet})
			if err == nil {
				err = db.Close()
			}
			errs <- err
		}()
	}
	for range 3 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

func TestOpenFails(t *testing.T) {
	for _, url := range []string{"postgres://postgres@/none?host=" + t.TempDir(), "postgres://%zz", filepath.Join(t.TempDir(), "no", "where")} {
		if db, err := Open(t.Context(), url, Options{Log: quiet}); err == nil {
			db.Close()
			t.Errorf("%s is opened", url)
		}
	}
	missing := filepath.Join(t.TempDir(), "a.db")
	if _, err := Open(t.Context(), missing, Options{ReadOnly: true}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestInUse(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	first, err := Open(t.Context(), path, Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	_, err = Open(t.Context(), path, Options{Log: quiet})
	wants(t, "a second server", err, ErrInUse)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the file is %v, %v", info.Mode(), err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := Open(t.Context(), path, Options{Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	second.Close()
}

// TestReadOnly looks at a database beside its server.
func TestReadOnly(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a")
		db, err := Open(t.Context(), f.url, Options{ReadOnly: true, Log: quiet})
		f.must(err)
		defer db.Close()
		f.accept(1, "b")
		var guids []string
		for r, err := range db.Deliveries(t.Context(), DeliveryFilter{}) {
			f.must(err)
			guids = append(guids, r.GUID)
		}
		if !slices.Equal(guids, []string{"a", "b"}) {
			t.Errorf("deliveries are %v", guids)
		}
		if err := db.SetCursor(t.Context(), "a", "b"); err == nil {
			t.Error("it is written to")
		}
		if _, err := db.Accept(t.Context(), delivery(1, "c")); err == nil {
			t.Error("it accepts")
		}
	})
}

// TestHealthOf counts what is of some repositories of an App, and nothing else.
func TestHealthOf(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		start := f.clock.now().UTC()
		other := delivery(1, "other")
		other.App = 2
		for _, d := range []webhook.Delivery{delivery(1, "a"), delivery(2, "b"), other} {
			d.Received = f.clock.now()
			_, err := f.Accept(t.Context(), d)
			f.must(err)
			f.clock.pass(time.Second)
		}
		for id, change := range map[string]func(*webhook.Run){
			"1": func(*webhook.Run) {}, "2": func(r *webhook.Run) { r.Repository, r.RuleKey = 20, "20/itest" }, "3": func(r *webhook.Run) { r.App, r.RuleKey = 2, "2/itest" },
		} {
			run := f.run(id, change)
			run.Desires = []Desire{{Channel: "check", State: []byte(`{}`)}}
			f.create(run)
		}
		for _, tt := range []struct {
			app          int64
			repositories []int64
			want         Health
		}{
			{1, []int64{10}, Health{Undecided: 1, Oldest: start, Unsent: 1, Unended: 1}},
			{1, []int64{20, 30}, Health{Undecided: 1, Oldest: start.Add(time.Second), Unsent: 1, Unended: 1}},
			{1, nil, Health{Undecided: 2, Oldest: start, Unsent: 2, Unended: 2}},
			{1, []int64{}, Health{}},
			{2, []int64{10, 20}, Health{Undecided: 1, Oldest: start.Add(2 * time.Second), Unsent: 1, Unended: 1}},
			{3, nil, Health{}},
		} {
			if h, err := f.HealthOf(t.Context(), tt.app, tt.repositories); err != nil || h != tt.want {
				t.Errorf("of %v of App %d: %+v, %v, want %+v", tt.repositories, tt.app, h, err, tt.want)
			}
		}
		f.must(f.Close())
		if _, err := f.HealthOf(t.Context(), 1, nil); err == nil {
			t.Error("a database that is closed does well")
		}
	})
}

func TestHealth(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		if h, err := f.Health(t.Context()); err != nil || h != (Health{}) {
			t.Errorf("%+v, %v", h, err)
		}
		start := f.clock.now().UTC()
		f.accept(1, "a")
		f.clock.pass(time.Minute)
		f.accept(2, "b")
		f.create(f.run("1"))
		f.show("1", check("a"))
		if h, err := f.Health(t.Context()); err != nil || h != (Health{Undecided: 2, Oldest: start, Unsent: 1, Unended: 1}) {
			t.Errorf("%+v, %v", h, err)
		}
		f.must(f.Close())
		if _, err := f.Health(t.Context()); err == nil {
			t.Error("a closed database is healthy")
		}
	})
}

// TestPrune forgets what is old and done.
func TestPrune(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "decided", "undecided")
		_, err := f.Decided(t.Context(), 1, "decided", "no rule")
		f.must(err)
		for _, id := range []string{"over", "going"} {
			f.create(f.run(id, group(id, 0, false)))
			f.show(id, check("a"))
		}
		f.must(f.move("over", webhook.Cancelled))
		prune := func(want int64) {
			t.Helper()
			if n, err := f.Prune(t.Context(), 0); err != nil || n != want {
				t.Errorf("%d are deleted, want %d: %v", n, want, err)
			}
		}
		f.clock.pass(Keep - time.Minute)
		prune(0)
		f.clock.pass(2 * time.Minute)
		f.accept(1, "new")
		if n, err := f.Prune(t.Context(), 30*24*time.Hour); n != 0 || err != nil {
			t.Errorf("%d are deleted before their time: %v", n, err)
		}
		prune(3) // a delivery, a run and its group
		prune(0)
		if got := f.undecided(1); got != "undecided new" {
			t.Errorf("undecided are %q", got)
		}
		_, err = f.Delivery(t.Context(), 1, "decided")
		wants(t, "what was pruned", err, ErrNotFound)
		_, err = f.Run(t.Context(), "over")
		wants(t, "what was pruned", err, ErrNotFound)
		if over, err := f.Shown(t.Context(), "over"); err != nil || over != nil {
			t.Errorf("shown are still %v, %v", over, err)
		}
		f.get("going")
		if going, err := f.Shown(t.Context(), "going"); err != nil || len(going) != 1 {
			t.Errorf("shown are %v, %v", going, err)
		}
	})
}

// TestPruneMany goes on until all is gone.
func TestPruneMany(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.must(f.engine.write(t.Context(), func(ctx context.Context, tx tx) error {
			var rows [][]any
			for i := range 2*pruneBatch + 1 {
				a := arrival{d: delivery(1, strconv.Itoa(i)), packed: []byte("x")}
				rows = append(rows, a.row(f.clock.now()))
			}
			if _, err := tx.execEach(ctx, insertDelivery, rows); err != nil {
				return err
			}
			_, err := tx.exec(ctx, `UPDATE deliveries SET due = 0, received = 1`)
			return err
		}))
		if n, err := f.Prune(t.Context(), 0); err != nil || n != 2*pruneBatch+1 {
			t.Errorf("%d are deleted, %v", n, err)
		}
	})
}
