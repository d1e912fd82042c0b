package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
)

// founder is a person at a terminal and a browser, and a GitHub.
type founder struct {
	t *testing.T
	*fakehub.Hub
	dir string
	env []string
}

func newFounder(t *testing.T) *founder {
	h := fakehub.New(t, fakehub.Config{})
	h.SignIn("acme-owner")
	h.Repo("acme/app").Commit(map[string]string{".github/clipper.yml": "version: 1\nrules:\n  - id: test\n    on: { push: {} }\n    run: { workflow: { file: test.yml } }\n"})
	dir := t.TempDir()
	return &founder{t: t, Hub: h, dir: dir, env: []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + dir, "TMPDIR=" + dir, "AWS_EC2_METADATA_DISABLED=true", "CLIPPER_GITHUB_API_URL=" + h.APIURL, "CLIPPER_GITHUB_URL=" + h.URL,
	}}
}

func (o *founder) command(args ...string) *exec.Cmd {
	cmd := exec.CommandContext(o.t.Context(), filepath.Join(shared, "clipper-runner"), append([]string{"webhook"}, args...)...)
	cmd.Dir, cmd.Env = o.dir, o.env
	return cmd
}

// run runs a command to its end.
func (o *founder) run(args ...string) (output string, exit int) {
	o.t.Helper()
	cmd := o.command(args...)
	text, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil {
		o.t.Fatal(err)
	}
	return string(text), cmd.ProcessState.ExitCode()
}

var (
	aPage     = regexp.MustCompile(`http://127\.0\.0\.1:\d+/\?token=\S+`)
	aForm     = regexp.MustCompile(`action="([^"]+)"`)
	aManifest = regexp.MustCompile(`name="manifest" value="([^"]+)"`)
)

// setup makes an App: it runs the command, opens the page that the terminal
// shows, and presses the button. It returns all that was shown.
func (o *founder) setup(args ...string) (terminal, pages string) {
	o.t.Helper()
	cmd := o.command(append([]string{"setup"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		o.t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		o.t.Fatal(err)
	}
	lines := bufio.NewReader(out)
	for aPage.FindString(terminal) == "" {
		line, err := lines.ReadString('\n')
		if err != nil {
			o.t.Fatalf("no page in %s%s: %v", terminal, stderr.String(), cmd.Wait())
		}
		terminal += line
	}
	jar, err := cookiejar.New(nil)
	if err != nil {
		o.t.Fatal(err)
	}
	browser := &http.Client{Jar: jar}
	resp, err := browser.Get(aPage.FindString(terminal))
	first := o.page(resp, err)
	form, manifest := aForm.FindStringSubmatch(first), aManifest.FindStringSubmatch(first)
	if form == nil || manifest == nil {
		o.t.Fatalf("no form in %s", first)
	}
	resp, err = browser.PostForm(html.UnescapeString(form[1]), url.Values{"manifest": {html.UnescapeString(manifest[1])}})
	last := o.page(resp, err)
	rest, err := io.ReadAll(lines)
	if err != nil {
		o.t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		o.t.Fatalf("%v: %s%s%s%s", err, terminal, rest, stderr.String(), last)
	}
	return terminal + string(rest) + stderr.String(), first + last
}

func (o *founder) page(resp *http.Response, err error) string {
	o.t.Helper()
	if err != nil {
		o.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		o.t.Fatal(err)
	}
	return string(text)
}

// source takes the variables of a file, as a shell does.
func (o *founder) source(file string) {
	o.t.Helper()
	cmd := exec.CommandContext(o.t.Context(), "sh", "-ec", `set -a; . "$0"; set +a; env`, file)
	cmd.Env = o.env
	out, err := cmd.Output()
	if err != nil {
		o.t.Fatal(err)
	}
	o.env = strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestWebhookSetup: what setup leaves is what the service wants, and the doctor
// finds nothing wrong with it.
func TestWebhookSetup(t *testing.T) {
	t.Parallel()
	o := newFounder(t)
	terminal, pages := o.setup("--organization", "acme", "--pull")
	app := o.FindApp("clipper-acme")
	if app == nil {
		t.Fatalf("no App: %s%s", terminal, pages)
	}
	for _, want := range []string{app.Slug + "/installations/new", "clipper-webhook/webhook.env", "webhook serve", "ssh -L", "clipper.invalid"} {
		if !strings.Contains(terminal, want) {
			t.Errorf("nothing about %q in\n%s", want, terminal)
		}
	}
	for _, secret := range []string{app.ClientSecret, app.WebhookSecret, app.PrivateKey[40:80]} {
		if strings.Contains(terminal+pages, secret) {
			t.Errorf("a secret is shown:\n%s%s", terminal, pages)
		}
	}
	if out, exit := o.run("setup", "--organization", "acme", "--pull"); exit != 87 || !strings.Contains(out, "--force") {
		t.Errorf("a second App in its place: exit %d, %s", exit, out)
	}

	o.source(filepath.Join(o.dir, "clipper-webhook", "webhook.env"))
	app.Install("acme")
	if err := o.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	out, exit := o.run("doctor", "--json", "--repository", "acme/app")
	var told struct {
		Healthy  bool
		Findings []struct{ Level, What, Seen string }
	}
	if err := json.Unmarshal([]byte(out), &told); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	// What is not well is that nobody serves yet.
	if exit != 0 || !told.Healthy || len(told.Findings) < 10 {
		t.Errorf("exit %d: %s", exit, out)
	}
	for _, f := range told.Findings {
		if f.Level != "ok" && f.What != "address" {
			t.Errorf("%+v", f)
		}
	}
	o.env = append(o.env, "CLIPPER_GITHUB_CLIENT_SECRET=wrong")
	out, exit = o.run("doctor", "--repository", "acme/app")
	if exit != 1 || !strings.Contains(out, "ok    repository    acme/app: 1 rule\n") || !strings.Contains(out, "fail  sign-in ") {
		t.Errorf("exit %d:\n%s", exit, out)
	}
}

// TestWebhookSetupRefuses: what cannot be is said before anything is made.
func TestWebhookSetupRefuses(t *testing.T) {
	t.Parallel()
	o := newFounder(t)
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"setup"}, "say where GitHub reaches the service"},
		{[]string{"setup", "--pull", "--listen", "0.0.0.0:0"}, "this machine alone"},
		{[]string{"setup", "--pull", "--for", "everything"}, "no feature"},
		{[]string{"setup", "--pull", "--dir", "two words"}, "another directory"},
		{[]string{"doctor"}, "CLIPPER_GITHUB_APP_ID"},
	} {
		if out, exit := o.run(c.args...); exit != 87 || !strings.Contains(out, c.want) {
			t.Errorf("%q: exit %d: %s", c.args, exit, out)
		}
	}
	for name, n := range o.Counts() {
		t.Errorf("GitHub was asked: %s, %d times", name, n)
	}
}

// TestWebhookHealthy asks what lives and what does not.
func TestWebhookHealthy(t *testing.T) {
	t.Parallel()
	o := newFounder(t)
	var status atomic.Int64
	status.Store(http.StatusOK)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/healthz" && r.URL.Path != "/metrics" {
			t.Errorf("%s was asked for", r.URL.Path)
		}
		w.WriteHeader(int(status.Load()))
	}))
	t.Cleanup(s.Close)
	server := s.Listener.Addr().String()
	_, port, _ := strings.Cut(server, ":")
	for _, listen := range []string{server, "0.0.0.0:" + port, ":" + port} {
		o.env = append(o.env, "CLIPPER_WEBHOOK_LISTEN="+listen)
		if out, exit := o.run("healthy"); exit != 0 {
			t.Errorf("%s: exit %d: %s", listen, exit, out)
		}
	}
	if out, exit := o.run("healthy", "--listen=", "--admin-listen="+server); exit != 0 {
		t.Errorf("without a public address: exit %d: %s", exit, out)
	}
	status.Store(http.StatusServiceUnavailable)
	if out, exit := o.run("healthy"); exit != 1 || !strings.Contains(out, "503") {
		t.Errorf("exit %d: %s", exit, out)
	}
	if out, exit := o.run("healthy", "--listen", "127.0.0.1:9"); exit != 1 {
		t.Errorf("nobody there: exit %d: %s", exit, out)
	}
}
