package hub_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
)

// method is one of the hub's, as its tests call it.
type method struct {
	name      string
	operation string // of GitHub's, that faults hit
	// effect: a lost answer is ErrLost.
	effect bool
	// except are faults that are another kind of error to it, or none.
	except map[string]string
	// prepare makes what it needs, and returns how to call it.
	prepare func(w *world) func(ctx context.Context, h *hub.Hub) error
}

func plainly(call func(ctx context.Context, w *world, h *hub.Hub) error) func(*world) func(context.Context, *hub.Hub) error {
	return func(w *world) func(context.Context, *hub.Hub) error {
		return func(ctx context.Context, h *hub.Hub) error { return call(ctx, w, h) }
	}
}

func want[T comparable](got, wanted T, err error) error {
	if err == nil && got != wanted {
		err = fmt.Errorf("got %v, want %v", got, wanted)
	}
	return err
}

var methods = []method{
	{name: "App", operation: "apps/get-authenticated", prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		a, err := h.App(ctx)
		return want(a.Bot(), w.app.Bot(), err)
	})},
	{name: "Installations", operation: "apps/list-installations", prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		var found []string
		for i, err := range h.Installations(ctx) {
			if err != nil {
				return err
			}
			found = append(found, fmt.Sprint(i.ID, i.Account.Login, i.Suspended()))
		}
		return want(strings.Join(found, ","), fmt.Sprint(w.install.ID, "acme", false), nil)
	})},
	{name: "Installation", operation: "apps/get-installation", prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		i, err := h.Installation(ctx, w.install.ID)
		return want(i.Permissions["checks"], "write", err)
	})},
	{name: "InstallationOf", operation: "apps/get-repo-installation", prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		i, err := h.InstallationOf(ctx, "acme/app")
		return want(i.ID, w.install.ID, err)
	})},
	{name: "Repositories", operation: "apps/list-repos-accessible-to-installation", prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		n := 0
		for r, err := range h.Repositories(ctx, w.install.ID) {
			if err != nil {
				return err
			}
			if n++; r.FullName != "acme/app" || r.ID != w.repo.ID || r.DefaultBranch != "main" {
				return fmt.Errorf("got %+v", r)
			}
		}
		return want(n, 1, nil)
	})},
	{name: "Hooks", operation: "meta/get", prepare: plainly(func(ctx context.Context, _ *world, h *hub.Hub) error {
		networks, err := h.Hooks(ctx)
		return want(len(networks) > 0, true, err)
	})},
	{name: "Webhook", operation: "apps/get-webhook-config-for-app", prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		w.app.SetWebhook("http://127.0.0.1:1/webhook")
		at, err := h.Webhook(ctx)
		return want(at, "http://127.0.0.1:1/webhook", err)
	})},
	{name: "SetWebhook", operation: "apps/update-webhook-config-for-app", except: map[string]string{"truncated JSON": "none"}, prepare: plainly(func(ctx context.Context, _ *world, h *hub.Hub) error {
		target := &url.URL{Scheme: "http", Host: "127.0.0.1:2", Path: "/webhook"}
		if err := h.SetWebhook(ctx, target, "a secret"); err != nil {
			return err
		}
		at, err := h.Webhook(ctx)
		return want(at, target.String(), err)
	})},
	{name: "Deliveries", operation: "apps/list-webhook-deliveries", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		wanted := w.ping(3)
		return func(ctx context.Context, h *hub.Hub) error {
			var found []string
			for s, err := range h.Deliveries(ctx, time.Now().Add(-time.Hour)) {
				if err != nil {
					return err
				}
				found = append(found, s.GUID)
			}
			slices.Sort(found)
			return want(strings.Join(found, ","), strings.Join(wanted, ","), nil)
		}
	}},
	{name: "Delivery", operation: "apps/get-webhook-delivery", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		guid := w.ping(1)[0]
		return func(ctx context.Context, h *hub.Hub) error {
			d, err := h.Delivery(ctx, w.app.Deliveries()[0].ID)
			if err == nil && (d.App != w.app.ID || d.Event != "ping" || d.Source != webhook.Pulled || d.HookID == 0 || d.Received.IsZero() || !strings.Contains(string(d.Body), `"zen"`)) {
				return fmt.Errorf("got %+v: %s", d, d.Body)
			}
			return want(d.GUID, guid, err)
		}
	}},
	{name: "Redeliver", operation: "apps/redeliver-webhook-delivery", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		w.ping(1)
		return func(ctx context.Context, h *hub.Hub) error { return h.Redeliver(ctx, w.app.Deliveries()[0].ID) }
	}},
	{name: "Repository", operation: "repos/get", prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		r, err := h.Repository(ctx, w.at)
		return want(r.ID, w.repo.ID, err)
	})},
	{name: "Head", operation: "repos/get-commit", except: map[string]string{"422": "gone"}, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		commit, err := h.Head(ctx, w.at, "refs/heads/main")
		return want(commit, w.sha, err)
	})},
	{name: "PullRequest", operation: "pulls/get", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		p := w.pull()
		return func(ctx context.Context, h *hub.Hub) error {
			found, err := h.PullRequest(ctx, w.at, int(p.Number))
			if err == nil && (found.Fork(w.repo.ID) || found.Base.Ref != "main" || found.State != "open") {
				return fmt.Errorf("got %+v", found)
			}
			if err != nil {
				return err
			}
			return want(found.Head.SHA, p.HeadSHA(), nil)
		}
	}},
	{name: "Permission", operation: "repos/get-collaborator-permission-level", except: map[string]string{"uninstalled": "temporary"}, prepare: func(w *world) func(context.Context, *hub.Hub) error {
		for _, level := range []string{"read", "triage", "write", "maintain", "admin"} {
			w.repo.Permit(level+"er", level)
		}
		return func(ctx context.Context, h *hub.Hub) error {
			for _, level := range []string{"read", "triage", "write", "maintain", "admin"} {
				got, err := h.Permission(ctx, w.at, level+"er")
				if err := want(got, level, err); err != nil {
					return err
				}
			}
			return nil
		}
	}},
	{name: "Config", operation: "repos/get-content", except: map[string]string{"uninstalled": "temporary"}, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		text, err := h.Config(ctx, w.at, w.sha)
		return want(string(text), "version: 1\n", err)
	})},
	{name: "ChangedPaths", operation: "repos/compare-commits-with-basehead", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		p := w.pull()
		return func(ctx context.Context, h *hub.Hub) error {
			paths, err := h.ChangedPaths(ctx, w.at, hub.Change{Base: w.sha, Head: p.HeadSHA(), PullRequest: int(p.Number)})
			return want(fmt.Sprint(paths), fmt.Sprint(hub.Paths{Names: []string{"docs/b.md", "main.go"}}), err)
		}
	}},
	{name: "Dispatch", operation: "actions/create-workflow-dispatch", effect: true, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		d, err := h.Dispatch(ctx, w.at, hub.Dispatch{File: "deploy.yml", Ref: "main", Inputs: map[string]string{"image": "api"}, Nonce: "nonce-1"})
		return want(d.Run != 0 && d.URL != "", !w.enterprise, err)
	})},
	{name: "RepositoryDispatch", operation: "repos/create-dispatch-event", effect: true, except: map[string]string{"truncated JSON": "none"}, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		return h.RepositoryDispatch(ctx, w.at, "bench", map[string]string{"size": "1"}, "nonce-2")
	})},
	{name: "FindRun", operation: "actions/list-workflow-runs", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		id := w.dispatched("nonce-3")
		return func(ctx context.Context, h *hub.Hub) error {
			run, found, err := h.FindRun(ctx, w.at, hub.Find{File: "deploy.yml", Nonce: "nonce-3", Since: time.Now()})
			if err == nil && !found {
				return errors.New("it is not found")
			}
			return want(run.ID, id, err)
		}
	}},
	{name: "WorkflowRun", operation: "actions/get-workflow-run", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		id := w.dispatched("nonce-4")
		return func(ctx context.Context, h *hub.Hub) error {
			run, err := h.WorkflowRun(ctx, w.at, id)
			return want(run.Title, "Deploy api (nonce-4)", err)
		}
	}},
	{name: "CancelRun", operation: "actions/cancel-workflow-run", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		id := w.dispatched("nonce-5")
		return func(ctx context.Context, h *hub.Hub) error { return h.CancelRun(ctx, w.at, id) }
	}},
	{name: "Rerun", operation: "actions/re-run-workflow", effect: true, except: map[string]string{"truncated JSON": "none"}, prepare: func(w *world) func(context.Context, *hub.Hub) error {
		id := w.dispatched("nonce-6")
		w.repo.Runs()[0].Complete("failure")
		return func(ctx context.Context, h *hub.Hub) error { return h.Rerun(ctx, w.at, id, false) }
	}},
	{name: "Rerun what failed", operation: "actions/re-run-workflow-failed-jobs", effect: true, except: map[string]string{"truncated JSON": "none"}, prepare: func(w *world) func(context.Context, *hub.Hub) error {
		id := w.dispatched("nonce-7")
		w.repo.Runs()[0].Complete("failure")
		return func(ctx context.Context, h *hub.Hub) error { return h.Rerun(ctx, w.at, id, true) }
	}},
	{name: "PutCheck creates", operation: "checks/create", effect: true, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		id, err := h.PutCheck(ctx, w.at, w.check())
		return want(id != 0, true, err)
	})},
	{name: "PutCheck updates", operation: "checks/update", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		c := w.check()
		var err error
		if c.ID, err = w.hub().PutCheck(context.Background(), w.at, c); err != nil {
			w.t.Fatal(err)
		}
		c.Status, c.Conclusion, c.Ended = "completed", webhook.ConclusionSuccess, time.Now()
		return func(ctx context.Context, h *hub.Hub) error {
			id, err := h.PutCheck(ctx, w.at, c)
			return want(id, c.ID, err)
		}
	}},
	{name: "PutComment creates", operation: "issues/create-comment", effect: true, prepare: func(w *world) func(context.Context, *hub.Hub) error {
		p := w.pull()
		return func(ctx context.Context, h *hub.Hub) error {
			id, err := h.PutComment(ctx, w.at, hub.Comment{PullRequest: int(p.Number), Marker: "bench", Body: "12 ms"})
			return want(id != 0, true, err)
		}
	}},
	{name: "PutComment updates", operation: "issues/update-comment", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		c := hub.Comment{PullRequest: int(w.pull().Number), Marker: "bench", Body: "12 ms"}
		var err error
		if c.ID, err = w.hub().PutComment(context.Background(), w.at, c); err != nil {
			w.t.Fatal(err)
		}
		return func(ctx context.Context, h *hub.Hub) error {
			c.Body = "11 ms"
			id, err := h.PutComment(ctx, w.at, c)
			return want(id, c.ID, err)
		}
	}},
	{name: "PutDeployment", operation: "repos/create-deployment", effect: true, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		id, err := h.PutDeployment(ctx, w.at, w.deployment("queued"))
		return want(id != 0, true, err)
	})},
	{name: "PutDeployment's status", operation: "repos/create-deployment-status", effect: true, except: map[string]string{"truncated JSON": "none"}, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		_, err := h.PutDeployment(ctx, w.at, w.deployment("in_progress"))
		return err
	})},
	{name: "JITConfig", operation: "actions/generate-runner-jitconfig-for-repo", effect: true, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		_, config, err := h.JITConfig(ctx, hub.Owner{Repo: w.at}, hub.JIT{Name: "clipper-1-1", Labels: []string{"clipper"}})
		return want(config != "", true, err)
	})},
	{name: "JITConfig of an organisation", operation: "actions/generate-runner-jitconfig-for-org", effect: true, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		_, config, err := h.JITConfig(ctx, hub.Owner{Repo: w.at, Organization: "acme"}, hub.JIT{Name: "clipper-2-1", Labels: []string{"clipper"}})
		return want(config != "", true, err)
	})},
	{name: "Runners", operation: "actions/list-self-hosted-runners-for-repo", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		w.runner("clipper-3-1")
		return func(ctx context.Context, h *hub.Hub) error {
			for r, err := range h.Runners(ctx, hub.Owner{Repo: w.at}) {
				return want(r.Name, "clipper-3-1", err)
			}
			return errors.New("there are none")
		}
	}},
	{name: "RemoveRunner", operation: "actions/delete-self-hosted-runner-from-repo", except: map[string]string{"truncated JSON": "none", "uninstalled": "none"}, prepare: func(w *world) func(context.Context, *hub.Hub) error {
		id := w.runner("clipper-4-1")
		return func(ctx context.Context, h *hub.Hub) error {
			return h.RemoveRunner(ctx, hub.Owner{Repo: w.at}, id)
		}
	}},
	{name: "Jobs", operation: "actions/list-jobs-for-workflow-run", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		w.dispatched("n-7")
		return func(ctx context.Context, h *hub.Hub) error {
			for j, err := range h.Jobs(ctx, w.at) {
				return want(j.Status+" "+strings.Join(j.Labels, " "), "queued self-hosted", err)
			}
			return errors.New("there are none")
		}
	}},
	{name: "RunnerGroup", operation: "actions/list-self-hosted-runner-groups-for-org", prepare: func(w *world) func(context.Context, *hub.Hub) error {
		group := w.RunnerGroup("acme", "fast")
		return func(ctx context.Context, h *hub.Hub) error {
			id, err := h.RunnerGroup(ctx, hub.Owner{Repo: w.at, Organization: "acme"}, "Fast")
			return want(id, group, err)
		}
	}},
	{name: "RunnersToken", operation: "apps/create-installation-access-token", except: map[string]string{"422": "gone"}, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		token, err := h.RunnersToken(ctx, hub.Owner{Repo: w.at, Organization: "acme"})
		return want(strings.HasPrefix(token.Reveal(), "ghs_"), true, err)
	})},
	{name: "CheckoutToken", operation: "apps/create-installation-access-token", except: map[string]string{"422": "gone"}, prepare: plainly(func(ctx context.Context, w *world, h *hub.Hub) error {
		token, err := h.CheckoutToken(ctx, w.at)
		return want(strings.HasPrefix(token.Reveal(), "ghs_") && time.Until(token.Expires) > 50*time.Minute, true, err)
	})},
	{name: "Revoke", operation: "apps/revoke-installation-access-token", except: map[string]string{"truncated JSON": "none", "revoked": "none"}, prepare: func(w *world) func(context.Context, *hub.Hub) error {
		token, err := w.hub().CheckoutToken(context.Background(), w.at)
		if err != nil {
			w.t.Fatal(err)
		}
		return func(ctx context.Context, h *hub.Hub) error { return h.Revoke(ctx, token) }
	}},
}

// ping has the App send itself deliveries, which nobody takes.
func (w *world) ping(times int) (guids []string) {
	w.t.Helper()
	w.app.SetWebhook("http://127.0.0.1:1/webhook")
	for range times {
		guids = append(guids, w.app.Ping())
	}
	if err := w.Settle(w.t.Context()); err != nil {
		w.t.Fatal(err)
	}
	w.app.SetWebhook("")
	slices.Sort(guids)
	return guids
}

func (w *world) pull() *fakehub.PullRequest {
	w.repo.CommitTo("topic", map[string]string{"main.go": "package main // more\n", "docs/b.md": "b"})
	return w.repo.OpenPullRequest(fakehub.Pull{Head: "topic", Login: "ann"})
}

func (w *world) dispatched(nonce string) int64 {
	w.t.Helper()
	d, err := w.hub().Dispatch(w.t.Context(), w.at, hub.Dispatch{File: "deploy.yml", Ref: "main", Inputs: map[string]string{"image": "api"}, Nonce: nonce})
	if err != nil {
		w.t.Fatal(err)
	}
	run := w.repo.Runs()[0].ID
	if d.Run != 0 && d.Run != run {
		w.t.Fatalf("run %d was started, and %d named", run, d.Run)
	}
	return run
}

func (w *world) runner(name string) int64 {
	w.t.Helper()
	id, _, err := w.hub().JITConfig(w.t.Context(), hub.Owner{Repo: w.at}, hub.JIT{Name: name, Labels: []string{"clipper"}})
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) check() hub.Check {
	return hub.Check{Run: "run-1", Name: "itest (main)", Commit: w.sha, Status: "in_progress", Started: time.Now(), URL: "https://clipper.example/runs/1", Title: "runs", Summary: "ok"}
}

func (w *world) deployment(state string) hub.Deployment {
	return hub.Deployment{Run: "run-1", Commit: w.sha, Environment: "staging", State: state, Description: "by Clipper", LogURL: "https://clipper.example/runs/1"}
}

// TestMethods calls every method, against GitHub and an Enterprise Server.
func TestMethods(t *testing.T) {
	for name, config := range map[string]fakehub.Config{"github.com": {Stateless: true}, "an Enterprise Server": {Enterprise: true}} {
		for _, m := range methods {
			t.Run(name+"/"+m.name, func(t *testing.T) {
				w := start(t, config)
				before := w.Count(m.operation)
				call := m.prepare(w)
				if err := call(t.Context(), w.hub()); err != nil {
					t.Fatal(err)
				}
				if w.Count(m.operation) == before {
					t.Errorf("%s was not called", m.operation)
				}
			})
		}
	}
}

func TestNoConfig(t *testing.T) {
	w := start(t, fakehub.Config{})
	h := w.hub()
	empty := w.repo.CommitTo("", map[string]string{".github/clipper.yml": fakehub.Deleted})
	for range 2 { // the second is not asked for
		if _, err := h.Config(t.Context(), w.at, empty); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("a commit without one: %v", err)
		}
	}
	if n := w.Count("repos/get-content"); n != 1 {
		t.Errorf("%d requests for one commit's file", n)
	}
	folder := w.repo.CommitTo("", map[string]string{".github/clipper.yml/a": ""})
	if _, err := h.Config(t.Context(), w.at, folder); !errors.Is(err, hub.ErrInvalid) {
		t.Errorf("a directory: %v", err)
	}
	unknown := strings.Repeat("ab", 20)
	_, err := h.Config(t.Context(), w.at, unknown)
	if err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, hub.ErrGone) {
		t.Errorf("a commit that is not there yet: %v, want a temporary error", err)
	}
	late := w.repo.CommitTo("", map[string]string{".github/clipper.yml": "version: 1\nrules: []\n"})
	if text, err := h.Config(t.Context(), w.at, late); err != nil || !strings.Contains(string(text), "rules") {
		t.Errorf("%s, %v", text, err)
	}
}
