package work

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// configCheck is the name of the check that shows what is wrong with a
// configuration, and that of the rule whose runs have it. No rule of anybody's
// has such an id.
const configCheck = "clipper / config"

const configPath = ".github/clipper.yml"

// checkConfig looks at the configuration that a pull request or a push brings.
// What it has to say is a run that is over as soon as it begins. A pull
// request's own configuration is looked at, and never followed.
func (t *turn) checkConfig(ctx context.Context, e *webhook.Event, c configuration) (*database.NewRun, error) {
	switch {
	case e.Name == "push" && c.tip == e.After && (len(c.problems) > 0 || slices.Contains(e.Touched(), configPath)):
		return t.configRun(e, c.tip, c), nil
	case e.Name != "pull_request" || !slices.Contains([]string{"opened", "synchronize", "reopened"}, e.Action):
		return nil, nil
	}
	config, problems, err := t.parsed(ctx, at(e), e.PullRequest.Head.SHA)
	if errors.Is(err, hub.ErrGone) { // its repository was deleted meanwhile
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	base, _, err := t.parsed(ctx, at(e), c.tip)
	if err != nil || len(problems) == 0 && (config == nil || reflect.DeepEqual(config, base)) {
		return nil, err
	}
	return t.configRun(e, e.PullRequest.Head.SHA, configuration{problems: problems}), nil
}

// configRun is the run that shows how a commit's configuration is.
func (t *turn) configRun(e *webhook.Event, commit string, c configuration) *database.NewRun {
	now := t.Now()
	run := webhook.Run{
		RuleKey: webhook.RuleKey(t.app, e.Repository.ID, configCheck), EventKey: e.Key(), Rev: 1,
		App: t.app, Installation: e.Installation.ID, Repository: e.Repository.ID, FullName: e.Repository.FullName,
		Event: e.Name, Sender: e.Sender.Login, Commit: commit, Ref: e.Ref, ConfigCommit: commit,
		State: webhook.Succeeded, Reason: "the configuration is valid", Created: now, Ended: now,
	}
	if p := e.PullRequest; p != nil {
		run.PullRequest, run.Base, run.Ref = p.Number, p.Base.Ref, fmt.Sprintf("refs/pull/%d/head", p.Number)
	}
	run.ID = webhook.RunID(run.RuleKey, run.EventKey)
	if n := len(c.problems); n > 0 {
		run.State, run.Reason = webhook.Failed, fmt.Sprintf("the configuration has %d problem(s), the first: %s", n, c.problems[0])
		if c.commit != c.tip {
			run.Reason += fmt.Sprintf("; the last valid one, of %s, goes on", c.commit)
		}
	}
	check := t.check(&run, configCheck, nil)
	check.Actions = nil
	for _, p := range c.problems {
		check.Annotations = append(check.Annotations, annotation(p))
	}
	return &database.NewRun{Run: run, Desires: []database.Desire{desire(checkChannel, check, true)}}
}

func annotation(p rules.Problem) hub.Annotation {
	text := p.Text
	if p.Remedy != "" {
		text += "; " + p.Remedy
	}
	return hub.Annotation{Path: configPath, Start: p.Line, End: p.Line, Level: "failure", Message: text, Title: p.Path}
}
