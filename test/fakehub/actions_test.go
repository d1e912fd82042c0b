package fakehub_test

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-github/v60/github"
)

func actions(ctx context.Context, t *testing.T, w *world) {
	flow := check[*github.Workflow](t)(w.client.Actions.GetWorkflowByFileName(ctx, owner, name, "deploy.yml"))
	if all := check[*github.Workflows](t)(w.client.Actions.ListWorkflows(ctx, owner, name, nil)); all.GetTotalCount() != 1 || all.Workflows[0].GetID() != flow.GetID() {
		t.Errorf("workflows %v", all)
	}
	began := time.Now().Add(-time.Second)
	resp, err := w.client.Actions.CreateWorkflowDispatchEventByFileName(ctx, owner, name, "deploy.yml",
		github.CreateWorkflowDispatchEventRequest{Ref: "main", Inputs: map[string]any{"image": "app:1"}})
	if err != nil || resp.StatusCode != http.StatusNoContent {
		t.Errorf("dispatch without details: %v, %v", resp, err)
	}
	var details struct {
		ID int64 `json:"workflow_run_id"`
	}
	in := map[string]any{"ref": "main", "inputs": map[string]string{"image": "app:2", "clipper_run": "n-1"}, "return_run_details": true}
	if resp, err = call(ctx, w.client, http.MethodPost, "repos/acme/app/actions/workflows/deploy.yml/dispatches", in, &details); err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("dispatch with details: %v, %v", resp, err)
	}
	run := check[*github.WorkflowRun](t)(w.client.Actions.GetWorkflowRunByID(ctx, owner, name, details.ID))
	if run.GetDisplayTitle() != "Deploy app:2 (n-1)" || run.GetEvent() != "workflow_dispatch" || run.GetActor().GetLogin() != "clipper[bot]" || run.GetRunNumber() != 2 {
		t.Errorf("run %v", run)
	}
	created := ">=" + began.UTC().Format(time.RFC3339)
	some := check[*github.WorkflowRuns](t)(w.client.Actions.ListWorkflowRunsByFileName(ctx, owner, name, "deploy.yml",
		&github.ListWorkflowRunsOptions{Event: "workflow_dispatch", Actor: "clipper[bot]", Created: created}))
	if some.GetTotalCount() != 2 || some.WorkflowRuns[0].GetID() != details.ID {
		t.Errorf("runs %v", some)
	}
	check[*github.WorkflowRuns](t)(w.client.Actions.ListRepositoryWorkflowRuns(ctx, owner, name, nil))
	jobs := check[*github.Jobs](t)(w.client.Actions.ListWorkflowJobs(ctx, owner, name, details.ID, nil))
	job := check[*github.WorkflowJob](t)(w.client.Actions.GetWorkflowJobByID(ctx, owner, name, jobs.Jobs[0].GetID()))
	if strings.Join(job.Labels, " ") != "self-hosted clipper" || job.GetStatus() != "queued" {
		t.Errorf("job %v", job)
	}
	if _, err := w.client.Actions.CancelWorkflowRunByID(ctx, owner, name, details.ID); status(err) != http.StatusAccepted {
		t.Errorf("cancel: %v", err)
	}
	if _, err := w.client.Actions.CancelWorkflowRunByID(ctx, owner, name, details.ID); status(err) != http.StatusConflict {
		t.Errorf("cancel again: %v", err)
	}
	if _, err := w.client.Actions.RerunWorkflowByID(ctx, owner, name, details.ID); err != nil {
		t.Error(err)
	}
	w.repo.Runs()[1].Complete("failure")
	if _, err := w.client.Actions.RerunFailedJobsByID(ctx, owner, name, details.ID); err != nil {
		t.Error(err)
	}
	if state, _, attempt := w.repo.Runs()[1].Status(); state != "queued" || attempt != 3 {
		t.Errorf("after two re-runs: %s, attempt %d", state, attempt)
	}
}

func runners(ctx context.Context, t *testing.T, w *world) {
	request := &github.GenerateJITConfigRequest{Name: "clipper-1", RunnerGroupID: 1, Labels: []string{"clipper"}}
	repoRunner := check[*github.JITRunnerConfig](t)(w.client.Actions.GenerateRepoJITConfig(ctx, owner, name, request))
	if _, _, err := w.client.Actions.GenerateRepoJITConfig(ctx, owner, name, request); status(err) != http.StatusConflict {
		t.Errorf("the same name again: %v", err)
	}
	orgRunner := check[*github.JITRunnerConfig](t)(w.client.Actions.GenerateOrgJITConfig(ctx, owner,
		&github.GenerateJITConfigRequest{Name: "clipper-2", RunnerGroupID: 1, Labels: []string{"clipper"}}))
	if repoRunner.GetEncodedJITConfig() == "" || repoRunner.Runner.GetID() == orgRunner.Runner.GetID() {
		t.Errorf("configurations %v, %v", repoRunner, orgRunner)
	}
	if all := check[*github.Runners](t)(w.client.Actions.ListRunners(ctx, owner, name, nil)); all.TotalCount != 1 {
		t.Errorf("runners %v", all)
	}
	if all := check[*github.Runners](t)(w.client.Actions.ListOrganizationRunners(ctx, owner, nil)); all.TotalCount != 1 {
		t.Errorf("runners %v", all)
	}
	for _, token := range []*github.RegistrationToken{
		check[*github.RegistrationToken](t)(w.client.Actions.CreateRegistrationToken(ctx, owner, name)),
		check[*github.RegistrationToken](t)(w.client.Actions.CreateOrganizationRegistrationToken(ctx, owner)),
	} {
		if token.GetToken() == "" || !token.GetExpiresAt().After(time.Now()) {
			t.Errorf("registration token %v", token)
		}
	}
	id := w.RunnerGroup(owner, "fast")
	if all := check[*github.RunnerGroups](t)(w.client.Actions.ListOrganizationRunnerGroups(ctx, owner, nil)); all.TotalCount != 2 || all.RunnerGroups[1].GetID() != id {
		t.Errorf("groups %v", all)
	}
	check[*github.Runner](t)(w.client.Actions.GetRunner(ctx, owner, name, repoRunner.Runner.GetID()))
	check[*github.Runner](t)(w.client.Actions.GetOrganizationRunner(ctx, owner, orgRunner.Runner.GetID()))
	job := w.repo.Runs()[0].Jobs()[0]
	if err := job.Begin("clipper-1"); err != nil {
		t.Fatal(err)
	}
	if _, err := w.client.Actions.RemoveRunner(ctx, owner, name, repoRunner.Runner.GetID()); status(err) != http.StatusUnprocessableEntity {
		t.Errorf("a busy runner: %v", err)
	}
	job.End("success")
	if left := w.Runners(); len(left) != 1 || left[0].ID != orgRunner.Runner.GetID() {
		t.Errorf("after its job: %+v", left)
	}
	if _, err := w.client.Actions.RemoveOrganizationRunner(ctx, owner, orgRunner.Runner.GetID()); err != nil {
		t.Error(err)
	}
	check[*github.JITRunnerConfig](t)(w.client.Actions.GenerateRepoJITConfig(ctx, owner, name, request))
	if _, err := w.client.Actions.RemoveRunner(ctx, owner, name, w.Runners()[0].ID); err != nil {
		t.Error(err)
	}
}
