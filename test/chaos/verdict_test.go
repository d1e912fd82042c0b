package chaos

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"

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

func (w *world) verdict() *verdict {
	return &verdict{w: w, inbox: map[string]database.DeliveryState{}, runs: map[string]webhook.Run{}, tasks: map[string][]types.Task{}, workflows: map[string][]*fakehub.Run{}}
}

// judge says what is wrong now; much is, until the service has caught up.
func (w *world) judge(ctx context.Context) (*verdict, error) {
	v := w.verdict()
	v.sent = w.app.Deliveries()
	if err := v.believed(ctx); err != nil {
		return nil, err
	}
	if err := v.happened(ctx); err != nil {
		return nil, err
	}
	v.nothingLost()
	v.nothingTwice()
	v.allEnded()
	v.fewUnknown()
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
		if v.unknown(run) || run.State == webhook.Cancelled && v.outdated(run) {
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

// states counts the runs by their states.
func (v *verdict) states() map[webhook.State]int {
	counts := map[webhook.State]int{}
	for _, run := range v.runs {
		counts[run.State]++
	}
	return counts
}
