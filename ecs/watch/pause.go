package watch

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// Pause is a lifecycle hook at which a deployment waits until somebody
// continues it or rolls it back
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/pause-lifecycle-hooks.html).
type Pause struct {
	Hook  string                                `json:"hook"`
	Stage types.ServiceDeploymentLifecycleStage `json:"stage"`
	// Until is when ECS does Then by itself.
	Until time.Time                           `json:"until"`
	Then  types.DeploymentLifecycleHookAction `json:"then"`
}

// Pauses are those in which a deployment is.
func Pauses(d types.ServiceDeployment) []Pause {
	var found []Pause
	for _, h := range d.LifecycleHookDetails {
		if h.Status == types.DeploymentLifecycleHookStatusAwaitingAction {
			found = append(found, pauseOf(d, h))
		}
	}
	return found
}

func pauseOf(d types.ServiceDeployment, h types.DeploymentLifecycleHookDetail) Pause {
	return Pause{Hook: aws.ToString(h.HookId), Stage: d.LifecycleStage, Until: aws.ToTime(h.ExpiresAt), Then: h.TimeoutAction}
}

// String says what ECS waits for.
func (p Pause) String() string {
	text := fmt.Sprintf("paused at %s, to be continued or rolled back", p.Stage)
	if !p.Until.IsZero() {
		text += fmt.Sprintf("; from %s on ECS does %s by itself", p.Until.UTC().Format(time.RFC3339), p.Then)
	}
	return text
}

// hookNews tells what is new of a deployment's lifecycle hooks.
func (r *rolling) hookNews(tell func(Event)) {
	for _, h := range r.last.LifecycleHookDetails {
		id := aws.ToString(h.HookId)
		if r.hooks[id] == h.Status {
			continue
		}
		r.hooks[id] = h.Status
		text := fmt.Sprintf("lifecycle hook %s: %s", cmp.Or(aws.ToString(h.TargetArn), id), h.Status)
		if h.Status == types.DeploymentLifecycleHookStatusAwaitingAction {
			text = pauseOf(r.last, h).String()
		}
		tell(Event{At: latest(r.last), Name: r.Service, Kind: Deployment, Text: text})
	}
}

// pausesAnew says whether the deployment is in a pause that Wait has not
// returned for.
func (r *rolling) pausesAnew() bool {
	return slices.ContainsFunc(Pauses(r.last), func(p Pause) bool { return !r.returned[p.Hook] })
}
