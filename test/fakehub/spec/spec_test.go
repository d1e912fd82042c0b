package spec_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub/spec"
)

func load(t *testing.T) map[string]*spec.Operation {
	t.Helper()
	all, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// TestGenerated holds the description against the lists that it is made from.
func TestGenerated(t *testing.T) {
	all := load(t)
	n := 0
	for _, list := range []struct {
		file   string
		events bool
	}{{"operations.txt", false}, {"events.txt", true}} {
		text, err := os.ReadFile(list.file)
		if err != nil {
			t.Fatal(err)
		}
		ids := strings.Fields(string(text))
		if !slices.IsSorted(ids) {
			t.Errorf("%s is not in order", list.file)
		}
		for _, id := range ids {
			if op := all[id]; op == nil || op.Event() != list.events {
				t.Errorf("%s of %s: run go generate", id, list.file)
			}
		}
		n += len(ids)
	}
	if n != len(all) {
		t.Errorf("%d are described, %d are listed", len(all), n)
	}
}

func TestFind(t *testing.T) {
	for _, tt := range []struct{ method, path, id, params string }{
		{http.MethodGet, "/app", "apps/get-authenticated", "{}"},
		{http.MethodPatch, "/app", "", "null"},
		{http.MethodGet, "/repos/o/r", "repos/get", `{"owner":"o","repo":"r"}`},
		{http.MethodGet, "/repos/o/r/contents/a/b%2Fc.go", "repos/get-content", `{"owner":"o","path":"a/b/c.go","repo":"r"}`},
		{http.MethodGet, "/repos/o/r/contents/", "repos/get-content", `{"owner":"o","path":"","repo":"r"}`},
		{http.MethodGet, "/repos/o/r/commits/feature/x", "repos/get-commit", `{"owner":"o","ref":"feature/x","repo":"r"}`},
		{http.MethodGet, "/repos/o/r/commits/feature%2Fx/check-runs", "checks/list-for-ref", `{"owner":"o","ref":"feature/x","repo":"r"}`},
		{http.MethodGet, "/repos/o/r/issues/comments/7", "issues/get-comment", `{"comment_id":"7","owner":"o","repo":"r"}`},
		{http.MethodGet, "/repos/o/r/issues/7/comments", "issues/list-comments", `{"issue_number":"7","owner":"o","repo":"r"}`},
		{http.MethodPost, "/x-webhooks/push", "", "null"},
	} {
		op, params := spec.Find(load(t), httptest.NewRequest(tt.method, tt.path, http.NoBody))
		id := ""
		if op != nil {
			id = op.ID
		}
		got, err := json.Marshal(params)
		if err != nil || id != tt.id || string(got) != tt.params {
			t.Errorf("%s %s: %q %s, want %q %s", tt.method, tt.path, id, got, tt.id, tt.params)
		}
	}
}

// TestComplete completes the least answer of every operation, and the least
// payload of every event: they must be as described.
func TestComplete(t *testing.T) {
	fill := spec.Fill{URL: "http://hub.example/", Time: "2026-01-01T00:00:00Z"}
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}, "Location": {"http://hub.example/"}}
	for id, op := range load(t) {
		if op.Event() {
			body, err := json.Marshal(op.CompleteEvent(map[string]any{}, fill))
			if err == nil {
				err = op.CheckEvent(body)
			}
			if err != nil {
				t.Errorf("%s: %v", id, err)
			}
			continue
		}
		value := op.Least(fill)
		body, err := json.Marshal(value)
		if op.Success == http.StatusNoContent || op.Success == http.StatusFound {
			body = nil
		}
		if err == nil {
			err = op.CheckResponse(op.Success, header, body)
		}
		if err != nil && id != "users/get-authenticated" { // it must say which of two forms it has
			t.Errorf("%s: %v", id, err)
		}
	}
}

func TestCheckResponse(t *testing.T) {
	op := load(t)["actions/create-workflow-dispatch"]
	header := http.Header{"Content-Type": {"application/json; charset=utf-8"}}
	good := `{"workflow_run_id":1,"run_url":"http://h.example/1","html_url":"http://h.example/2"}`
	for _, tt := range []struct {
		name   string
		status int
		body   string
		want   string
	}{
		{"good", 200, good, ""},
		{"without a body", 204, "", ""},
		{"a body too many", 204, "{}", "has no body"},
		{"no such status", 201, good, "status 201 is not described"},
		{"a member less", 200, `{"workflow_run_id":1}`, "run_url"},
		{"a typing error", 200, strings.Replace(good, "{", `{"workflow_run_idd":1,`, 1), "the description has no workflow_run_idd"},
		{"no JSON", 200, "{", "unexpected end"},
		{"an error", 403, `{"message":"no"}`, ""},
		{"an error that says nothing", 403, `{}`, "without a message"},
	} {
		err := op.CheckResponse(tt.status, header, []byte(tt.body))
		if err == nil && tt.want != "" || err != nil && (tt.want == "" || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%s: %v, want %q", tt.name, err, tt.want)
		}
	}
	if err := op.CheckResponse(200, http.Header{"Content-Type": {"text/html"}}, []byte(good)); err == nil {
		t.Error("HTML was taken")
	}
}
