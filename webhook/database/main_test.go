package database

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	cluster "github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/webhook"
)

var server *cluster.Server

func TestMain(m *testing.M) {
	if url := os.Getenv(crashVariable); url != "" {
		crash(url)
		return
	}
	os.Exit(cluster.Main(m, &server))
}

// clock is a time that tests move.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// fixture is a database of a test.
type fixture struct {
	*DB
	t     *testing.T
	clock *clock
	url   string
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// both runs a test over both databases.
func both(t *testing.T, test func(t *testing.T, f *fixture)) {
	t.Helper()
	for name, url := range urls(t) {
		t.Run(name, func(t *testing.T) {
			f := &fixture{t: t, url: url, clock: &clock{t: time.Now().Truncate(time.Millisecond)}}
			f.open(Options{})
			test(t, f)
		})
	}
}

func urls(t testing.TB) map[string]string {
	return map[string]string{"SQLite": filepath.Join(t.TempDir(), "clipper?#%.db"), "PostgreSQL": server.Database(t)}
}

func (f *fixture) open(o Options) {
	f.t.Helper()
	o.Now, o.Log = f.clock.now, quiet
	db, err := Open(f.t.Context(), f.url, o)
	if err != nil {
		f.t.Fatal(err)
	}
	f.DB = db
	f.t.Cleanup(func() { db.Close() })
}

// must ends the test on an error.
func (f *fixture) must(err error) {
	f.t.Helper()
	if err != nil {
		f.t.Fatal(err)
	}
}

// delivery is one of App 1.
func delivery(installation int64, guid string) webhook.Delivery {
	return webhook.Delivery{
		App: 1, GUID: guid, Event: "push", HookID: 7, Source: webhook.Pushed,
		Head: webhook.Head{Action: "opened", Installation: installation, Repository: 10 * installation, FullName: "octo/cat", Sender: "mona"},
		Body: []byte(`{"guid": "` + guid + `"}`),
	}
}

func (f *fixture) accept(installation int64, guids ...string) {
	f.t.Helper()
	for _, guid := range guids {
		fresh, err := f.Accept(f.t.Context(), delivery(installation, guid))
		f.must(err)
		if !fresh {
			f.t.Fatalf("delivery %s was there already", guid)
		}
	}
}

// turns are the jobs of lanes that River has still to do, void ones too.
func (f *fixture) turns(work Work, installation int64) []Turn {
	f.t.Helper()
	var turns []Turn
	f.must(f.engine.read(f.t.Context(), func(ctx context.Context, q querier) (err error) {
		turns, err = all(ctx, q, func(r row) (t Turn, err error) {
			err = r.Scan(&t.Work, &t.App, &t.Installation, &t.Number)
			return t, err
		}, `SELECT args ->> 'work', CAST(args ->> 'app' AS BIGINT), CAST(args ->> 'installation' AS BIGINT), CAST(args ->> 'number' AS BIGINT)
			FROM river_job WHERE kind = 'turn' ORDER BY id`)
		return err
	}))
	return slices.DeleteFunc(turns, func(t Turn) bool { return t.Work != work || t.Installation != installation })
}

// turn takes the lane's last turn, which must not be void.
func (f *fixture) turn(work Work, installation int64) Turn {
	f.t.Helper()
	turns := f.turns(work, installation)
	if len(turns) == 0 {
		f.t.Fatalf("there is no turn of %s for installation %d", work, installation)
	}
	last := turns[len(turns)-1]
	if err := f.Take(f.t.Context(), last, time.Minute); err != nil {
		f.t.Fatalf("take %v: %v", last, err)
	}
	return last
}

// steps are the jobs of a run, as their revisions.
func (f *fixture) steps(run string) []int64 {
	f.t.Helper()
	var steps []int64
	f.must(f.engine.read(f.t.Context(), func(ctx context.Context, q querier) (err error) {
		steps, err = all(ctx, q, func(r row) (rev int64, err error) {
			err = r.Scan(&rev)
			return rev, err
		}, `SELECT CAST(args ->> 'rev' AS BIGINT) FROM river_job WHERE kind = 'step' AND args ->> 'run' = $1 ORDER BY id`, run)
		return err
	}))
	return steps
}

// undecided are the GUIDs that are due in a lane.
func (f *fixture) undecided(installation int64) string {
	f.t.Helper()
	list, err := f.Undecided(f.t.Context(), Lane{Decide, 1, installation}, 100)
	f.must(err)
	var guids []string
	for _, rec := range list {
		if want := string(delivery(installation, rec.GUID).Body); string(rec.Body) != want {
			f.t.Errorf("the body of %s is %q, want %q", rec.GUID, rec.Body, want)
		}
		guids = append(guids, rec.GUID)
	}
	return strings.Join(guids, " ")
}

// run is one of installation 1 and repository 10.
func (f *fixture) run(id string, change ...func(*webhook.Run)) NewRun {
	r := webhook.Run{
		ID: id, RuleKey: "1/10/itest", EventKey: "push:" + id, Rev: 1, App: 1, Installation: 1, Repository: 10,
		State: webhook.Queued, Created: f.clock.now(), Due: f.clock.now(),
	}
	for _, c := range change {
		c(&r)
	}
	return NewRun{Run: r}
}

func (f *fixture) create(run NewRun) {
	f.t.Helper()
	fresh, err := f.CreateRun(f.t.Context(), run)
	f.must(err)
	if !fresh {
		f.t.Fatalf("run %s was there already", run.ID)
	}
}

// get is a run as it is stored.
func (f *fixture) get(id string) webhook.Run {
	f.t.Helper()
	run, err := f.Run(f.t.Context(), id)
	f.must(err)
	return run
}

// move takes a run to another state.
func (f *fixture) move(id string, to webhook.State, desires ...Desire) error {
	f.t.Helper()
	run := f.get(id)
	f.must(run.Move(to, "", f.clock.now()))
	run.Due = time.Time{}
	return f.Move(f.t.Context(), run, desires...)
}

// wants checks that an error is the one wanted.
func wants(t *testing.T, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// scheduled is when the last job of a kind is due.
func (f *fixture) scheduled(kind string, queue Work) time.Time {
	f.t.Helper()
	var at time.Time
	f.must(f.engine.read(f.t.Context(), func(ctx context.Context, q querier) error {
		found, err := one(ctx, q, `SELECT scheduled_at FROM river_job WHERE kind = $1 AND queue = $2 ORDER BY id DESC LIMIT 1`, []any{kind, string(queue)}, &at)
		if !found && err == nil {
			err = ErrNotFound
		}
		return err
	}))
	return at
}
