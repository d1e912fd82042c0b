package rules

import (
	"fmt"

	"github.com/clipperregistry/runner/webhook"
)

// OpenPolicy is one that lets a configuration have all it asks for, in places
// that are nowhere: to explain a configuration without its operator.
func OpenPolicy(c *Config) *Policy {
	everything, err := ParsePattern("**")
	if err != nil {
		panic(err) // it is GitHub's own
	}
	all, services := Patterns{everything}, 9
	p := &Policy{
		Version: 1, Repositories: all, Workflows: true, Forks: Unprivileged, Runners: all, Images: []ImageRule{{Match: all[0]}},
		Clusters: map[string]Place{defaultPlace: {Cluster: defaultPlace}, forksPlace: {Cluster: forksPlace}},
		Roles:    map[string]Grant{}, Secrets: map[string]Secret{},
		Max: Max{CPU: 16384, Memory: 122880, Disk: 200, Timeout: Duration(longest), Services: &services, Runners: 1000},
	}
	for _, r := range c.Rules {
		if t := r.Run.ECS; t != nil {
			p.Clusters[t.Cluster] = Place{Cluster: t.Cluster}
			p.Roles[t.Role] = Grant{ARN: t.Role, Repositories: all}
			for _, name := range t.Secrets {
				p.Secrets[name] = Secret{ARN: name, Repositories: all}
			}
		}
	}
	for _, r := range c.Runners {
		p.Clusters[r.ECS.Cluster] = Place{Cluster: r.ECS.Cluster}
		p.Roles[r.ECS.Role] = Grant{ARN: r.ECS.Role, Repositories: all}
	}
	p.setDefaults()
	return p
}

// RunnerTask resolves a kind of runners under the policy: the task of each, and
// how many there may be at one time.
func (p *Policy) RunnerTask(r *Runner, fullName string) (*Task, int, error) {
	if !p.Serves(fullName) || !p.HasRunners(fullName) {
		return nil, 0, refuse("the operator's policy has no runners for %s", fullName)
	}
	s := &scope{event: &webhook.Event{Repository: webhook.Repository{FullName: fullName}}, run: &webhook.Run{}}
	t, err := p.task(&ECS{
		Image: Template{text: r.ECS.Image, parts: []part{{literal: r.ECS.Image}}}, CPU: r.ECS.CPU, Memory: r.ECS.Memory, Disk: 20,
		Arch: r.ECS.Arch, Spot: r.ECS.Spot, Cluster: r.ECS.Cluster, Role: r.ECS.Role,
	}, s, false)
	if err != nil {
		return nil, 0, fmt.Errorf("runners %s: %w", list(r.Labels), err)
	}
	return t, min(r.ECS.Max, p.Max.Runners), nil
}
