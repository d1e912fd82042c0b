package webhook_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
)

// followed are the events that something follows from.
var followed = []string{
	"check_run", "check_suite", "deployment", "installation", "installation_repositories", "issue_comment", "merge_group",
	"package", "pull_request", "push", "release", "workflow_job", "workflow_run",
}

// TestExamples: every body that GitHub publishes can be read as what it is,
// and none as anything else; two have one key only if they tell of one fact.
func TestExamples(t *testing.T) {
	keys := map[string]string{} // and the fact that each is for
	for i, ex := range fakehub.Examples(t) {
		e, err := webhook.ParseEvent(ex.Event, ex.Body)
		if err != nil {
			t.Errorf("example %d: %v", i, err)
			continue
		}
		var want struct {
			Action       string
			Installation struct{ ID int64 }
			Repository   struct {
				ID       int64
				FullName string `json:"full_name"`
			}
			Sender struct{ Login string }
		}
		if err := json.Unmarshal(ex.Body, &want); err != nil {
			t.Fatal(err)
		}
		head := webhook.Head{Action: want.Action, Installation: want.Installation.ID, Repository: want.Repository.ID, FullName: want.Repository.FullName, Sender: want.Sender.Login}
		if got := webhook.ParseHead(ex.Body); got != head {
			t.Errorf("example %d of %s: head %+v, want %+v", i, ex.Event, got, head)
		}
		if e.Name != ex.Event || e.Action != want.Action || e.Repository.ID != want.Repository.ID || e.Sender.Login != want.Sender.Login {
			t.Errorf("example %d of %s: read as %s %s of %d by %s", i, ex.Event, e.Name, e.Action, e.Repository.ID, e.Sender.Login)
		}
		var names []string
		if slices.Contains(followed, ex.Event) {
			names = []string{ex.Event}
		}
		if got := webhook.NamesOf(ex.Body); !slices.Equal(got, names) {
			t.Errorf("example %d of %s has the form of %v", i, ex.Event, got)
		}
		key, fact := e.Key(), ex.Event+" "+e.Action
		if runs := names != nil && !strings.HasPrefix(ex.Event, "installation"); runs != (key != "") {
			t.Errorf("example %d of %s has the key %q", i, ex.Event, key)
		}
		key = fmt.Sprint(e.Repository.ID, " ", key)
		if before, twice := keys[key]; twice && before != fact && e.Key() != "" {
			t.Errorf("%s has the key of %s: %s", fact, before, key)
		}
		keys[key] = fact
	}
}

const (
	head = `"repository": {"id": 7, "full_name": "acme/app", "default_branch": "main", "pushed_at": 1700000000}, "sender": {"login": "ada"}, "installation": {"id": 3}`
	pull = `{"number": 5, "updated_at": "2026-01-02T03:04:05Z", "head": {"ref": "f", "sha": "aa", "repo": {"id": 7}}, "base": {"ref": "main", "sha": "bb", "repo": {"id": 7}}}`
)

func TestKey(t *testing.T) {
	for _, tt := range []struct{ event, body, want string }{
		{"push", `"ref": "refs/heads/main", "before": "a", "after": "b", "commits": [], "pusher": {}`, "push:refs/heads/main:a..b:1700000000"},
		{"pull_request", `"action": "opened", "number": 5, "pull_request": ` + pull, "pr:5:aa:opened:2026-01-02T03:04:05Z"},
		{"pull_request", `"action": "labeled", "label": {"name": "x"}, "number": 5, "pull_request": ` + pull, "pr:5:aa:labeled:2026-01-02T03:04:05Z:x"},
		{"merge_group", `"action": "checks_requested", "merge_group": {"head_sha": "a", "base_ref": "refs/heads/main"}`, "merge_group:a:checks_requested"},
		{"release", `"action": "published", "release": {"id": 4, "tag_name": "v1", "published_at": "T"}`, "release:4:published:T"},
		{"release", `"action": "edited", "release": {"id": 4, "tag_name": "v1", "published_at": "T", "updated_at": "U"}`, "release:4:edited:T:U"},
		{"release", `"action": "edited", "release": {"id": 4, "tag_name": "v1", "published_at": "T", "body": "A"}`, "release:4:edited:T::cf8b4df4a3871891"},
		{"release", `"action": "edited", "release": {"id": 4, "tag_name": "v1", "published_at": "T", "body": "B"}`, "release:4:edited:T::f5823b8427db5f81"},
		{"package", `"action": "published", "package": {"id": 4, "name": "api", "package_version": {"id": 6, "version": "sha256:1", "container_metadata": {"tag": {"name": "v1"}}}}`, "package:api:sha256:1:v1:published"},
		{"registry_package", `"action": "published", "registry_package": {"id": 5, "name": "api", "package_version": {"id": 7, "version": "sha256:1", "container_metadata": {"tag": {"name": "v1"}}}}`, "package:api:sha256:1:v1:published"},
		{"deployment", `"action": "created", "deployment": {"id": 4, "sha": "a"}`, "deployment:4"},
		{"issue_comment", `"action": "created", "issue": {"number": 5}, "comment": {"id": 9}`, "comment:9"},
		{"check_run", `"action": "rerequested", "check_run": {"id": 9, "completed_at": "T"}`, "check_run:9:rerequested::T"},
		{"check_run", `"action": "requested_action", "requested_action": {"identifier": "approve"}, "check_run": {"id": 9}`, "check_run:9:requested_action:approve"},
		{"check_suite", `"action": "rerequested", "check_suite": {"id": 9, "updated_at": "T"}`, "check_suite:9:rerequested:T"},
		{"workflow_job", `"action": "queued", "workflow_job": {"id": 9, "run_attempt": 2}`, "job:9:2:queued"},
		{"workflow_run", `"action": "completed", "workflow_run": {"id": 9, "run_attempt": 2}`, "workflow_run:9:2:completed"},
	} {
		e, err := webhook.ParseEvent(tt.event, []byte("{"+tt.body+", "+head+"}"))
		if err != nil {
			t.Errorf("%s: %v", tt.event, err)
			continue
		}
		if got := e.Key(); got != tt.want {
			t.Errorf("%s: key %s, want %s", tt.event, got, tt.want)
		}
	}
	due := &webhook.Event{Name: webhook.Schedule, Due: "2026-01-02T03:00:00Z"}
	asked := &webhook.Event{Name: webhook.Manual, Nonce: "n"}
	if due.Key() != "cron:2026-01-02T03:00:00Z" || asked.Key() != "manual:n" {
		t.Errorf("keys %s and %s", due.Key(), asked.Key())
	}
}

// TestBentBodies: what is not needed may be anything; what is needed is asked
// for by name.
func TestBentBodies(t *testing.T) {
	for _, tt := range []struct{ event, body, want string }{
		{"pull_request", `{"action": "opened", "number": "five", "commits": 5, "label": [], "pull_request": ` + pull + `, ` + head + `}`, ""},
		{"check_run", `{"action": "created", "check_run": {"id": 9, "started_at": {"at": 1}, "completed_at": "yesterday"}, ` + head + `}`, ""},
		{"check_run", `{"action": "created", "check_run": {"id": 9}, "deployment": null, ` + head + `}`, ""},
		{"star", `{"action": {}, "repository": "acme/app"}`, ""},
		{"push", `[]`, "cannot unmarshal array"},
		{"push", `{"ref": `, "unexpected end"},
		{"push", `{}`, "has no ref"},
		{"push", `{"ref": 5, "before": "a", "after": "b", "commits": [], "pusher": {}, ` + head + `}`, "has no ref"},
		{"push", `{"ref": "refs/heads/main", "before": "a", "after": "b", "commits": null, "pusher": {}, ` + head + `}`, "has no commits"},
		{"pull_request", `{"action": "opened", "number": 5, "pull_request": {"number": 5}, ` + head + `}`, "has no pull_request.head.sha"},
		{"pull_request", `{"action": "opened", "number": 5, "pull_request": 5, ` + head + `}`, "has no pull_request"},
		{"pull_request", `{"action": "edited", "number": 5, "review": {}, "pull_request": ` + pull + `, ` + head + `}`, "the body of pull_request has review, as those of other events"},
		{"pull_request", `{"action": "opened", "number": 5, "pull_request": ` + pull + `}`, "has no repository.id"},
		{"installation", `{"action": "created", "installation": {"id": 3, "account": {"id": 1}}, "organization": {}, "repositories": []}`, ""},
		{"installation", `{"action": "renamed", "installation": {"id": 3}, "organization": {}}`, "has no installation.account"},
		{"installation", `{"action": "created", "member": {}, ` + head + `}`, "the body of installation has member, as those of other events"},
		{"schedule", `{}`, "GitHub delivers no schedule"},
		{"manual", `{}`, "GitHub delivers no manual"},
	} {
		_, err := webhook.ParseEvent(tt.event, []byte(tt.body))
		switch {
		case tt.want == "" && err != nil:
			t.Errorf("%s %s: %v", tt.event, tt.body, err)
		case tt.want != "" && (!errors.Is(err, webhook.ErrEvent) || !strings.Contains(err.Error(), tt.want)):
			t.Errorf("%s %s: %v, want %s", tt.event, tt.body, err, tt.want)
		}
	}
	if got := webhook.ParseHead([]byte(`{"action": 5, "sender": {"login": "ada"}}`)); got != (webhook.Head{Sender: "ada"}) {
		t.Errorf("head %+v", got)
	}
	if got := webhook.ParseHead([]byte(`garbage`)); got != (webhook.Head{}) {
		t.Errorf("head of garbage: %+v", got)
	}
}

func TestFork(t *testing.T) {
	repository := func(id int64) *webhook.Repository { return &webhook.Repository{ID: id} }
	for _, tt := range []struct {
		name       string
		head, base *webhook.Repository
		want       bool
	}{
		{"the same", repository(7), repository(7), false},
		{"another", repository(8), repository(7), true},
		{"one that was deleted", nil, repository(7), true},
		{"one without an ID", repository(0), repository(7), true},
		{"no base", repository(7), nil, false},
		{"another base", repository(7), repository(8), true},
	} {
		e := &webhook.Event{Repository: webhook.Repository{ID: 7}, PullRequest: &webhook.PullRequest{Head: webhook.Tip{Repository: tt.head}, Base: webhook.Tip{Repository: tt.base}}}
		if got := e.Fork(); got != tt.want {
			t.Errorf("%s: fork %t", tt.name, got)
		}
	}
	if (&webhook.Event{}).Fork() {
		t.Error("a push is from a fork")
	}
}

func TestCommit(t *testing.T) {
	const sha = "6113728f27ae82c7b1a177c8d03f9e96e0adf246"
	published := func(target string) *webhook.Event {
		return &webhook.Event{Package: &webhook.Package{Version: webhook.PackageVersion{Target: target}}}
	}
	for _, tt := range []struct {
		name string
		e    *webhook.Event
		want string
	}{
		{"a push", &webhook.Event{After: sha}, sha},
		{"a branch that was deleted", &webhook.Event{After: strings.Repeat("0", 40), Deleted: true}, ""},
		{"a pull request", &webhook.Event{After: "other", PullRequest: &webhook.PullRequest{Head: webhook.Tip{SHA: sha}}}, sha},
		{"a merge group", &webhook.Event{MergeGroup: &webhook.MergeGroup{HeadSHA: sha}}, sha},
		{"a deployment", &webhook.Event{Deployment: &webhook.Deployment{SHA: sha}}, sha},
		{"a check run", &webhook.Event{CheckRun: &webhook.CheckRun{HeadSHA: sha}}, sha},
		{"a check suite", &webhook.Event{CheckSuite: &webhook.CheckSuite{HeadSHA: sha}}, sha},
		{"a package", published(sha), sha},
		{"an image", published("3da1996a8115d7616457760d9920b815241d0a03b34cf5f04e9a0e9d8de37498"), ""},
		{"a release", &webhook.Event{Release: &webhook.Release{Tag: "v1"}}, ""},
	} {
		if got := tt.e.Commit(); got != tt.want {
			t.Errorf("%s is about %q, want %q", tt.name, got, tt.want)
		}
	}
}

func TestMoment(t *testing.T) {
	for text, want := range map[string]int64{
		`"2026-01-02T03:04:05Z"`: 1767323045, `"2026-01-02T04:04:05+01:00"`: 1767323045, `1767323045`: 1767323045,
		`"2026/01/02 03:04:05 +0000"`: -62135596800, `{}`: -62135596800, `null`: -62135596800,
	} {
		var m webhook.Moment
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Errorf("%s: %v", text, err)
		}
		if got := m.Time().Unix(); got != want {
			t.Errorf("%s is %d, want %d", text, got, want)
		}
	}
}

func TestTouched(t *testing.T) {
	e := webhook.Event{Commits: []webhook.Commit{{Added: []string{"b"}, Removed: []string{"a"}}, {Modified: []string{"b", "c"}}}}
	if got := e.Touched(); !slices.Equal(got, []string{"a", "b", "c"}) {
		t.Errorf("touched are %v", got)
	}
}

func FuzzParseEvent(f *testing.F) {
	for i, ex := range fakehub.Examples(f) {
		if i%10 == 0 && len(ex.Body) < 9000 {
			f.Add(ex.Event, ex.Body)
		}
	}
	f.Add("push", []byte(`{"ref": "refs/heads/main", "before": "a", "after": "b", "commits": [], "pusher": {}, `+head+`}`))
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		webhook.ParseHead(body)
		e, err := webhook.ParseEvent(name, body)
		if err != nil {
			if !errors.Is(err, webhook.ErrEvent) {
				t.Error(err)
			}
			return
		}
		again, err := webhook.ParseEvent(name, slices.Clone(body))
		if err != nil || again.Key() != e.Key() || again.Fork() != e.Fork() || again.Commit() != e.Commit() {
			t.Errorf("read again, it is another event: %v", err)
		}
	})
}
