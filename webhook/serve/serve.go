// Package serve makes one running service of the rooms. In come Settings, out
// come deliveries that were taken in, runs, pages and figures, until it is told
// to end.
//
// What it promises:
//
//   - With settings that are wrong it does not start, and says all that is
//     wrong, and what to do (ErrSettings). It asks GitHub for nothing first: a
//     service whose GitHub is out of reach takes deliveries, and does the rest
//     later.
//   - Run returns within 25 s of the end of its context, and nothing is lost
//     that was answered.
//   - The log has no secret of the settings, and nothing that looks like one.
//
// The public address has POST /webhook, GET /healthz and the pages, the admin
// address GET /readyz and GET /metrics.
package serve

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"golang.org/x/sync/errgroup"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/accept"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/reconcile"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/runners"
	"github.com/clipperregistry/runner/webhook/web"
	"github.com/clipperregistry/runner/webhook/work"
)

// service is what the rooms are together.
type service struct {
	Settings
	tell     *slog.Logger
	log      redactor
	began    time.Time
	registry *prometheus.Registry
	draining atomic.Bool
	asked    *prometheus.CounterVec
	tracer   *tracer

	db      *database.DB
	apps    []app
	accept  *accept.Handler
	work    *work.Work
	pages   []pages
	runners *runners.Runners // nil: there are none
}

// app is a GitHub App at work.
type app struct {
	App
	hub        *hub.Hub
	reconciler *reconcile.Reconciler
}

// pages are an App's, at a host.
type pages struct {
	app    int64
	url    string
	host   string
	server *web.Server
}

// Run serves until ctx is done. Errors that wrap ErrSettings are about the
// settings.
func Run(ctx context.Context, settings Settings) error {
	s, err := open(ctx, settings)
	if err != nil {
		return err
	}
	if err = s.run(ctx); errors.Is(err, errLate) {
		return err // whoever is at work still has the database
	}
	return s.log.told(errors.Join(err, s.db.Close()))
}

// open makes a service that does nothing yet.
func open(ctx context.Context, settings Settings) (*service, error) {
	if err := settings.check(); err != nil {
		return nil, err
	}
	s := &service{Settings: settings, began: time.Now(), registry: prometheus.NewRegistry(), asked: newAsked()}
	policy, err := s.policy()
	if err != nil {
		return nil, err
	}
	fleet, err := s.fleet()
	if err != nil {
		return nil, err
	}
	aws, err := LoadAWS(ctx)
	if err != nil {
		return nil, err
	}
	secrets, err := s.meetApps(ctx, aws)
	if err != nil {
		return nil, err
	}
	s.log = newRedactor(s.Log, secrets...)
	s.tell = s.logger(s.log)
	s.warnOfKeys()
	if err := s.trace(ctx); err != nil {
		return nil, err
	}
	if s.db, err = database.Open(ctx, s.Database, database.Options{Log: s.tell}); err != nil {
		return nil, s.log.told(wrong("%w: CLIPPER_WEBHOOK_DATABASE is to be a file on a local disk that no other server has, or the URL of a PostgreSQL that runs", err))
	}
	if err := s.assemble(policy, fleet, aws); err != nil {
		return nil, errors.Join(err, s.db.Close())
	}
	return s, nil
}

// idleConns are kept to GitHub, which is one host: more than the two that are
// usual, since many ask at once.
const idleConns = 32

// meetApps makes a hub for each App, and returns all secrets.
func (s *service) meetApps(ctx context.Context, aws *AWS) (secrets []string, err error) {
	secrets = s.secrets()
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = idleConns
	for _, a := range s.Apps {
		signer, pem, err := a.Key.Signer(ctx, aws)
		if err != nil {
			return nil, err
		}
		secrets = append(secrets, pem)
		h, err := hub.New(hub.Config{App: a.ID, Signer: signer, URL: a.APIURL, Transport: asks{strconv.FormatInt(a.ID, 10), transport, s.asked}})
		if err != nil {
			return nil, wrong("App %d: %w", a.ID, err)
		}
		s.apps = append(s.apps, app{App: a, hub: h})
	}
	return secrets, nil
}

// trace begins to send spans, if that is wanted.
func (s *service) trace(ctx context.Context) (err error) {
	if s.tracer, err = s.newTracer(ctx); s.tracer != nil {
		// The exporter has no other way to say what is wrong.
		otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { s.tell.Warn("spans not sent", "error", err) }))
	}
	return err
}

// assemble makes what works, what takes deliveries in, and the pages.
func (s *service) assemble(policy *rules.Policy, fleet *rules.Fleet, aws *AWS) error {
	tasks := s.newTasks(aws)
	s.work = &work.Work{
		DB: s.db, GitHub: map[int64]work.GitHub{}, Tasks: tasks, Policy: policy, Page: s.runPage, Workflow: s.workflowPage, Metrics: s.registry, Log: s.tell,
		Pace: work.Pace{Watch: s.Watch, Report: s.Report, Lease: s.Lease, Resolve: s.Search},
	}
	if s.tracer != nil {
		s.work.Span = s.tracer.span
	}
	if err := s.keepRunners(fleet, aws, tasks); err != nil {
		return err
	}
	takes := accept.Config{Inbox: inbox{s.db, s.runners}, Hooks: s.Networks, Proxies: s.Proxies, Metrics: s.registry, Log: s.tell}
	for i := range s.apps {
		a := &s.apps[i]
		s.work.GitHub[a.ID] = a.hub
		takes.Apps = append(takes.Apps, accept.App{ID: a.ID, Secrets: a.Secrets})
		if err := s.reconcile(a); err != nil {
			return err
		}
		if err := s.openPages(a, tasks); err != nil {
			return err
		}
	}
	if err := s.count(); err != nil {
		return err
	}
	var err error
	s.accept, err = accept.New(takes)
	return err
}

// reconcile makes what compares an App's deliveries.
func (s *service) reconcile(a *app) (err error) {
	period := s.Reconcile
	if s.Pull {
		period = cmp.Or(period, reconcile.PullPeriod)
	}
	a.reconciler, err = reconcile.New(reconcile.Config{GitHub: a.hub, Inbox: inbox{s.db, s.runners}, Period: period, Replica: s.db.Replica(), Metrics: s.registry, Log: s.tell})
	return err
}

// openPages makes the pages of an App that has some.
func (s *service) openPages(a *app, tasks *tasks) error {
	if !a.pages() {
		return nil
	}
	at, err := httpURL(a.URL)
	if err != nil {
		return err
	}
	c := web.Config{
		URL: a.URL, App: a.ID, ClientID: a.ClientID, ClientSecret: a.ClientSecret, GitHubURL: a.gitHub(), APIURL: a.api(),
		Key: []byte(s.CookieKeys[0]), Books: s.db, Orders: orders{s.db, s.work}, Rulebook: rulebook{a.ID, s.work},
		Logs: logs{s.db, tasks, s.log.known.Hide, time.Second}, Log: s.tell,
	}
	for _, key := range s.CookieKeys[1:] {
		c.OldKeys = append(c.OldKeys, []byte(key))
	}
	server, err := web.New(c)
	if err != nil {
		return wrong("App %d: %w", a.ID, err)
	}
	s.pages = append(s.pages, pages{a.ID, server.URL, at.Host, server})
	return nil
}

// runPage is where people see a run, "" is nowhere.
func (s *service) runPage(run *webhook.Run) string {
	for _, p := range s.pages {
		if p.app == run.App {
			return p.url + "/runs/" + run.ID
		}
	}
	return ""
}

// workflowPage is where the App's GitHub shows the workflow of a run.
func (s *service) workflowPage(run *webhook.Run) string {
	for _, a := range s.apps {
		if a.ID == run.App {
			return run.WorkflowPage(a.gitHub())
		}
	}
	return ""
}

// How long the parts of an end may take: all of it less than the 25 s after
// which whoever asked for it is not patient any more.
const (
	answerTime = 10 * time.Second
	workTime   = 22 * time.Second // of all parts at once
	adminTime  = 500 * time.Millisecond
)

// errLate is returned where a part of the service did not end in time. What it
// was at is found by whoever works next.
var errLate = errors.New("the service has not ended in time: some work was cut off")

// run serves until ctx is done, or a listener fails.
func (s *service) run(ctx context.Context) error {
	public, err := listen(ctx, s.Listen, s.public(), s.tell)
	if err != nil {
		return err
	}
	admin, err := listen(ctx, s.Admin, s.admin(), s.tell)
	if err != nil {
		public.stop(0)
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	group.Go(public.serve)
	group.Go(func() error {
		<-ctx.Done()
		s.draining.Store(true)
		s.tell.Info("ending")
		s.accept.Drain()
		for _, p := range s.pages {
			p.server.Drain()
		}
		public.stop(answerTime)
		return nil
	})
	group.Go(func() error { return s.work.Run(ctx) })
	for _, a := range s.apps {
		group.Go(func() error {
			a.reconciler.Run(ctx)
			return nil
		})
	}
	if s.runners != nil {
		group.Go(func() error { return s.runners.Run(ctx) })
	}
	group.Go(func() error {
		s.prune(ctx)
		return nil
	})
	// The admin address answers to the very end.
	watched := make(chan error, 1)
	go func() { watched <- admin.serve() }()
	if s.Policy == "" {
		s.tell.Warn("there is no policy (CLIPPER_WEBHOOK_POLICY): every repository that an App is installed in is served, with workflows, and nothing runs on ECS")
	}
	s.tell.Info("listening", "public", public.address(), "admin", admin.address(), "version", s.Version)
	err = inTime(ctx, group.Wait)
	admin.stop(adminTime)
	if told := s.tracer.end(); told != nil {
		s.tell.Warn("traces are not whole", "error", told)
	}
	if err = errors.Join(err, <-watched); err != nil {
		return err
	}
	s.tell.Info("ended")
	return nil
}

// inTime waits for what ends once ctx is done, for as long as it may take then.
func inTime(ctx context.Context, wait func() error) error {
	ended := make(chan error, 1)
	go func() { ended <- wait() }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(workTime):
		return errLate
	}
}

// pruneEvery is how often what is old is deleted.
const pruneEvery = time.Hour

// prune deletes what is old, once an hour.
func (s *service) prune(ctx context.Context) {
	tick := time.NewTicker(pruneEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		deleted, err := s.db.Prune(ctx, 0)
		if err != nil && ctx.Err() == nil {
			s.tell.Warn("old rows not deleted", "error", err)
		}
		if deleted > 0 {
			s.tell.Info("old rows deleted", "rows", deleted)
		}
	}
}
