// Package doctor says whether the service would work as it is set up. In go
// its settings, out come findings: what was looked at, what was seen, and what
// to do about it.
//
// Looking changes nothing: not GitHub, not AWS, and of the database it opens no
// more than it may beside a server that has it. A finding tells no secret. What
// cannot be known is no failure: it is said what is missing to know it.
package doctor

import (
	"cmp"
	"context"
	"net/http"
	"time"

	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/serve"
)

// Level says how bad a finding is.
type Level string

// The levels. With a Bad one, the service does not do what its settings say.
const (
	OK   Level = "ok"
	Warn Level = "warn"
	Bad  Level = "fail"
)

// Finding is what one look came to.
type Finding struct {
	Level Level  `json:"level"`
	What  string `json:"what"`
	Seen  string `json:"seen"`
	Mend  string `json:"mend,omitempty"`
}

// Checkup is what is looked at.
type Checkup struct {
	Settings serve.Settings
	// AWS are the clients of the service's own account.
	AWS *serve.AWS
	// Repositories are looked at one by one, by their full names.
	Repositories []string
	// Client asks for the service's own address and GitHub's pages. Default:
	// one with a timeout that follows no redirects.
	Client *http.Client
	// Stat looks at a file system. Default: that of this machine.
	Stat func(dir string) (Disk, error)
	// Now is the clock. Default: time.Now.
	Now func() time.Time

	policy *rules.Policy // nil: it cannot be read
}

// Look looks at everything, in an order in which what explains other findings
// comes first.
func (c Checkup) Look(ctx context.Context) []Finding {
	if c.Client == nil {
		c.Client = &http.Client{Timeout: 15 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	if c.Stat == nil {
		c.Stat = stat
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	found := c.settings()
	policy, more := c.rules()
	c.policy = policy
	found = append(found, more...)
	found = append(found, c.database(ctx)...)
	for _, a := range c.Settings.Apps {
		found = append(found, c.app(ctx, a)...)
	}
	found = append(found, c.public(ctx)...)
	return append(found, c.amazon(ctx)...)
}

// app looks at one App. Without its key, GitHub can be asked for nothing.
func (c Checkup) app(ctx context.Context, a serve.App) []Finding {
	signer, _, err := a.Key.Signer(ctx, c.AWS)
	if err != nil {
		return one(Bad, "private key", err.Error(), "GitHub makes a new one on the App's settings page")
	}
	h, err := hub.New(hub.Config{App: a.ID, Signer: signer, URL: a.APIURL, Now: c.Now, Timeout: 15 * time.Second})
	if err != nil {
		return one(Bad, "app", err.Error(), "is CLIPPER_GITHUB_API_URL right?")
	}
	p := &appointment{Checkup: c, App: a, hub: h}
	found := p.identity(ctx)
	if p.self.ID == 0 {
		return found
	}
	for _, look := range []func(context.Context) []Finding{p.permissions, p.webhook, p.deliveries, p.installations, p.repositories, p.oauth} {
		found = append(found, look(ctx)...)
	}
	return found
}

// appointment is the time that one App has.
type appointment struct {
	Checkup
	serve.App
	hub  *hub.Hub
	self hub.App // as GitHub knows it
	all  []hub.Installation
}

// one is a list of one finding.
func one(level Level, what, seen, mend string) []Finding {
	return []Finding{{level, what, seen, mend}}
}

// settingsPage is where an App's owner changes it.
func (p *appointment) settingsPage() string {
	return cmp.Or(p.self.Page, p.App.GitHub()+"/settings/apps") + ", as its owner: App settings"
}
