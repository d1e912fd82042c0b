package chaos

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
)

// shown: GitHub shows each run once in each place, as it truly ended, and
// nothing that is no run.
func (v *verdict) shown() {
	for _, repo := range v.w.repos {
		v.checks(repo)
		v.deployments(repo)
	}
	for _, p := range v.w.pulls {
		v.comment(p)
	}
}

func (v *verdict) checks(repo *fakehub.Repo) {
	checks := map[string][]fakehub.Check{}
	for _, c := range repo.Checks("") {
		checks[c.ExternalID] = append(checks[c.ExternalID], c)
		if run := v.runs[c.ExternalID]; run.FullName != repo.FullName || run.Commit != c.HeadSHA || c.Name != run.Rule+" (main)" {
			v.say("%s has a check %q on %.7s that is no run's: %q", repo.FullName, c.Name, c.HeadSHA, c.ExternalID)
		}
	}
	for id, run := range v.runs {
		switch of := checks[id]; {
		case run.FullName != repo.FullName:
		case len(of) != 1:
			v.say("run %s (%s) has %d checks", id, run.Rule, len(of))
		default:
			if truth := v.truth(run); of[0].Status != "completed" || of[0].Conclusion != truth.check {
				v.say("run %s (%s) %s, and its check is %s %s", id, run.Rule, truth.state, of[0].Status, of[0].Conclusion)
			}
		}
	}
}

func (v *verdict) deployments(repo *fakehub.Repo) {
	of := map[string][]fakehub.Deployment{}
	for _, d := range repo.Deployments() {
		of[d.SHA] = append(of[d.SHA], d)
	}
	for id, run := range v.runs {
		if run.FullName == repo.FullName && run.Rule == "deploy" {
			v.deployment(id, run, of[run.Commit])
			delete(of, run.Commit)
		}
	}
	for sha, d := range of {
		v.say("%s has %d deployments of %.7s that are no run's", repo.FullName, len(d), sha)
	}
}

func (v *verdict) deployment(id string, run webhook.Run, deployments []fakehub.Deployment) {
	if len(deployments) != 1 {
		v.say("run %s (%s) has %d deployments", id, run.Rule, len(deployments))
		return
	}
	// GitHub ends the success of a deployment when the next one has succeeded
	// (https://docs.github.com/rest/deployments/statuses: auto_inactive).
	states := deployments[0].Statuses
	if last := len(states) - 1; last > 0 && states[last] == "inactive" {
		states = states[:last]
	}
	if truth := v.truth(run); len(states) == 0 || states[len(states)-1] != truth.deployment {
		v.say("run %s (%s) %s, and its deployment is %v", id, run.Rule, truth.state, states)
	}
}

// comment: each pull request has one, about its newest commit.
func (v *verdict) comment(p *pull) {
	comments := slices.DeleteFunc(p.repo.Comments(p.Number), func(c fakehub.Comment) bool { return c.Login != v.w.app.Bot() })
	if len(comments) != 1 {
		v.say("pull request %d of %s has %d comments", p.Number, p.repo.FullName, len(comments))
		return
	}
	for _, run := range v.runs {
		if run.FullName != p.repo.FullName || run.Commit != p.head() || run.Rule != "test" {
			continue
		}
		if want := fmt.Sprintf(": %s, for %s\n", v.truth(run).title, p.head()); !strings.Contains(comments[0].Body, want) {
			v.say("pull request %d of %s: the comment lacks %q: %s", p.Number, p.repo.FullName, want, comments[0].Body)
		}
	}
}
