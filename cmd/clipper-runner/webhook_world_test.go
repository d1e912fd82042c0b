package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/clipperregistry/runner/test/postgres"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// bothDatabases runs a test with the URL of each kind of database, which is
// empty.
func bothDatabases(t *testing.T, test func(t *testing.T, url string)) {
	t.Helper()
	server := startPostgres(t)
	t.Run("SQLite", func(t *testing.T) { test(t, filepath.Join(t.TempDir(), "clipper.db")) })
	t.Run("PostgreSQL", func(t *testing.T) { test(t, server.Database(t)) })
}

func startPostgres(t *testing.T) *postgres.Server {
	t.Helper()
	server, err := postgres.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil {
			t.Error(err)
		}
	})
	return server
}

// serverOf opens a database as its server does, until the test ends.
func serverOf(t *testing.T, url string) *database.DB {
	t.Helper()
	db, err := database.Open(t.Context(), url, database.Options{Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return db
}

// TestWebhookDatabase runs testdata/webhook/*.txtar beside a server of each
// database, $DATABASE, to which happened what happened says. In $LOGS they hear what a
// task has said, $EMPTY is a PostgreSQL database.
func TestWebhookDatabase(t *testing.T) {
	logs := httptest.NewServer(http.HandlerFunc(sayLogs))
	t.Cleanup(logs.Close)
	scripts, err := filepath.Glob("testdata/webhook/*.txtar")
	if err != nil || len(scripts) == 0 {
		t.Fatal("no scripts:", err)
	}
	server := startPostgres(t)
	for _, script := range scripts {
		for _, kind := range []string{"SQLite", "PostgreSQL"} {
			t.Run(filepath.Base(script)+" "+kind, func(t *testing.T) {
				url := filepath.Join(t.TempDir(), "clipper.db")
				if kind == "PostgreSQL" {
					url = server.Database(t)
				}
				happened(t, serverOf(t, url))
				testscript.Run(t, testscript.Params{
					Files: []string{script},
					Setup: func(env *testscript.Env) error {
						for name, value := range map[string]string{
							"PATH": shared + ":" + env.Getenv("PATH"), "HOME": env.WorkDir, "CLIPPER_WEBHOOK_DATABASE": url, "DATABASE": url, "LOGS": logs.URL, "EMPTY": server.Database(t),
							"AWS_REGION": "eu-west-1", "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "example", "AWS_MAX_ATTEMPTS": "1",
						} {
							env.Setenv(name, value)
						}
						return nil
					},
					Condition: func(cond string) (bool, error) {
						if cond == "SQLite" || cond == "PostgreSQL" {
							return cond == kind, nil
						}
						return false, fmt.Errorf("no condition %s", cond)
					},
				})
			})
		}
	}
}

// sayLogs answers for CloudWatch Logs.
func sayLogs(w http.ResponseWriter, r *http.Request) {
	var in struct{ LogStreamName string }
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil || !strings.HasSuffix(r.Header.Get("X-Amz-Target"), ".GetLogEvents") {
		http.Error(w, "{}", http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if !strings.HasSuffix(in.LogStreamName, "/0123456789abcdef") || strings.Contains(in.LogStreamName, "checkout") {
		w.WriteHeader(http.StatusBadRequest)
		_, _ = io.WriteString(w, `{"__type":"ResourceNotFoundException"}`)
		return
	}
	_, _ = io.WriteString(w, `{"events":[{"timestamp":1767323050000,"message":"token ghp_`+strings.Repeat("a", 36)+`"},{"timestamp":1767323051000,"message":"\u001b[31mFAIL\u001b[0m pkg"}]}`)
}

// happened is what GitHub has sent on the second of January, and what followed.
func happened(t *testing.T, db *database.DB) {
	t.Helper()
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for i, d := range []webhook.Delivery{
		{App: 1, GUID: "guid-pushed", Event: "push", Body: []byte(`{"ref": "refs/heads/main", "html": "<b>"}` + "\n"), Head: webhook.Head{FullName: "octo/cat", Repository: 10, Sender: "ada"}},
		{App: 1, GUID: "guid-opened", Event: "pull_request", Body: []byte(`{}`), Head: webhook.Head{Action: "opened", FullName: "octo/cat", Repository: 10, Sender: "mona"}},
		{App: 1, GUID: "guid-strange", Event: "issue_comment", Body: []byte(`no JSON`), Head: webhook.Head{Action: "created", FullName: "Octo/Dog", Repository: 20, Sender: "eve\x1b[2J\u202e"}},
		{App: 1, GUID: "guid-twice", Event: "release", Body: []byte(`{"of": 1}`), Head: webhook.Head{Action: "published", FullName: "octo/cat", Repository: 10, Sender: "ada"}},
		{App: 2, GUID: "guid-twice", Event: "release", Body: []byte(`{"of": 2}`), Head: webhook.Head{Action: "published", FullName: "octo/cat", Repository: 10, Sender: "ada"}},
	} {
		d.HookID, d.Installation, d.Source, d.Received = 7, 3, webhook.Pushed, start.Add(time.Duration(i)*time.Second)
		if _, err := db.Accept(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	runs := furnishedRuns(start.Add(time.Minute))
	_, err := db.Decided(t.Context(), 1, "guid-pushed", "", runs...)
	_, ignored := db.Decided(t.Context(), 1, "guid-opened", "no rule matches:\nitest - the rule has no on.pull_request, and that is all there is to say about it")
	dead := db.Undecide(t.Context(), 1, "guid-strange", "it is \x1b[31mno JSON\x1b[0m", time.Time{})
	run := runs[0].Run
	run.Task, run.Cluster = "arn:aws:ecs:eu-west-1:123456789012:task/ci/0123456789abcdef", "ci"
	for i, state := range []webhook.State{webhook.Starting, webhook.Running, webhook.Failed} {
		err = errors.Join(err, run.Move(state, "", start.Add(time.Duration(i+1)*time.Hour)))
		if state.Over() {
			run.Reason, run.ExitCode, run.Due, run.CheckRun = "the program failed", new(int), time.Time{}, 77
			*run.ExitCode = 3
		}
		err = errors.Join(err, db.Move(t.Context(), run, database.Desire{Channel: "check", State: json.RawMessage(`{}`)}))
	}
	if err := errors.Join(err, ignored, dead); err != nil {
		t.Fatal(err)
	}
}

func furnishedRuns(created time.Time) []database.NewRun {
	common := webhook.Run{
		Rev: 1, App: 1, Installation: 3, Repository: 10, FullName: "octo/cat", Event: "push", Delivery: "guid-pushed", Sender: "ada",
		Commit: "c0ffee1c0ffee1c0ffee1c0ffee1c0ffee1c0ffe", Ref: "refs/heads/main", State: webhook.Queued, Created: created, EventKey: "push:main",
	}
	itest, deploy := common, common
	itest.ID, itest.Rule, itest.RuleKey, itest.Due = "itestaaaaaaaaaaaaaaaaaaaaa", "itest", "1/10/itest", created
	itest.Job = jobJSON(rules.Job{Check: "itest", ECS: &rules.Task{
		Container: rules.Container{Image: "ghcr.io/octo/ci:1"}, CPU: 1024, Memory: 2048,
		Place: rules.ResolvedPlace{Cluster: "ci", Region: "eu-west-1", LogGroup: "/clipper"},
	}})
	deploy.ID, deploy.Rule, deploy.RuleKey, deploy.WorkflowRun = "deployaaaaaaaaaaaaaaaaaaaa", "deploy", "1/10/deploy", 4711
	deploy.Job = jobJSON(rules.Job{Check: "deploy", Workflow: &rules.WorkflowRun{File: "deploy.yml", Ref: "main"}})
	return []database.NewRun{{Run: itest}, {Run: deploy}}
}

func jobJSON(j rules.Job) json.RawMessage {
	text, err := json.Marshal(j)
	if err != nil {
		panic(err) // strings and numbers
	}
	return text
}
