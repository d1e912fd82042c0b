package watch

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Watch watches deployments, and remembers what it has told of them. It is for
// one goroutine.
type Watch struct {
	client  Client
	tell    func(Event)
	watched []*rolling
	heard   int // tasks whose logs were read in this round
}

// New is a Watch of these deployments; tell is told what happens.
func New(client Client, rollouts []Rollout, tell func(Event)) *Watch {
	w := &Watch{client: client, tell: tell}
	for _, r := range rollouts {
		w.watched = append(w.watched, newRolling(r))
	}
	return w
}

// Wait waits until all deployments have come to their end, or where that is
// wanted, to a pause or a standstill that it has not returned for yet. The error is a call's, the
// context's cause or ErrMissing; the outcomes then say how far the deployments
// were. A deployment that failed is no error here: see Outcome.Err.
func (w *Watch) Wait(ctx context.Context, pace Pace) ([]Outcome, error) {
	for n := 0; ; n++ {
		if err := w.round(ctx); err != nil {
			return w.outcomes(), err
		}
		if len(w.those((*rolling).waits)) == 0 {
			for _, r := range w.watched {
				r.returns()
			}
			return w.outcomes(), nil
		}
		if err := pace.Wait(ctx, n); err != nil {
			return w.outcomes(), err
		}
	}
}

// rolling is a Rollout with what was seen of it.
type rolling struct {
	Rollout
	last     types.ServiceDeployment
	seen     map[string]bool // ids of events
	news     bool            // since tasks were listed
	over     bool
	missing  int
	hooks    map[string]types.DeploymentLifecycleHookStatus
	returned map[string]bool // hooks of pauses that Wait returned for
	gaveUp   bool            // Wait returned for a standstill
	tasks    map[string]*seenTask
	order    []string
	heard    int // tasks whose logs were read
}

func newRolling(r Rollout) *rolling {
	rolling := &rolling{
		Rollout: r, seen: map[string]bool{}, news: true, hooks: map[string]types.DeploymentLifecycleHookStatus{}, returned: map[string]bool{},
		tasks: map[string]*seenTask{},
	}
	for _, id := range r.Known {
		rolling.seen[id] = true
	}
	return rolling
}

// busy says whether there is something to ask: until the deployment is over
// and its tasks are known.
func (r *rolling) busy() bool { return !r.over || r.news }

// waits says whether Wait waits for it.
func (r *rolling) waits() bool {
	return r.busy() && !(r.UntilPause && r.pausesAnew()) && !(r.standsStill() && !r.gaveUp)
}

func (r *rolling) standsStill() bool { return r.UntilStuck > 0 && r.stuck() >= r.UntilStuck }

// stuck counts the tasks that started no program, if ECS does not.
func (r *rolling) stuck() int {
	b := r.last.DeploymentCircuitBreaker
	if b != nil && b.FailureCount > 0 || r.last.Status != types.ServiceDeploymentStatusInProgress && r.last.Status != types.ServiceDeploymentStatusPending {
		return 0
	}
	n := 0
	for _, t := range r.tasks {
		if t.ours && slices.ContainsFunc(r.Parts, func(p Part) bool { return p.failed(t.last, t.Seen) }) {
			n++
		}
	}
	return n
}

// returns notes what Wait returns for.
func (r *rolling) returns() {
	r.gaveUp = r.gaveUp || r.standsStill()
	for _, p := range Pauses(r.last) {
		r.returned[p.Hook] = true
	}
}

func (r *rolling) open() bool { return !r.over }

func (w *Watch) those(hold func(*rolling) bool) []*rolling {
	var found []*rolling
	for _, r := range w.watched {
		if hold(r) {
			found = append(found, r)
		}
	}
	return found
}

// round asks once about all that is not over. Deployments come first: what led
// to an end is then in the answers that follow.
func (w *Watch) round(ctx context.Context) error {
	w.heard = 0
	busy, open := w.those((*rolling).busy), w.those((*rolling).open)
	if err := w.deployments(ctx, open); err != nil {
		return err
	}
	if err := w.services(ctx, open); err != nil {
		return err
	}
	if err := w.list(ctx, busy); err != nil {
		return err
	}
	if err := w.tasks(ctx, busy); err != nil {
		return err
	}
	return w.listen(ctx, busy)
}

func (w *Watch) deployments(ctx context.Context, busy []*rolling) error {
	var arns []string
	for _, r := range busy {
		arns = append(arns, r.Deployment)
	}
	found, err := DescribeDeployments(ctx, w.client, arns)
	if err != nil {
		return err
	}
	byARN := map[string]types.ServiceDeployment{}
	for _, d := range found {
		byARN[aws.ToString(d.ServiceDeploymentArn)] = d
	}
	for _, r := range busy {
		d, ok := byARN[r.Deployment]
		if !ok {
			if r.missing++; r.missing > patience {
				return fmt.Errorf("service deployment %s: %w", r.Deployment, ErrMissing)
			}
			continue
		}
		r.missing = 0
		if text := change(r.last, d); text != "" {
			w.tell(Event{At: latest(d), Name: r.Service, Kind: Deployment, Text: text})
		}
		r.last, r.over = d, Over(d.Status)
		r.hookNews(w.tell)
	}
	return nil
}

// change says what is new of a deployment, "" if nothing is.
func change(old, d types.ServiceDeployment) string {
	text := string(d.Status)
	if d.LifecycleStage != "" {
		text += ", " + string(d.LifecycleStage)
	}
	if r := aws.ToString(d.StatusReason); r != "" {
		text += ": " + r
	}
	if d.Rollback != nil && aws.ToString(d.Rollback.Reason) != aws.ToString(d.StatusReason) {
		text += "; rolled back because " + aws.ToString(d.Rollback.Reason)
	}
	b, before := d.DeploymentCircuitBreaker, old.DeploymentCircuitBreaker
	failures := b != nil && b.FailureCount > 0 && (before == nil || before.FailureCount != b.FailureCount)
	if failures {
		text += fmt.Sprintf("; the circuit breaker counts %d of %d failures", b.FailureCount, b.Threshold)
	}
	if old.Status == d.Status && old.LifecycleStage == d.LifecycleStage && aws.ToString(old.StatusReason) == aws.ToString(d.StatusReason) && !failures {
		return ""
	}
	return text
}

func latest(d types.ServiceDeployment) time.Time {
	if d.UpdatedAt != nil {
		return *d.UpdatedAt
	}
	return time.Now()
}

func (w *Watch) outcomes() []Outcome {
	var outcomes []Outcome
	for _, r := range w.watched {
		outcomes = append(outcomes, r.outcome())
	}
	return outcomes
}

func (r *rolling) outcome() Outcome {
	o := Outcome{
		Cluster: r.Cluster, Service: r.Service, Deployment: r.Deployment, Definition: r.Definition, Status: r.last.Status,
		Reason: aws.ToString(r.last.StatusReason), Stuck: r.stuck(), Pauses: Pauses(r.last), Tasks: []Timing{}, Events: slices.Collect(maps.Keys(r.seen)),
	}
	var first time.Time
	for _, arn := range r.order {
		t := r.tasks[arn]
		if !t.ours {
			continue
		}
		timing := Time(t.last, r.Parts, t.Seen)
		o.Tasks = append(o.Tasks, timing)
		if at := aws.ToTime(t.last.StoppedAt); failedTask(t.last) && (o.Failure == "" || at.Before(first)) {
			first, o.Failure = at, "task "+timing.Task+" "+timing.Ending
		}
	}
	return o
}
