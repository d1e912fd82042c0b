package ecs

import (
	"fmt"
	"slices"
)

// Definition is a task definition in the form that RegisterTaskDefinition
// takes. It keeps every member, known or not, and their order.
//
// Hand it to the SDK only when Misfits() is empty: what the SDK does not know,
// it would drop in silence. Decode JSON() with the SDK's own codec, into a
// types.TaskDefinition: encoding/json cannot read its unions (sharingStrategy).
type Definition struct {
	root *Object
}

// Root is the definition itself. Whoever changes it changes the definition.
func (d *Definition) Root() *Object { return d.root }

// Clone is a copy that shares nothing with d.
func (d *Definition) Clone() *Definition {
	return &Definition{clone(d.root).(*Object)}
}

// Family is the family that a revision is registered in.
func (d *Definition) Family() string { return d.root.Text("family") }

// Requires says whether the definition names the compatibility ("FARGATE",
// "EC2", …) that it is to be checked for.
func (d *Definition) Requires(compatibility string) bool {
	return slices.Contains(d.root.Texts("requiresCompatibilities"), compatibility)
}

// Containers are the container definitions, in their order.
func (d *Definition) Containers() []Container {
	var containers []Container
	for i, object := range d.root.Objects("containerDefinitions") {
		if object == nil {
			continue // a misfit
		}
		c := Container{object, fmt.Sprintf("containerDefinitions[%d]", i)}
		if name := c.Name(); name != "" {
			c.Path = fmt.Sprintf("containerDefinitions[%s]", name)
		}
		containers = append(containers, c)
	}
	return containers
}

// Moved says whether a container of the definition is the runner's.
func (d *Definition) Moved() bool { return slices.ContainsFunc(d.Containers(), Container.Moved) }

// Container is one container definition, a part of its Definition.
type Container struct {
	*Object
	// Path is where it is, by its name: "containerDefinitions[web]". The path
	// of a member is Path + "." + name.
	Path string
}

// Name is the container's name.
func (c Container) Name() string { return c.Text("name") }

// Essential says whether the task ends with this container; that is so unless
// the definition says otherwise.
func (c Container) Essential() bool {
	value, ok := c.Get("essential")
	return !ok || value != false
}

// Moved says whether Render made it a container of the runner image.
func (c Container) Moved() bool {
	runner := c.Object.Object("dockerLabels").Text(LabelRunner)
	return runner != "" && runner == c.Text("image")
}

// Env is the value of a variable in environment.
func (c Container) Env(name string) (string, bool) {
	return named(c.Object, "environment", name, "value")
}

// Secret is the valueFrom of a variable in secrets.
func (c Container) Secret(name string) (string, bool) {
	return named(c.Object, "secrets", name, "valueFrom")
}

// named finds the entry of a list of {"name": …} objects.
func named(o *Object, list, name, member string) (string, bool) {
	for _, entry := range o.Objects(list) {
		if entry.Text("name") == name {
			return entry.Text(member), true
		}
	}
	return "", false
}

// Source is what LabelSource holds, "" if no container has it. ECS returns
// it unchanged, so that a revision which is registered already is found by it.
func (d *Definition) Source() string {
	for _, c := range d.Containers() {
		if source := c.Object.Object("dockerLabels").Text(LabelSource); source != "" {
			return source
		}
	}
	return ""
}
