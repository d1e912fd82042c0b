package chaos

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/fakehub"
)

// blown says what the storm has lacked, of so many deliveries: what did not
// happen was not survived.
func (w *world) blown(deliveries int) (lacking []string) {
	lacks := func(what string, n, least int) {
		if n < least {
			lacking = append(lacking, fmt.Sprintf("%d %s, want %d or more", n, what, least))
		}
	}
	lacks("kills", w.kills, max(1, deliveries/2000))
	if len(w.servers) > 1 && !w.alone {
		lacking = append(lacking, "no replica was left alone")
	}
	var again, anew int
	bodies := map[string]string{} // and the GUID that each came with
	for _, a := range w.app.Deliveries() {
		if a.Redelivery {
			again++
		} else if guid, known := bodies[string(a.Payload)]; known && guid != a.GUID {
			anew++
		}
		bodies[string(a.Payload)] = a.GUID
	}
	lacks("deliveries sent again", again, deliveries/200)
	lacks("deliveries sent with another GUID", anew, deliveries/200)
	lacks("pull requests whose newer commit came first", w.overtaken(), deliveries/1000)
	struck := w.struck()
	all := len(githubFaults) + len(deliveryFaults) + len(ecsFaults)
	if most := min(all*3/4, deliveries/250); len(struck) < most {
		lacking = append(lacking, fmt.Sprintf("%d kinds of faults have struck, want %d or more: %v", len(struck), most, struck))
	}
	return lacking
}

// struck counts the calls that each kind of fault has hit.
func (w *world) struck() map[string]int {
	counts := map[string]int{}
	for _, hit := range w.hub.Hits() {
		faults, of := githubFaults, "GitHub: "
		if hit.Operation == "webhook/deliver" {
			faults, of = deliveryFaults, "delivery: "
		}
		i := slices.IndexFunc(faults, func(f fault[fakehub.Fault]) bool { return kind(f.F) == kind(hit.Fault) })
		if i >= 0 { // an outage takes deliveries, too
			counts[of+faults[i].name]++
		}
	}
	for _, hit := range w.ecs.Hits() {
		hit.Operation, hit.Times = "", 0
		i := slices.IndexFunc(ecsFaults, func(f fault[ecsfake.Fault]) bool { return f.F == hit })
		counts["ECS: "+ecsFaults[i].name]++
	}
	return counts
}

// kind is a fault without its times.
func kind(f fakehub.Fault) string {
	f.Header = nil
	return fmt.Sprintf("%+v", f)
}

// overtaken counts the pull requests of whose commits a newer one came to the
// service before an older one.
func (w *world) overtaken() int {
	type change struct {
		repo string
		n    int64
	}
	came := map[change][]string{} // commits, in the order in which they came first
	for _, a := range w.app.Deliveries() {
		var body struct {
			Number      int64
			PullRequest struct{ Head struct{ SHA string } } `json:"pull_request"`
			Repository  struct {
				FullName string `json:"full_name"`
			}
		}
		if a.Event != "pull_request" || a.Status != "OK" || json.Unmarshal(a.Payload, &body) != nil {
			continue
		}
		c := change{body.Repository.FullName, body.Number}
		if sha := body.PullRequest.Head.SHA; !slices.Contains(came[c], sha) {
			came[c] = append(came[c], sha)
		}
	}
	n := 0
	for _, p := range w.pulls {
		c := came[change{p.repo.FullName, p.Number}]
		if !slices.IsSortedFunc(c, func(a, b string) int { return slices.Index(p.commits, a) - slices.Index(p.commits, b) }) {
			n++
		}
	}
	return n
}

// unheard is how many starts of workflows can be such that nobody can tell of
// them: GitHub has not done what it was asked and has not said so either, or
// the service was killed over it.
func (w *world) unheard() int {
	n := w.kills
	for _, hit := range w.hub.Hits() {
		f := hit.Fault
		if hit.Operation == "actions/create-workflow-dispatch" && !f.Committed && (f.Reset || f.Hang || f.Status >= 500) {
			n++
		}
	}
	return n
}
