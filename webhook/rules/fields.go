package rules

import (
	"cmp"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/webhook"
)

// fieldOf is what expressions can name.
type fieldOf struct {
	doc   string
	free  bool // strangers choose what is in it
	value func(s *scope) string
}

// fields are all of them. Those under the names of GitHub's payloads are what
// they are there; others follow from the event.
var fields = map[string]fieldOf{
	"run.id":  {"ID of the run", false, func(s *scope) string { return s.run.ID }},
	"rule.id": {"ID of the rule", false, func(s *scope) string { return s.run.Rule }},

	"event.name":       {"kind of the event, as in push", false, func(s *scope) string { return s.event.Name }},
	"event.action":     {"what happened, as in opened", false, func(s *scope) string { return s.event.Action }},
	"event.repository": {"owner/name", false, func(s *scope) string { return s.event.Repository.FullName }},
	"event.owner":      {"owner of the repository", false, func(s *scope) string { return owner(s.event.Repository) }},
	"event.sender":     {"who caused it", false, func(s *scope) string { return s.event.Sender.Login }},
	"event.head_sha":   {"the commit that the run is about", false, func(s *scope) string { return s.run.Commit }},
	"event.ref":        {"its ref: refs/heads/…, refs/tags/… or refs/pull/…/head", true, func(s *scope) string { return s.run.Ref }},
	"event.ref_name":   {"its branch or tag", true, func(s *scope) string { return refName(s) }},
	"event.base_ref":   {"branch that a pull request or merge group is for", true, func(s *scope) string { return s.run.Base }},
	"event.before":     {"commit before a push", false, func(s *scope) string { return s.event.Before }},

	"event.pull_request.number":   {"number of the pull request", false, func(s *scope) string { return number0(s.run.PullRequest) }},
	"event.pull_request.title":    {"its title", true, ofPull(func(p *webhook.PullRequest) string { return p.Title })},
	"event.pull_request.user":     {"who opened it", false, ofPull(func(p *webhook.PullRequest) string { return p.User.Login })},
	"event.pull_request.head.ref": {"its branch", true, ofPull(func(p *webhook.PullRequest) string { return p.Head.Ref })},
	"event.pull_request.head.sha": {"its commit", false, ofPull(func(p *webhook.PullRequest) string { return p.Head.SHA })},
	"event.pull_request.base.ref": {"the branch that it is for", true, ofPull(func(p *webhook.PullRequest) string { return p.Base.Ref })},
	"event.pull_request.base.sha": {"that branch's commit", false, ofPull(func(p *webhook.PullRequest) string { return p.Base.SHA })},

	"event.label":            {"label that was put on or taken off", true, func(s *scope) string { return of(s.event.Label).Name }},
	"event.release.id":       {"ID of the release", false, func(s *scope) string { return number0(of(s.event.Release).ID) }},
	"event.release.tag_name": {"its tag", true, func(s *scope) string { return of(s.event.Release).Tag }},

	"event.package.name":    {"name of the package", true, func(s *scope) string { return of(s.event.Package).Name }},
	"event.package.version": {"its version", true, func(s *scope) string { return of(s.event.Package).Version.Version }},
	"event.package.tag":     {"tag of its image", true, func(s *scope) string { return of(s.event.Package).Version.Container.Tag.Name }},
	"event.package.digest":  {"digest of its image", false, func(s *scope) string { return of(s.event.Package).Version.Container.Tag.Digest }},
	"event.image":           {"the image, with its digest where it is known", true, image},

	"event.deployment.id":          {"ID of the deployment", false, func(s *scope) string { return number0(of(s.event.Deployment).ID) }},
	"event.deployment.environment": {"where to", true, func(s *scope) string { return of(s.event.Deployment).Environment }},
	"event.deployment.task":        {"its task", true, func(s *scope) string { return of(s.event.Deployment).Task }},

	"event.comment.id":   {"ID of the comment", false, func(s *scope) string { return number0(of(s.event.Comment).ID) }},
	"event.schedule.due": {"when a schedule was due", false, func(s *scope) string { return string(s.event.Due) }},
}

// FieldNames are the names that expressions can have, sorted.
func FieldNames() []string { return slices.Sorted(maps.Keys(fields)) }

func ofPull(get func(*webhook.PullRequest) string) func(*scope) string {
	return func(s *scope) string { return get(of(s.pull())) }
}

// of is what p points to, or nothing.
func of[T any](p *T) *T { return cmp.Or(p, new(T)) }

func number0[T int | int64](n T) string {
	if n == 0 {
		return ""
	}
	return strconv.FormatInt(int64(n), 10)
}

func owner(r webhook.Repository) string {
	name, _, _ := strings.Cut(r.FullName, "/")
	return cmp.Or(r.Owner.Login, name)
}

// refName is the branch or tag of the run's ref.
func refName(s *scope) string {
	if p := s.pull(); p != nil {
		return p.Head.Ref
	}
	name := strings.TrimPrefix(s.run.Ref, "refs/heads/")
	return strings.TrimPrefix(name, "refs/tags/")
}

// image is the reference of a package that is an image, on the registry that
// its event names: GitHub Enterprise Servers have their own.
func image(s *scope) string {
	p := of(s.event.Package)
	tag := p.Version.Container.Tag
	if p.Name == "" || tag.Name == "" && tag.Digest == "" {
		return ""
	}
	name := strings.TrimSuffix(strings.TrimSuffix(p.Version.URL, tag.Name), ":")
	if !strings.Contains(name, "/") {
		name = "ghcr.io/" + cmp.Or(p.Owner.Login, owner(s.event.Repository)) + "/" + p.Name
	}
	if name = strings.ToLower(name); tag.Digest != "" {
		return name + "@" + tag.Digest
	}
	return name + ":" + tag.Name
}
