package rules

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/webhook"
)

// Outcome is what a rule makes of an event.
type Outcome string

// The outcomes.
const (
	Ignored Outcome = "ignored" // no run follows
	Asks    Outcome = "asks"    // Needs are missing
	Starts  Outcome = "starts"  // a run is queued
	Waits   Outcome = "waits"   // a run waits for approval
	Refused Outcome = "refused" // the policy has something against it
)

// Decision is what one rule makes of an event, and why.
type Decision struct {
	Rule    string  `json:"rule"`
	Outcome Outcome `json:"outcome"`
	// Steps are the reasons, in the order in which they were looked at; of an
	// event that is ignored, the last is why.
	Steps []Step `json:"steps"`
	Needs []Need `json:"needs,omitempty"`
	// Run is what follows: queued, awaiting approval or, refused, failed. Its
	// App, Installation, Delivery, ConfigCommit and times are the caller's.
	Run *webhook.Run `json:"-"`
}

// Step is one thing that was looked at.
type Step struct {
	OK   bool   `json:"ok"`
	Text string `json:"text"`
}

// Decide says for every rule what follows from an event, in the order of the
// rules. Where a decision asks for facts, decide again with them; it asks for
// those only that still count.
func Decide(config *Config, policy *Policy, e *webhook.Event, facts Facts) []Decision {
	decisions := make([]Decision, len(config.Rules))
	for i := range config.Rules {
		decisions[i] = decide(&config.Rules[i], policy, e, facts)
	}
	return decisions
}

// Needed are the facts that decisions ask for.
func Needed(decisions []Decision) []Need {
	var needs []Need
	for _, d := range decisions {
		needs = append(needs, d.Needs...)
	}
	slices.Sort(needs)
	return slices.Compact(needs)
}

func decide(r *Rule, policy *Policy, e *webhook.Event, facts Facts) Decision {
	m := &matching{rule: r, event: e, facts: facts}
	d := Decision{Rule: r.ID, Outcome: Ignored}
	code := Never
	if m.mayRun(policy) && m.on() {
		code = m.fork(policy)
	}
	d.Steps, d.Needs = m.steps, m.needs
	switch {
	case len(m.needs) > 0:
		d.Outcome = Asks
		return d
	case code == Never:
		return d
	}
	d.Run = m.run()
	d.Outcome = Starts
	if code == Approve {
		d.Outcome, d.Run.State, d.Run.Reason = Waits, webhook.AwaitingApproval, awaited(r, d.Run.Commit)
	}
	s := &scope{e, facts, d.Run}
	concur(d.Run, r, s, code)
	job, err := policy.job(r, s, code == Unprivileged)
	if err != nil {
		job = &Job{Check: checkName(r, s)}
		d.Outcome, d.Run.State, d.Run.Reason = Refused, webhook.Failed, err.Error()
		m.no("%s", err)
		d.Steps = m.steps
	}
	if d.Run.Job, err = json.Marshal(job); err != nil {
		panic(err) // strings and numbers
	}
	return d
}

// awaited says what a commit from a fork waits for, and how a command has it
// run.
func awaited(r *Rule, commit string) string {
	text := NeedsApproval
	if on := r.On.Comment; on != nil {
		text += fmt.Sprintf(",\nor once someone with the permission %s comments: %s %s", on.Require, on.Command, commit)
	}
	return text
}

// run is what follows, as far as it does not depend on what runs.
func (m *matching) run() *webhook.Run {
	e := m.event
	r := &webhook.Run{
		RuleKey: webhook.RuleKey(m.facts.App, e.Repository.ID, m.rule.ID), EventKey: e.Key(),
		Installation: e.Installation.ID, Repository: e.Repository.ID, FullName: e.Repository.FullName,
		Rule: m.rule.ID, Event: e.Name, At: e.At(), Sender: e.Sender.Login, Commit: cmp.Or(e.Commit(), m.facts.Commit),
		State: webhook.Queued, ApprovedBy: m.facts.ApprovedBy,
	}
	r.ID = webhook.RunID(r.RuleKey, r.EventKey)
	if p := cmp.Or(e.PullRequest, m.facts.PullRequest); p != nil {
		r.PullRequest, r.Base, r.Commit = p.Number, p.Base.Ref, p.Head.SHA
		r.Ref, r.Fork = fmt.Sprintf("refs/pull/%d/head", p.Number), p.Fork(e.Repository.ID)
	}
	if m.commanded && r.Fork {
		r.ApprovedBy = e.Sender.Login
	}
	switch {
	case r.Ref != "":
	case e.MergeGroup != nil:
		r.Ref, r.Base = e.MergeGroup.HeadRef, strings.TrimPrefix(e.MergeGroup.BaseRef, "refs/heads/")
	case e.Release != nil:
		r.Ref = "refs/tags/" + e.Release.Tag
	case e.Deployment != nil:
		r.Ref, r.DeploymentID = e.Deployment.Ref, e.Deployment.ID
	default:
		r.Ref = cmp.Or(e.Ref, "refs/heads/"+e.Repository.DefaultBranch)
	}
	return r
}

// concur puts the run into its group, which is one of its repository's. Code
// from a fork that nobody approved has groups of its own: a branch of any name
// must not cancel what runs for one of the repository's.
func concur(run *webhook.Run, r *Rule, s *scope, code Forks) {
	c := r.Concurrency
	if c == nil {
		return
	}
	group := cmp.Or(c.Group.expand(s), r.ID)
	if code != trusted {
		group = fmt.Sprintf("forks/%d/%s", run.PullRequest, group)
	}
	run.Group = fmt.Sprintf("%d/%s", run.Repository, group)
	run.CancelOthers, run.MaxQueue = c.Cancel, *c.MaxQueue
}
