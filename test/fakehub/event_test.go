package fakehub_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"

	"github.com/clipperregistry/runner/test/fakehub"
)

// TestEvents lets things happen, and looks at what the App is told. That every
// payload is as GitHub describes it, the hub itself has seen to.
func TestEvents(t *testing.T) {
	w := start(t, fakehub.Config{})
	r := w.receive(t, nil)
	ctx := t.Context()
	fork := w.repo.Fork("mona")
	fork.CommitTo("topic", map[string]string{"main.go": "package main // 2\n"})
	var p *fakehub.PullRequest
	var k *github.CheckRun
	for _, tt := range []struct {
		name string
		do   func()
		want string
	}{
		{"a push", func() { w.repo.Push("hubot", "main", map[string]string{"b.go": "package main\n"}) }, "check_suite/requested push"},
		{"a tag", func() { w.repo.PushTag("hubot", "v0", w.sha) }, "push"},
		{"a branch", func() { w.repo.Push("hubot", "old", map[string]string{"old.go": "package main\n"}) }, "check_suite/requested push"},
		{"its end", func() { w.repo.DeleteBranch("hubot", "old") }, "push"},
		{"a pull request", func() { p = w.repo.OpenPullRequest(fakehub.Pull{From: fork, Head: "topic"}) }, "pull_request/opened"},
		{"a push to it", func() { p.Push(map[string]string{"main.go": "package main // 3\n"}) }, "pull_request/synchronize"},
		{"a label", func() { p.Label("hubot", "ci") }, "pull_request/labeled"},
		{"a comment", func() { p.Comment("mona", "/bench") }, "issue_comment/created"},
		{"an edited comment", func() {
			if err := w.repo.EditComment(w.repo.Comments(p.Number)[0].ID, "mona", "/bench 2"); err != nil {
				t.Error(err)
			}
		}, "issue_comment/edited"},
		{"a check run", func() {
			k = check[*github.CheckRun](t)(w.client.Checks.CreateCheckRun(ctx, owner, name, github.CreateCheckRunOptions{Name: "c", HeadSHA: p.HeadSHA()}))
		}, "check_run/created"},
		{"its end", func() {
			check[*github.CheckRun](t)(w.client.Checks.UpdateCheckRun(ctx, owner, name, k.GetID(), github.UpdateCheckRunOptions{Name: "c", Conclusion: github.String("action_required")}))
		}, "check_run/completed check_suite/completed"},
		{"its button", func() { press(t, w.repo.RequestAction(k.GetID(), "hubot", "approve")) }, "check_run/requested_action"},
		{"its repetition", func() { press(t, w.repo.Rerequest(k.GetID(), "hubot")) }, "check_run/rerequested"},
		{"its suite's repetition", func() { press(t, w.repo.RerequestSuite(p.HeadSHA(), "hubot")) }, "check_suite/rerequested"},
		{"a merge queue", func() { p.QueueMerge("hubot") }, "merge_group/checks_requested"},
		{"a change of mind", func() { p.Close("mona"); p.Reopen("mona") }, "pull_request/closed pull_request/reopened"},
		{"a status", func() {
			check[*github.RepoStatus](t)(w.client.Repositories.CreateStatus(ctx, owner, name, w.sha, &github.RepoStatus{State: github.String("success")}))
		}, "status"},
		{"a merge", func() { p.Merge("hubot") }, "check_suite/requested pull_request/closed push"},
		{"a release", func() { w.repo.PublishRelease("hubot", "v1") }, "release/published"},
		{"a package", func() { w.repo.PublishPackage("hubot", "app", "v1", "sha256:"+strings.Repeat("a", 64)) }, "registry_package/published"},
		{"a dispatch", func() {
			check[*github.Repository](t)(w.client.Repositories.Dispatch(ctx, owner, name, github.DispatchRequestOptions{EventType: "go"}))
		}, "repository_dispatch/go"},
		{"a run", func() {
			in := github.CreateWorkflowDispatchEventRequest{Ref: "main", Inputs: map[string]any{"image": "a"}}
			if _, err := w.client.Actions.CreateWorkflowDispatchEventByFileName(ctx, owner, name, "deploy.yml", in); err != nil {
				t.Error(err)
			}
		}, "workflow_dispatch workflow_job/queued workflow_run/requested"},
		{"its start", func() { w.repo.Runs()[0].Start() }, "workflow_job/in_progress workflow_run/in_progress"},
		{"its end", func() { w.repo.Runs()[0].Complete("success") }, "workflow_job/completed workflow_run/completed"},
		{"a deployment", func() {
			d := check[*github.Deployment](t)(w.client.Repositories.CreateDeployment(ctx, owner, name, &github.DeploymentRequest{Ref: github.String("main")}))
			check[*github.DeploymentStatus](t)(w.client.Repositories.CreateDeploymentStatus(ctx, owner, name, d.GetID(), &github.DeploymentStatusRequest{State: github.String("success")}))
		}, "deployment/created deployment_status/created"},
		{"another repository", func() { w.install.Add(w.Repo("acme/other")) }, "installation_repositories/added"},
		{"one less", func() { w.install.Remove(w.Repo("acme/other")) }, "installation_repositories/removed"},
		{"a suspension", func() { w.install.Suspend(true); w.repo.Push("hubot", "main", nil); w.install.Suspend(false) }, "installation/suspend installation/unsuspend"},
		{"a repository that it does not see", func() { w.Repo("acme/third").Push("hubot", "main", map[string]string{"a": "b"}) }, ""},
		{"a ping", func() { w.app.Ping() }, "ping"},
		{"the end", func() { w.install.Uninstall() }, "installation/deleted"},
	} {
		before := len(w.app.Deliveries())
		tt.do()
		r.events(t, w)
		var told []string
		for _, d := range w.app.Deliveries()[before:] {
			told = append(told, strings.TrimSuffix(d.Event+"/"+d.Action, "/"))
			if _, err := github.ParseWebHook(d.Event, d.Payload); err != nil && d.Event != "registry_package" {
				t.Errorf("%s: %v", tt.name, err) // v60 has no type for registry_package
			}
		}
		if got := strings.Join(sorted(told), " "); got != tt.want {
			t.Errorf("%s: told of %q, want %q", tt.name, got, tt.want)
		}
	}
}

func press(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Error(err)
	}
}

// TestPushedAt has a push tell its moment, by which one that comes again is
// another.
func TestPushedAt(t *testing.T) {
	w := start(t, fakehub.Config{})
	w.receive(t, nil)
	before := time.Now().Unix()
	w.repo.Push("hubot", "topic", map[string]string{"a.go": "package main\n"})
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	pushes := 0
	for _, d := range w.app.Deliveries() {
		if d.Event != "push" {
			continue
		}
		pushes++
		var e struct {
			Repository struct {
				PushedAt int64 `json:"pushed_at"`
			}
		}
		if err := json.Unmarshal(d.Payload, &e); err != nil || e.Repository.PushedAt < before || e.Repository.PushedAt > time.Now().Unix() {
			t.Errorf("pushed at %d: %v", e.Repository.PushedAt, err)
		}
	}
	if pushes != 1 {
		t.Errorf("told of %d pushes", pushes)
	}
}

// TestSubscriptions tells an App of what it subscribes to, and of itself.
func TestSubscriptions(t *testing.T) {
	w := start(t, fakehub.Config{})
	w.app = w.App(fakehub.AppConfig{Name: "two", Events: []string{"push"}})
	r := w.receive(t, nil)
	w.app.Install("acme")
	w.repo.Push("hubot", "feature", map[string]string{"c.go": "package main\n"})
	w.repo.OpenPullRequest(fakehub.Pull{Head: "feature"})
	if got := strings.Join(sorted(r.events(t, w)), " "); got != "installation push" {
		t.Errorf("told of %s", got)
	}
}
