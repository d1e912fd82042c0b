package rules

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/ecs"
)

// each visits every value that a pattern of the schema names:
// "containerDefinitions[].dependsOn[].condition". Entries of lists are called
// by their names where they have some.
func each(def *ecs.Definition, pattern string, visit func(path string, value any)) {
	walk(def.Root(), "", strings.Split(pattern, "."), visit)
}

func walk(o *ecs.Object, path string, steps []string, visit func(path string, value any)) {
	name, list := strings.CutSuffix(steps[0], "[]")
	value, ok := o.Get(name)
	if !ok {
		return
	}
	at := join(path, name)
	if !list {
		descend(value, at, steps[1:], visit)
		return
	}
	for i, entry := range o.List(name) {
		descend(entry, entryPath(at, entry, i), steps[1:], visit)
	}
}

func descend(value any, path string, steps []string, visit func(path string, value any)) {
	if len(steps) == 0 {
		visit(path, value)
	} else if inner, ok := value.(*ecs.Object); ok {
		walk(inner, path, steps, visit)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func entryPath(path string, entry any, index int) string {
	if o, ok := entry.(*ecs.Object); ok && o.Text("name") != "" {
		return fmt.Sprintf("%s[%s]", path, o.Text("name"))
	}
	return fmt.Sprintf("%s[%d]", path, index)
}

// eachText visits the strings that a pattern names; what is none is a misfit,
// which another rule tells.
func eachText(def *ecs.Definition, pattern string, visit func(path, text string)) {
	each(def, pattern, func(path string, value any) {
		if text, ok := value.(string); ok {
			visit(path, text)
		}
	})
}

// eachInt does the same for integers.
func eachInt(def *ecs.Definition, pattern string, visit func(path string, n int64)) {
	each(def, pattern, func(path string, value any) {
		number, ok := value.(json.Number)
		if !ok {
			return
		}
		if n, err := strconv.ParseInt(number.String(), 10, 64); err == nil {
			visit(path, n)
		}
	})
}

// eachEntry visits the objects of a container's list.
func eachEntry(c ecs.Container, list string, visit func(path string, entry *ecs.Object)) {
	for i, entry := range c.Objects(list) {
		if entry != nil {
			visit(entryPath(c.Path+"."+list, entry, i), entry)
		}
	}
}

// between is the check that an integer lies in a range.
func between(pattern string, least, most int64) func(*ecs.Definition, tell) {
	return func(def *ecs.Definition, tell tell) {
		eachInt(def, pattern, func(path string, n int64) {
			if n < least || n > most {
				tell(path, "%d is not between %d and %d", n, least, most)
			}
		})
	}
}

// oneOf is the check that a string is one of some.
func oneOf(pattern string, values ...string) func(*ecs.Definition, tell) {
	return func(def *ecs.Definition, tell tell) {
		eachText(def, pattern, func(path, text string) {
			if !slices.Contains(values, text) {
				tell(path, "%q is none of %s", text, strings.Join(values, ", "))
			}
		})
	}
}

// words are the values of an enumeration of the SDK.
func words[T ~string](values []T) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return texts
}

// named says whether a name is one that ECS takes for families, containers and
// volumes.
func named(name string) bool {
	if name == "" || len(name) > 255 {
		return false
	}
	return strings.Trim(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") == ""
}

func fargate(def *ecs.Definition) bool { return def.Requires("FARGATE") }

// network is the network mode that counts.
func network(def *ecs.Definition) string {
	if mode := def.Root().Text("networkMode"); mode != "" {
		return mode
	}
	return "bridge"
}
