package rules

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
)

const dependencyDoc = api + "ContainerDependency.html"

// dependencyRules are about containers that wait for others.
var dependencyRules = []Rule{
	{ID: "dependency-condition", Severity: Error, Stage: Register, Doc: dependencyDoc, check: oneOf("containerDefinitions[].dependsOn[].condition", words(types.ContainerCondition("").Values())...),
		Quote:  "The dependency condition of the container. The following are the available conditions and their behavior:",
		Remedy: "name one of them, in upper case"},
	{ID: "dependency-container", Severity: Error, Stage: Register, Doc: dependencyDoc, check: checkDependencies,
		Quote:  "The name of a container.",
		Remedy: "name another container of the definition"},
	{ID: "dependency-cycle", Severity: Error, Stage: Register, Doc: containerDoc, check: checkCycles,
		Quote:  "When a dependency is defined for container startup, for container shutdown it is reversed.",
		Remedy: "take one dependency out of the circle"},
	{ID: "dependency-essential", Severity: Error, Stage: Register, Doc: dependencyDoc, check: checkEssentialDependencies,
		Quote:  "This condition can't be set on an essential container.",
		Remedy: `set "essential": false on the container that ends`},
	{ID: "dependency-health", Severity: Error, Stage: Register, Doc: dependencyDoc, check: checkHealthDependencies,
		Quote:  "This requires that the dependent container has health checks configured.",
		Remedy: "give that container a healthCheck (`ecs render --health-check` does)"},
	{ID: "link-cycle", Severity: Error, Stage: Register, Doc: containerDoc, check: checkLinks,
		Quote:  "The links parameter allows containers to communicate with each other without the need for port mappings.",
		Remedy: "link to other containers of the definition, and not in a circle"},
}

// eachDependency visits all dependencies.
func eachDependency(def *ecs.Definition, visit func(c ecs.Container, path, on, condition string)) {
	for _, c := range def.Containers() {
		eachEntry(c, "dependsOn", func(path string, dependency *ecs.Object) {
			visit(c, path, dependency.Text("containerName"), dependency.Text("condition"))
		})
	}
}

func checkDependencies(def *ecs.Definition, tell tell) {
	eachDependency(def, func(c ecs.Container, path, on, _ string) {
		switch {
		case !hasContainer(def, on):
			tell(path+".containerName", "there is no container %q", on).Answer = "Cannot depend on container + '" + on + "' because it does not exist"
		case on == c.Name():
			tell(path+".containerName", "a container cannot wait for itself")
		}
	})
}

// checkCycles tells the containers that wait for themselves by way of others.
func checkCycles(def *ecs.Definition, tell tell) {
	after := map[string][]string{}
	eachDependency(def, func(c ecs.Container, _, on, _ string) { after[c.Name()] = append(after[c.Name()], on) })
	for _, c := range def.Containers() {
		if way := circle(after, c.Name()); way != nil {
			tell(c.Path+".dependsOn", "they wait for one another: %s", strings.Join(way, " → "))
			return
		}
	}
}

// circle is a way from a name back to it over other names, nil if there is none.
func circle(after map[string][]string, start string) []string {
	seen := map[string]bool{}
	var search func(way []string) []string
	search = func(way []string) []string {
		for _, next := range after[way[len(way)-1]] {
			if next == start && len(way) > 1 {
				return append(way, next)
			}
			if next == start || seen[next] {
				continue
			}
			seen[next] = true
			if found := search(append(slices.Clone(way), next)); found != nil {
				return found
			}
		}
		return nil
	}
	return search([]string{start})
}

func checkEssentialDependencies(def *ecs.Definition, tell tell) {
	eachDependency(def, func(_ ecs.Container, path, on, condition string) {
		if condition != "COMPLETE" && condition != "SUCCESS" {
			return
		}
		for _, c := range def.Containers() {
			if c.Name() == on && c.Essential() {
				tell(path+".condition", "%s is essential: when it ends, the task does", on).Answer = "A dependency container with SUCCESS or COMPLETE condition cannot be an essential container"
			}
		}
	})
}

func checkHealthDependencies(def *ecs.Definition, tell tell) {
	eachDependency(def, func(_ ecs.Container, path, on, condition string) {
		if condition != "HEALTHY" {
			return
		}
		for _, c := range def.Containers() {
			if c.Name() == on && c.Object.Object("healthCheck") == nil {
				tell(path+".condition", "%s has no health check and never is", on)
			}
		}
	})
}

// checkLinks looks at links, "name:alias".
func checkLinks(def *ecs.Definition, tell tell) {
	after := map[string][]string{}
	for _, c := range def.Containers() {
		for _, link := range c.Texts("links") {
			name, _, _ := strings.Cut(link, ":")
			if !hasContainer(def, name) {
				tell(c.Path+".links", "there is no container %q", name)
			}
			after[c.Name()] = append(after[c.Name()], name)
		}
	}
	for _, c := range def.Containers() {
		if way := circle(after, c.Name()); way != nil {
			tell(c.Path+".links", "they are linked in a circle: %s", strings.Join(way, " → ")).Answer = "Container links should not have a cycle"
			return
		}
	}
}
