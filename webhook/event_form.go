package webhook

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// form is what the body of an event looks like.
type form struct {
	// has are the members of the body that make it this event's, may those
	// that it can have beside them. Of all other subjects it has none.
	has, may []string
	// account says that the event is about an account, not a repository.
	account bool
	// lacks names what is missing in the event for a decision, or is "".
	lacks func(e *Event) string
}

// subjects are the members by which bodies of different events can be told
// from each other: `pull_request` is in a review's body, too, but `review` is
// not in a pull request's.
var subjects = []string{
	"pusher", "pusher_type", "pull_request", "review", "thread", "merge_group", "release", "package", "registry_package",
	"deployment", "deployment_status", "deployment_callback_url", "issue", "comment", "discussion", "check_run", "check_suite",
	"workflow", "workflow_job", "workflow_run", "workflow_job_run", "repositories_added", "client_payload", "alert", "hook", "rule",
	"account", "member", "membership", "team", "blocked_user",
}

// forms are the events that something follows from, by name. What GitHub
// sends beside them is stored and does nothing.
var forms = map[string]form{
	"push": {has: []string{"ref", "before", "after", "commits", "pusher"}, lacks: func(e *Event) string {
		return first(missing{"ref", e.Ref == ""}, missing{"after", e.After == ""})
	}},
	"pull_request": {has: []string{"action", "number", "pull_request"}, lacks: func(e *Event) string {
		p := e.PullRequest
		if p == nil {
			return "pull_request"
		}
		return first(missing{"pull_request.number", p.Number == 0}, missing{"pull_request.head.sha", p.Head.SHA == ""}, missing{"pull_request.base.ref", p.Base.Ref == ""})
	}},
	"merge_group": {has: []string{"action", "merge_group"}, lacks: func(e *Event) string {
		g := e.MergeGroup
		return first(missing{"merge_group.head_sha", g == nil || g.HeadSHA == ""}, missing{"merge_group.base_ref", g == nil || g.BaseRef == ""})
	}},
	"release": {has: []string{"action", "release"}, lacks: func(e *Event) string {
		r := e.Release
		return first(missing{"release.id", r == nil || r.ID == 0}, missing{"release.tag_name", r == nil || r.Tag == ""})
	}},
	"package":          {has: []string{"action", "package"}, lacks: (*Event).lacksPackage},
	"registry_package": {has: []string{"action", "registry_package"}, lacks: (*Event).lacksPackage},
	"deployment": {has: []string{"action", "deployment"}, may: []string{"workflow", "workflow_run"}, lacks: func(e *Event) string {
		d := e.Deployment
		return first(missing{"deployment.id", d == nil || d.ID == 0}, missing{"deployment.sha", d == nil || d.SHA == ""})
	}},
	"issue_comment": {has: []string{"action", "issue", "comment"}, lacks: func(e *Event) string {
		return first(missing{"comment.id", e.Comment == nil || e.Comment.ID == 0}, missing{"issue.number", e.Issue == nil || e.Issue.Number == 0})
	}},
	"check_run": {has: []string{"action", "check_run"}, lacks: func(e *Event) string {
		return first(missing{"check_run.id", e.CheckRun == nil || e.CheckRun.ID == 0})
	}},
	"check_suite": {has: []string{"action", "check_suite"}, lacks: func(e *Event) string {
		return first(missing{"check_suite.id", e.CheckSuite == nil || e.CheckSuite.ID == 0})
	}},
	"workflow_job": {has: []string{"action", "workflow_job"}, may: []string{"deployment"}, lacks: func(e *Event) string {
		return first(missing{"workflow_job.id", e.WorkflowJob == nil || e.WorkflowJob.ID == 0})
	}},
	"workflow_run": {has: []string{"action", "workflow_run"}, may: []string{"workflow"}, lacks: func(e *Event) string {
		return first(missing{"workflow_run.id", e.WorkflowRun == nil || e.WorkflowRun.ID == 0})
	}},
	"installation":              {has: []string{"action", "installation"}, account: true, lacks: (*Event).lacksInstallation},
	"installation_repositories": {has: []string{"action", "installation", "repositories_added", "repositories_removed"}, account: true, lacks: (*Event).lacksInstallation},
}

func (e *Event) lacksPackage() string {
	p := e.Package
	return first(missing{"package id", p == nil || p.ID == 0}, missing{"package version id", p == nil || p.Version.ID == 0})
}

func (e *Event) lacksInstallation() string {
	// In the bodies of other events, an installation is no more than its ID.
	return first(missing{"installation.id", e.Installation.ID == 0}, missing{"installation.account", e.Installation.Account.ID == 0})
}

type missing struct {
	what string
	yes  bool
}

func first(list ...missing) string {
	for _, m := range list {
		if m.yes {
			return m.what
		}
	}
	return ""
}

// NamesOf lists the events that a body can be read as, of those that something
// follows from.
func NamesOf(body []byte) []string {
	var members map[string]json.RawMessage
	if json.Unmarshal(body, &members) != nil {
		return nil
	}
	var names []string
	for _, name := range slices.Sorted(maps.Keys(forms)) {
		if forms[name].misfit(members) != "" {
			continue
		}
		if _, err := ParseEvent(name, body); err == nil {
			names = append(names, name)
		}
	}
	return names
}

// checkForm holds a body against the form of the event that it came as.
func checkForm(name string, body []byte) error {
	f, known := forms[name]
	if !known {
		return nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(body, &members); err != nil {
		return fmt.Errorf("%w: the body of %s: %w", ErrEvent, name, err)
	}
	if misfit := f.misfit(members); misfit != "" {
		return fmt.Errorf("%w: the body of %s has %s", ErrEvent, name, misfit)
	}
	return nil
}

// misfit says which member is missing, or is one of other events'; "" is none.
func (f form) misfit(members map[string]json.RawMessage) string {
	for _, member := range f.has {
		if value, there := members[member]; !there || string(value) == "null" {
			return "no " + member
		}
	}
	for _, subject := range subjects {
		allowed := slices.Contains(f.has, subject) || slices.Contains(f.may, subject)
		if value, there := members[subject]; there && string(value) != "null" && !allowed {
			return subject + ", as those of other events"
		}
	}
	return ""
}
