package doctor

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/setup"
)

// mostSkew is how far clocks may differ: the service goes by GitHub's, but what
// it writes down has this machine's.
const mostSkew = 20 * time.Second

// identity asks GitHub who the App is, which takes its key.
func (p *appointment) identity(ctx context.Context) []Finding {
	self, err := p.hub.App(ctx)
	if err != nil {
		mend := "is CLIPPER_GITHUB_API_URL right, and may this machine go there?"
		if errors.Is(err, hub.ErrGone) || errors.Is(err, hub.ErrInvalid) || strings.Contains(err.Error(), " 401") {
			mend = "the key has to be one of this App's: its settings page on GitHub shows the fingerprints"
		}
		return one(Bad, "app", err.Error(), mend)
	}
	p.self = self
	found := one(OK, "app", fmt.Sprintf("%s, App %d, and the key is its", self.Slug, self.ID), "")
	if skew := p.hub.Skew(); skew.Abs() > mostSkew {
		return append(found, Finding{Warn, "clock", fmt.Sprintf("GitHub's is %s ahead of this machine's", skew.Round(time.Second)), "let NTP set this machine's clock"})
	}
	return append(found, Finding{OK, "clock", "as GitHub's", ""})
}

// permissions compares what the App may do, and hears of, with what its
// features need.
func (p *appointment) permissions(context.Context) []Finding {
	organization := p.self.Permissions["organization_self_hosted_runners"] != ""
	var found []Finding
	for _, f := range setup.Features {
		lacks := f.Lacks(p.self.Permissions, p.self.Events, organization)
		if len(lacks) == 0 {
			continue
		}
		finding := Finding{Warn, "permissions", fmt.Sprintf("for %s it lacks %s", f.Name, strings.Join(lacks, ", ")), p.settingsPage() + ", or leave it if nobody wants: " + f.Why}
		switch {
		case f.Always, p.wants(f):
			finding.Level, finding.Mend = Bad, p.settingsPage()+", for: "+f.Why
		case !f.Default:
			continue
		}
		found = append(found, finding)
	}
	all, _ := setup.Needs(setup.Features, organization)
	for _, name := range slices.Sorted(maps.Keys(p.self.Permissions)) {
		if level := p.self.Permissions[name]; all[name] == "" || all[name] == "read" && level != "read" {
			found = append(found, Finding{Warn, "permissions", fmt.Sprintf("%s: %s is more than the service ever uses", name, level), "take it from the App: " + p.settingsPage()})
		}
	}
	if len(found) == 0 {
		found = one(OK, "permissions", "what the rules can need, and no more", "")
	}
	return found
}

// wants says whether the operator counts on a feature.
func (p *appointment) wants(f setup.Feature) bool {
	switch {
	case f.Name == "runners" && p.Settings.Runners != "":
		return true
	case p.policy == nil || p.Settings.Policy == "":
		return false
	case f.Name == "workflows":
		return p.policy.Workflows
	case f.Name == "runners":
		return len(p.policy.Runners) > 0
	}
	return false
}

// webhook looks at where GitHub sends deliveries.
func (p *appointment) webhook(ctx context.Context) []Finding {
	at, err := p.hub.Webhook(ctx)
	wanted := strings.TrimSuffix(cmp.Or(p.App.URL, p.Settings.URL), "/") + "/webhook"
	switch {
	case errors.Is(err, hub.ErrGone), err == nil && at == "":
		return one(Bad, "webhook", "GitHub sends deliveries nowhere, and lists none", "make it active, with a URL even if that cannot be reached: "+p.settingsPage())
	case err != nil:
		return one(Warn, "webhook", err.Error(), "")
	case p.Settings.Pull:
		return one(OK, "webhook", "deliveries are fetched; GitHub also sends them to "+at, "")
	case wanted == "/webhook":
		return one(OK, "webhook", at, "")
	case at != wanted:
		return one(Bad, "webhook", fmt.Sprintf("GitHub sends deliveries to %s, and the service is at %s", at, wanted), p.settingsPage()+", Webhook URL")
	}
	return one(OK, "webhook", at, "")
}

// Of the deliveries, so many are looked at, of so long.
const (
	lookBack     = 24 * time.Hour
	mostLookedAt = 100
)

// deliveries looks at how the latest fared. What failed is fetched later, so
// it is not lost, but late.
func (p *appointment) deliveries(ctx context.Context) []Finding {
	var all, failed int
	var last hub.Sent
	for sent, err := range p.hub.Deliveries(ctx, p.hub.Now().Add(-lookBack)) {
		if err != nil {
			return one(Warn, "deliveries", err.Error(), "")
		}
		if all++; all == 1 {
			last = sent
		}
		if sent.Status != "OK" {
			failed++
		}
		if all == mostLookedAt {
			break
		}
	}
	switch {
	case all == 0:
		return one(Warn, "deliveries", "GitHub lists none of the last 24 hours", "push something to a repository that the App is installed in, and look again")
	case p.Settings.Pull:
		return one(OK, "deliveries", fmt.Sprintf("GitHub lists %d of the last 24 hours", all), "")
	case last.Status != "OK":
		return one(Bad, "deliveries", fmt.Sprintf("the latest failed (%s, %s, %s), as did %d of the last %d", last.Event, last.At, status(last), failed, all),
			"GitHub has to reach the webhook, and its secret has to be one of CLIPPER_WEBHOOK_SECRETS; the service fetches what failed")
	case failed > 0:
		return one(Warn, "deliveries", fmt.Sprintf("the latest arrived; %d of the last %d did not", failed, all), "the service fetches what failed")
	}
	return one(OK, "deliveries", fmt.Sprintf("the last %d arrived", all), "")
}

func status(s hub.Sent) string {
	if s.Code == 0 {
		return s.Status
	}
	return fmt.Sprintf("%d %s", s.Code, s.Status)
}

// installations looks at where the App is, and whether what it asks for was
// granted there.
func (p *appointment) installations(ctx context.Context) []Finding {
	var found []Finding
	for i, err := range p.hub.Installations(ctx) {
		if err != nil {
			return append(found, Finding{Warn, "installed", err.Error(), ""})
		}
		p.all = append(p.all, i)
		if i.Suspended() {
			found = append(found, Finding{Warn, "installed", "on " + i.Account.Login + ", and suspended", "its owner can end that, in the account's settings of installed Apps"})
			continue
		}
		if lacks := setup.Missing(p.self.Permissions, i.Permissions); len(lacks) > 0 {
			found = append(found, Finding{Warn, "installed", fmt.Sprintf("%s has not granted %s", i.Account.Login, strings.Join(lacks, ", ")), "its owner has to accept the App's new permissions"})
		}
	}
	if len(p.all) == 0 {
		return one(Warn, "installed", "nowhere", p.self.Page+"/installations/new")
	}
	if len(found) == 0 {
		found = one(OK, "installed", fmt.Sprintf("on %d %s", len(p.all), plural(len(p.all), "account", "accounts")), "")
	}
	return found
}
