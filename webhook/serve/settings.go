package serve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/webhook/rules"
)

// ErrSettings is wrapped by errors about settings: with them, the service does
// not start.
var ErrSettings = errors.New("settings")

// Settings are what a service is started with. Their comments name the
// variables that clipper-runner reads them from.
type Settings struct {
	// Listen is the public address, "" is none: deliveries are fetched then, and
	// there are no pages. CLIPPER_WEBHOOK_LISTEN.
	Listen string
	// Admin is the address of /readyz and /metrics, "" is none.
	// CLIPPER_WEBHOOK_ADMIN_LISTEN.
	Admin string
	// Database is a file, or a postgres:// URL. CLIPPER_WEBHOOK_DATABASE.
	Database string
	// URL is where GitHub and people reach the public address.
	// CLIPPER_WEBHOOK_URL.
	URL string
	// CookieKeys seal what browsers keep: the first seals, all open. At least 32
	// bytes each. CLIPPER_WEBHOOK_COOKIE_KEY.
	CookieKeys []string
	// Policy is the file with the operator's policy. Default: openPolicy.
	// CLIPPER_WEBHOOK_POLICY.
	Policy string
	// Runners is the file of self-hosted runners. Default: there are none.
	// CLIPPER_WEBHOOK_RUNNERS.
	Runners string
	// Apps are the GitHub Apps that are served. CLIPPER_GITHUB_…, or
	// CLIPPER_WEBHOOK_APPS.
	Apps []App
	// Networks are where deliveries come from, and Proxies whose
	// X-Forwarded-For is believed; see package accept.
	// CLIPPER_WEBHOOK_NETWORKS, CLIPPER_WEBHOOK_PROXIES.
	Networks, Proxies []netip.Prefix

	// Pull says that GitHub cannot call: deliveries are fetched, often.
	// CLIPPER_WEBHOOK_PULL.
	Pull bool
	// Reconcile is how often GitHub's list of deliveries is compared; Watch how
	// often the truth about a run is asked for; Report how long what shows a run
	// is left alone. Zero is the rooms' own.
	// CLIPPER_WEBHOOK_RECONCILE, CLIPPER_WEBHOOK_WATCH, CLIPPER_WEBHOOK_REPORT.
	Reconcile, Watch, Report time.Duration
	// Lease is how long the start of a run may take; Search how long a run is
	// looked for of which it is not known whether it was started, until a person
	// has to say. Zero is the rooms' own.
	// CLIPPER_WEBHOOK_LEASE, CLIPPER_WEBHOOK_SEARCH.
	Lease, Search time.Duration

	// Image is the service's own, which tasks check sources out with; without,
	// runs that want theirs are refused. CLIPPER_WEBHOOK_IMAGE.
	Image string
	// RunnerImage is the runner image of tasks. Default: ecs.DefaultRunner.
	// CLIPPER_RUNNER_IMAGE.
	RunnerImage string
	// Resolve asks registries for images; see package task.
	Resolve func(context.Context, oci.Reference, oci.Platform) (ecs.Image, error)

	// Traces says that spans are sent to where the OTEL_ variables say.
	Traces bool
	// Log is where the log goes, JSON or lines of text. Default: os.Stderr.
	Log  io.Writer
	JSON bool
	// Version is told in metrics and traces.
	Version string
}

// App is a GitHub App.
type App struct {
	ID int64 `yaml:"id"`
	// Secrets sign deliveries: two while one replaces the other.
	Secrets []string `yaml:"secrets"`
	Key     Key      `yaml:"private_key"`
	// APIURL is GitHub's API, GitHubURL where people sign in. The defaults are
	// github.com's, or follow from each other.
	APIURL    string `yaml:"api_url"`
	GitHubURL string `yaml:"github_url"`
	// ClientID and ClientSecret are those of its OAuth: without, it has no pages.
	ClientID     string `yaml:"client_id"`
	ClientSecret string `yaml:"client_secret"`
	// URL is where its pages are. Default: that of the service.
	URL string `yaml:"url"`
}

// pages says whether the App has pages.
func (a App) pages() bool { return a.ClientID != "" }

// wrong is an error about one setting.
func wrong(format string, args ...any) error {
	return fmt.Errorf("%w: "+format, append([]any{ErrSettings}, args...)...)
}

// check says all that is wrong with the settings, as far as that shows without
// opening anything.
func (s *Settings) check() error {
	var errs []error
	say := func(format string, args ...any) { errs = append(errs, wrong(format, args...)) }
	if len(s.Apps) == 0 {
		say("there is no GitHub App: set CLIPPER_GITHUB_APP_ID, or CLIPPER_WEBHOOK_APPS")
	}
	for _, at := range []struct{ name, address string }{{"LISTEN", s.Listen}, {"ADMIN_LISTEN", s.Admin}} {
		if _, _, err := net.SplitHostPort(at.address); at.address != "" && err != nil {
			say("CLIPPER_WEBHOOK_%s: %q is no host:port, as in 127.0.0.1:8080", at.name, at.address)
		}
	}
	if s.Listen == "" && !s.Pull {
		say("CLIPPER_WEBHOOK_LISTEN is empty: GitHub cannot deliver; set CLIPPER_WEBHOOK_PULL=true to have deliveries fetched")
	}
	if s.Database == "" {
		say("CLIPPER_WEBHOOK_DATABASE is empty: name a file, or a postgres:// URL")
	}
	for _, set := range []struct {
		name string
		to   time.Duration
	}{{"RECONCILE", s.Reconcile}, {"WATCH", s.Watch}, {"REPORT", s.Report}, {"LEASE", s.Lease}, {"SEARCH", s.Search}} {
		if set.to < 0 {
			say("CLIPPER_WEBHOOK_%s: %s is less than nothing", set.name, set.to)
		}
	}
	if _, err := httpURL(s.URL); s.URL != "" && err != nil {
		say("CLIPPER_WEBHOOK_URL: %s", err)
	}
	return errors.Join(append(errs, s.checkApps()...)...)
}

func (s *Settings) checkApps() []error {
	var errs []error
	ids, secrets, hosts := map[int64]bool{}, map[string]int64{}, map[string]int64{}
	for i := range s.Apps {
		a := &s.Apps[i]
		say := func(format string, args ...any) {
			errs = append(errs, wrong("App %d: "+format, append([]any{a.ID}, args...)...))
		}
		switch {
		case a.ID <= 0:
			say("this is no App's ID: its page on GitHub tells it (CLIPPER_GITHUB_APP_ID)")
		case ids[a.ID]:
			say("it is there twice")
		}
		ids[a.ID] = true
		if err := a.checkSecrets(secrets); err != nil {
			errs = append(errs, err)
		}
		if err := a.Key.check(); err != nil {
			say("%w", err)
		}
		for _, set := range []struct{ name, url string }{{"API_URL", a.APIURL}, {"URL", a.GitHubURL}} {
			if _, err := httpURL(set.url); set.url != "" && err != nil {
				say("CLIPPER_GITHUB_%s: %s", set.name, err)
			}
		}
		if err := s.checkPages(a, hosts); err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// leastSecret is the shortest secret that nobody guesses who tries for long.
const leastSecret = 8

func (a *App) checkSecrets(of map[string]int64) error {
	if len(a.Secrets) == 0 {
		return wrong("App %d: there is no webhook secret, so anybody could send deliveries: set one in the App's settings on GitHub, and here (CLIPPER_WEBHOOK_SECRETS)", a.ID)
	}
	for _, secret := range a.Secrets {
		if len(secret) < leastSecret {
			return wrong("App %d: a webhook secret has less than %d bytes: make one with openssl rand -hex 32 (CLIPPER_WEBHOOK_SECRETS)", a.ID, leastSecret)
		}
		if other, taken := of[secret]; taken && other != a.ID {
			return wrong("App %d: it has a webhook secret of App %d, and each needs its own", a.ID, other)
		}
		of[secret] = a.ID
	}
	return nil
}

// checkPages looks at what the App's pages need, and has them where the
// service's are if they are nowhere else.
func (s *Settings) checkPages(a *App, hosts map[string]int64) error {
	if a.ClientID == "" && a.ClientSecret == "" {
		return nil
	}
	if a.ClientID == "" || a.ClientSecret == "" {
		return wrong("App %d: people sign in with the App's client ID and client secret: set both, or none for no pages (CLIPPER_GITHUB_CLIENT_ID, CLIPPER_GITHUB_CLIENT_SECRET)", a.ID)
	}
	if a.URL == "" {
		a.URL = s.URL
	}
	at, err := httpURL(a.URL)
	switch {
	case a.URL == "":
		return wrong("App %d: its pages need the address under which people reach them (CLIPPER_WEBHOOK_URL)", a.ID)
	case err != nil:
		return wrong("App %d: the address of its pages: %s", a.ID, err)
	case strings.Trim(at.Path, "/") != "":
		return wrong("App %d: the address of its pages has a path: https://host is all it may be (CLIPPER_WEBHOOK_URL)", a.ID)
	case hosts[at.Host] != 0:
		return wrong("App %d: its pages are where those of App %d are: give each App with pages a host of its own (url)", a.ID, hosts[at.Host])
	case len(s.CookieKeys) == 0:
		return wrong("App %d: its pages need a key for cookies: make one with openssl rand -hex 32 (CLIPPER_WEBHOOK_COOKIE_KEY)", a.ID)
	}
	for _, key := range s.CookieKeys {
		if len(key) < 32 {
			return wrong("a key for cookies has less than 32 bytes: make one with openssl rand -hex 32 (CLIPPER_WEBHOOK_COOKIE_KEY)")
		}
	}
	hosts[at.Host] = a.ID
	return nil
}

func httpURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme != "https" && u.Scheme != "http" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, fmt.Errorf("%q is no https://host", text)
	}
	return u, nil
}

// openPolicy counts where the operator has none: workflows of the repositories
// that the App is installed in, which whoever may write there can start anyway.
// Nothing runs on ECS.
const openPolicy = `version: 1
repositories: ["*/*"]
workflows: true
`

// policy reads the operator's policy.
func (s *Settings) policy() (*rules.Policy, error) {
	text := []byte(openPolicy)
	if s.Policy != "" {
		var err error
		if text, err = os.ReadFile(s.Policy); err != nil {
			return nil, wrong("CLIPPER_WEBHOOK_POLICY: %w", err)
		}
	}
	p, problems := rules.ParsePolicy(text)
	if len(problems) > 0 {
		return nil, wrong("CLIPPER_WEBHOOK_POLICY:\n%s:%s", s.Policy, strings.ReplaceAll(problems.Error(), "\n", "\n"+s.Policy+":"))
	}
	return p, nil
}
