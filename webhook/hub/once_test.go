package hub_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
)

// late are the faults of requests that were carried out.
var late = map[string]fakehub.Fault{"lost response": fakehub.LostResponse, "late 502": fakehub.LateBadGateway, "late 500": fakehub.LateServerError, "truncated": fakehub.Truncated}

// TestDispatchOnce: a dispatch whose answer was lost is found by its nonce.
func TestDispatchOnce(t *testing.T) {
	for name, fault := range late {
		for _, config := range []fakehub.Config{{}, {Enterprise: true}} {
			if config.Enterprise && fault.Truncate {
				continue // its answer has no body
			}
			t.Run(fmt.Sprint(name, config.Enterprise), func(t *testing.T) {
				w := start(t, config)
				h := w.hub()
				w.dispatched("another")
				since := time.Now()
				w.Fail("actions/create-workflow-dispatch", fault, 1)
				_, err := h.Dispatch(t.Context(), w.at, hub.Dispatch{File: "deploy.yml", Ref: "main", Inputs: map[string]string{"image": "api"}, Nonce: "nonce"})
				if !errors.Is(err, hub.ErrLost) {
					t.Fatalf("%v, want ErrLost", err)
				}
				run, found, err := w.hub().FindRun(t.Context(), w.at, hub.Find{File: "deploy.yml", Nonce: "nonce", Since: since}) // after a restart, too
				if err != nil || !found {
					t.Fatalf("found %t, %v", found, err)
				}
				if runs := w.repo.Runs(); len(runs) != 2 || runs[1].ID != run.ID {
					t.Errorf("%d runs, and %d was found", len(runs), run.ID)
				}
				if n := w.Count("actions/create-workflow-dispatch"); n != 2 {
					t.Errorf("%d dispatches, want those of two nonces", n)
				}
			})
		}
	}
}

// TestFindRun: what it is not.
func TestFindRun(t *testing.T) {
	w := start(t, fakehub.Config{})
	h := w.hub()
	w.dispatched("nonce-10")
	for name, f := range map[string]hub.Find{
		"a part of a nonce": {File: "deploy.yml", Nonce: "nonce-1", Since: time.Now()},
		"another workflow":  {File: "plain.yml", Nonce: "nonce-10", Since: time.Now()},
		"before its time":   {File: "deploy.yml", Nonce: "nonce-10", Since: time.Now().Add(time.Hour)},
		"another event":     {Nonce: "nonce-10", Since: time.Now()},
	} {
		if run, found, err := h.FindRun(t.Context(), w.at, f); found || err != nil {
			t.Errorf("%s: %+v, %v", name, run, err)
		}
	}
	// Of an App that copies the title, nothing is found.
	other := w.App(fakehub.AppConfig{Name: "other"})
	install := other.Install("acme", w.repo)
	key, err := hub.ParseKey([]byte(other.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	stranger := w.hub(func(c *hub.Config) { c.App, c.Signer = other.ID, key })
	at := w.at
	at.Installation = install.ID
	if _, err := stranger.Dispatch(t.Context(), at, hub.Dispatch{File: "deploy.yml", Ref: "main", Inputs: map[string]string{"image": "x"}, Nonce: "copied"}); err != nil {
		t.Fatal(err)
	}
	if _, found, err := h.FindRun(t.Context(), w.at, hub.Find{File: "deploy.yml", Nonce: "copied", Since: time.Now()}); found || err != nil {
		t.Errorf("another App's run is found: %v", err)
	}
}

// TestUndeclaredNonce: a workflow without the input is started all the same,
// and one of many inputs gets no more.
func TestUndeclaredNonce(t *testing.T) {
	w := start(t, fakehub.Config{})
	h := w.hub()
	d, err := h.Dispatch(t.Context(), w.at, hub.Dispatch{File: "plain.yml", Ref: "main", Nonce: "nonce"})
	if err != nil || d.Run == 0 {
		t.Errorf("%+v, %v", d, err)
	}
	for name, d := range map[string]hub.Dispatch{
		"no such file":   {File: "none.yml", Ref: "main", Nonce: "n"},
		"no such branch": {File: "deploy.yml", Ref: "none", Nonce: "n", Inputs: map[string]string{"image": "x"}},
		"no input":       {File: "deploy.yml", Ref: "main", Nonce: "n"},
		"a strange one":  {File: "plain.yml", Ref: "main", Inputs: map[string]string{"strange": "x"}},
		"elsewhere":      {File: "../plain.yml", Ref: "main"},
	} {
		if _, err := h.Dispatch(t.Context(), w.at, d); !errors.Is(err, hub.ErrInvalid) && !errors.Is(err, hub.ErrGone) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := len(w.repo.Runs()); n != 1 {
		t.Errorf("%d runs", n)
	}
}

func TestRepositoryDispatchOnce(t *testing.T) {
	w := start(t, fakehub.Config{})
	h := w.hub()
	w.Fail("repos/create-dispatch-event", fakehub.LostResponse, 1)
	if err := h.RepositoryDispatch(t.Context(), w.at, "bench", map[string]string{"size": "1"}, "nonce"); !errors.Is(err, hub.ErrLost) {
		t.Fatalf("%v, want ErrLost", err)
	}
	run, found, err := h.FindRun(t.Context(), w.at, hub.Find{Nonce: "nonce", Since: time.Now()})
	if err != nil || !found || run.ID != w.repo.Runs()[0].ID {
		t.Errorf("%+v, %t, %v", run, found, err)
	}
	many := map[string]string{}
	for i := range 11 {
		many[fmt.Sprint(i)] = "x"
	}
	for name, err := range map[string]error{
		"many members":    h.RepositoryDispatch(t.Context(), w.at, "bench", many, ""),
		"a large payload": h.RepositoryDispatch(t.Context(), w.at, "bench", map[string]string{"a": strings.Repeat("x", 65<<10)}, ""),
		"a long type":     h.RepositoryDispatch(t.Context(), w.at, strings.Repeat("x", 101), nil, ""),
		"no type":         h.RepositoryDispatch(t.Context(), w.at, "", nil, ""),
	} {
		if !errors.Is(err, hub.ErrInvalid) {
			t.Errorf("%s: %v, want ErrInvalid", name, err)
		}
	}
}

// TestCheckOnce: after a lost answer a check run is found by its external_id,
// with many annotations once each.
func TestCheckOnce(t *testing.T) {
	for name, fault := range late {
		for _, operation := range []string{"checks/create", "checks/update"} {
			t.Run(name+" of "+operation, func(t *testing.T) {
				w := start(t, fakehub.Config{})
				c := w.check()
				for i := range 120 {
					c.Annotations = append(c.Annotations, hub.Annotation{Path: "main.go", Start: i, End: i, Level: "failure", Message: fmt.Sprint("line ", i)})
				}
				other := w.check()
				other.Run = "run-0" // of the same name
				if _, err := w.hub().PutCheck(t.Context(), w.at, other); err != nil {
					t.Fatal(err)
				}
				w.Fail(operation, fault, 1)
				h := w.hub()
				if _, err := h.PutCheck(t.Context(), w.at, c); !errors.Is(err, hub.ErrLost) {
					t.Fatalf("%v, want ErrLost", err)
				}
				id, err := w.hub().PutCheck(t.Context(), w.at, c)
				if err != nil {
					t.Fatal(err)
				}
				checks := w.repo.Checks(w.sha)
				if len(checks) != 2 || checks[1].ID != id || checks[1].ExternalID != "run-1" {
					t.Fatalf("there are %+v, and %d was put", checks, id)
				}
				if n := len(checks[1].Annotations); n != 120 {
					t.Fatalf("%d annotations", n)
				}
				for i, a := range checks[1].Annotations {
					if a["message"] != fmt.Sprint("line ", i) {
						t.Fatalf("annotation %d is %v", i, a)
					}
				}
			})
		}
	}
}

// TestCheckLimits: texts are cut to what GitHub takes.
func TestCheckLimits(t *testing.T) {
	w := start(t, fakehub.Config{})
	c := w.check()
	c.Title, c.Summary, c.Text = strings.Repeat("t", 1000), strings.Repeat("ü", 40000), "x"+strings.Repeat("€", 40000)
	c.Status, c.Conclusion = "completed", webhook.ActionRequired
	c.Actions = []hub.Action{{Label: "Approve", Description: strings.Repeat("Run this commit. ", 9), Identifier: "approve"}}
	if _, err := w.hub().PutCheck(t.Context(), w.at, c); err != nil {
		t.Fatal(err)
	}
	got := w.repo.Checks("")[0]
	for name, text := range map[string]string{"summary": got.Summary, "text": got.Text} {
		if len(text) > 65535 || len(text) < 65500 || !strings.HasSuffix(text, "…") || strings.Contains(text, "\ufffd") {
			t.Errorf("the %s has %d bytes and ends with %q", name, len(text), text[len(text)-8:])
		}
	}
	if len(got.Title) > 255 || got.Conclusion != "action_required" || len(got.Actions) != 1 {
		t.Errorf("got %+v", got)
	}
}

func TestDeploymentOnce(t *testing.T) {
	for name, fault := range late {
		for _, operation := range []string{"repos/create-deployment", "repos/create-deployment-status"} {
			if fault.Truncate && operation == "repos/create-deployment-status" {
				continue // nothing of it is read
			}
			t.Run(name+" of "+operation, func(t *testing.T) {
				w := start(t, fakehub.Config{})
				other := w.deployment("success")
				other.Run = "run-0"
				if _, err := w.hub().PutDeployment(t.Context(), w.at, other); err != nil {
					t.Fatal(err)
				}
				w.Fail(operation, fault, 1)
				if _, err := w.hub().PutDeployment(t.Context(), w.at, w.deployment("in_progress")); !errors.Is(err, hub.ErrLost) {
					t.Fatalf("%v, want ErrLost", err)
				}
				h := w.hub()
				for _, state := range []string{"in_progress", "in_progress", "success"} {
					if _, err := h.PutDeployment(t.Context(), w.at, w.deployment(state)); err != nil {
						t.Fatal(err)
					}
				}
				all := w.repo.Deployments()
				if len(all) != 2 || fmt.Sprint(all[1].Statuses) != "[in_progress success]" {
					t.Errorf("%+v", all)
				}
			})
		}
	}
}

// TestRunnerOnce: the configuration of a runner that was never started is made
// anew under its name; a runner that is there keeps it.
func TestRunnerOnce(t *testing.T) {
	for name, fault := range late {
		t.Run(name, func(t *testing.T) {
			w := start(t, fakehub.Config{})
			owner, j := hub.Owner{Repo: w.at}, hub.JIT{Name: "clipper-9-1", Labels: []string{"clipper"}}
			w.Fail("actions/generate-runner-jitconfig-for-repo", fault, 1)
			if _, _, err := w.hub().JITConfig(t.Context(), owner, j); !errors.Is(err, hub.ErrLost) {
				t.Fatalf("%v, want ErrLost", err)
			}
			_, config, err := w.hub().JITConfig(t.Context(), owner, j)
			if err != nil || config == "" {
				t.Fatal(err)
			}
			w.Connect("clipper-9-1")
			if _, _, err := w.hub().JITConfig(t.Context(), owner, j); !errors.Is(err, hub.ErrInvalid) {
				t.Errorf("of one that is online: %v, want ErrInvalid", err)
			}
			if n := len(w.Runners()); n != 1 {
				t.Errorf("%d runners", n)
			}
		})
	}
}

// TestRerunOnce: GitHub's count of attempts says whether a lost answer was one.
func TestRerunOnce(t *testing.T) {
	w := start(t, fakehub.Config{})
	h := w.hub()
	id := w.dispatched("nonce")
	if err := h.Rerun(t.Context(), w.at, id, false); !errors.Is(err, hub.ErrInvalid) {
		t.Errorf("of one that runs: %v, want ErrInvalid", err)
	}
	w.repo.Runs()[0].Complete("failure")
	if err := h.CancelRun(t.Context(), w.at, id); err != nil {
		t.Errorf("cancel what has ended: %v", err)
	}
	w.Fail("actions/re-run-workflow", fakehub.LostResponse, 1)
	if err := h.Rerun(t.Context(), w.at, id, false); !errors.Is(err, hub.ErrLost) {
		t.Errorf("%v, want ErrLost", err)
	}
	if run, err := h.WorkflowRun(t.Context(), w.at, id); err != nil || run.Attempt != 2 {
		t.Errorf("%+v, %v", run, err)
	}
}
