package doctor

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/setup"
)

// repositories looks at those that were named.
func (p *appointment) repositories(ctx context.Context) []Finding {
	var found []Finding
	for _, name := range p.Repositories {
		for _, f := range p.repository(ctx, name) {
			f.What, f.Seen = "repository", name+": "+f.Seen
			found = append(found, f)
		}
	}
	return found
}

// repository looks at whether one is served, and what its rules need.
func (p *appointment) repository(ctx context.Context, name string) []Finding {
	i, err := p.hub.InstallationOf(ctx, name)
	if err != nil {
		return one(Bad, "", err.Error(), "install the App there: "+p.self.Page+"/installations/new")
	}
	if p.policy != nil && !p.policy.Serves(name) {
		return one(Bad, "", "the policy does not serve it", "add it to the repositories of "+p.Settings.Policy)
	}
	config, finding := p.config(ctx, hub.Repo{Installation: i.ID, FullName: name})
	if config == nil {
		return finding
	}
	organization := i.Account.Type == "Organization"
	var found []Finding
	for _, f := range setup.Features {
		if !f.Asked(config) {
			continue
		}
		if lacks := f.Lacks(i.Permissions, p.self.Events, organization); len(lacks) > 0 {
			found = append(found, Finding{Bad, "", fmt.Sprintf("its rules need %s", strings.Join(lacks, ", ")), p.settingsPage() + "; then its owner has to accept that"})
		}
	}
	if len(config.Runners) > 0 && p.policy != nil && !p.policy.HasRunners(name) {
		found = append(found, Finding{Bad, "", "it wants runners, and the policy gives it none", "add it to the runners of the policy"})
	}
	if len(found) == 0 {
		found = one(OK, "", fmt.Sprintf("%d %s", len(config.Rules), plural(len(config.Rules), "rule", "rules")), "")
	}
	return found
}

// config reads the rules at the default branch; nil with a finding about them.
func (p *appointment) config(ctx context.Context, r hub.Repo) (*rules.Config, []Finding) {
	known, err := p.hub.Repository(ctx, r)
	if err != nil {
		return nil, one(Bad, "", err.Error(), "")
	}
	commit, err := p.hub.Head(ctx, r, "refs/heads/"+known.DefaultBranch)
	if err != nil {
		return nil, one(Warn, "", err.Error(), "")
	}
	text, err := p.hub.Config(ctx, r, commit)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, one(Warn, "", "it has no "+rules.File+" on "+known.DefaultBranch, "the organisation's counts alone, if there is one")
	}
	if err != nil {
		return nil, one(Bad, "", err.Error(), "")
	}
	config, problems := rules.ParseConfig(text)
	if len(problems) > 0 {
		return nil, one(Bad, "", fmt.Sprintf("%s:%s", rules.File, problems[0]), "clipper-runner webhook config lint tells all")
	}
	return config, nil
}
