package rules

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/webhook"
)

// matching is one rule looked at for one event.
type matching struct {
	rule  *Rule
	event *webhook.Event
	facts Facts
	steps []Step
	needs []Need
	// commanded says that someone who may write asked for it with a comment on
	// this commit: that is their approval, too.
	commanded bool
}

func (m *matching) yes(format string, args ...any) bool {
	m.steps = append(m.steps, Step{true, fmt.Sprintf(format, args...)})
	return true
}

func (m *matching) no(format string, args ...any) bool {
	m.steps = append(m.steps, Step{false, fmt.Sprintf(format, args...)})
	return false
}

func (m *matching) need(n Need) bool {
	m.needs = append(m.needs, n)
	return false
}

// mayRun looks at what holds for all events.
func (m *matching) mayRun(policy *Policy) bool {
	e := m.event
	switch {
	case m.rule.Disabled:
		return m.no("the rule is disabled")
	case !policy.Serves(e.Repository.FullName):
		return m.no("the operator's policy does not serve %s", e.Repository.FullName)
	case e.Rule != "" && e.Rule != m.rule.ID:
		return m.no("it is for the rule %s", e.Rule)
	case m.own() && !m.rule.OwnEvents:
		return m.no("%s, the App's own user, caused the event, and own_events is not set", e.Sender.Login)
	}
	return true
}

// own says whether the App caused the event. Schedules are nobody's.
func (m *matching) own() bool {
	return m.event.Name != webhook.Schedule && m.facts.Bot != "" && strings.EqualFold(m.event.Sender.Login, m.facts.Bot)
}

// on looks at the rule's filter for the kind of event.
func (m *matching) on() bool {
	on := m.rule.On
	switch name := m.event.Name; {
	case name == "push" && on.Push != nil:
		return m.push(on.Push)
	case name == "pull_request" && on.PullRequest != nil:
		return m.pullRequest(on.PullRequest)
	case name == "merge_group" && on.MergeGroup != nil:
		base := strings.TrimPrefix(m.event.MergeGroup.BaseRef, "refs/heads/")
		return m.action([]string{"checks_requested"}) && m.chosen("the branch", base, on.MergeGroup.Branches)
	case name == "release" && on.Release != nil:
		return m.release(on.Release)
	case (name == "registry_package" || name == "package") && on.RegistryPackage != nil:
		return m.registryPackage(on.RegistryPackage)
	case name == "deployment" && on.Deployment != nil:
		d := m.event.Deployment
		return m.action([]string{"created"}) && m.chosen("the environment", d.Environment, on.Deployment.Environments) && m.chosen("the task", d.Task, on.Deployment.Tasks)
	case name == "issue_comment" && on.Comment != nil:
		return m.comment(on.Comment)
	case name == webhook.Schedule && on.Schedule != nil:
		return m.yes("it was due at %s", m.event.Due) && m.commit()
	case name == webhook.Manual && on.Manual != nil:
		return m.permitted(on.Manual.Require) && m.commit()
	default:
		return m.no("the rule has no on.%s", cmp.Or(names[name], name))
	}
}

// names are the members of `on` that are called otherwise than their events.
var names = map[string]string{"issue_comment": "comment", "package": "registry_package"}

// chosen looks at whether patterns choose a value.
func (m *matching) chosen(what, value string, patterns Patterns) bool {
	chosen, by := patterns.Choose(value)
	switch {
	case len(patterns) == 0:
		return true
	case chosen:
		return m.yes("%s %q matches %s", what, value, by)
	case by != nil:
		return m.no("%s %q is left out by %s", what, value, by)
	}
	return m.no("%s %q matches none of %s", what, value, patterns)
}

func (m *matching) action(types []string) bool {
	if !slices.Contains(types, m.event.Action) {
		return m.no("%s %s is none of %s", m.event.Name, m.event.Action, list(types))
	}
	return m.yes("%s %s", m.event.Name, m.event.Action)
}

func (m *matching) push(on *Push) bool {
	e := m.event
	if e.Deleted {
		return m.no("%s was deleted", e.Ref)
	}
	if tag, ok := strings.CutPrefix(e.Ref, "refs/tags/"); ok {
		if len(on.Tags) == 0 && len(on.Branches)+len(on.Paths) > 0 {
			return m.no("a tag was pushed, and on.push has no tags")
		}
		return m.yes("the tag %s was pushed", tag) && m.chosen("the tag", tag, on.Tags)
	}
	branch, ok := strings.CutPrefix(e.Ref, "refs/heads/")
	if !ok {
		return m.no("%s is neither a branch nor a tag", e.Ref)
	}
	if len(on.Branches) == 0 && len(on.Tags) > 0 {
		return m.no("a branch was pushed, and on.push has only tags")
	}
	return m.yes("the branch %s was pushed", branch) && m.chosen("the branch", branch, on.Branches) && m.paths(on.Paths)
}

func (m *matching) pullRequest(on *PullRequest) bool {
	p := m.event.PullRequest
	if !m.action(on.Types) || !m.chosen("the branch", p.Base.Ref, on.Branches) {
		return false
	}
	if p.Draft && !*on.Drafts {
		return m.no("it is a draft, and drafts is false")
	}
	return m.labels(on.Labels) && m.paths(on.Paths)
}

func (m *matching) labels(patterns Patterns) bool {
	if m.event.Label != nil {
		return m.chosen("the label", m.event.Label.Name, patterns)
	}
	if len(patterns) == 0 {
		return true
	}
	var labels []string
	for _, l := range m.event.PullRequest.Labels {
		labels = append(labels, l.Name)
	}
	if label, ok := patterns.First(labels); ok {
		return m.yes("it has the label %q", label)
	}
	return m.no("it has no label of %s", patterns)
}

// paths looks at the paths that were changed. It comes last, for it may have
// to ask.
func (m *matching) paths(patterns Patterns) bool {
	if len(patterns) == 0 {
		return true
	}
	if !m.facts.PathsKnown {
		return m.need(NeedPaths)
	}
	if path, ok := patterns.First(m.facts.Paths); ok {
		return m.yes("%q was changed and matches", path)
	}
	if m.facts.PathsCut {
		return m.yes("more paths were changed than GitHub lists, so that one is taken to match")
	}
	return m.no("none of %d changed paths matches %s", len(m.facts.Paths), patterns)
}

func (m *matching) release(on *Release) bool {
	r := m.event.Release
	if !m.action(on.Types) || !m.chosen("the tag", r.Tag, on.Tags) {
		return false
	}
	if r.Prerelease && !*on.Prereleases {
		return m.no("it is a pre-release, and prereleases is false")
	}
	return m.commit()
}

func (m *matching) registryPackage(on *RegistryPackage) bool {
	p := m.event.Package
	if !m.action(on.Types) {
		return false
	}
	if on.Name != nil && !m.chosen("the package", p.Name, Patterns{*on.Name}) {
		return false
	}
	return m.chosen("the tag", cmp.Or(p.Version.Container.Tag.Name, p.Version.Version), on.Tags) && m.commit()
}

// commit looks at whether it is known what the run is about.
func (m *matching) commit() bool {
	if m.event.Commit() == "" && m.facts.Commit == "" {
		return m.need(NeedCommit)
	}
	return true
}

// permitted looks at what the sender may do.
func (m *matching) permitted(require Permission) bool {
	who := m.event.Sender.Login
	switch {
	case m.facts.Permission == "":
		return m.need(NeedPermission)
	case !m.facts.Permission.AtLeast(require):
		return m.no("%s has the permission %s, and %s is required", who, m.facts.Permission, require)
	}
	return m.yes("%s has the permission %s", who, m.facts.Permission)
}

// trusted is code that runs with all that its rule has.
const trusted Forks = "trusted"

// fork looks at where the code comes from, and what becomes of it.
func (m *matching) fork(policy *Policy) Forks {
	pull := cmp.Or(m.event.PullRequest, m.facts.PullRequest)
	if pull == nil || !pull.Fork(m.event.Repository.ID) {
		return trusted
	}
	forks := policy.forksOf(m.rule)
	switch {
	case forks == Never:
		m.no("the code comes from a fork, and forks is never")
	case m.commanded:
		m.yes("the code comes from a fork, and the command is its approval")
		return trusted
	case m.facts.ApprovedBy != "":
		m.yes("the code comes from a fork, and %s approved this commit", m.facts.ApprovedBy)
		return trusted
	case forks == Approve:
		m.yes("the code comes from a fork and waits for approval")
	default:
		m.yes("the code comes from a fork and runs without secrets, role and credentials")
	}
	return forks
}
