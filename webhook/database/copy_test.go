package database

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
)

// TestCopy moves each database to each other one, where all goes on.
func TestCopy(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a", "b")
		f.accept(2, "c")
		turn := f.turn(Decide, 1)
		_, err := f.Decided(t.Context(), 1, "a", "", f.run("1", group("main", 0, false)), f.run("2", group("main", 0, false)))
		f.must(err)
		f.must(f.move("1", webhook.Starting, check("a")))
		f.must(f.SetCursor(t.Context(), "deliveries", "4711"))
		f.must(f.Plan(t.Context(), 1, 10, []Schedule{{RuleKey: "nightly", Due: f.clock.now(), Data: []byte(`{}`)}}))
		for name, url := range urls(t) {
			t.Run("to "+name, func(t *testing.T) {
				to := &fixture{t: t, url: url, clock: f.clock}
				to.open(Options{})
				copied, err := Copy(t.Context(), f.DB, to.DB)
				to.must(err)
				if copied != (Copied{Deliveries: 3, Runs: 2}) {
					t.Errorf("%+v", copied)
				}
				for _, guid := range []string{"a", "b", "c"} {
					was, err := f.Delivery(t.Context(), 1, guid)
					to.must(err)
					is, err := to.Delivery(t.Context(), 1, guid)
					to.must(err)
					if !reflect.DeepEqual(was, is) {
						t.Errorf("%s is\n%+v, was\n%+v", guid, is, was)
					}
				}
				for _, id := range []string{"1", "2"} {
					if was, is := f.get(id), to.get(id); !reflect.DeepEqual(was, is) {
						t.Errorf("run %s is\n%+v, was\n%+v", id, is, was)
					}
				}
				wants(t, "the dead server's turn", to.Take(t.Context(), turn, time.Minute), ErrMoved)
				to.turn(Decide, 1)
				to.turn(Decide, 2)
				to.turn(Report, 1)
				if got := to.undecided(1) + to.undecided(2); got != "bc" {
					t.Errorf("undecided are %q", got)
				}
				if items := to.unsent(); len(items) != 1 || string(items[0].State) != "a" {
					t.Errorf("%+v", items)
				}
				if n := len(to.steps("2")); n != 1 {
					t.Errorf("the run has %d steps", n)
				}
				if got, err := to.Cursor(t.Context(), "deliveries"); err != nil || got != "4711" {
					t.Errorf("the cursor is %q, %v", got, err)
				}
				if due, err := to.DueSchedules(t.Context(), 10); err != nil || len(due) != 1 {
					t.Errorf("due are %v, %v", due, err)
				}
				to.accept(1, "new")
				wants(t, "run 2", to.move("2", webhook.Starting), ErrBusy)
				_, err = Copy(t.Context(), f.DB, to.DB)
				wants(t, "a second copy", err, ErrNotEmpty)
			})
		}
	})
}

func TestBackup(t *testing.T) {
	both(t, func(t *testing.T, f *fixture) {
		f.accept(1, "a")
		file := filepath.Join(t.TempDir(), "backup.db")
		if isPostgres(f.url) {
			wants(t, "back up", f.Backup(t.Context(), file), ErrBackup)
			return
		}
		beside, err := Open(t.Context(), f.url, Options{ReadOnly: true, Log: quiet})
		f.must(err)
		defer beside.Close()
		f.must(beside.Backup(t.Context(), file))
		f.accept(1, "after")
		if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("the backup is %v, %v", info.Mode(), err)
		}
		if err := f.Backup(t.Context(), file); !errors.Is(err, os.ErrExist) {
			t.Errorf("a file is written over: %v", err)
		}
		restored := &fixture{t: t, url: file, clock: f.clock}
		restored.open(Options{})
		restored.turn(Decide, 1)
		if got := restored.undecided(1); got != "a" {
			t.Errorf("undecided are %q", got)
		}
	})
}
