package hub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
)

// TestScopes: every token is for the one repository, and may do what its call
// needs and no more.
func TestScopes(t *testing.T) {
	wanted := map[string]string{
		"Repositories": `{"permissions":{"metadata":"read"}}`,
		"Repository":   "metadata:read", "Head": "contents:read", "PullRequest": "pull_requests:read",
		"Permission": "metadata:read", "Config": "contents:read", "ChangedPaths": "contents:read",
		"Dispatch": "contents:read actions:write", "RepositoryDispatch": "contents:write",
		"FindRun": "actions:read", "WorkflowRun": "actions:read", "CancelRun": "actions:write", "Rerun": "actions:write", "Rerun what failed": "actions:write",
		"PutCheck creates": "checks:write", "PutCheck updates": "checks:write",
		"PutComment creates": "pull_requests:write", "PutComment updates": "pull_requests:write",
		"PutDeployment": "deployments:write", "PutDeployment's status": "deployments:write",
		"JITConfig": "administration:write", "Runners": "administration:read", "RemoveRunner": "administration:write",
		"JITConfig of an organisation": `{"permissions":{"organization_self_hosted_runners":"write"}}`,
		"Jobs":                         "actions:read", "RunnerGroup": `{"permissions":{"organization_self_hosted_runners":"read"}}`,
		"RunnersToken":  `{"permissions":{"organization_self_hosted_runners":"write"}}`,
		"CheckoutToken": "contents:read",
	}
	for _, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			w := start(t, fakehub.Config{})
			call := m.prepare(w)
			e := &hears{}
			if err := call(t.Context(), w.hub(listen(e))); err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, one := range e.said {
				if strings.HasSuffix(one.path, "/access_tokens") {
					body, err := json.Marshal(one.body)
					if err != nil {
						t.Fatal(err)
					}
					got = append(got, string(body))
				}
				if v := one.header.Get("X-GitHub-Api-Version"); v != "2022-11-28" {
					t.Errorf("%s asks for version %q", one.path, v)
				}
			}
			want := wanted[m.name]
			if want != "" && !strings.HasPrefix(want, "{") {
				var bodies []string
				for one := range strings.SplitSeq(want, " ") {
					name, level, _ := strings.Cut(one, ":")
					bodies = append(bodies, fmt.Sprintf(`{"permissions":{%q:%q},"repository_ids":[%d]}`, name, level, w.repo.ID))
				}
				want = strings.Join(bodies, " ")
			}
			if strings.Join(got, " ") != want {
				t.Errorf("tokens %s, want %s", got, want)
			}
		})
	}
}

// TestNamed: a repository whose ID is not known goes by its name.
func TestNamed(t *testing.T) {
	w := start(t, fakehub.Config{})
	e := &hears{}
	h := w.hub(listen(e))
	r, err := h.Repository(t.Context(), hub.Repo{Installation: w.install.ID, FullName: "acme/app"})
	if err != nil || r.ID != w.repo.ID {
		t.Errorf("%+v, %v", r, err)
	}
	if got := fmt.Sprint(e.said[0].body["repositories"]); got != "[app]" {
		t.Errorf("the token is for %s", got)
	}
	for _, name := range []string{"", "app", "acme/", "acme/..", "acme/app/x", "acme/a?b", "../app", "acme/a b"} {
		if _, err := h.Repository(t.Context(), hub.Repo{Installation: w.install.ID, FullName: name}); !errors.Is(err, hub.ErrInvalid) {
			t.Errorf("%q: %v, want ErrInvalid", name, err)
		}
	}
}

// TestRenamed: a repository is found under the name that it had.
func TestRenamed(t *testing.T) {
	w := start(t, fakehub.Config{})
	h := w.hub()
	w.repo.Rename("app-two")
	if r, err := h.Repository(t.Context(), w.at); err != nil || r.FullName != "acme/app-two" {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := h.PutCheck(t.Context(), w.at, w.check()); err != nil {
		t.Error(err)
	}
	if n := len(w.repo.Checks("")); n != 1 {
		t.Errorf("%d checks", n)
	}
}

// TestElsewhere: nobody is followed to another host, and no token goes there.
func TestElsewhere(t *testing.T) {
	w := start(t, fakehub.Config{})
	var asked sync.Map
	stranger := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { asked.Store(r.URL.Path, r.Header) }))
	defer stranger.Close()
	for _, status := range []int{301, 302, 307, 308} {
		w.Fail("repos/get", fakehub.Fault{Status: status, Message: "Moved", Header: map[string]string{"Location": stranger.URL + "/x"}}, 1)
		if _, err := w.hub().Repository(t.Context(), w.at); !errors.Is(err, hub.ErrInvalid) {
			t.Errorf("%d: %v, want ErrInvalid", status, err)
		}
	}
	asked.Range(func(path, header any) bool {
		t.Errorf("the stranger was asked for %v with %v", path, header)
		return true
	})
}

// TestConcurrent has many installations asked at once: under the race detector
// it shows that none shares what the libraries write to.
func TestConcurrent(t *testing.T) {
	w := start(t, fakehub.Config{Limits: fakehub.Unlimited})
	const installations, calls = 12, 4
	var places []hub.Repo
	for i := range installations {
		repo := w.Repo(fmt.Sprintf("owner%d/app", i))
		repo.Commit(map[string]string{".github/clipper.yml": fmt.Sprint("version: ", i)})
		places = append(places, hub.Repo{Installation: w.app.Install(fmt.Sprintf("owner%d", i), repo).ID, ID: repo.ID, FullName: repo.FullName})
	}
	h := w.hub()
	var wait sync.WaitGroup
	for i, at := range places {
		for range calls {
			wait.Go(func() {
				if _, err := h.Repository(t.Context(), at); err != nil {
					t.Error(err)
				}
				commit, err := h.Head(t.Context(), at, "refs/heads/main")
				if err != nil {
					t.Error(err)
					return
				}
				text, err := h.Config(t.Context(), at, commit)
				if err != nil || string(text) != fmt.Sprint("version: ", i) {
					t.Errorf("%s, %v", text, err)
				}
				if _, err := h.App(t.Context()); err != nil {
					t.Error(err)
				}
			})
		}
	}
	wait.Wait()
	if n := w.Count("apps/create-installation-access-token"); n != 2*installations {
		t.Errorf("%d tokens for %d installations and two kinds of calls", n, installations)
	}
}

// TestStubbornToken: who waits for a token that somebody else asks for waits no
// longer than it wants to.
func TestStubbornToken(t *testing.T) {
	w := start(t, fakehub.Config{})
	w.Fail("apps/create-installation-access-token", fakehub.Hang, 1)
	h := w.hub()
	ctx, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() {
		_, err := h.Repository(ctx, w.at)
		first <- err
	}()
	for w.Count("apps/create-installation-access-token") == 0 {
		select {
		case err := <-first:
			t.Fatal(err)
		default:
		}
	}
	impatient, stop := context.WithCancel(t.Context())
	stop()
	if _, err := h.Repository(impatient, w.at); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want it cancelled", err)
	}
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want it cancelled", err)
	}
	if _, err := h.Repository(t.Context(), w.at); err != nil {
		t.Error(err)
	}
}
