package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// gitHub is a GitHub with an App in a repository that has no rules, and the
// variables with which a service is that App.
type gitHub struct {
	*fakehub.Hub
	t         *testing.T
	app       *fakehub.App
	message   fakehub.Message
	variables []string
}

func startGitHub(t *testing.T, database string) *gitHub {
	t.Helper()
	hub := fakehub.New(t, fakehub.Config{Limits: fakehub.Unlimited})
	app, repo := hub.App(fakehub.AppConfig{}), hub.Repo("acme/app")
	repo.Commit(map[string]string{"a": ""})
	install := app.Install("acme", repo)
	app.SetWebhook("http://127.0.0.1:1/webhook")
	return &gitHub{
		Hub: hub, t: t, app: app,
		message: fakehub.Message{Event: "issue_comment", Payload: fmt.Appendf(nil, `{"action": "deleted", "issue": {"number": 1, "pull_request": {}}, "comment": {"id": 5, "body": "no", "user": {"login": "ann"}},
			"installation": {"id": %d}, "repository": {"id": %d, "full_name": "acme/app", "default_branch": "main"}, "sender": {"login": "ann"}}`, install.ID, repo.ID)},
		variables: append(os.Environ(), "CLIPPER_WEBHOOK_DATABASE="+database, "CLIPPER_GITHUB_APP_ID="+strconv.FormatInt(app.ID, 10),
			"CLIPPER_GITHUB_PRIVATE_KEY="+app.PrivateKey, "CLIPPER_GITHUB_API_URL="+hub.APIURL, "CLIPPER_WEBHOOK_SECRETS="+app.WebhookSecret,
			"CLIPPER_WEBHOOK_LISTEN=127.0.0.1:0", "CLIPPER_WEBHOOK_ADMIN_LISTEN="),
	}
}

// command runs a command with the variables and some more.
func (g *gitHub) command(args []string, more ...string) (string, error) {
	cmd := exec.Command(shared+"/clipper-runner", append([]string{"webhook"}, args...)...)
	cmd.Env = append(g.variables, more...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

var listening = regexp.MustCompile(`msg=listening public=(\S+)`)

// serve starts the service, to which GitHub delivers then. It ends with the
// test.
func (g *gitHub) serve() {
	g.t.Helper()
	cmd := exec.Command(shared+"/clipper-runner", "webhook", "serve")
	cmd.Env = g.variables
	log, err := cmd.StderrPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		g.t.Fatal(err)
	}
	said, address := make(chan string), make(chan string, 1)
	go func() {
		var all strings.Builder
		for lines := bufio.NewScanner(log); lines.Scan(); {
			fmt.Fprintln(&all, lines.Text())
			if m := listening.FindStringSubmatch(lines.Text()); m != nil {
				address <- m[1]
			}
		}
		close(address)
		said <- all.String()
	}()
	g.t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		text := <-said
		if err := cmd.Wait(); err != nil {
			g.t.Errorf("the service ended: %v\n%s", err, text)
		}
	})
	at := <-address
	if at == "" {
		g.t.Fatal("the service does not listen")
	}
	g.app.SetWebhook("http://" + at + "/webhook")
}

// until asks for a delivery until it is as it should be.
func (g *gitHub) until(guid string, as func(listedDelivery) bool) {
	g.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for range tick.C {
		out, err := g.command([]string{"deliveries", "show", guid, "--json"})
		if err != nil && strings.Contains(out, "not found") {
			continue // it is on its way
		}
		var d listedDelivery
		if err := errors.Join(err, json.Unmarshal([]byte(out), &d)); err != nil {
			g.t.Fatalf("%v\n%s", err, out)
		}
		if as(d) {
			return
		}
	}
}

// TestReplayBesideService has a running service decide about a delivery twice.
func TestReplayBesideService(t *testing.T) {
	bothDatabases(t, func(t *testing.T, url string) {
		g := startGitHub(t, url)
		g.serve()
		guid := g.app.Deliver(g.message)
		g.until(guid, func(d listedDelivery) bool { return d.State == database.Ignored })
		if out, err := g.command([]string{"deliveries", "replay", guid}); err != nil || out != guid+" is decided about once more\n" {
			t.Fatalf("%v\n%s", err, out)
		}
		g.until(guid, func(d listedDelivery) bool { return d.State == database.Ignored && d.Source == webhook.Replayed })
	})
}

// TestReconcileCommand fetches what never came, beside the server and without
// keeping it from its own reconciling.
func TestReconcileCommand(t *testing.T) {
	bothDatabases(t, func(t *testing.T, url string) {
		g := startGitHub(t, url)
		guid := g.app.Deliver(g.message)
		if err := g.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		db := serverOf(t, url)
		command := []string{"deliveries", "reconcile"}
		if out, err := g.command(command); err != nil || !strings.Contains(out, guid+" issue_comment deleted of acme/app\n") || !strings.Contains(out, "1 were missing and came, 0 are gone, 0 failed") {
			t.Fatalf("%v\n%s", err, out)
		}
		rec, err := db.Delivery(t.Context(), g.app.ID, guid)
		if err != nil || rec.Source != webhook.Pulled || rec.State != database.Received {
			t.Errorf("%+v, %v", rec, err)
		}
		if held, err := db.Hold(t.Context(), "deliveries/"+strconv.FormatInt(g.app.ID, 10), "server", time.Second); err != nil || !held {
			t.Errorf("the server's lease: %v, %v", held, err)
		}
		if out, err := g.command(command); err != nil || !strings.Contains(out, "0 were missing and came") {
			t.Errorf("once more: %v\n%s", err, out)
		}
		var exit *exec.ExitError
		if out, err := g.command(command, "CLIPPER_GITHUB_API_URL=http://127.0.0.1:1"); !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(out, "clipper-runner: error: reconcile deliveries: ") {
			t.Errorf("without GitHub: %v\n%s", err, out)
		}
		if out, err := g.command(command, "CLIPPER_GITHUB_APP_ID="); !errors.As(err, &exit) || exit.ExitCode() != 87 || !strings.Contains(out, "there is no GitHub App") {
			t.Errorf("without an App: %v\n%s", err, out)
		}
	})
}
