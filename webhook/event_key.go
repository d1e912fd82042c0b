package webhook

import (
	"fmt"
	"strings"
)

// Key names the fact that the event tells of, within its repository: two
// deliveries of one fact have the same, whatever their GUIDs, and two facts
// never do. It is made of the body alone. An event that no run follows from
// has none.
//
// Where one thing can happen again (a pull request is reopened twice with the
// same commit, a branch is forced there and back), the key has the time that
// GitHub put on it.
func (e *Event) Key() string {
	switch e.Name {
	case Schedule:
		return key("cron", e.Due)
	case Manual:
		return key("manual", e.Nonce)
	case "push":
		return key("push", e.Ref, e.Before+".."+e.After, e.Repository.PushedAt)
	case "pull_request":
		p := e.PullRequest
		k := key("pr", p.Number, p.Head.SHA, e.Action, p.UpdatedAt)
		if e.Label != nil {
			k += ":" + e.Label.Name
		}
		return k
	case "merge_group":
		return key("merge_group", e.MergeGroup.HeadSHA, e.Action)
	case "release":
		r := e.Release
		if e.Action == "edited" && r.UpdatedAt == "" {
			return key("release", r.ID, e.Action, r.PublishedAt, r.UpdatedAt, r.digest())
		}
		return key("release", r.ID, e.Action, r.PublishedAt, r.UpdatedAt)
	case "package", "registry_package":
		p := e.Package
		// Not their IDs: whether both events of one publication have the same
		// is nowhere said.
		return key("package", p.Name, p.Version.Version, p.Version.Container.Tag.Name, e.Action, p.Version.UpdatedAt)
	case "deployment":
		return key("deployment", e.Deployment.ID)
	case "issue_comment":
		if e.Action == "created" {
			return key("comment", e.Comment.ID)
		}
		return key("comment", e.Comment.ID, e.Action)
	case "check_run":
		c := e.CheckRun
		return key("check_run", c.ID, e.Action, e.RequestedAction.Identifier, c.CompletedAt)
	case "check_suite":
		return key("check_suite", e.CheckSuite.ID, e.Action, e.CheckSuite.UpdatedAt)
	case "workflow_job":
		j := e.WorkflowJob
		return key("job", j.ID, j.RunAttempt, e.Action)
	case "workflow_run":
		r := e.WorkflowRun
		return key("workflow_run", r.ID, r.RunAttempt, e.Action)
	}
	return ""
}

func key(parts ...any) string {
	texts := make([]string, len(parts))
	for i, part := range parts {
		texts[i] = fmt.Sprint(part)
	}
	return strings.TrimRight(strings.Join(texts, ":"), ":")
}

// RuleKey names a rule of a repository as an App sees it, for as long as all are
// there: with an event's key it names the one run that follows. The IDs of
// repositories and of what events are about are one host's, and Apps can be of
// several.
func RuleKey(app, repository int64, rule string) string {
	return fmt.Sprintf("%d/%d/%s", app, repository, rule)
}
