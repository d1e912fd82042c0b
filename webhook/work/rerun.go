package work

import (
	"bytes"
	"context"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// rerun is a run done again because of a fact, of which key is the EventKey: the
// same job for the same commit, with the ID of its own wherever the job names
// the old one's. It waits for the approval that the old one never got.
func (w *Work) rerun(old webhook.Run, key string) database.NewRun {
	now := w.Now()
	run := webhook.Run{
		RuleKey: old.RuleKey, EventKey: key, Rev: 1, Rerun: old.ID,
		App: old.App, Installation: old.Installation, Repository: old.Repository, FullName: old.FullName,
		Rule: old.Rule, Event: old.Event, Sender: old.Sender, Commit: old.Commit, Ref: old.Ref, Base: old.Base,
		PullRequest: old.PullRequest, Fork: old.Fork, DeploymentID: old.DeploymentID, ConfigCommit: old.ConfigCommit, ApprovedBy: old.ApprovedBy,
		Group: old.Group, CancelOthers: old.CancelOthers, MaxQueue: old.MaxQueue,
		State: webhook.Queued, Created: now, Due: now,
	}
	if job, err := jobOf(&old); err != nil || rules.Unapproved(&old, job) {
		run.State, run.Reason, run.Due = webhook.AwaitingApproval, rules.NeedsApproval, now.Add(webhook.ApprovalLapses)
	}
	run.ID = webhook.RunID(run.RuleKey, run.EventKey)
	run.Job = bytes.ReplaceAll(old.Job, []byte(old.ID), []byte(run.ID)) // no ID is a part of anything else
	return database.NewRun{Run: run, Desires: w.show(&run, nil)}
}

// rerunAll are all runs of a commit that have ended, of each rule the last. A
// press has this effect once: whoever tells of it again, however late, finds
// the runs that have its key.
func (t *turn) rerunAll(ctx context.Context, e *webhook.Event, r rules.Request, permission rules.Permission) (outcome, error) {
	var o outcome
	key := "rerun:" + e.Key()
	seen := map[string]bool{}
	all := database.RunFilter{App: t.app, Repositories: []int64{e.Repository.ID}, Newest: true, Since: t.Now().Add(-rerunnable)}
	for run, err := range t.DB.Runs(ctx, all) {
		if err != nil {
			return o, err
		}
		switch {
		case run.Commit != r.Commit || run.Rule == "":
			continue
		case run.EventKey == key:
			return nothing("the runs were done again: %s", run.ID)
		case seen[run.RuleKey]:
			continue
		}
		seen[run.RuleKey] = true
		ok, why := r.Granted(&run, permission)
		if !ok {
			o.reason = why
			continue
		}
		o.runs = append(o.runs, t.rerun(run, key))
	}
	if len(seen) == 0 {
		o.reason = "the commit has no runs"
	}
	return o, nil
}
