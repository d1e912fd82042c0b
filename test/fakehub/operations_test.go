package fakehub_test

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-github/v60/github"

	"github.com/clipperregistry/runner/test/fakehub"
)

const owner, name = "acme", "app"

// TestOperations drives every operation by its real client.
func TestOperations(t *testing.T) {
	w := start(t, fakehub.Config{})
	ctx := t.Context()
	for _, part := range []func(context.Context, *testing.T, *world){apps, repositories, pulls, checks, statuses, deployments, actions, runners, people} {
		part(ctx, t, w)
	}
	ids, err := os.ReadFile("spec/operations.txt")
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range strings.Fields(string(ids)) {
		if w.Count(id) == 0 {
			t.Errorf("%s was not called", id)
		}
	}
}

// check fails the test where a call failed; what it answered may be asked for.
func check[T any](t *testing.T) func(T, *github.Response, error) T {
	t.Helper()
	return func(v T, _ *github.Response, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func apps(ctx context.Context, t *testing.T, w *world) {
	app := check[*github.App](t)(w.asApp.Apps.Get(ctx, ""))
	if app.GetID() != w.app.ID || app.GetSlug() != "clipper" || app.GetOwner().GetLogin() != owner {
		t.Errorf("the App is %v", app)
	}
	if all := check[[]*github.Installation](t)(w.asApp.Apps.ListInstallations(ctx, nil)); len(all) != 1 || all[0].GetID() != w.install.ID {
		t.Errorf("installations %v", all)
	}
	for _, find := range []func() (*github.Installation, *github.Response, error){
		func() (*github.Installation, *github.Response, error) {
			return w.asApp.Apps.GetInstallation(ctx, w.install.ID)
		},
		func() (*github.Installation, *github.Response, error) {
			return w.asApp.Apps.FindOrganizationInstallation(ctx, owner)
		},
		func() (*github.Installation, *github.Response, error) {
			return w.asApp.Apps.FindRepositoryInstallation(ctx, owner, name)
		},
	} {
		if i := check[*github.Installation](t)(find()); i.GetAccount().GetLogin() != owner || i.GetRepositorySelection() != "selected" || i.GetPermissions().GetChecks() != "write" {
			t.Errorf("installation %v", i)
		}
	}
	token := check[*github.InstallationToken](t)(w.asApp.Apps.CreateInstallationToken(ctx, w.install.ID, &github.InstallationTokenOptions{
		Repositories: []string{name}, Permissions: &github.InstallationPermissions{Checks: github.String("read")}}))
	if len(token.GetToken()) != 40 || len(token.Repositories) != 1 || token.GetPermissions().GetChecks() != "read" || token.GetPermissions().GetContents() != "" {
		t.Errorf("token %v", token)
	}
	revoked := github.NewClient(nil).WithAuthToken(token.GetToken())
	revoked.BaseURL = w.client.BaseURL
	if repos := check[*github.ListRepositories](t)(revoked.Apps.ListRepos(ctx, nil)); repos.GetTotalCount() != 1 || repos.Repositories[0].GetFullName() != "acme/app" {
		t.Errorf("repositories %v", repos)
	}
	if _, err := revoked.Apps.RevokeInstallationToken(ctx); err != nil {
		t.Error(err)
	}
	if _, _, err := revoked.Apps.ListRepos(ctx, nil); status(err) != http.StatusUnauthorized {
		t.Errorf("a revoked token: %v", err)
	}
	config := check[*github.HookConfig](t)(w.asApp.Apps.UpdateHookConfig(ctx, &github.HookConfig{ContentType: github.String("json"), Secret: github.String("s3cret")}))
	if got := check[*github.HookConfig](t)(w.asApp.Apps.GetHookConfig(ctx)); got.GetSecret() != "********" || config.GetContentType() != "json" {
		t.Errorf("hook %v", got)
	}
	if meta := check[*github.APIMeta](t)(w.client.Meta.Get(ctx)); len(meta.Hooks) == 0 {
		t.Errorf("meta %v", meta)
	}
	if limits := check[*github.RateLimits](t)(w.client.RateLimit.Get(ctx)); limits.GetCore().Limit != 5000 {
		t.Errorf("limits %v", limits)
	}
}

func repositories(ctx context.Context, t *testing.T, w *world) {
	if r := check[*github.Repository](t)(w.client.Repositories.Get(ctx, owner, name)); r.GetID() != w.repo.ID || r.GetDefaultBranch() != "main" || !r.GetPrivate() {
		t.Errorf("repository %v", r)
	}
	file, list, _, err := w.client.Repositories.GetContents(ctx, owner, name, "main.go", &github.RepositoryContentGetOptions{Ref: w.sha})
	if err != nil || list != nil {
		t.Fatal(list, err)
	}
	if content, err := file.GetContent(); err != nil || content != "package main\n" {
		t.Errorf("content %q, %v", content, err)
	}
	if _, list, _, err = w.client.Repositories.GetContents(ctx, owner, name, "", nil); err != nil || len(list) != 3 || list[1].GetType() != "dir" {
		t.Errorf("directory %v, %v", list, err)
	}
	w.repo.CommitTo("feature/x", map[string]string{"new.go": "package main\n", "docs/a.md": fakehub.Deleted})
	head := check[*github.Branch](t)(w.client.Repositories.GetBranch(ctx, owner, name, "feature/x", 1))
	ref := check[*github.Reference](t)(w.client.Git.GetRef(ctx, owner, name, "heads/feature/x"))
	if sha := head.GetCommit().GetSHA(); sha != ref.GetObject().GetSHA() || sha == w.sha {
		t.Errorf("branch %s, ref %v", sha, ref)
	}
	if c := check[*github.Commit](t)(w.client.Git.GetCommit(ctx, owner, name, w.sha)); c.GetSHA() != w.sha || len(c.Parents) != 0 {
		t.Errorf("commit %v", c)
	}
	if c := check[*github.RepositoryCommit](t)(w.client.Repositories.GetCommit(ctx, owner, name, "feature/x", nil)); len(c.Files) != 2 || c.Parents[0].GetSHA() != w.sha {
		t.Errorf("commit %v", c)
	}
	both := check[*github.CommitsComparison](t)(w.client.Repositories.CompareCommits(ctx, owner, name, "main", "feature/x", nil))
	if both.GetStatus() != "ahead" || both.GetAheadBy() != 1 || len(both.Files) != 2 || both.Files[0].GetStatus() != "removed" || both.Files[1].GetFilename() != "new.go" {
		t.Errorf("comparison %v", both)
	}
	link, _, err := w.client.Repositories.GetArchiveLink(ctx, owner, name, github.Tarball, &github.RepositoryContentGetOptions{Ref: w.sha}, 0)
	if err != nil {
		t.Fatal(err)
	}
	checkArchive(ctx, t, link.String(), w.sha)
	w.repo.Permit("mona", "maintain")
	var level struct {
		Permission string `json:"permission"`
		Role       string `json:"role_name"`
	}
	if _, err := call(ctx, w.client, http.MethodGet, "repos/acme/app/collaborators/mona/permission", nil, &level); err != nil || level.Permission != "write" || level.Role != "maintain" {
		t.Errorf("level %v, %v", level, err)
	}
	payload := json.RawMessage(`{"image":"app:1"}`)
	check[*github.Repository](t)(w.client.Repositories.Dispatch(ctx, owner, name, github.DispatchRequestOptions{EventType: "clipper", ClientPayload: &payload}))
}

func pulls(ctx context.Context, t *testing.T, w *world) {
	fork := w.repo.Fork("mona")
	fork.CommitTo("topic", map[string]string{"main.go": "package main // 2\n"})
	p := w.repo.OpenPullRequest(fakehub.Pull{From: fork, Head: "topic", Labels: []string{"ci"}})
	got := check[*github.PullRequest](t)(w.client.PullRequests.Get(ctx, owner, name, int(p.Number)))
	if got.GetHead().GetSHA() != p.HeadSHA() || got.GetHead().GetRepo().GetID() != fork.ID || got.GetBase().GetSHA() != w.sha || got.Labels[0].GetName() != "ci" {
		t.Errorf("pull request %v", got)
	}
	if all := check[[]*github.PullRequest](t)(w.client.PullRequests.List(ctx, owner, name, &github.PullRequestListOptions{Head: "mona:topic"})); len(all) != 1 {
		t.Errorf("pull requests %v", all)
	}
	if files := check[[]*github.CommitFile](t)(w.client.PullRequests.ListFiles(ctx, owner, name, int(p.Number), nil)); len(files) != 1 || files[0].GetStatus() != "modified" {
		t.Errorf("files %v", files)
	}
	made := check[*github.IssueComment](t)(w.client.Issues.CreateComment(ctx, owner, name, int(p.Number), &github.IssueComment{Body: github.String("<!-- clipper -->")}))
	check[*github.IssueComment](t)(w.client.Issues.EditComment(ctx, owner, name, made.GetID(), &github.IssueComment{Body: github.String("done")}))
	k := check[*github.IssueComment](t)(w.client.Issues.GetComment(ctx, owner, name, made.GetID()))
	if k.GetBody() != "done" || k.GetUser().GetLogin() != "clipper[bot]" || k.GetUser().GetType() != "Bot" {
		t.Errorf("comment %v", k)
	}
	if all := check[[]*github.IssueComment](t)(w.client.Issues.ListComments(ctx, owner, name, int(p.Number), nil)); len(all) != 1 {
		t.Errorf("comments %v", all)
	}
}

func checks(ctx context.Context, t *testing.T, w *world) {
	k := check[*github.CheckRun](t)(w.client.Checks.CreateCheckRun(ctx, owner, name, github.CreateCheckRunOptions{
		Name: "itest", HeadSHA: w.sha, ExternalID: github.String("run-1"),
		Actions: []*github.CheckRunAction{{Label: "Approve", Description: "Run it", Identifier: "approve"}}}))
	if k.GetStatus() != "queued" || k.GetExternalID() != "run-1" || k.GetApp().GetID() != w.app.ID {
		t.Errorf("check run %v", k)
	}
	note := &github.CheckRunAnnotation{
		Path: github.String("main.go"), StartLine: github.Int(1), EndLine: github.Int(1), AnnotationLevel: github.String("failure"), Message: github.String("no")}
	for range 2 {
		k = check[*github.CheckRun](t)(w.client.Checks.UpdateCheckRun(ctx, owner, name, k.GetID(), github.UpdateCheckRunOptions{
			Name: "itest", Conclusion: github.String("failure"),
			Output: &github.CheckRunOutput{Title: github.String("t"), Summary: github.String("s"), Annotations: []*github.CheckRunAnnotation{note}}}))
	}
	if k.GetStatus() != "completed" || k.CompletedAt == nil || k.GetOutput().GetAnnotationsCount() != 2 {
		t.Errorf("check run %v", k)
	}
	check[*github.CheckRun](t)(w.client.Checks.GetCheckRun(ctx, owner, name, k.GetID()))
	if notes := check[[]*github.CheckRunAnnotation](t)(w.client.Checks.ListCheckRunAnnotations(ctx, owner, name, k.GetID(), nil)); len(notes) != 2 || notes[1].GetMessage() != "no" {
		t.Errorf("annotations %v", notes)
	}
	again := check[*github.CheckRun](t)(w.client.Checks.CreateCheckRun(ctx, owner, name, github.CreateCheckRunOptions{Name: "itest", HeadSHA: w.sha}))
	latest := check[*github.ListCheckRunsResults](t)(w.client.Checks.ListCheckRunsForRef(ctx, owner, name, "main",
		&github.ListCheckRunsOptions{CheckName: github.String("itest"), AppID: github.Int64(w.app.ID)}))
	if latest.GetTotal() != 1 || latest.CheckRuns[0].GetID() != again.GetID() {
		t.Errorf("check runs %v", latest)
	}
	if s := check[*github.CheckSuite](t)(w.client.Checks.GetCheckSuite(ctx, owner, name, latest.CheckRuns[0].GetCheckSuite().GetID())); s.GetStatus() != "in_progress" || s.GetHeadBranch() != "main" {
		t.Errorf("check suite %v", s)
	}
	check[*github.CheckSuite](t)(w.client.Checks.CreateCheckSuite(ctx, owner, name, github.CreateCheckSuiteOptions{HeadSHA: w.sha}))
	if seen := w.repo.Checks(w.sha); len(seen) != 2 || seen[0].Actions[0] != "approve" || seen[0].Updates != 2 || seen[0].Conclusion != "failure" {
		t.Errorf("checks %+v", seen)
	}
}

func statuses(ctx context.Context, t *testing.T, w *world) {
	for _, state := range []string{"pending", "success"} {
		check[*github.RepoStatus](t)(w.client.Repositories.CreateStatus(ctx, owner, name, w.sha, &github.RepoStatus{State: &state, Context: github.String("ci")}))
	}
	if all := check[[]*github.RepoStatus](t)(w.client.Repositories.ListStatuses(ctx, owner, name, "main", nil)); len(all) != 2 || all[0].GetState() != "success" {
		t.Errorf("statuses %v", all)
	}
	if one := check[*github.CombinedStatus](t)(w.client.Repositories.GetCombinedStatus(ctx, owner, name, w.sha, nil)); one.GetState() != "success" || one.GetTotalCount() != 1 {
		t.Errorf("status %v", one)
	}
}

func deployments(ctx context.Context, t *testing.T, w *world) {
	d := check[*github.Deployment](t)(w.client.Repositories.CreateDeployment(ctx, owner, name, &github.DeploymentRequest{
		Ref: github.String("main"), Environment: github.String("staging"),
		AutoMerge: github.Bool(false), RequiredContexts: &[]string{}, Payload: map[string]string{"image": "app:1"}}))
	for _, state := range []string{"in_progress", "success"} {
		check[*github.DeploymentStatus](t)(w.client.Repositories.CreateDeploymentStatus(ctx, owner, name, d.GetID(),
			&github.DeploymentStatusRequest{State: &state, LogURL: github.String("https://log.example")}))
	}
	if got := check[*github.Deployment](t)(w.client.Repositories.GetDeployment(ctx, owner, name, d.GetID())); got.GetSHA() != w.sha || string(got.Payload) != `{"image":"app:1"}` {
		t.Errorf("deployment %v", got)
	}
	if all := check[[]*github.Deployment](t)(w.client.Repositories.ListDeployments(ctx, owner, name, &github.DeploymentsListOptions{Environment: "staging"})); len(all) != 1 {
		t.Errorf("deployments %v", all)
	}
	all := check[[]*github.DeploymentStatus](t)(w.client.Repositories.ListDeploymentStatuses(ctx, owner, name, d.GetID(), nil))
	if len(all) != 2 || all[0].GetState() != "success" || all[0].GetLogURL() != "https://log.example" {
		t.Errorf("statuses %v", all)
	}
	if seen := w.repo.Deployments(); len(seen) != 1 || strings.Join(seen[0].Statuses, " ") != "in_progress success" {
		t.Errorf("deployments %+v", seen)
	}
}
