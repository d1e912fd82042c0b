package runners

import (
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// other is a second set, of another owner.
const other = `version: 1
sets:
- name: linux
  owner: %OWNER%
  labels: [clipper]
  mode: %MODE%
  subnets: [subnet-0a1b2c3d]
  execution_role: arn:aws:iam::123456789012:role/clipper
`

// TestLimited: a limit of GitHub's keeps one set waiting, and not the other.
func TestLimited(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		beta := w.Repo("beta/app")
		w.workflow(beta, "clipper")
		install := w.app.Install("beta")
		f := w.fleet()
		more, problems := rules.ParseFleet([]byte(strings.NewReplacer("%OWNER%", "beta", "%MODE%", w.mode).Replace(other)))
		if problems != nil {
			t.Fatal(problems)
		}
		f.Sets = append(f.Sets, more.Sets...)
		w.Fail("actions/list-self-hosted-runners-for-org", fakehub.SecondaryLimit, 1) // acme's: beta's set comes later
		w.serve(w.service(w.fleet()))
		w.until("acme's set has met its limit", func() bool { return strings.Contains(w.log.String(), "secondary rate limit") })
		w.queue(w.repo, 1)
		w.serve(w.service(more))
		d := hub.Dispatch{File: "ci.yml", Ref: "main"}
		if _, err := w.client().Dispatch(t.Context(), hub.Repo{Installation: install.ID, FullName: "beta/app"}, d); err != nil {
			t.Fatal(err)
		}
		w.until("beta's job is done", func() bool { return w.jobs() == 1 })
		w.stays("acme's is not", func() bool { return w.jobs() == 1 })
	})
}

// TestNoRoom: ECS that has no place now is asked again, and nothing is left
// behind of what was begun.
func TestNoRoom(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		w.fail("RunTask", fault{kind: "ClientException", text: "Capacity is unavailable at this time. Please try again later or in a different availability zone"}, 3)
		w.fail("RegisterTaskDefinition", fault{kind: "ClientException", text: "Too many concurrent attempts to create a new revision of the specified family."}, 1)
		w.fail("PutParameter", fault{kind: "ThrottlingException", text: "Rate exceeded"}, 2)
		w.serve(w.service(w.fleet("max: 3")))
		w.queue(w.repo, 4)
		w.finished(4)
		if w.peak > 3 {
			t.Errorf("there were %d at once", w.peak)
		}
	})
}

// TestSession: a session that another holds, who is gone, keeps the set waiting
// no longer than GitHub does.
func TestSession(t *testing.T) {
	t.Parallel()
	w := start(t, rules.ScaleSet, "")
	w.Fail("scalesets/delete-session", fakehub.Unreachable, 1)
	stop := w.serve(w.service(w.fleet()))
	w.queue(w.repo, 1)
	w.finished(1)
	stop()
	w.serve(w.service(w.fleet()))
	w.queue(w.repo, 2)
	w.finished(3)
}

// TestSilent: where the scale set itself tells nothing of its jobs, what its
// messages tell counts.
func TestSilent(t *testing.T) {
	t.Parallel()
	w := start(t, rules.ScaleSet, "", func(c *fakehub.Config) { c.Silent = true })
	w.serve(w.service(w.fleet()))
	w.queue(w.repo, 3)
	w.finished(3)
}

// TestUnheard: jobs of which no delivery tells are found, of all repositories,
// and those that another set takes are left to it.
func TestUnheard(t *testing.T) {
	t.Parallel()
	w := start(t, rules.JIT, "")
	w.app.SetWebhook("")
	lib := w.Repo("acme/lib")
	w.workflow(lib, "fast")
	f := w.fleet()
	fast, twin := f.Sets[0], f.Sets[0]
	fast.Name, fast.Labels = "fast", []string{"fast"}
	twin.Name = "twin"
	f.Sets = append(f.Sets, fast, twin)
	w.serve(w.service(f))
	w.queue(w.repo, 2)
	w.queue(lib, 2)
	w.finished(4)
	if n := w.started(); n != 4 {
		t.Errorf("%d tasks for 4 jobs", n)
	}
	if strings.Contains(w.log.String(), "clipper-twin-") {
		t.Error("two sets have started runners for the same job")
	}
}

// TestNudge: a delivery has the set looked at that is for it, long before its
// time.
func TestNudge(t *testing.T) {
	t.Parallel()
	w := start(t, rules.JIT, "")
	w.pace.Pass, w.pace.Sweep = time.Hour, time.Hour
	r := w.service(w.fleet())
	w.serve(r)
	w.until("a pass was made", func() bool { return w.Count("actions/list-workflow-runs-for-repo") == 2 })
	w.queue(w.repo, 1)
	if err := w.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	r.Nudge("elsewhere/app")
	w.stays("nothing", func() bool { return w.started() == 0 })
	r.Nudge("Acme/App")
	w.until("the job is done", func() bool { return w.jobs() == 1 })
}

// TestOwners: a set can be a repository's, and an organisation's group has one.
func TestOwners(t *testing.T) {
	modes(t, func(t *testing.T, w *world) {
		f := w.fleet()
		f.Sets[0].Owner = "acme/app"
		stop := w.serve(w.service(f))
		w.queue(w.repo, 1)
		w.finished(1)
		stop()
		for _, set := range w.ScaleSets() { // it would take the jobs
			w.DeleteScaleSet(set.Name)
		}
		w.RunnerGroup("acme", "Fast & few")
		w.serve(w.service(w.fleet("group: fast & few")))
		w.queue(w.repo, 1)
		w.finished(2)
	})
}
