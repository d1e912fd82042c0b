package ecs

import (
	"slices"
)

// How long ECS waits for a container that others depend on
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ContainerDefinition.html).
const (
	maxFargateStartTimeout = 120
	defaultStartTimeout    = 180
)

// raiseStartTimeout gives the container the time to be what others wait for.
func (m *move) raiseStartTimeout() {
	budget := m.budget()
	if budget == 0 || !m.awaited() {
		return
	}
	path := m.Path + ".startTimeout"
	timeout := orDefault(m.Object, "startTimeout", defaultStartTimeout)
	most := budget
	if m.def.fargate() {
		timeout, most = min(timeout, maxFargateStartTimeout), maxFargateStartTimeout
		if budget > most && !m.refuse(ruleStartTimeout, path, "others wait for this container, pull and start need about %d s, and Fargate waits for %d s at most: "+
			"let them not depend on it, or make the image smaller", budget, most) {
			return
		}
	}
	if to := min(budget, most); to > timeout {
		m.Set("startTimeout", number(to))
		m.tell(Adapt, ruleStartTimeout, path, "%d, because others wait for this container, and pull and start need about %d s", to, budget)
	}
}

// awaited says whether another container waits for more than this one's start.
func (m *move) awaited() bool {
	for _, c := range m.def.Containers() {
		for _, dependency := range c.Objects("dependsOn") {
			if dependency.Text("containerName") == m.Name() && slices.Contains([]string{"COMPLETE", "SUCCESS", "HEALTHY"}, dependency.Text("condition")) {
				return true
			}
		}
	}
	return false
}

// tellDependsOn: a container of the runner has started when the runner has.
func (r *rendering) tellDependsOn() {
	for _, c := range r.def.Containers() {
		for _, dependency := range c.Objects("dependsOn") {
			if on := dependency.Text("containerName"); dependency.Text("condition") == "START" && r.moves.named(on) != nil {
				r.tell(Warn, ruleDependsOn, c.Path+".dependsOn["+on+"]", "%s has started when its runner has, before its program runs: wait for HEALTHY", on)
			}
		}
	}
}
