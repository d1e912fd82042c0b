package fakehub_test

import (
	"bufio"
	"fmt"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
)

// script starts a server of testdata; it returns the address that it prints
// first, and the lines that follow.
func script(t *testing.T, name string, environment ...string) (url string, lines *bufio.Scanner) {
	t.Helper()
	lines = bufio.NewScanner(fakehub.Octokit(t, name, environment...))
	if !lines.Scan() {
		t.Fatalf("%s said nothing", name)
	}
	return lines.Text(), lines
}

// TestExamples delivers the published examples of all events to Octokit's
// webhook, which verifies our signatures.
func TestExamples(t *testing.T) {
	w := start(t, fakehub.Config{})
	url, lines := script(t, "webhooks.mjs", "SECRET="+w.app.WebhookSecret)
	w.app.SetWebhook(url)
	want := map[string]string{}
	for _, e := range fakehub.Examples(t) {
		want[w.app.Deliver(fakehub.Message{Event: e.Event, Payload: e.Body})] = e.Event
	}
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, d := range w.app.Deliveries() {
		if d.Status != "OK" {
			t.Errorf("%s: %s, %s", d.Event, d.Status, d.Answer)
		}
	}
	for range want {
		if !lines.Scan() {
			t.Fatal("Octokit ended")
		}
		guid, event, _ := strings.Cut(lines.Text(), " ")
		if want[guid] != event {
			t.Errorf("Octokit has %s, want a %s", lines.Text(), want[guid])
		}
		delete(want, guid)
	}
	if got := w.app.DeliverNow(fakehub.Message{Event: "ping", Payload: []byte("{}"), Secret: "another"}); got.Code != 400 {
		t.Errorf("Octokit answered another's signature with %d", got.Code)
	}
}

// TestProbot lets a Probot App live on the hub: its own tokens, its own calls.
func TestProbot(t *testing.T) {
	w := start(t, fakehub.Config{Stateless: true})
	url, lines := script(t, "probot.mjs", "SECRET="+w.app.WebhookSecret, fmt.Sprint("APP_ID=", w.app.ID), "PRIVATE_KEY="+w.app.PrivateKey, "API_URL="+w.APIURL)
	w.app.SetWebhook(url)
	w.repo.CommitTo("topic", map[string]string{"main.go": "package main // 2\n"})
	p := w.repo.OpenPullRequest(fakehub.Pull{Head: "topic"})
	if !lines.Scan() || lines.Text() != "checked 1" {
		t.Fatalf("Probot said %q", lines.Text())
	}
	if runs := w.repo.Checks(p.HeadSHA()); len(runs) != 1 || runs[0].Conclusion != "success" || runs[0].Summary != "package main // 2\n" {
		t.Errorf("check runs %+v", runs)
	}
	if all := w.repo.Comments(p.Number); len(all) != 1 || all[0].Login != "clipper[bot]" {
		t.Errorf("comments %+v", all)
	}
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
}
