package setup

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/webhook/rules"
)

// Feature is something that an App may be for, with what GitHub has to let it
// do.
type Feature struct {
	Name string
	// Default says that an App is for it unless it is wished otherwise; Always
	// that there is no App without it.
	Default, Always bool
	// Permission and Level are in GitHub's words. Of runners, an organisation's
	// App has another one, Organization, in its place.
	Permission, Level, Organization string
	// Events are subscribed to. Those of installations GitHub sends to every
	// App.
	Events []string
	// Why is told to who grants it.
	Why string
	// asks says whether a configuration uses it.
	asks func(*rules.Config) bool
}

// Features are all. The README has the same table, and a test holds it against
// this one.
var Features = []Feature{
	{Name: "repositories", Always: true, Permission: "metadata", Level: "read",
		Why: "which repositories there are, and what a person may do in one"},
	{Name: "push", Always: true, Permission: "contents", Level: "read", Events: []string{"push", "release"},
		Why: "`.github/clipper.yml`, changed paths and checkouts; `on: push`, `on: release`"},
	{Name: "pull-requests", Always: true, Permission: "pull_requests", Level: "write", Events: []string{"pull_request"},
		Why: "`on: pull_request`; what a pull request changes; the comment that a run keeps up to date"},
	{Name: "checks", Always: true, Permission: "checks", Level: "write", Events: []string{"check_run", "check_suite"},
		Why: "the check run of every run, with its buttons"},
	{Name: "workflows", Default: true, Permission: "actions", Level: "write", Events: []string{"workflow_run"},
		Why:  "`run: workflow`: start, follow, cancel and re-run it",
		asks: anyRule(func(r *rules.Rule) bool { return r.Run.Workflow != nil || r.Run.Dispatch != nil })},
	{Name: "deployments", Default: true, Permission: "deployments", Level: "write", Events: []string{"deployment"},
		Why:  "`on: deployment`, `report: deployment`",
		asks: anyRule(func(r *rules.Rule) bool { return r.On.Deployment != nil || r.Report.Deployment != nil })},
	{Name: "comments", Default: true, Permission: "issues", Level: "read", Events: []string{"issue_comment"},
		Why:  "`on: comment`: commands in comments on pull requests",
		asks: anyRule(func(r *rules.Rule) bool { return r.On.Comment != nil })},
	{Name: "packages", Default: true, Permission: "packages", Level: "read", Events: []string{"registry_package"},
		Why:  "`on: registry_package`",
		asks: anyRule(func(r *rules.Rule) bool { return r.On.RegistryPackage != nil })},
	{Name: "merge-queue", Default: true, Permission: "merge_queues", Level: "read", Events: []string{"merge_group"},
		Why:  "`on: merge_group`",
		asks: anyRule(func(r *rules.Rule) bool { return r.On.MergeGroup != nil })},
	{Name: "dispatch", Permission: "contents", Level: "write",
		Why:  "`run: dispatch`: GitHub wants no less for a `repository_dispatch`, so leave it out unless you use it",
		asks: anyRule(func(r *rules.Rule) bool { return r.Run.Dispatch != nil })},
	{Name: "runners", Permission: "administration", Level: "write", Organization: "organization_self_hosted_runners", Events: []string{"workflow_job"},
		Why:  "`runners`: runners of GitHub Actions on ECS",
		asks: func(c *rules.Config) bool { return len(c.Runners) > 0 }},
}

// anyRule asks of every rule that is on.
func anyRule(asks func(*rules.Rule) bool) func(*rules.Config) bool {
	return func(c *rules.Config) bool {
		return slices.ContainsFunc(c.Rules, func(r rules.Rule) bool { return !r.Disabled && asks(&r) })
	}
}

// Needs are the permissions and events of features.
func Needs(features []Feature, organization bool) (permissions map[string]string, events []string) {
	permissions = map[string]string{}
	for _, f := range features {
		name := f.permission(organization)
		if permissions[name] != "write" {
			permissions[name] = f.Level
		}
		events = append(events, f.Events...)
	}
	slices.Sort(events)
	return permissions, slices.Compact(events)
}

func (f Feature) permission(organization bool) string {
	if organization && f.Organization != "" {
		return f.Organization
	}
	return f.Permission
}

// featuresOf are the features of an App for which names were given, and those
// that every App has.
func featuresOf(names []string) ([]Feature, error) {
	known := func(name string) bool {
		return slices.ContainsFunc(Features, func(f Feature) bool { return f.Name == name })
	}
	for _, name := range names {
		if !known(name) {
			return nil, fmt.Errorf("%w: there is no feature %q, only %s", ErrWish, name, strings.Join(FeatureNames(), ", "))
		}
	}
	return slices.DeleteFunc(slices.Clone(Features), func(f Feature) bool {
		if len(names) == 0 {
			return !f.Always && !f.Default
		}
		return !f.Always && !slices.Contains(names, f.Name)
	}), nil
}

// FeatureNames are the names of those that can be chosen.
func FeatureNames() (names []string) {
	for _, f := range Features {
		if !f.Always {
			names = append(names, f.Name)
		}
	}
	return names
}

// Asked says whether a configuration uses the feature.
func (f Feature) Asked(c *rules.Config) bool { return f.Always || f.asks(c) }

// Lacks lists what an App that may do and hears of so much lacks for the
// feature.
func (f Feature) Lacks(permissions map[string]string, events []string, organization bool) []string {
	lacks := Missing(map[string]string{f.permission(organization): f.Level}, permissions)
	for _, event := range f.Events {
		if !slices.Contains(events, event) {
			lacks = append(lacks, "the event "+event)
		}
	}
	return lacks
}

// Missing lists, of permissions that are needed, those that were not granted.
func Missing(need, granted map[string]string) (names []string) {
	rank := map[string]int{"": 0, "read": 1, "write": 2, "admin": 3}
	for _, name := range slices.Sorted(maps.Keys(need)) {
		if rank[granted[name]] < rank[need[name]] {
			names = append(names, name+": "+need[name])
		}
	}
	return names
}
