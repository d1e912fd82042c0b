package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/cookiejar"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/test/service"
	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
	appsetup "github.com/clipperregistry/runner/webhook/setup"
)

// webhookWorld is a GitHub, an AWS account whose tasks are containers of the
// tests' engine, and `clipper-runner webhook serve` between them. mona may write
// in the repository, whose tests are testdata/slots.
type webhookWorld struct {
	*fakehub.Hub
	aws  *awsAccount
	app  *fakehub.App
	repo *fakehub.Repo
	url  string // of the service
}

func newWebhookWorld(t *testing.T) *webhookWorld {
	t.Helper()
	w := &webhookWorld{aws: newAWSAccount(t), url: "http://127.0.0.1:" + freePort(t)}
	w.Hub = fakehub.New(t, fakehub.Config{})
	w.User("mona")
	// The App has no more permissions than every App of the service.
	permissions, events := appsetup.Needs(slices.DeleteFunc(slices.Clone(appsetup.Features), func(f appsetup.Feature) bool { return !f.Always }), true)
	w.app = w.App(fakehub.AppConfig{WebhookURL: w.url + "/webhook", CallbackURLs: []string{w.url + "/sign-in/callback"}, Permissions: permissions, Events: events})
	w.repo = w.Repo("acme/slots")
	w.repo.Permit("mona", "write")
	w.repo.Commit(sample(t, w.database(t), freePort(t)))
	w.serve(t)
	w.app.Install("acme")
	return w
}

// sample are the files of a repository whose tests need a database of the
// image, at the port.
func sample(t *testing.T, image, port string) map[string]string {
	t.Helper()
	files := map[string]string{}
	for _, name := range []string{".github/clipper.yml", "schema.sql", "test.sql"} {
		text, err := os.ReadFile(filepath.Join("testdata/slots", name))
		if err != nil {
			t.Fatal(err)
		}
		files[name] = strings.NewReplacer("THE-IMAGE", image, "THE-PORT", port).Replace(string(text))
	}
	return files
}

// database pushes Debian's PostgreSQL, server and clients.
func (w *webhookWorld) database(t *testing.T) string {
	t.Helper()
	image := postgresql(t)
	image.Config.Env = []string{"PATH=/usr/lib/postgresql/15/bin:/usr/lib/postgresql/17/bin:" + strings.TrimPrefix(debianPath, "PATH="), "PGDATA=/tmp/data"}
	return lab.Push(t, "webhook/postgresql", image)
}

// serviceImage pushes the service's own image, with which tasks check out.
func (w *webhookWorld) serviceImage(t *testing.T) string {
	t.Helper()
	program, err := os.ReadFile(lab.Program(t, "cmd/clipper-runner"))
	if err != nil {
		t.Fatal(err)
	}
	return lab.Push(t, "webhook/service", stack.Image{
		Layers: []stack.Layer{stack.Tar(tarball.Build(tarball.Dir("tmp", tarball.Mode(0o1777)), tarball.File("clipper-runner", string(program), tarball.Mode(0o755))))},
		Config: v1.Config{Entrypoint: []string{"/clipper-runner"}},
	})
}

// policy is the operator's, who lets tasks have one role and the registry's
// images.
func (w *webhookWorld) policy(t *testing.T) string {
	t.Helper()
	role := w.aws.trusted(t, "clipper", `{"Statement": [
		{"Effect": "Allow", "Action": "ssm:GetParameters", "Resource": "arn:aws:ssm:*:*:parameter/clipper/source/*"},
		{"Effect": "Allow", "Action": "logs:*", "Resource": "*"}]}`)
	file := filepath.Join(w.aws.dir, "policy.yml")
	text := fmt.Sprintf("version: 1\nrepositories: [acme/*]\nimages: [{ match: %q }]\nclusters:\n  default: { cluster: default, subnets: [subnet-0a1b2c3d], execution_role: %q }\n",
		lab.Registry+"/webhook/**", role)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// serve starts the service. It ends with the test, well and when it is asked to,
// and its log shows no secret.
func (w *webhookWorld) serve(t *testing.T) {
	t.Helper()
	log := filepath.Join(w.aws.dir, "service.log")
	said := func() string {
		text, _ := os.ReadFile(log) // there is none of a service that did not start
		return string(text)
	}
	server, err := service.At(lab.Program(t, "cmd/clipper-runner")).Start(service.Environment(append([]string{
		"CLIPPER_WEBHOOK_LISTEN=" + strings.TrimPrefix(w.url, "http://"), "CLIPPER_WEBHOOK_URL=" + w.url,
		"CLIPPER_WEBHOOK_SECRETS=" + w.app.WebhookSecret, "CLIPPER_WEBHOOK_DATABASE=" + filepath.Join(w.aws.dir, "clipper.db"),
		"CLIPPER_WEBHOOK_COOKIE_KEY=" + strings.Repeat("k", 32), "CLIPPER_WEBHOOK_POLICY=" + w.policy(t), "CLIPPER_WEBHOOK_IMAGE=" + w.serviceImage(t),
		"CLIPPER_RUNNER_IMAGE=" + stack.RunnerImage, "CLIPPER_WEBHOOK_WATCH=1s", "CLIPPER_WEBHOOK_REPORT=1s",
		fmt.Sprintf("CLIPPER_GITHUB_APP_ID=%d", w.app.ID), "CLIPPER_GITHUB_PRIVATE_KEY=" + w.app.PrivateKey, "CLIPPER_GITHUB_API_URL=" + w.APIURL, "CLIPPER_GITHUB_URL=" + w.URL,
		"CLIPPER_GITHUB_CLIENT_ID=" + w.app.ClientID, "CLIPPER_GITHUB_CLIENT_SECRET=" + w.app.ClientSecret,
	}, w.aws.aws...)...), log)
	if err != nil {
		t.Fatalf("%v\n%s", err, said())
	}
	t.Cleanup(func() {
		if err := server.Stop(); err != nil || t.Failed() {
			t.Errorf("the service: %v\n%s", err, said())
		}
		for _, secret := range []string{w.app.WebhookSecret, w.app.ClientSecret, "ghs_", "ghu_", "PRIVATE KEY"} {
			if strings.Contains(said(), secret) {
				t.Errorf("the service's log shows %s", secret)
			}
		}
	})
}

// until waits for something to be so.
func (w *webhookWorld) until(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	for !so() {
		if err := watch.Sleep(ctx, 50*time.Millisecond); err != nil {
			t.Fatalf("waited in vain until %s; checks: %+v", what, w.repo.Checks(""))
		}
	}
}

// check waits for a commit's check run, until it is as wanted.
func (w *webhookWorld) check(t *testing.T, sha, what string, so func(fakehub.Check) bool) (found fakehub.Check) {
	t.Helper()
	w.until(t, "the check of "+sha+" "+what, func() bool {
		checks := w.repo.Checks(sha)
		if len(checks) > 1 {
			t.Fatalf("%d checks: %+v", len(checks), checks)
		}
		if len(checks) == 0 {
			return false
		}
		found = checks[0]
		return so(found)
	})
	return found
}

// concluded waits for the end of a commit's check run.
func (w *webhookWorld) concluded(t *testing.T, sha string) fakehub.Check {
	t.Helper()
	return w.check(t, sha, "is concluded", func(c fakehub.Check) bool { return c.Status == "completed" && c.Conclusion != "action_required" })
}

// pull opens a pull request of mona's, with changes to the sample.
func (w *webhookWorld) pull(branch string, files map[string]string) *fakehub.PullRequest {
	w.repo.CommitTo(branch, files)
	return w.repo.OpenPullRequest(fakehub.Pull{Head: branch, Login: "mona", Title: branch})
}

// stopped are the tasks that have ended, by the token of their run.
func (w *webhookWorld) stopped(t *testing.T) map[string]types.Task {
	t.Helper()
	tasks := map[string]types.Task{}
	for _, task := range w.aws.tasks(t) {
		tasks[*task.StartedBy] = task
	}
	return tasks
}

// visitor is somebody's browser without JavaScript, signed in.
func (w *webhookWorld) visitor(t *testing.T, login string) *http.Client {
	t.Helper()
	jar, err := cookiejar.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Jar: jar}
	w.SignIn(login)
	if page := readPage(t, client, w.url+"/sign-in/github"); !strings.Contains(page, login) {
		t.Fatalf("%s was not let in:\n%s", login, page)
	}
	return client
}

// read is a page's text.
func readPage(t *testing.T, client *http.Client, url string) string {
	t.Helper()
	body := openPage(t, client, url)
	defer body.Close()
	text, err := io.ReadAll(body)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func openPage(t *testing.T, client *http.Client, url string) io.ReadCloser {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	if response.StatusCode != http.StatusOK {
		response.Body.Close()
		t.Fatalf("%s: %s", url, response.Status)
	}
	return response.Body
}

// liveLog is the address of a run's log as it is written.
func (w *webhookWorld) liveLog(t *testing.T, client *http.Client, run string) string {
	t.Helper()
	found := regexp.MustCompile(`data-live="(/runs/[^"]+/log[^"]*)"`).FindStringSubmatch(readPage(t, client, run))
	if found == nil {
		t.Fatalf("%s has no live log", run)
	}
	return w.url + strings.ReplaceAll(found[1], "&amp;", "&")
}
