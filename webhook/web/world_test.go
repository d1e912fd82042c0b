package web_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	cluster "github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/accept"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/web"
)

var server *cluster.Server

func TestMain(m *testing.M) {
	os.Exit(cluster.Main(m, &server))
}

const config = `version: 1
rules:
  - id: itest
    on:
      push: { branches: [main] }
      pull_request: {}
    run:
      ecs: { image: ghcr.io/acme/ci:1.26, command: [go, test, ./...] }
  - id: release
    on: { release: { types: [published] }, manual: {} }
    run: { workflow: { file: deploy.yml } }
`

// world is the service's pages in front of a GitHub, where mona may write
// acme/app, rita may read it, and acme/secret is neither's.
type world struct {
	*fakehub.Hub
	t             *testing.T
	app           *fakehub.App
	repo, secret  *fakehub.Repo
	install       *fakehub.Installation
	db            *database.DB
	web           *web.Server
	url           string
	logs          *logs
	orders        *orders
	clock         *clock
	handler       http.Handler
	configuration web.Config
}

// clock is a time that tests move.
type clock struct {
	mu   sync.Mutex
	past time.Duration
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().Add(c.past)
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.past += d
}

// both runs a test over both databases.
func both(t *testing.T, test func(t *testing.T, w *world)) {
	t.Helper()
	t.Run("SQLite", func(t *testing.T) { test(t, start(t, filepath.Join(t.TempDir(), "clipper.db"))) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, start(t, server.Database(t))) })
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func start(t *testing.T, databaseURL string) *world {
	t.Helper()
	w := &world{t: t, clock: &clock{}}
	var err error
	w.Hub = fakehub.New(t, fakehub.Config{})
	listener := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { w.handler.ServeHTTP(rw, r) }))
	w.url = listener.URL
	t.Cleanup(func() {
		w.web.Drain()
		listener.Close()
	})
	for _, login := range []string{"mona", "rita", "stranger"} {
		w.User(login)
	}
	w.app = w.Hub.App(fakehub.AppConfig{WebhookURL: w.url + "/webhook", CallbackURLs: []string{w.url + "/sign-in/callback"}})
	w.repo, w.secret = w.Repo("acme/app"), w.Repo("acme/secret")
	for _, r := range []*fakehub.Repo{w.repo, w.secret} {
		r.Commit(map[string]string{".github/clipper.yml": config})
	}
	w.repo.Permit("mona", "write")
	w.repo.Permit("rita", "read")
	w.secret.Permit("stranger", "admin")
	if w.db, err = database.Open(t.Context(), databaseURL, database.Options{Log: quiet}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.db.Close() })
	w.logs, w.orders = &logs{lines: map[string][]web.Line{}, over: map[string]bool{}}, &orders{db: w.db}
	w.configuration = web.Config{
		URL: w.url, App: w.app.ID, ClientID: w.app.ClientID, ClientSecret: w.app.ClientSecret, GitHubURL: w.URL, APIURL: w.APIURL,
		Key: []byte(strings.Repeat("k", 32)), Books: w.db, Orders: w.orders, Logs: w.logs, Rulebook: rulebook{t},
		Every: 50 * time.Millisecond, Log: quiet, Now: w.clock.now,
	}
	if w.web, err = web.New(w.configuration); err != nil {
		t.Fatal(err)
	}
	door, err := accept.New(accept.Config{Apps: []accept.App{{ID: w.app.ID, Secrets: []string{w.app.WebhookSecret}}}, Inbox: w.db, Log: quiet})
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.Handle("POST /webhook", door)
	mux.Handle("/", w.web)
	w.handler = mux
	w.install = w.app.Install("acme")
	w.settle()
	return w
}

func (w *world) settle() {
	w.t.Helper()
	if err := w.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
}

// push is a push to a repository, and the delivery of it.
func (w *world) push(r *fakehub.Repo, files map[string]string) database.Record {
	w.t.Helper()
	r.Push("mona", "main", files)
	w.settle()
	for rec, err := range w.db.Deliveries(w.t.Context(), database.DeliveryFilter{Repositories: []int64{r.ID}, Event: "push", Newest: true}) {
		w.must(err)
		return rec
	}
	w.t.Fatal("the push was not delivered")
	return database.Record{}
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// run stores a run of a delivery.
func (w *world) run(rec database.Record, id string, state webhook.State, change ...func(*webhook.Run)) webhook.Run {
	w.t.Helper()
	r := webhook.Run{
		ID: id, RuleKey: webhook.RuleKey(rec.App, rec.Repository, "itest"), EventKey: "push:" + id, Rev: 1, App: rec.App, Installation: rec.Installation,
		Repository: rec.Repository, FullName: rec.FullName, Rule: "itest", Event: rec.Event, Delivery: rec.GUID, Sender: rec.Sender,
		Commit: strings.Repeat("c0ffee12", 5), Ref: "refs/heads/main", State: state, Created: time.Now(), Attempt: 1,
		Job: json.RawMessage(`{"ecs":{"image":"ghcr.io/acme/ci:1.26"},"check":"itest"}`),
	}
	for _, f := range change {
		f(&r)
	}
	_, err := w.db.CreateRun(w.t.Context(), database.NewRun{Run: r})
	w.must(err)
	return r
}

// move takes a run to a state.
func (w *world) move(id string, to webhook.State, reason string) {
	w.t.Helper()
	run, err := w.db.Run(w.t.Context(), id)
	w.must(err)
	w.must(run.Move(to, reason, time.Now()))
	run.Due = time.Time{}
	w.must(w.db.Move(w.t.Context(), run))
}

// rulebook decides by the configuration above.
type rulebook struct{ t *testing.T }

func (b rulebook) Rules(context.Context, int64, int64, string) (web.Rules, error) {
	c, problems := rules.ParseConfig([]byte(config))
	return web.Rules{Branch: "main", Commit: strings.Repeat("a", 40), Config: c, Text: config, Problems: problems}, nil
}

func (b rulebook) Explain(ctx context.Context, d database.Record) (web.Explanation, error) {
	e, err := webhook.ParseEvent(d.Event, d.Body)
	if err != nil {
		return web.Explanation{Reason: err.Error()}, nil
	}
	at, err := b.Rules(ctx, 0, 0, "")
	if err != nil {
		return web.Explanation{}, err
	}
	text, err := os.ReadFile("../rules/testdata/policy.yml")
	if err != nil {
		return web.Explanation{}, err
	}
	p, problems := rules.ParsePolicy(text)
	if problems != nil {
		b.t.Error(problems)
	}
	return web.Explanation{Branch: "main", Commit: at.Commit, Decisions: rules.Decide(at.Config, p, e, rules.Facts{})}, nil
}

// orders does what people ask for, as far as the database goes.
type orders struct {
	db *database.DB
	mu sync.Mutex
	by []string
}

func (o *orders) note(what, by string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.by = append(o.by, what+" by "+by)
}

func (o *orders) asked() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Join(o.by, ", ")
}

func (o *orders) Replay(ctx context.Context, app int64, guid, by string) error {
	o.note("replay", by)
	return o.db.Replay(ctx, app, guid)
}

func (o *orders) Approve(ctx context.Context, id, commit, by string) error {
	run, err := o.db.Run(ctx, id)
	if err != nil {
		return err
	}
	if run.Commit != commit || run.Move(webhook.Queued, "", time.Now()) != nil {
		return fmt.Errorf("%w: it waits for nothing", web.ErrRefused)
	}
	o.note("approve", by)
	run.ApprovedBy = by
	return o.db.Move(ctx, run)
}

func (o *orders) Rerun(ctx context.Context, id, by string) (string, error) {
	run, err := o.db.Run(ctx, id)
	if err != nil {
		return "", err
	}
	o.note("rerun", by)
	run.Rerun, run.ID, run.EventKey, run.State, run.Rev = id, id+"2", run.EventKey+"/2", webhook.Queued, 1
	_, err = o.db.CreateRun(ctx, database.NewRun{Run: run})
	return run.ID, err
}

func (o *orders) Cancel(ctx context.Context, id, by string) error {
	o.note("cancel", by)
	return o.db.Cancel(ctx, id, "cancelled by "+by)
}

func (o *orders) Start(ctx context.Context, s web.Start) (string, error) {
	o.note("start "+s.Rule, s.By)
	run := webhook.Run{
		ID: "by-hand-" + s.Nonce, RuleKey: webhook.RuleKey(s.App, s.Repository, s.Rule), EventKey: "manual:" + s.Nonce, Rev: 1, App: s.App, Installation: s.Installation,
		Repository: s.Repository, FullName: s.FullName, Rule: s.Rule, Event: webhook.Manual, Sender: s.By, State: webhook.Queued, Created: time.Now(),
	}
	_, err := o.db.CreateRun(ctx, database.NewRun{Run: run})
	return run.ID, err
}

// logs are lines that tests write.
type logs struct {
	mu    sync.Mutex
	lines map[string][]web.Line
	over  map[string]bool
}

func (l *logs) say(run string, texts ...string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, text := range texts {
		at := time.Date(2026, 11, 21, 12, 0, len(l.lines[run])/2, 0, time.UTC) // two lines have one time
		l.lines[run] = append(l.lines[run], web.Line{At: at, Container: "run", Text: text})
	}
}

func (l *logs) end(run string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.over[run] = true
}

func (l *logs) read(run string) ([]web.Line, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]web.Line(nil), l.lines[run]...), l.over[run]
}

func (l *logs) Tail(_ context.Context, run webhook.Run, n int) ([]web.Line, error) {
	lines, _ := l.read(run.ID)
	return lines[max(0, len(lines)-n):], nil
}

func (l *logs) Follow(ctx context.Context, run webhook.Run, since time.Time, tell func(web.Line)) error {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for told := 0; ; {
		lines, over := l.read(run.ID)
		for _, line := range lines[told:] {
			if !line.At.Before(since) {
				tell(line)
			}
		}
		told = len(lines)
		if over {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// visitor is somebody's browser, without JavaScript.
type visitor struct {
	*http.Client
	w *world
}

func (w *world) browser() *visitor {
	jar, err := cookiejar.New(nil)
	w.must(err)
	return &visitor{&http.Client{Jar: jar}, w}
}

// signedIn is a browser of somebody who has signed in.
func (w *world) signedIn(login string) *visitor {
	w.t.Helper()
	w.SignIn(login)
	b := w.browser()
	if status, text := b.get("/sign-in/github"); status != http.StatusOK || !strings.Contains(text, login) {
		w.t.Fatalf("%s was not let in: %d %s", login, status, text)
	}
	return b
}

func (b *visitor) do(req *http.Request) (*http.Response, string) {
	b.w.t.Helper()
	resp, err := b.Do(req)
	b.w.must(err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	b.w.must(err)
	return resp, string(body)
}

func (b *visitor) get(path string) (int, string) {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodGet, b.w.url+path, nil)
	b.w.must(err)
	resp, body := b.do(req)
	return resp.StatusCode, body
}

func (b *visitor) post(path string, form url.Values, header ...string) (int, string) {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodPost, b.w.url+path, strings.NewReader(form.Encode()))
	b.w.must(err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, body := b.do(req)
	return resp.StatusCode, body
}

// form is what a page's form to an address would send.
func (b *visitor) form(page, action string) url.Values {
	b.w.t.Helper()
	_, form := b.formLike(page, regexp.QuoteMeta(action))
	return form
}

// start is a repository's only form that starts a rule, and where it goes: the
// address is another each time.
func (b *visitor) start(page string) (path string, form url.Values) {
	b.w.t.Helper()
	return b.formLike(page, page+`/rules/\w+/start/\w+`)
}

func (b *visitor) formLike(page, action string) (path string, form url.Values) {
	b.w.t.Helper()
	_, text := b.get(page)
	found := regexp.MustCompile(`(?s)action="(`+action+`)">(.*?)</form>`).FindAllStringSubmatch(text, -1)
	if len(found) != 1 {
		b.w.t.Fatalf("%s has %d forms to %s:\n%s", page, len(found), action, text)
	}
	form = url.Values{}
	for _, input := range regexp.MustCompile(`name="(\w+)" value="([^"]*)"`).FindAllStringSubmatch(found[0][2], -1) {
		form.Set(input[1], input[2])
	}
	return found[0][1], form
}

// has checks that a page is there and what is on it; a word with "!" in front
// is not.
func (b *visitor) has(path string, words ...string) string {
	b.w.t.Helper()
	status, text := b.get(path)
	if status != http.StatusOK {
		b.w.t.Fatalf("%s: status %d\n%s", path, status, text)
	}
	for _, word := range words {
		not, cut := strings.CutPrefix(word, "!")
		if cut == strings.Contains(text, not) {
			b.w.t.Errorf("%s: contains %q: %v", path, not, !cut)
		}
	}
	return text
}
