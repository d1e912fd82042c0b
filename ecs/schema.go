package ecs

import (
	"encoding/json"
	"fmt"
	"strings"
)

// kind is what the value of a member must be.
type kind int

const (
	text       kind = iota
	integer         // a number without a fraction
	truth           // true or false
	object          // an object with the members that the table lists
	dictionary      // an object with any names; the values are texts
	texts           // a list of texts
	integers        // a list of integers
	objects         // a list of objects with the members that the table lists
)

// row is one member of a task definition in the table of schema_table.go.
type row struct {
	// path from the definition; [] stands for the entries of a list.
	path string
	kind kind
	// verb is the most that may become of the member, rule the one that does
	// it; no rule for what is kept.
	verb Verb
	rule string
	// key names the members that tell the entries of a list from one another;
	// the order of such a list means nothing. "*" are the entries themselves.
	key string
	// standard is what ECS fills in where the member is missing.
	standard any
}

// shape is the table as a tree: what is known of a value and of those beneath
// it. Nil stands for what the table does not know.
type shape struct {
	row
	names   []string
	members map[string]*shape
}

// schema is the shape of a definition.
var schema = newSchema(table)

func newSchema(table []row) *shape {
	root := &shape{row: row{kind: object}, members: map[string]*shape{}}
	for _, r := range table {
		at := root
		steps := strings.Split(r.path, ".")
		for _, step := range steps[:len(steps)-1] {
			at = at.members[strings.TrimSuffix(step, "[]")]
		}
		name := steps[len(steps)-1]
		at.members[name] = &shape{row: r, members: map[string]*shape{}}
		at.names = append(at.names, name)
	}
	return root
}

func (s *shape) is(k kind) bool { return s != nil && s.kind == k }

// member is the shape of a member, of a dictionary's too.
func (s *shape) member(name string) *shape {
	switch {
	case s == nil:
		return nil
	case s.kind == dictionary:
		return &shape{row: row{kind: text}}
	}
	return s.members[name]
}

// item is the shape of a list's entries.
func (s *shape) item() *shape {
	switch {
	case s.is(texts):
		return &shape{row: row{kind: text}}
	case s.is(integers):
		return &shape{row: row{kind: integer}}
	case s.is(objects):
		return &shape{row: row{path: s.path + "[]", kind: object}, names: s.names, members: s.members}
	}
	return nil
}

// Misfit is a member that the SDK would drop or refuse: ECS has none of this
// name, or of another type.
type Misfit struct {
	Path string
	// Unknown: no member has this name. Render keeps it as it stands.
	Unknown bool
	Text    string
}

// Misfits lists what the definition has that does not fit ECS's schema, in
// its order.
func (d *Definition) Misfits() []Misfit {
	var found []Misfit
	schema.check(d.root, "", func(m Misfit) { found = append(found, m) })
	return found
}

func (s *shape) check(value any, path string, report func(Misfit)) {
	if value == nil {
		return
	}
	switch value := value.(type) {
	case *Object:
		if s.kind == object || s.kind == dictionary {
			s.checkMembers(value, path, report)
			return
		}
	case []any:
		if item := s.item(); item != nil {
			for i, entry := range value {
				item.check(entry, entryPath(path, entry, i), report)
			}
			return
		}
	case string:
		if s.kind == text {
			return
		}
	case bool:
		if s.kind == truth {
			return
		}
	case json.Number:
		if _, err := value.Int64(); err == nil && s.kind == integer {
			return
		}
	}
	report(Misfit{Path: path, Text: "must be " + s.kind.String()})
}

func (s *shape) checkMembers(o *Object, path string, report func(Misfit)) {
	for _, m := range o.Members() {
		at := join(path, m.Name)
		if member := s.member(m.Name); member != nil {
			member.check(m.Value, at, report)
			continue
		}
		report(Misfit{Path: at, Unknown: true, Text: "ECS has no such member" + s.near(m.Name)})
	}
}

// near proposes the member that is written like name.
func (s *shape) near(name string) string {
	for _, known := range s.names {
		if strings.EqualFold(known, name) || strings.EqualFold(known, name+"s") || strings.EqualFold(known+"s", name) {
			return fmt.Sprintf(" (is %q meant?)", known)
		}
	}
	return ""
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// entryPath names an entry of a list by its name, or else its index.
func entryPath(path string, entry any, index int) string {
	if o, ok := entry.(*Object); ok {
		if name := o.Text("name"); name != "" {
			return fmt.Sprintf("%s[%s]", path, name)
		}
	}
	return fmt.Sprintf("%s[%d]", path, index)
}

func (k kind) String() string {
	return [...]string{
		text: "a string", integer: "an integer", truth: "true or false", object: "an object",
		dictionary: "an object of strings", texts: "a list of strings", integers: "a list of integers", objects: "a list of objects",
	}[k]
}
