package chaos

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	awsecs "github.com/aws/aws-sdk-go-v2/service/ecs"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

// verdict holds what the service believes, what GitHub shows and what really
// ran against each other.
type verdict struct {
	w *world
	// sent is what GitHub has sent, looked up before the inbox.
	sent []fakehub.Attempt
	// What the service believes.
	inbox map[string]database.DeliveryState
	runs  map[string]webhook.Run
	// What really ran, by the run's ID.
	tasks     map[string][]types.Task
	workflows map[string][]*fakehub.Run

	wrong []string
}

func (v *verdict) say(format string, args ...any) {
	v.wrong = append(v.wrong, fmt.Sprintf(format, args...))
}

// judge says what is wrong now; much is, until the service has caught up.
func (w *world) judge(ctx context.Context) (*verdict, error) {
	v := &verdict{w: w, sent: w.app.Deliveries(), inbox: map[string]database.DeliveryState{}, runs: map[string]webhook.Run{}, tasks: map[string][]types.Task{}, workflows: map[string][]*fakehub.Run{}}
	if err := v.believed(ctx); err != nil {
		return nil, err
	}
	if err := v.happened(ctx); err != nil {
		return nil, err
	}
	v.nothingLost()
	v.nothingTwice()
	v.allEnded()
	v.effects()
	v.shown()
	return v, nil
}

// believed reads the service's database, beside it.
func (v *verdict) believed(ctx context.Context) error {
	db, err := database.Open(ctx, v.w.db, database.Options{ReadOnly: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		return err
	}
	defer db.Close()
	for d, err := range db.Deliveries(ctx, database.DeliveryFilter{}) {
		if err != nil {
			return err
		}
		v.inbox[d.GUID] = d.State
	}
	for run, err := range db.Runs(ctx, database.RunFilter{}) {
		if err != nil {
			return err
		}
		v.runs[run.ID] = run
	}
	return nil
}

// happened asks ECS and GitHub what ran, for which run of the service's.
func (v *verdict) happened(ctx context.Context) error {
	client := v.w.clusters()
	for _, desired := range []types.DesiredStatus{types.DesiredStatusRunning, types.DesiredStatusStopped} {
		pages := awsecs.NewListTasksPaginator(client, &awsecs.ListTasksInput{Cluster: aws.String("ci"), DesiredStatus: desired})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx)
			if err != nil {
				return err
			}
			if len(page.TaskArns) == 0 {
				continue
			}
			out, err := client.DescribeTasks(ctx, &awsecs.DescribeTasksInput{Cluster: aws.String("ci"), Tasks: page.TaskArns})
			if err != nil {
				return err
			}
			for _, t := range out.Tasks {
				// The token is that of an attempt: run-ID-1.
				id := strings.Split(aws.ToString(t.StartedBy), "-")
				v.tasks[id[min(1, len(id)-1)]] = append(v.tasks[id[min(1, len(id)-1)]], t)
			}
		}
	}
	for _, repo := range v.w.repos {
		for _, run := range repo.Runs() {
			id := run.Inputs["clipper_run"]
			v.workflows[id] = append(v.workflows[id], run)
		}
	}
	return nil
}

// nothingLost: what GitHub has sent, or tried to, is in the inbox and decided.
func (v *verdict) nothingLost() {
	for _, a := range v.sent {
		state, there := v.inbox[a.GUID]
		switch {
		case !there:
			v.say("delivery %s (%s %s, %s) is not in the inbox", a.GUID, a.Event, a.Action, a.Status)
		case state != database.Matched && state != database.Ignored:
			v.say("delivery %s (%s %s) is %s", a.GUID, a.Event, a.Action, state)
		}
	}
}

// nothingTwice: nothing ran twice, and nothing ran that no run is behind.
func (v *verdict) nothingTwice() {
	for id, tasks := range v.tasks {
		if len(tasks) > 1 {
			v.say("run %q has %d tasks", id, len(tasks))
		}
		if _, there := v.runs[id]; !there {
			v.say("a task was started for %q, which is no run", id)
		}
	}
	for id, workflows := range v.workflows {
		if len(workflows) > 1 {
			v.say("run %q has %d runs of workflows", id, len(workflows))
		}
		if _, there := v.runs[id]; !there {
			v.say("a workflow was started for %q, which is no run", id)
		}
	}
}

// allEnded: no run is stuck, and each ended as what it started did. One whose
// start nobody can tell of waits for a person: then GitHub has nothing of it.
func (v *verdict) allEnded() {
	for id, run := range v.runs {
		truth := webhook.State("")
		switch {
		case len(v.tasks[id]) > 0:
			truth = endOfTask(v.tasks[id][0])
		case len(v.workflows[id]) > 0:
			truth = endOfWorkflow(v.workflows[id][0])
		case run.State == webhook.Ambiguous && run.Rule == "deploy", run.State == webhook.Cancelled && run.Rule == "test":
			continue
		default:
			truth = "never started"
		}
		if run.State != truth {
			v.say("run %s (%s of %.7s, %s) is %s, and in truth it %s", id, run.Rule, run.Commit, run.Reason, run.State, truth)
		}
	}
}

func endOfTask(t types.Task) webhook.State {
	switch {
	case aws.ToString(t.LastStatus) != "STOPPED":
		return webhook.Running
	case t.StopCode == types.TaskStopCodeUserInitiated:
		return webhook.Cancelled
	case t.StopCode == types.TaskStopCodeEssentialContainerExited && aws.ToInt32(t.Containers[0].ExitCode) == 0:
		return webhook.Succeeded
	}
	return webhook.Failed
}

func endOfWorkflow(r *fakehub.Run) webhook.State {
	state, conclusion, _ := r.Status()
	if state != "completed" {
		return webhook.Running
	}
	return map[string]webhook.State{"success": webhook.Succeeded, "failure": webhook.Failed, "cancelled": webhook.Cancelled, "timed_out": webhook.TimedOut}[conclusion]
}

// effects: each rule has had its one effect on each event, which here is a
// commit. That is counted by what the effects say of themselves, and not by
// the service's own names.
func (v *verdict) effects() {
	counts := map[string]int{}
	for _, tasks := range v.tasks {
		for _, t := range tasks {
			env := map[string]string{}
			for _, o := range t.Overrides.ContainerOverrides {
				for _, variable := range o.Environment {
					env[aws.ToString(variable.Name)] = aws.ToString(variable.Value)
				}
			}
			counts[fmt.Sprintf("%s %s %s", env["GITHUB_REPOSITORY"], env["GITHUB_SHA"], ruleOf(t))]++
		}
	}
	for _, repo := range v.w.repos {
		for _, run := range repo.Runs() {
			counts[fmt.Sprintf("%s %s %s", repo.FullName, run.Inputs["commit"], "deploy")]++
		}
	}
	excused := map[string]bool{} // nothing is to have come of them
	for _, run := range v.runs {
		if run.State == webhook.Ambiguous || run.State == webhook.Cancelled && run.Rule == "test" {
			excused[fmt.Sprintf("%s %s %s", run.FullName, run.Commit, run.Rule)] = true
		}
	}
	caused := map[string]bool{}
	for _, e := range v.w.caused {
		key := fmt.Sprintf("%s %s %s", e.repo.FullName, e.sha, e.rule)
		caused[key] = true
		if n := counts[key]; n > 1 || n == 0 && !excused[key] {
			v.say("%s has had %d effects", e, n)
		}
	}
	for key := range counts {
		if !caused[key] {
			v.say("%s has happened, and nobody has caused it", key)
		}
	}
}

// ruleOf is the rule that a task's family is named after:
// clipper-<repository>-<rule>-<digits>.
func ruleOf(t types.Task) string {
	family := aws.ToString(t.Group) // family:…
	parts := strings.Split(family, "-")
	if len(parts) < 4 {
		return family
	}
	return strings.Join(parts[2:len(parts)-1], "-")
}

// shown: GitHub shows each run once in each place, as it ended.
func (v *verdict) shown() {
	type place struct{ sha, name string }
	for _, repo := range v.w.repos {
		checks, names := map[string][]fakehub.Check{}, map[place]int{}
		for _, c := range repo.Checks("") {
			checks[c.ExternalID] = append(checks[c.ExternalID], c)
			names[place{c.HeadSHA, c.Name}]++
		}
		for p, n := range names {
			if n > 1 {
				v.say("%s has %d checks named %q on %.7s", repo.FullName, n, p.name, p.sha)
			}
		}
		deployments := map[string][]fakehub.Deployment{}
		for _, d := range repo.Deployments() {
			deployments[d.SHA] = append(deployments[d.SHA], d)
		}
		for id, run := range v.runs {
			if run.FullName != repo.FullName {
				continue
			}
			v.shownAsCheck(id, run, checks[id])
			if run.Rule == "deploy" {
				v.shownAsDeployment(id, run, deployments[run.Commit])
			}
		}
	}
	v.comments()
}

func (v *verdict) shownAsCheck(id string, run webhook.Run, checks []fakehub.Check) {
	if len(checks) != 1 {
		v.say("run %s (%s) has %d checks", id, run.Rule, len(checks))
		return
	}
	status, conclusion := run.State.Check()
	if c := checks[0]; c.Status != status || c.Conclusion != string(conclusion) {
		v.say("run %s (%s) is %s, and its check %s %s", id, run.Rule, run.State, c.Status, c.Conclusion)
	}
}

func (v *verdict) shownAsDeployment(id string, run webhook.Run, deployments []fakehub.Deployment) {
	if len(deployments) != 1 {
		v.say("run %s (%s) has %d deployments", id, run.Rule, len(deployments))
		return
	}
	// GitHub ends the success of a deployment when the next one has succeeded
	// (https://docs.github.com/rest/deployments/statuses: auto_inactive).
	states := deployments[0].Statuses
	if last := len(states) - 1; last > 0 && states[last] == "inactive" {
		states = states[:last]
	}
	if len(states) == 0 || states[len(states)-1] != run.State.Deployment() {
		v.say("run %s (%s) is %s, and its deployment %v", id, run.Rule, run.State, states)
	}
}

// comments: each pull request has one.
func (v *verdict) comments() {
	for _, p := range v.w.pulls {
		comments := slices.DeleteFunc(p.repo.Comments(p.Number), func(c fakehub.Comment) bool { return c.Login != v.w.app.Bot() })
		if len(comments) != 1 {
			v.say("pull request %d of %s has %d comments", p.Number, p.repo.FullName, len(comments))
			continue
		}
		for _, run := range v.runs {
			if run.FullName == p.repo.FullName && run.PullRequest == int(p.Number) && !strings.Contains(comments[0].Body, run.Commit) && v.newest(run) {
				v.say("pull request %d of %s: the comment is not about the newest run: %s", p.Number, p.repo.FullName, comments[0].Body)
			}
		}
	}
}

// newest says whether a run is the newest of its pull request.
func (v *verdict) newest(run webhook.Run) bool {
	for _, other := range v.runs {
		if other.FullName == run.FullName && other.PullRequest == run.PullRequest && other.Created.After(run.Created) {
			return false
		}
	}
	return true
}

// states counts the runs by their states.
func (v *verdict) states() map[webhook.State]int {
	counts := map[webhook.State]int{}
	for _, run := range v.runs {
		counts[run.State]++
	}
	return counts
}

// settle waits until nothing is wrong, and fails if something stays so.
func (w *world) settle(ctx context.Context, within time.Duration) *verdict {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	last := &verdict{}
	err := w.hub.Settle(ctx)
	for said := time.Now(); err == nil; {
		var v *verdict
		if v, err = w.judge(ctx); err != nil {
			break
		}
		if last = v; len(v.wrong) == 0 {
			return v
		}
		if time.Since(said) > 20*time.Second {
			w.t.Logf("%d things are not right yet, such as: %s", len(v.wrong), v.wrong[0])
			said = time.Now()
		}
		if !wait(ctx, 2*time.Second) {
			break
		}
	}
	slices.Sort(last.wrong)
	w.t.Errorf("after %s, %d things are wrong (%v), such as\n%s", within, len(last.wrong), err, strings.Join(last.wrong[:min(len(last.wrong), 30)], "\n"))
	return last
}
