package rules_test

import (
	"testing"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
)

func check(action, button string, app int64, run string) edit {
	return func(e *webhook.Event, _ *rules.Facts) {
		e.Action, e.RequestedAction.Identifier = action, button
		e.CheckRun = &webhook.CheckRun{ID: 1, HeadSHA: "aa", ExternalID: run, App: webhook.App{ID: app}}
	}
}

func suite(action string, app int64) edit {
	return func(e *webhook.Event, _ *rules.Facts) {
		e.Action, e.CheckSuite = action, &webhook.CheckSuite{ID: 1, HeadSHA: "aa", App: webhook.App{ID: app}}
	}
}

func TestRequested(t *testing.T) {
	for _, tt := range []struct {
		event string
		edit  edit
		want  rules.Request // none if zero
	}{
		{"check_run", check("rerequested", "", 42, "run"), rules.Request{Wish: rules.WishRerun, Run: "run", Commit: "aa", Sender: "ada"}},
		{"check_run", check("requested_action", "approve", 42, "run"), rules.Request{Wish: rules.WishApprove, Run: "run", Commit: "aa", Sender: "ada"}},
		{"check_run", check("requested_action", "rerun", 42, "run"), rules.Request{Wish: rules.WishRerun, Run: "run", Commit: "aa", Sender: "ada"}},
		{"check_run", check("requested_action", "cancel", 42, "run"), rules.Request{Wish: rules.WishCancel, Run: "run", Commit: "aa", Sender: "ada"}},
		{"check_suite", suite("rerequested", 42), rules.Request{Wish: rules.WishRerunAll, Commit: "aa", Sender: "ada"}},
		{"check_run", check("requested_action", "rerun_all", 42, "run"), rules.Request{}},
		{"check_run", check("requested_action", "fix", 42, "run"), rules.Request{}},
		{"check_run", check("completed", "approve", 42, "run"), rules.Request{}},
		{"check_run", check("rerequested", "", 43, "run"), rules.Request{}},
		{"check_run", check("rerequested", "", 42, ""), rules.Request{}},
		{"check_suite", suite("rerequested", 43), rules.Request{}},
		{"check_suite", suite("completed", 42), rules.Request{}},
		{"push", pushed("refs/heads/main"), rules.Request{}},
	} {
		e, _ := newEvent(tt.event, edits(tt.edit))
		got, ok := rules.Requested(e, 42)
		if ok != (tt.want != rules.Request{}) || ok && got != tt.want {
			t.Errorf("%s %s %s: %+v %t", tt.event, e.Action, e.RequestedAction.Identifier, got, ok)
		}
	}
}

func TestGranted(t *testing.T) {
	for _, tt := range []struct {
		wish   rules.Wish
		state  webhook.State
		commit string
		may    rules.Permission
		want   string // "" is granted
	}{
		{rules.WishApprove, webhook.AwaitingApproval, "aa", rules.Write, ""},
		{rules.WishApprove, webhook.AwaitingApproval, "aa", rules.Triage, "ada may not write in the repository"},
		{rules.WishApprove, webhook.AwaitingApproval, "aa", "", "ada may not write in the repository"},
		{rules.WishApprove, webhook.AwaitingApproval, "bb", rules.Admin, "the run is about another commit"},
		{rules.WishApprove, webhook.Running, "aa", rules.Write, "the run does not wait for approval"},
		{rules.WishCancel, webhook.Running, "aa", rules.Write, ""},
		{rules.WishCancel, webhook.Failed, "aa", rules.Write, "the run is failed"},
		{rules.WishRerun, webhook.Failed, "aa", rules.Write, ""},
		{rules.WishRerun, webhook.Running, "aa", rules.Write, "the run is running"},
		{rules.WishRerun, webhook.Ambiguous, "aa", rules.Write, ""},
		{rules.WishRerunAll, webhook.Ambiguous, "aa", rules.Write, "the run is ambiguous"},
		{rules.WishRerunAll, webhook.Queued, "aa", rules.Write, "the run is queued"},
	} {
		granted, why := rules.Request{Wish: tt.wish, Commit: "aa", Sender: "ada"}.Granted(&webhook.Run{Commit: tt.commit, State: tt.state}, tt.may)
		if granted != (tt.want == "") || why != tt.want {
			t.Errorf("%s of a run that is %s by %q: %t %s", tt.wish, tt.state, tt.may, granted, why)
		}
	}
}

func TestLapses(t *testing.T) {
	for _, tt := range []struct {
		action string
		want   bool
	}{{"synchronize", true}, {"closed", true}, {"labeled", false}} {
		e, _ := newEvent("pull_request", edits(pull(tt.action)))
		if n, ok := rules.Lapses(e); ok != tt.want || ok && n != 5 {
			t.Errorf("%s: of %d: %t", tt.action, n, ok)
		}
	}
	e, _ := newEvent("push", edits(pushed("refs/heads/main")))
	if _, ok := rules.Lapses(e); ok {
		t.Error("a push makes approvals void")
	}
}

// TestConfigAt: nobody brings along the configuration that decides about them.
func TestConfigAt(t *testing.T) {
	for _, tt := range []struct {
		event          string
		edits          []edit
		branch, commit string
	}{
		{"pull_request", edits(pull("opened")), "main", ""},
		{"pull_request", edits(pull("opened"), fromFork), "main", ""},
		{"push", edits(pushed("refs/heads/main")), "main", "bb"},
		{"push", edits(pushed("refs/heads/main"), branchDeleted), "main", ""},
		{"push", edits(pushed("refs/heads/dev")), "main", ""},
		{"push", edits(pushed("refs/tags/main")), "main", ""},
		{"merge_group", edits(merging), "main", ""},
		{"release", edits(released), "main", ""},
	} {
		e, _ := newEvent(tt.event, tt.edits)
		if branch, commit := rules.ConfigAt(e, nil); branch != tt.branch || commit != tt.commit {
			t.Errorf("%s %s: read at %s %s, want %s %s", tt.event, e.Ref, branch, commit, tt.branch, tt.commit)
		}
	}
	e, _ := newEvent("issue_comment", edits(commented("/bench")))
	p := pullRequest(8)
	p.Base.Ref = "release"
	if branch, _ := rules.ConfigAt(e, p); branch != "release" {
		t.Errorf("a comment: read at %s", branch)
	}
}
