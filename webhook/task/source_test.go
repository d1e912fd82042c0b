package task_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/clipperregistry/runner/test/stack"
	"github.com/clipperregistry/runner/test/tarball"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
)

const sourceToken = "ghs_only-for-acme-app"

// source is a GitHub with one commit of acme/app, which it gives to who has the
// token, or to everybody once it is public.
type source struct {
	*httptest.Server
	public atomic.Bool
	made   atomic.Int64 // how many tokens were made
}

func newSource(t *testing.T, files map[string]string) *source {
	t.Helper()
	var archive bytes.Buffer
	zipped := gzip.NewWriter(&archive)
	w := tar.NewWriter(zipped)
	headers := []*tar.Header{{Typeflag: tar.TypeXGlobalHeader, Name: "pax_global_header", PAXRecords: map[string]string{"comment": run("").Commit}}}
	for name, content := range files {
		headers = append(headers, &tar.Header{Typeflag: tar.TypeReg, Name: "acme-app/" + name, Mode: 0o755, Size: int64(len(content))})
	}
	for _, h := range headers {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(files[strings.TrimPrefix(h.Name, "acme-app/")])); err != nil {
			t.Fatal(err)
		}
	}
	if err := errors.Join(w.Close(), zipped.Close()); err != nil {
		t.Fatal(err)
	}
	s := &source{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/repos/acme/app/tarball/"+run("").Commit || !s.public.Load() && r.Header.Get("Authorization") != "Bearer "+sourceToken {
			http.NotFound(w, r)
			return
		}
		_, _ = w.Write(archive.Bytes())
	}))
	t.Cleanup(s.Close)
	return s
}

// checkout lets a world's tasks check out from a source, with the service's own
// program.
func (w *world) checkout(t *testing.T, s *source) {
	t.Helper()
	binary, err := os.ReadFile(lab.Program(t, "cmd/clipper-runner"))
	if err != nil {
		t.Fatal(err)
	}
	w.Checkout = task.Checkout{
		Image: lab.Push(t, "task/clipper-runner", stack.Image{
			Layers: []stack.Layer{stack.Tar(tarball.Build(tarball.File("clipper-runner", string(binary), tarball.Mode(0o755))))},
			Config: v1.Config{Entrypoint: []string{"/clipper-runner"}},
		}),
		API: s.URL,
		Token: func(_ context.Context, of task.Source) (string, time.Time, error) {
			if of.Installation != 3 || of.Repository != 7 {
				return "", time.Time{}, errors.New("a token for another")
			}
			s.made.Add(1)
			return sourceToken, time.Now().Add(time.Hour), nil
		},
	}
}

// TestCheckout: the program starts in the commit's files, and may write there;
// the token is where it has to be, and nowhere else.
func TestCheckout(t *testing.T) {
	w := newWorld(t)
	s := newSource(t, map[string]string{"test.sh": "#!/bin/sh\necho \"testing in $PWD, token '$SOURCE_TOKEN'\"\necho out >new\n", "sub/name": "sub"})
	w.checkout(t, s)
	described := w.task("")
	described.Checkout, described.Command, described.Workdir = true, []string{"sh", "-c", "cat name; ../test.sh"}, "sub"
	j := task.Of(run("checkout"), described)
	arn := w.start(t, j)
	truth := w.ends(t, arn, j)
	log := w.lines(t, arn, j)
	if truth.State != webhook.Succeeded || !strings.Contains(log, "testing in /workspace/sub, token ''") || !strings.Contains(log, "checkout: ") {
		t.Errorf("%+v\n%s", truth, log)
	}
	second := w.start(t, task.Of(run("again"), described))
	if s.made.Load() != 1 || w.Calls("ssm:PutParameter") != 1 {
		t.Errorf("%d tokens, %v", s.made.Load(), w.Counts())
	}
	text, err := json.Marshal([]any{w.definition(t, arn), truth, log})
	if err != nil || strings.Contains(string(text), sourceToken) {
		t.Errorf("the token is to be seen: %v\n%s", err, text)
	}
	if n := w.Calls("ecs:RegisterTaskDefinition"); n != 1 {
		t.Errorf("%d definitions", n)
	}
	if truth := w.ends(t, second, j); truth.State != webhook.Succeeded {
		t.Errorf("%+v", truth)
	}

	w.Checkout.Image = ""
	if _, err := w.Start(t.Context(), task.Of(run("noimage"), described)); !errors.Is(err, task.ErrRefused) {
		t.Error(err)
	}
}

// TestFork: code that nobody approved runs with nothing to lose.
func TestFork(t *testing.T) {
	w := newWorld(t)
	s := newSource(t, map[string]string{"test.sh": "#!/bin/sh\nbusybox env\n"})
	w.checkout(t, s)
	described := w.task("")
	described.Checkout, described.Command = true, []string{"./test.sh"}
	r := run("fork")
	r.Fork = true

	j := task.Of(r, described)
	arn := w.start(t, j)
	if truth := w.ends(t, arn, j); truth.State != webhook.Failed || !strings.HasPrefix(truth.Reason, "the commit was not checked out: GitHub does not give the commit: ") || !strings.HasSuffix(truth.Reason, "public repositories alone") {
		t.Errorf("of a private repository: %+v", truth)
	}

	s.public.Store(true)
	r.Attempt++
	j = task.Of(r, described)
	arn = w.start(t, j)
	truth, log := w.ends(t, arn, j), ""
	if log = w.lines(t, arn, j); truth.State != webhook.Succeeded || !strings.Contains(log, "CI=true") || strings.Contains(log, "CREDENTIALS") || strings.Contains(log, "TOKEN") {
		t.Errorf("%+v\n%s", truth, log)
	}
	def := w.definition(t, arn).TaskDefinition
	if def.TaskRoleArn != nil || s.made.Load() != 0 {
		t.Errorf("role %v, %d tokens", def.TaskRoleArn, s.made.Load())
	}
	for _, c := range def.ContainerDefinitions {
		if len(c.Secrets) != 0 || c.RepositoryCredentials != nil {
			t.Errorf("%s has %+v", *c.Name, c.Secrets)
		}
	}

	for name, change := range map[string]func(*rules.Task){
		"a role": func(d *rules.Task) { d.TaskRole = w.role },
		"a secret": func(d *rules.Task) {
			d.Secrets = map[string]string{"A": "arn:aws:ssm:eu-central-1:123456789012:parameter/a"}
		},
		"credentials": func(d *rules.Task) { d.Credentials = "arn:aws:ssm:eu-central-1:123456789012:parameter/a" },
		"credentials of services": func(d *rules.Task) {
			d.Services = []rules.ServiceTask{{Name: "db", Container: rules.Container{Image: w.Image, Credentials: "arn:aws:ssm:eu-central-1:123456789012:parameter/a"}}}
		},
	} {
		with := *described
		change(&with)
		before := w.Calls("ecs:RunTask")
		if _, err := w.Start(t.Context(), task.Of(r, &with)); !errors.Is(err, task.ErrRefused) || w.Calls("ecs:RunTask") != before {
			t.Errorf("%s: %v", name, err)
		}
		approved := *r
		approved.ApprovedBy = "octocat"
		if j := task.Of(&approved, &with); j.Unprivileged || j.Source.Anonymous {
			t.Errorf("%s, approved: %+v", name, j)
		}
	}
}

// TestInstalledAgain: once the App was installed anew, the token is one of the
// new installation: GitHub has revoked those of the one before.
func TestInstalledAgain(t *testing.T) {
	w := newWorld(t)
	var asked []int64
	w.Checkout = task.Checkout{Image: w.Image, Token: func(_ context.Context, of task.Source) (string, time.Time, error) {
		asked = append(asked, of.Installation)
		return sourceToken, time.Now().Add(time.Hour), nil
	}}
	described := w.task("true")
	described.Checkout = true
	for _, r := range []*webhook.Run{run("before"), run("after"), run("then")} {
		if r.ID != "before" {
			r.Installation = 4
		}
		w.start(t, task.Of(r, described))
	}
	if !slices.Equal(asked, []int64{3, 4}) || w.Calls("ssm:PutParameter") != 2 {
		t.Errorf("tokens were made for the installations %v", asked)
	}
}
