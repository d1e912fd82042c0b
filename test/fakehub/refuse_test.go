package fakehub_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"

	"github.com/clipperregistry/runner/test/fakehub"
)

// TestNotAsDescribed sends what GitHub's description does not allow: it is
// refused, and kept as the caller's fault.
func TestNotAsDescribed(t *testing.T) {
	w := start(t, fakehub.Config{})
	long := strings.Repeat("x", 101)
	notes := make([]map[string]any, 51)
	for i := range notes {
		notes[i] = map[string]any{"path": "a", "start_line": 1, "end_line": 1, "annotation_level": "notice", "message": "m"}
	}
	output := func(summary string, annotations any) map[string]any {
		return map[string]any{"name": "c", "head_sha": w.sha, "output": map[string]any{"title": "t", "summary": summary, "annotations": annotations}}
	}
	inputs := map[string]string{}
	for _, c := range long[:26] {
		inputs[string(c)+strings.Repeat("y", len(inputs))] = ""
	}
	const dispatches = "actions/workflows/deploy.yml/dispatches"
	for _, tt := range []struct {
		name, method, path string
		body               any
		operation          string
		status             int
	}{
		{"no ref", http.MethodPost, dispatches, map[string]any{}, "actions/create-workflow-dispatch", 422},
		{"26 inputs", http.MethodPost, dispatches, map[string]any{"ref": "main", "inputs": inputs}, "actions/create-workflow-dispatch", 422},
		{"an event type of 101 characters", http.MethodPost, "dispatches", map[string]any{"event_type": long}, "repos/create-dispatch-event", 422},
		{"no head", http.MethodPost, "check-runs", map[string]any{"name": "c"}, "checks/create", 422},
		{"a status of another sort", http.MethodPost, "check-runs", map[string]any{"name": "c", "head_sha": w.sha, "status": "pending"}, "checks/create", 422},
		{"51 annotations", http.MethodPost, "check-runs", output("s", notes), "checks/create", 422},
		{"a summary of 65,536 characters", http.MethodPost, "check-runs", output(strings.Repeat("s", 65536), nil), "checks/create", 422},
		{"a member with a typing error", http.MethodPost, "statuses/" + w.sha, map[string]any{"state": "success", "targeturl": "https://x.example"}, "repos/create-commit-status", 201},
		{"a parameter with a typing error", http.MethodGet, "pulls?per-page=3", nil, "pulls/list", 200},
		{"a run that is no number", http.MethodGet, "actions/runs/last", nil, "actions/get-workflow-run", 404},
		{"no JSON", http.MethodPost, "check-runs", json.RawMessage(`"name`), "checks/create", 400},
	} {
		resp := w.raw(t, tt.method, "/repos/acme/app/"+tt.path, tt.body)
		if resp.StatusCode != tt.status {
			t.Errorf("%s: %s, want %d", tt.name, resp.Status, tt.status)
		}
		t.Run(tt.name, func(t *testing.T) { w.wrong(t, tt.operation) })
	}
	if resp := w.raw(t, http.MethodPatch, "/repos/acme/app/issues/1", nil); resp.StatusCode != http.StatusNotFound {
		t.Errorf("an operation that the hub does not have: %s", resp.Status)
	}
	w.wrong(t, "PATCH /repos/acme/app/issues/1")
}

// raw sends a body as it is.
func (w *world) raw(t *testing.T, method, path string, body any) *http.Response {
	t.Helper()
	encoded := ""
	if raw, ok := body.(json.RawMessage); ok {
		encoded = string(raw)
	} else if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			t.Fatal(err)
		}
		encoded = string(b)
	}
	req, err := http.NewRequestWithContext(t.Context(), method, w.APIURL+path, strings.NewReader(encoded))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := w.client.Client().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		t.Fatal(err)
	}
	return resp
}

// TestNull finds what ghinstallation does without options: it sends null.
func TestNull(t *testing.T) {
	w := start(t, fakehub.Config{})
	transport := w.installed(t, w.install, nil)
	transport.InstallationTokenOptions = nil
	var refused *ghinstallation.HTTPError
	if _, err := transport.Token(t.Context()); !errors.As(err, &refused) || refused.Response.StatusCode != http.StatusUnprocessableEntity {
		t.Errorf("a token for null: %v", err)
	}
	w.wrong(t, "apps/create-installation-access-token")
}

// TestRefused sends what is as described and cannot be done.
func TestRefused(t *testing.T) {
	w := start(t, fakehub.Config{})
	ctx := t.Context()
	dispatch := func(inputs map[string]any) func() error {
		return func() error {
			_, err := w.client.Actions.CreateWorkflowDispatchEventByFileName(ctx, owner, name, "deploy.yml", github.CreateWorkflowDispatchEventRequest{Ref: "main", Inputs: inputs})
			return err
		}
	}
	create := func(options github.CreateCheckRunOptions) func() error {
		return func() error {
			_, _, err := w.client.Checks.CreateCheckRun(ctx, owner, name, options)
			return err
		}
	}
	token := func(options *github.InstallationTokenOptions) func() error {
		return func() error {
			_, _, err := w.asApp.Apps.CreateInstallationToken(ctx, w.install.ID, options)
			return err
		}
	}
	other := w.Repo("acme/other")
	for name, tt := range map[string]struct {
		do      func() error
		status  int
		message string
	}{
		"an input that is not declared": {dispatch(map[string]any{"image": "a", "nonce": "n"}), 422, `Unexpected inputs provided: ["nonce"]`},
		"an input that is missing":      {dispatch(nil), 422, "Required input 'image' not provided"},
		"an input that is no option":    {dispatch(map[string]any{"image": "a", "level": "middle"}), 422, "not in the list of allowed values"},
		"no conclusion":                 {create(github.CreateCheckRunOptions{Name: "c", HeadSHA: w.sha, Status: github.String("completed")}), 422, "Validation Failed"},
		"no such commit":                {create(github.CreateCheckRunOptions{Name: "c", HeadSHA: strings.Repeat("a", 40)}), 422, "No commit found"},
		"more than is granted":          {token(&github.InstallationTokenOptions{Permissions: &github.InstallationPermissions{Secrets: github.String("read")}}), 422, "not granted"},
		"a repository of others":        {token(&github.InstallationTokenOptions{RepositoryIDs: []int64{other.ID}}), 422, "not accessible to the parent installation"},
		"no such file": {func() error {
			_, _, _, err := w.client.Repositories.GetContents(ctx, owner, "app", "none", nil)
			return err
		}, 404, "Not Found"},
	} {
		err := tt.do()
		if status(err) != tt.status || !strings.Contains(err.Error(), tt.message) {
			t.Errorf("%s: %v, want %d %s", name, err, tt.status, tt.message)
		}
	}
}

// TestRename follows a repository to its new name, whatever is asked.
func TestRename(t *testing.T) {
	w := start(t, fakehub.Config{})
	w.repo.Rename("new")
	if r := check[*github.Repository](t)(w.client.Repositories.Get(t.Context(), owner, name)); r.GetFullName() != "acme/new" || r.GetID() != w.repo.ID {
		t.Errorf("the old name is %v now", r)
	}
	check[*github.CheckRun](t)(w.client.Checks.CreateCheckRun(t.Context(), owner, name, github.CreateCheckRunOptions{Name: "c", HeadSHA: w.sha}))
	if len(w.repo.Checks(w.sha)) != 1 {
		t.Error("the check run is not there")
	}
	if _, _, err := w.client.Repositories.Get(t.Context(), owner, "never"); status(err) != http.StatusNotFound {
		t.Errorf("a name that nothing had: %v", err)
	}
}
