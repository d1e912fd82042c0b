package main

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook/database"
)

const manualYAML = `version: 1
rules:
  - id: deploy
    on: { manual: { require: admin } }
    run: { workflow: { file: deploy.yml } }
  - id: test
    on: { push: {} }
    run: { workflow: { file: deploy.yml } }
`

const deployYAML = `
name: Deploy
run-name: "Deploy ${{ inputs.clipper_run }}"
on: {workflow_dispatch: {inputs: {clipper_run: {}}}}
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

// TestStartBesideService starts a rule by hand, before a service is there and
// beside it: the service has the workflow run.
func TestStartBesideService(t *testing.T) {
	bothDatabases(t, func(t *testing.T, url string) {
		g := startGitHub(t, url)
		repo := g.Repo("acme/app")
		repo.Commit(map[string]string{".github/clipper.yml": manualYAML, ".github/workflows/deploy.yml": deployYAML})
		if db, err := openDatabase(t.Context(), url, database.Options{}); err != nil || db.Close() != nil { // which leaves its tables
			t.Fatal(err)
		}
		start := func() (id string) {
			t.Helper()
			out, err := g.command([]string{"runs", "start", "acme/app", "deploy"})
			found := regexp.MustCompile(`^deploy of acme/app is to run as ([a-z2-7]{26})\n$`).FindStringSubmatch(out)
			if err != nil || found == nil {
				t.Fatalf("%v\n%s", err, out)
			}
			return found[1]
		}
		before := start()
		g.serve()
		beside := start()
		over := map[int64]bool{}
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for range tick.C {
			for _, run := range repo.Runs() {
				if !over[run.ID] {
					over[run.ID] = true
					run.Complete("success")
				}
			}
			out, err := g.command([]string{"runs", "list", "--json", "--rule", "deploy", "--state", "succeeded"})
			if err != nil {
				t.Fatalf("%v\n%s", err, out)
			}
			if strings.Contains(out, before) && strings.Contains(out, beside) {
				break
			}
		}
		if n := len(repo.Runs()); n != 2 {
			t.Errorf("%d workflows run", n)
		}
	})
}

// TestStartRefused says why a rule is not started, and with an exit code whether
// the command names what is not there.
func TestStartRefused(t *testing.T) {
	url := filepath.Join(t.TempDir(), "clipper.db")
	g := startGitHub(t, url)
	g.Repo("acme/app").Commit(map[string]string{".github/clipper.yml": manualYAML})
	g.Repo("acme/other").Commit(map[string]string{"a": ""})
	policy := filepath.Join(t.TempDir(), "policy.yml")
	if err := os.WriteFile(policy, []byte("version: 1\nrepositories: [\"acme/none\"]\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	db := serverOf(t, url)
	for _, c := range []struct {
		args []string
		exit int
		says string
	}{
		{[]string{"acme/app", "test"}, 1, "rule test of acme/app: refused: the rule has no on.manual"},
		{[]string{"acme/app", "deploy", "--policy", policy}, 1, "the operator's policy does not serve acme/app"},
		{[]string{"acme/app", "nightly"}, 87, "rule nightly of acme/app: not found"},
		{[]string{"acme/other", "deploy"}, 87, "the App is not installed in acme/other"},
		{[]string{"acme", "deploy"}, 87, "no name of a repository"},
		{[]string{"acme/app", "deploy", "--app", "1"}, 87, "the App is not installed in acme/app"},
		{[]string{"acme/app", "deploy", "--policy", "none.yml"}, 87, "CLIPPER_WEBHOOK_POLICY"},
		{[]string{"acme/app", "deploy", "--app-id", ""}, 87, "there is no GitHub App"},
		{[]string{"acme/app", "deploy", "--database", "none.db"}, 87, "none.db"},
		{[]string{"acme/app", "deploy", "--api-url", "http://127.0.0.1:1"}, 1, "look up an installation"},
	} {
		out, err := g.command(append([]string{"runs", "start"}, c.args...))
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != c.exit || !strings.Contains(out, c.says) {
			t.Errorf("%q: %v, want %d and %q\n%s", c.args, err, c.exit, c.says, out)
		}
	}
	for run, err := range db.Runs(t.Context(), database.RunFilter{}) {
		t.Errorf("there is %+v, %v", run, err)
	}
}
