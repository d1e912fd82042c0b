package rules_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
)

func policy(t testing.TB) *rules.Policy {
	t.Helper()
	p, problems := rules.ParsePolicy(read(t, "testdata/policy.yml"))
	if problems != nil {
		t.Fatal(problems)
	}
	return p
}

// edit changes an event or the facts about it.
type edit func(*webhook.Event, *rules.Facts)

func newEvent(name string, edits []edit) (*webhook.Event, rules.Facts) {
	e := &webhook.Event{Name: name, Repository: webhook.Repository{ID: 7, FullName: "acme/app", DefaultBranch: "main"}, Sender: webhook.User{Login: "ada"}, Installation: webhook.Installation{ID: 3}}
	facts := rules.Facts{App: 1, Bot: "clipper[bot]"}
	for _, edit := range edits {
		edit(e, &facts)
	}
	return e, facts
}

func pushed(ref string) edit {
	return func(e *webhook.Event, _ *rules.Facts) { e.Ref, e.Before, e.After = ref, "aa", "bb" }
}

func pull(action string) edit {
	return func(e *webhook.Event, _ *rules.Facts) { e.Action, e.PullRequest = action, pullRequest(7) }
}

func pullRequest(head int64) *webhook.PullRequest {
	return &webhook.PullRequest{
		Number: 5, State: "open", UpdatedAt: "T", Labels: []webhook.Label{{Name: "ready"}},
		Head: webhook.Tip{Ref: "f", SHA: "cccccccccc", Repository: &webhook.Repository{ID: head}}, Base: webhook.Tip{Ref: "main", SHA: "bb", Repository: &webhook.Repository{ID: 7}},
	}
}

func fromFork(e *webhook.Event, _ *rules.Facts)   { e.PullRequest.Head.Repository.ID = 8 }
func headIsGone(e *webhook.Event, _ *rules.Facts) { e.PullRequest.Head.Repository = nil }
func draft(e *webhook.Event, _ *rules.Facts)      { e.PullRequest.Draft = true }
func branchDeleted(e *webhook.Event, _ *rules.Facts) {
	e.Deleted, e.After = true, strings.Repeat("0", 40)
}
func ownEvent(e *webhook.Event, _ *rules.Facts)  { e.Sender.Login = "Clipper[bot]" }
func approved(_ *webhook.Event, f *rules.Facts)  { f.ApprovedBy = "eve" }
func atCommit(_ *webhook.Event, f *rules.Facts)  { f.Commit = "dddd" }
func morePaths(_ *webhook.Event, f *rules.Facts) { f.PathsCut = true }

func label(name string) edit {
	return func(e *webhook.Event, _ *rules.Facts) { e.Label = &webhook.Label{Name: name} }
}
func paths(list ...string) edit {
	return func(_ *webhook.Event, f *rules.Facts) { f.Paths, f.PathsKnown = list, true }
}
func may(p rules.Permission) edit {
	return func(_ *webhook.Event, f *rules.Facts) { f.Permission = p }
}
func in(fullName string) edit {
	return func(e *webhook.Event, _ *rules.Facts) { e.Repository.FullName = fullName }
}

func commented(body string) edit {
	return func(e *webhook.Event, _ *rules.Facts) {
		raw := json.RawMessage("{}")
		e.Action, e.Issue = "created", &webhook.Issue{Number: 5, PullRequest: &raw}
		e.Comment = &webhook.Comment{ID: 9, Body: body, User: e.Sender, CreatedAt: "2026-11-21T12:00:00Z"}
	}
}

func on(head int64) edit {
	return func(_ *webhook.Event, f *rules.Facts) { f.PullRequest = pullRequest(head) }
}

func merging(e *webhook.Event, _ *rules.Facts) {
	e.Action, e.MergeGroup = "checks_requested", &webhook.MergeGroup{HeadSHA: "ee", HeadRef: "refs/heads/gh-readonly-queue/main/pr-5", BaseRef: "refs/heads/main"}
}

func released(e *webhook.Event, _ *rules.Facts) {
	e.Action, e.Release = "published", &webhook.Release{ID: 4, Tag: "v1.0", Prerelease: true}
}

func published(tag string) edit {
	return func(e *webhook.Event, _ *rules.Facts) {
		e.Action, e.Package = "published", &webhook.Package{ID: 4, Name: "api"}
		e.Package.Version.Container.Tag.Name, e.Package.Version.Target = tag, strings.Repeat("f", 40)
	}
}

func deployed(environment string) edit {
	return func(e *webhook.Event, _ *rules.Facts) {
		e.Action, e.Deployment = "created", &webhook.Deployment{ID: 6, SHA: "ab", Ref: "main", Task: "deploy", Environment: environment}
	}
}

func edits(list ...edit) []edit { return list }

// TestDecide: what is on, the event, and what becomes of it.
func TestDecide(t *testing.T) {
	const (
		push   = "push: { branches: [main, 'v*'], paths: ['**.go'] }"
		pr     = "pull_request: "
		cmd    = "comment: { command: /bench }"
		admins = "comment: { command: /bench, require: admin }"
	)
	for _, tt := range []struct {
		on, event string
		edits     []edit
		outcome   rules.Outcome
		because   string // the last step, or the fact that is missing
	}{
		{push, "push", edits(pushed("refs/heads/main"), paths("a.go")), rules.Starts, `"a.go" was changed and matches`},
		{push, "push", edits(pushed("refs/heads/main")), rules.Asks, "paths"},
		{push, "push", edits(pushed("refs/heads/main"), paths("a.md")), rules.Ignored, "none of 1 changed paths matches **.go"},
		{push, "push", edits(pushed("refs/heads/main"), paths("a.md"), morePaths), rules.Starts, "more paths were changed than GitHub lists"},
		{push, "push", edits(pushed("refs/heads/dev")), rules.Ignored, `the branch "dev" matches none of main and v*`},
		{push, "push", edits(pushed("refs/tags/v1")), rules.Ignored, "a tag was pushed, and on.push has no tags"},
		{push, "push", edits(pushed("refs/notes/x")), rules.Ignored, "refs/notes/x is neither a branch nor a tag"},
		{push, "push", edits(pushed("refs/heads/main"), branchDeleted), rules.Ignored, "refs/heads/main was deleted"},
		{"push: { branches: ['**', '!dev'] }", "push", edits(pushed("refs/heads/dev")), rules.Ignored, `the branch "dev" is left out by !dev`},
		{"push: { tags: ['v*'] }", "push", edits(pushed("refs/tags/v1")), rules.Starts, `the tag "v1" matches v*`},
		{"push: { tags: ['v*'], paths: [a] }", "push", edits(pushed("refs/tags/v1")), rules.Starts, `the tag "v1" matches v*`},
		{"push: { tags: ['v*'] }", "push", edits(pushed("refs/heads/main")), rules.Ignored, "a branch was pushed, and on.push has only tags"},
		{"push: ", "push", edits(pushed("refs/tags/v1")), rules.Starts, "the tag v1 was pushed"},
		{"push: ", "pull_request", edits(pull("opened")), rules.Ignored, "the rule has no on.pull_request"},
		{"push: ", "push", edits(pushed("refs/heads/main"), ownEvent), rules.Ignored, "the App's own user, caused the event"},
		{"push: ", "push", edits(pushed("refs/heads/main"), in("other/app")), rules.Ignored, "the operator's policy does not serve other/app"},
		{"push: ", "push", edits(pushed("refs/heads/main"), in("acme/hidden-a")), rules.Ignored, "does not serve"},
		{"push: ", "push", edits(pushed("refs/heads/main"), in("ACME/App")), rules.Starts, "the branch main was pushed"},
		{"push: ", "star", nil, rules.Ignored, "the rule has no on.star"},

		{pr, "pull_request", edits(pull("opened")), rules.Starts, "pull_request opened"},
		{pr, "pull_request", edits(pull("closed")), rules.Ignored, "pull_request closed is none of opened, synchronize and reopened"},
		{pr + "{ branches: [release/*] }", "pull_request", edits(pull("opened")), rules.Ignored, `the branch "main" matches none of release/*`},
		{pr + "{ paths: [a] }", "pull_request", edits(pull("opened")), rules.Asks, "paths"},
		{pr + "{ drafts: false }", "pull_request", edits(pull("opened"), draft), rules.Ignored, "it is a draft"},
		{pr, "pull_request", edits(pull("opened"), draft), rules.Starts, "pull_request opened"},
		{pr + "{ labels: [ready] }", "pull_request", edits(pull("opened")), rules.Starts, `it has the label "ready"`},
		{pr + "{ labels: [other] }", "pull_request", edits(pull("opened")), rules.Ignored, "it has no label of other"},
		{pr + "{ types: [labeled], labels: [other] }", "pull_request", edits(pull("labeled"), label("other")), rules.Starts, `the label "other" matches other`},
		{pr + "{ types: [labeled], labels: [ready] }", "pull_request", edits(pull("labeled"), label("other")), rules.Ignored, `the label "other" matches none of ready`},
		{pr, "pull_request", edits(pull("opened"), fromFork), rules.Waits, "the code comes from a fork and waits for approval"},
		{pr, "pull_request", edits(pull("opened"), headIsGone), rules.Waits, "waits for approval"},
		{pr, "pull_request", edits(pull("opened"), fromFork, approved), rules.Starts, "eve approved this commit"},
		{pr + "{ paths: [a] }", "pull_request", edits(pull("opened"), fromFork), rules.Asks, "paths"},

		{"merge_group: { branches: [main] }", "merge_group", edits(merging), rules.Starts, `the branch "main" matches main`},
		{"merge_group: { branches: [dev] }", "merge_group", edits(merging), rules.Ignored, `matches none of dev`},
		{"release: ", "release", edits(released, atCommit), rules.Starts, "release published"},
		{"release: ", "release", edits(released), rules.Asks, "commit"},
		{"release: { types: [deleted] }", "release", edits(released), rules.Ignored, "release published is none of deleted"},
		{"release: { prereleases: false }", "release", edits(released), rules.Ignored, "it is a pre-release"},
		{"registry_package: { name: api, tags: ['v*'] }", "registry_package", edits(published("v1")), rules.Starts, `the tag "v1" matches v*`},
		{"registry_package: { name: api, tags: ['v*'] }", "package", edits(published("latest")), rules.Ignored, `the tag "latest" matches none of v*`},
		{"registry_package: { name: web }", "package", edits(published("v1")), rules.Ignored, `the package "api" matches none of web`},
		{"deployment: { environments: [prod*] }", "deployment", edits(deployed("production")), rules.Starts, `the environment "production" matches prod*`},
		{"deployment: { environments: [prod*] }", "deployment", edits(deployed("staging")), rules.Ignored, "matches none of"},
		{"deployment: { tasks: [migrate] }", "deployment", edits(deployed("staging")), rules.Ignored, `the task "deploy" matches none of migrate`},

		{cmd, "issue_comment", edits(commented("/bench")), rules.Asks, "permission"},
		{cmd, "issue_comment", edits(commented("/bench"), may("read")), rules.Ignored, "ada has the permission read, and write is required"},
		{cmd, "issue_comment", edits(commented("/bench"), may("triage")), rules.Ignored, "write is required"},
		{cmd, "issue_comment", edits(commented("/bench"), may("owner")), rules.Ignored, "write is required"},
		{admins, "issue_comment", edits(commented("/bench"), may("maintain")), rules.Ignored, "admin is required"},
		{cmd, "issue_comment", edits(commented("/bench"), may("write")), rules.Asks, "pull_request"},
		{cmd, "issue_comment", edits(commented("/bench"), may("write"), on(7)), rules.Starts, "the command is /bench"},
		{cmd, "issue_comment", edits(commented("\r\n  /bench  \r\nand thanks"), may("admin"), on(7)), rules.Starts, "the command is /bench"},
		{cmd, "issue_comment", edits(commented("/bench ccccccc"), may("write"), on(7)), rules.Starts, "the command names the pull request's head"},
		{cmd, "issue_comment", edits(commented("/bench ddddddd"), may("write"), on(7)), rules.Ignored, "the pull request's head is cccccccccc by now, not ddddddd"},
		{admins, "issue_comment", edits(commented("/bench"), may("admin"), on(7)), rules.Ignored, "whoever may write can push to the branch: name the whole commit"},
		{admins, "issue_comment", edits(commented("/bench cccccccccc"), may("admin"), on(7)), rules.Starts, "the command names the pull request's head"},
		{cmd, "issue_comment", edits(commented("/bench"), may("write"), on(8)), rules.Ignored, "the code comes from a fork: name the whole commit that you looked at, as in /bench COMMIT"},
		{cmd, "issue_comment", edits(commented("/bench ccccccccc"), may("write"), on(8)), rules.Ignored, "name the whole commit"}, // a fork can have two with these digits
		{cmd, "issue_comment", edits(commented("/bench dddddddddd"), may("write"), on(8)), rules.Ignored, "the pull request's head is cccccccccc by now, not dddddddddd"},
		{cmd, "issue_comment", edits(commented("/bench cccccccccc"), may("write"), on(8)), rules.Starts, "the code comes from a fork, and the command is its approval"},
		{cmd, "issue_comment", edits(commented("/bench"), may("write"), on(8), func(_ *webhook.Event, f *rules.Facts) { f.PullRequest.Head.SHA = "" }), rules.Ignored, "name the whole commit"},
		{cmd, "issue_comment", edits(commented("/test")), rules.Ignored, "the command is /test, not /bench"},
		{cmd, "issue_comment", edits(commented("please /bench")), rules.Ignored, "the comment's first line is no command"},
		{cmd, "issue_comment", edits(commented("/bench; rm -rf /")), rules.Ignored, "no command"},
		{cmd, "issue_comment", edits(commented("/bench $(id)")), rules.Ignored, "no command"},
		{cmd, "issue_comment", edits(commented("/bench"), func(e *webhook.Event, _ *rules.Facts) { e.Action = "edited" }), rules.Ignored, "only new comments are read"},
		{cmd, "issue_comment", edits(commented("/bench"), func(e *webhook.Event, _ *rules.Facts) { e.Issue.PullRequest = nil }), rules.Ignored, "not on a pull request"},
		{cmd, "issue_comment", edits(commented("/bench"), func(e *webhook.Event, _ *rules.Facts) { e.Comment.User.Login = "eve" }), rules.Ignored, "ada sent what eve wrote"},
		{cmd, "issue_comment", edits(commented("/bench"), may("write"), on(7), func(_ *webhook.Event, f *rules.Facts) { f.PullRequest.State = "closed" }), rules.Ignored, "the pull request is closed"},

		{"schedule: { cron: '@daily' }", "schedule", edits(atCommit, func(e *webhook.Event, _ *rules.Facts) { e.Due, e.Rule = "T", "r" }), rules.Starts, "it was due at T"},
		{"schedule: { cron: '@daily' }", "schedule", nil, rules.Asks, "commit"},
		{"schedule: { cron: '@daily' }", "schedule", edits(func(e *webhook.Event, _ *rules.Facts) { e.Rule = "other" }), rules.Ignored, "it is for the rule other"},
		{"manual: ", "manual", nil, rules.Asks, "permission"},
		{"manual: ", "manual", edits(may("write"), atCommit), rules.Starts, "ada has the permission write"},
		{"manual: { require: maintain }", "manual", edits(may("write")), rules.Ignored, "maintain is required"},
	} {
		c := parse(t, rule("  on: { "+tt.on+" }\n"+runCI))
		e, facts := newEvent(tt.event, tt.edits)
		d := rules.Decide(c, policy(t), e, facts)[0]
		because := fmt.Sprint(d.Needs)
		if len(d.Needs) == 0 {
			because = d.Steps[len(d.Steps)-1].Text
		}
		if d.Outcome != tt.outcome || !strings.Contains(because, tt.because) {
			t.Errorf("on %s, %s: %s because %s\n\twant %s because %s", tt.on, tt.event, d.Outcome, because, tt.outcome, tt.because)
		}
		if runs := d.Outcome == rules.Starts || d.Outcome == rules.Waits; runs != (d.Run != nil) {
			t.Errorf("on %s, %s: %s with the run %+v", tt.on, tt.event, d.Outcome, d.Run)
		}
	}
}

func TestForks(t *testing.T) {
	for _, tt := range []struct {
		rule, policy rules.Forks
		outcome      rules.Outcome
		cluster      string
	}{
		{"never", "unprivileged", rules.Ignored, ""},
		{"approve", "unprivileged", rules.Waits, "ci"},
		{"unprivileged", "unprivileged", rules.Starts, "forks"},
		{"unprivileged", "approve", rules.Waits, "ci"},
		{"unprivileged", "never", rules.Ignored, ""},
	} {
		c := parse(t, rule("  on: { pull_request: }\n  run: { ecs: { image: ghcr.io/acme/private/ci, spot: true, role: deployer, secrets: [codecov], env: { A: b } } }\n  forks: "+string(tt.rule)+"\n  report: { deployment: { environment: preview } }"))
		p := policy(t)
		p.Forks = tt.policy
		e, facts := newEvent("pull_request", edits(pull("opened"), fromFork))
		d := rules.Decide(c, p, e, facts)[0]
		if d.Outcome != tt.outcome {
			t.Errorf("%s under %s: %s %v", tt.rule, tt.policy, d.Outcome, d.Steps)
			continue
		}
		if d.Run == nil {
			continue
		}
		j := job(t, d.Run)
		has := j.ECS.TaskRole != "" && len(j.ECS.Secrets) == 1 && j.ECS.Credentials != "" && j.Environment != ""
		none := j.ECS.TaskRole == "" && len(j.ECS.Secrets) == 0 && j.ECS.Credentials == "" && j.Environment == ""
		if j.ECS.Place.Cluster != tt.cluster || tt.cluster == "forks" && !none || tt.cluster == "ci" && !has || !d.Run.Fork {
			t.Errorf("%s under %s: %+v", tt.rule, tt.policy, j)
		}
		if waits := d.Run.State == webhook.AwaitingApproval; waits != (tt.outcome == rules.Waits) {
			t.Errorf("%s under %s: the run is %s", tt.rule, tt.policy, d.Run.State)
		}
	}
}

// TestAwaited: a run that waits says what it waits for, with the commit for who
// wants to command it.
func TestAwaited(t *testing.T) {
	const approval = "code from a fork runs once someone who may write approves this commit"
	for on, want := range map[string]string{
		"pull_request: ": approval,
		"pull_request: , comment: { command: /bench, require: maintain }": approval + ",\nor once someone with the permission maintain comments: /bench cccccccccc",
	} {
		e, facts := newEvent("pull_request", edits(pull("opened"), fromFork))
		if got := rules.Decide(parse(t, rule("  on: { "+on+" }\n"+runCI)), policy(t), e, facts)[0].Run.Reason; got != want {
			t.Errorf("on %s: it waits for %q, want %q", on, got, want)
		}
	}
}

// TestGroups: a fork's branch has any name, and cancels nothing of ours by it.
func TestGroups(t *testing.T) {
	c := parse(t, rule("  on: { push: , pull_request: }\n"+runCI+"  concurrency: { group: \"${{ event.ref_name }}\", cancel: true }"))
	named := func(e *webhook.Event, _ *rules.Facts) { e.PullRequest.Head.Ref = "main" }
	for _, tt := range []struct {
		event, want string
		edits       []edit
	}{
		{"push", "7/main", edits(pushed("refs/heads/main"))},
		{"pull_request", "7/main", edits(pull("opened"), named)},
		{"pull_request", "7/forks/5/main", edits(pull("opened"), named, fromFork)},
		{"pull_request", "7/main", edits(pull("opened"), named, fromFork, approved)},
	} {
		e, facts := newEvent(tt.event, tt.edits)
		if got := rules.Decide(c, policy(t), e, facts)[0].Run.Group; got != tt.want {
			t.Errorf("%s: the group is %s, want %s", tt.event, got, tt.want)
		}
	}
}

func job(t *testing.T, run *webhook.Run) rules.Job {
	t.Helper()
	var j rules.Job
	if err := json.Unmarshal(run.Job, &j); err != nil {
		t.Fatal(err)
	}
	return j
}

// TestRefused: what the policy does not name, nobody gets, and the run says so.
func TestRefused(t *testing.T) {
	for _, tt := range []struct{ run, want string }{
		{"ecs: { image: nginx }", "lets no task run images of docker.io/library/nginx"},
		{"ecs: { image: ghcr.io/acme/ci, services: { db: { image: redis } } }", "service db: the operator's policy lets no task run images of docker.io/library/redis"},
		{"ecs: { image: '${{ event.ref }}' }", "refs/heads/main"},
		{"ecs: { image: ghcr.io/acme/ci, cluster: prod }", "has no cluster prod for acme/app"},
		{"ecs: { image: ghcr.io/acme/ci, cluster: team }", "has no cluster team for acme/app"},
		{"ecs: { image: ghcr.io/acme/ci, role: admin }", "has no role admin for acme/app"},
		{"ecs: { image: ghcr.io/acme/ci, secrets: [npm-token] }", "has no secret npm-token for acme/app"},
		{"ecs: { image: ghcr.io/acme/ci, secrets: [codecov], env: { CODECOV_TOKEN: a } }", "the variable CODECOV_TOKEN is in env"},
		{"ecs: { image: ghcr.io/acme/ci, cpu: 16384 }", "lets a task have 8192 CPU units, not 16384"},
		{"ecs: { image: ghcr.io/acme/ci, cpu: 8192, memory: 20480 }", "lets a task have 16384 MiB of memory, not 20480"},
		{"ecs: { image: ghcr.io/acme/ci, disk: 100 }", "lets a task have 50 GiB of disk, not 100"},
		{"ecs: { image: ghcr.io/acme/ci, timeout: 4h }", "lets a task run for 3h0m0s, not 4h0m0s"},
		{"ecs: { image: ghcr.io/acme/ci, services: { a: { image: postgres }, b: { image: postgres }, c: { image: postgres }, d: { image: postgres } } }", "lets a task have 3 services, not 4"},
	} {
		c := parse(t, rule(onPush+"  run: { "+tt.run+" }"))
		e, facts := newEvent("push", edits(pushed("refs/heads/main")))
		d := rules.Decide(c, policy(t), e, facts)[0]
		if d.Outcome != rules.Refused || d.Run.State != webhook.Failed || !strings.Contains(d.Run.Reason, tt.want) {
			t.Errorf("%s: %s: %+v", tt.run, d.Outcome, d.Steps)
		}
		if job(t, d.Run).Check != "r (main)" {
			t.Errorf("%s: no check to show it", tt.run)
		}
	}
	p := policy(t)
	p.Workflows = false
	e, facts := newEvent("push", edits(pushed("refs/heads/main")))
	for _, run := range []string{"workflow: { file: a.yml }", "dispatch: { type: a }"} {
		if d := rules.Decide(parse(t, rule(onPush+"  run: { "+run+" }")), p, e, facts)[0]; d.Outcome != rules.Refused {
			t.Errorf("%s: %s", run, d.Outcome)
		}
	}
}

// TestRun: what follows from the example's rules, to the last field.
func TestRun(t *testing.T) {
	c := parse(t, string(read(t, "testdata/clipper.yml")))
	e, facts := newEvent("pull_request", edits(pull("opened"), paths("go.mod")))
	d := rules.Decide(c, policy(t), e, facts)[0]
	want := webhook.Run{
		ID: webhook.RunID("1/7/itest", "pr:5:cccccccccc:opened:T"), RuleKey: "1/7/itest", EventKey: "pr:5:cccccccccc:opened:T",
		Installation: 3, Repository: 7, FullName: "acme/app", Rule: "itest", Event: "pull_request", Sender: "ada",
		Commit: "cccccccccc", Ref: "refs/pull/5/head", Base: "main", PullRequest: 5,
		Group: "7/pr-5", CancelOthers: true, MaxQueue: 1, State: webhook.Queued,
	}
	got := *d.Run
	got.Job = nil
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("the run is\n%+v\nwant\n%+v", got, want)
	}
	const wantJob = `{"ecs":{"image":"ghcr.io/acme/ci:1.26","command":["go","test","./..."],"secrets":{"CODECOV_TOKEN":"arn:aws:ssm:eu-west-1:123456789012:parameter/codecov"},` +
		`"checkout":true,"cpu":2048,"memory":4096,"disk":20,"arch":"amd64","timeout":"30m0s","services":[{"name":"db","image":"docker.io/library/postgres:16","env":{"POSTGRES_PASSWORD":"test"},"ready":"pg_isready"}],` +
		`"place":{"cluster":"ci","region":"eu-west-1","subnets":["subnet-0a1b2c3d"],"security_groups":["sg-0a1b2c3d"],"public_ip":true,"execution_role":"arn:aws:iam::123456789012:role/clipper-execution","log_group":"/clipper/runs"}},` +
		`"check":"itest (main)","retries":1}`
	if string(d.Run.Job) != wantJob {
		t.Errorf("the job is\n%s\nwant\n%s", d.Run.Job, wantJob)
	}
	e, facts = newEvent("package", edits(published("v1")))
	d = rules.Decide(c, policy(t), e, facts)[1]
	if want := `{"workflow":{"file":"deploy.yml","ref":"main","inputs":{"clipper_run":"` + d.Run.ID + `","image":"ghcr.io/acme/api:v1"}},"check":"deploy (main)","environment":"staging","retries":1}`; string(d.Run.Job) != want {
		t.Errorf("the job is\n%s\nwant\n%s", d.Run.Job, want)
	}
	if d.Run.Group != "7/staging" || d.Run.CancelOthers || d.Run.MaxQueue != 5 || d.Run.Commit != strings.Repeat("f", 40) {
		t.Errorf("the run is %+v", d.Run)
	}
}

// TestSameAgain: the same input gives the same run, and another event another.
func TestSameAgain(t *testing.T) {
	c := parse(t, rule(onPush+runCI))
	e, facts := newEvent("push", edits(pushed("refs/heads/main")))
	first, again := rules.Decide(c, policy(t), e, facts)[0], rules.Decide(c, policy(t), e, facts)[0]
	if fmt.Sprintf("%+v", *first.Run) != fmt.Sprintf("%+v", *again.Run) {
		t.Errorf("decided again, the run is another:\n%+v\n%+v", first.Run, again.Run)
	}
	facts.App++
	if other := rules.Decide(c, policy(t), e, facts)[0]; other.Run.ID == first.Run.ID {
		t.Error("two Apps have one run")
	}
	e.After, facts.App = "cc", 1
	if other := rules.Decide(c, policy(t), e, facts)[0]; other.Run.ID == first.Run.ID {
		t.Error("two events have one run")
	}
}

func TestCheckNames(t *testing.T) {
	c := parse(t, rule("  on: { push: , pull_request: , merge_group: , release: , manual: }\n"+runCI))
	for _, tt := range []struct {
		event, want string
		edits       []edit
	}{
		{"push", "r (feature/x)", edits(pushed("refs/heads/feature/x"))},
		{"push", "r (tag main)", edits(pushed("refs/tags/main"))},
		{"pull_request", "r (main)", edits(pull("opened"))},
		{"merge_group", "r (main)", edits(merging)},
		{"release", "r (tag v1.0)", edits(released, atCommit)},
		{"manual", "r (main)", edits(may("admin"), atCommit)},
	} {
		e, facts := newEvent(tt.event, tt.edits)
		if got := job(t, rules.Decide(c, policy(t), e, facts)[0].Run).Check; got != tt.want {
			t.Errorf("%s: the check is %q, want %q", tt.event, got, tt.want)
		}
	}
}

func TestNeeded(t *testing.T) {
	c := parse(t, "version: 1\nrules:\n- { id: a, on: { manual: }, run: { ecs: { image: ghcr.io/acme/ci } } }\n- { id: b, on: { manual: { require: admin } }, run: { ecs: { image: ghcr.io/acme/ci } } }\n")
	e, facts := newEvent("manual", nil)
	if got := rules.Needed(rules.Decide(c, policy(t), e, facts)); !slices.Equal(got, []rules.Need{rules.NeedPermission}) {
		t.Errorf("needed are %v", got)
	}
	facts.Permission = rules.Write
	decisions := rules.Decide(c, policy(t), e, facts)
	if got := rules.Needed(decisions); !slices.Equal(got, []rules.Need{rules.NeedCommit}) || decisions[1].Outcome != rules.Ignored {
		t.Errorf("needed are %v", got)
	}
}

func TestOwnEvents(t *testing.T) {
	c := parse(t, rule("  on: { deployment: }\n  own_events: true\n"+runCI))
	e, facts := newEvent("deployment", edits(deployed("staging"), ownEvent))
	if d := rules.Decide(c, policy(t), e, facts)[0]; d.Outcome != rules.Starts || d.Run.DeploymentID != 6 {
		t.Errorf("%s: %v", d.Outcome, d.Steps)
	}
}

func TestDisabled(t *testing.T) {
	c := parse(t, "version: 1\nrules:\n- { id: a, disabled: true }\n")
	e, facts := newEvent("push", edits(pushed("refs/heads/main")))
	if d := rules.Decide(c, policy(t), e, facts)[0]; d.Outcome != rules.Ignored || d.Steps[0].Text != "the rule is disabled" {
		t.Errorf("%s: %v", d.Outcome, d.Steps)
	}
}

func FuzzComment(f *testing.F) {
	for _, seed := range []string{"/bench", "/bench cccccccccc", "\r\n/bench\r\n", "/bench;id", "/bench  c c"} {
		f.Add(seed)
	}
	c := parse(f, rule("  on: { comment: { command: /bench } }\n"+runCI))
	p := policy(f)
	f.Fuzz(func(t *testing.T, body string) {
		e, facts := newEvent("issue_comment", edits(commented(body), may("write"), on(7)))
		d := rules.Decide(c, p, e, facts)[0]
		line, _, _ := strings.Cut(strings.TrimLeft(body, "\r\n"), "\n")
		if words := strings.Fields(line); d.Outcome == rules.Starts && (words[0] != "/bench" || len(words) > 2) {
			t.Errorf("%q starts a run", body)
		}
	})
}
