package rules

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Bounds of a document. An alias stands for all that it names, so that values
// are counted where they are used.
const (
	maxText   = 64 << 10
	maxValues = 20000
	maxDepth  = 20
)

// texts is implemented by types that are written as one string.
type texts interface {
	// parse reads the string. Its error says what is wrong with it.
	parse(text string) error
	// form is the schema of such strings.
	form() schema
}

// place is where a value stands.
type place struct{ line, column int }

// decoder fills Go values from YAML by the tags of their fields (see tags.go),
// and remembers where everything stands, for checks that follow.
type decoder struct {
	places   map[string]place
	problems Problems
	left     int
	full     bool // left was used up
}

// decode reads a document of one value into what into points to.
func decode(text []byte, into any) *decoder {
	d := &decoder{places: map[string]place{"": {1, 1}}, left: maxValues}
	if len(text) > maxText {
		d.tell("", fmt.Sprintf("it is larger than %d KB", maxText>>10), "split it, or leave comments out")
		return d
	}
	var document, more yaml.Node
	stream := yaml.NewDecoder(bytes.NewReader(text))
	if err := stream.Decode(&document); errors.Is(err, io.EOF) {
		d.tell("", "it is empty", "begin with `version: 1`")
		return d
	} else if err != nil {
		d.syntax(err)
		return d
	}
	if err := stream.Decode(&more); !errors.Is(err, io.EOF) {
		d.tell("", "it has more than one document", "leave out what follows ---")
		return d
	}
	d.value(document.Content[0], reflect.ValueOf(into).Elem(), "", limits{}, 0)
	return d
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)

// syntax tells what package yaml says, which has the line in its text.
func (d *decoder) syntax(err error) {
	text := strings.ReplaceAll(err.Error(), "\n", " ")
	line := 1
	if found := yamlLine.FindStringSubmatch(text); found != nil && found[1] != "" {
		line, _ = strconv.Atoi(found[1])
	}
	d.problems = append(d.problems, Problem{Line: max(line, 1), Column: 1, Text: "it is no YAML: " + yamlLine.ReplaceAllString(text, "")})
}

// tell reports a problem at a path, or where the nearest value above it is.
func (d *decoder) tell(path, text, remedy string) {
	where, at := d.places[path], path
	for where == (place{}) {
		at = at[:max(strings.LastIndexAny(at, ".["), 0)]
		where = d.places[at]
	}
	d.problems = append(d.problems, Problem{where.line, where.column, path, text, remedy})
}

func (d *decoder) value(node *yaml.Node, into reflect.Value, path string, l limits, depth int) {
	d.places[path] = place{max(node.Line, 1), max(node.Column, 1)}
	if d.left--; d.left < 0 || depth > maxDepth {
		if !d.full {
			d.full = true
			d.tell(path, fmt.Sprintf("it has more than %d values or %d levels, those of its aliases included", maxValues, maxDepth), "write less")
		}
		return
	}
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		_, text := into.Interface().(texts)
		if into.Elem().Kind() == reflect.Struct && !text && node.ShortTag() == "!!null" {
			node = &yaml.Node{Kind: yaml.MappingNode, Line: node.Line, Column: node.Column} // as in `push:` with nothing behind it
		}
		into = into.Elem()
	}
	if t, ok := into.Addr().Interface().(texts); ok {
		_, any := t.form()["type"].([]any)
		if text, ok := d.text(node, path, l, any); ok {
			if err := t.parse(text); err != nil {
				d.tell(path, err.Error(), l.remedy)
			}
		}
		return
	}
	switch into.Kind() {
	case reflect.Struct:
		d.object(node, into, path, l, depth)
	case reflect.Slice:
		d.list(node, into, path, l, depth)
	case reflect.Map:
		d.named(node, into, path, l, depth)
	case reflect.String:
		if text, ok := d.text(node, path, l, false); ok {
			into.SetString(text)
		}
	case reflect.Bool:
		d.truth(node, into, path)
	default:
		d.number(node, into, path, l)
	}
}

// members visits the members of an object, each name once.
func (d *decoder) members(node *yaml.Node, path string, visit func(name *yaml.Node, value *yaml.Node)) int {
	if node.Kind != yaml.MappingNode {
		d.tell(path, "it is no object", "write its members as `name: value`, one a line")
		return -1
	}
	seen := map[string]bool{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		name := node.Content[i]
		switch {
		case name.Kind != yaml.ScalarNode || name.Tag == "!!merge":
			d.at(name, path, "a member's name is a plain string here", "write members out in place of <<")
		case seen[name.Value]:
			d.at(name, join(path, name.Value), "it comes twice", "leave one out")
		default:
			seen[name.Value] = true
			visit(name, node.Content[i+1])
		}
	}
	return len(seen)
}

// at tells a problem about a member's name.
func (d *decoder) at(name *yaml.Node, path, text, remedy string) {
	d.problems = append(d.problems, Problem{name.Line, name.Column, path, text, remedy})
}

func (d *decoder) object(node *yaml.Node, into reflect.Value, path string, l limits, depth int) {
	fields := fieldsOf(into.Type())
	given := map[string]bool{}
	n := d.members(node, path, func(name, value *yaml.Node) {
		given[name.Value] = true
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == name.Value })
		if i < 0 {
			var names []string
			for _, f := range fields {
				names = append(names, f.name)
			}
			remedy := "it has " + list(names)
			if near := nearest(name.Value, names); near != "" {
				remedy = "did you mean " + near + "?"
			}
			d.at(name, join(path, name.Value), "there is no such member", remedy)
			return
		}
		d.value(value, into.Field(fields[i].index), join(path, name.Value), fields[i].limits, depth+1)
	})
	if n < 0 {
		return
	}
	for _, f := range fields {
		if f.need && !given[f.name] {
			d.tell(path, "it has no "+f.name, cmp.Or(f.remedy, "add it: "+f.doc))
		}
	}
	if l.least > n || l.one && n > 1 {
		d.tell(path, fmt.Sprintf("it has %d members", n), l.remedy)
	}
}

func (d *decoder) list(node *yaml.Node, into reflect.Value, path string, l limits, depth int) {
	if node.Kind != yaml.SequenceNode {
		d.tell(path, "it is no list", "write [a, b], or each value on a line that begins with -")
		return
	}
	if len(node.Content) > l.most || len(node.Content) < l.least {
		d.tell(path, fmt.Sprintf("it has %d values", len(node.Content)), fmt.Sprintf("give %d to %d", l.least, l.most))
		return
	}
	into.Set(reflect.MakeSlice(into.Type(), len(node.Content), len(node.Content)))
	for i, item := range node.Content {
		d.value(item, into.Index(i), fmt.Sprintf("%s[%d]", path, i), l.items(), depth+1)
	}
}

func (d *decoder) named(node *yaml.Node, into reflect.Value, path string, l limits, depth int) {
	into.Set(reflect.MakeMap(into.Type()))
	n := d.members(node, path, func(name, value *yaml.Node) {
		if f := formats[l.keys]; !f.pattern.MatchString(name.Value) {
			d.at(name, join(path, name.Value), "it is no "+f.says, "")
			return
		}
		item := reflect.New(into.Type().Elem()).Elem()
		d.value(value, item, join(path, name.Value), l.items(), depth+1)
		into.SetMapIndex(reflect.ValueOf(name.Value), item)
	})
	if n > l.most {
		d.tell(path, fmt.Sprintf("it has %d members", n), fmt.Sprintf("give at most %d", l.most))
	}
}

// text is a string or, where any scalar will do, that as it is spelled: nobody
// means anything else by `POSTGRES_PORT: 5432` or `tags: [1.0]`.
func (d *decoder) text(node *yaml.Node, path string, l limits, any bool) (string, bool) {
	tag := node.ShortTag()
	if node.Kind != yaml.ScalarNode || tag == "!!null" || !any && tag != "!!str" && tag != "!!timestamp" {
		d.tell(path, "it is no string", cmp.Or(l.remedy, `write one, in "…" where it has signs of YAML's`))
		return "", false
	}
	text := node.Value
	if longest := l.longest; len(text) > longest {
		d.tell(path, fmt.Sprintf("it is longer than %d bytes", longest), "")
		return "", false
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\t' || r == 0x7f }) {
		d.tell(path, "it has control characters", "leave them out")
		return "", false
	}
	if len(l.enum) > 0 && !slices.Contains(l.enum, text) {
		d.tell(path, fmt.Sprintf("%q is none of %s", text, list(l.enum)), "")
		return "", false
	}
	if f, ok := formats[l.format]; ok && !f.pattern.MatchString(text) {
		d.tell(path, fmt.Sprintf("%q is no %s", text, f.says), l.remedy)
		return "", false
	}
	return text, true
}

func (d *decoder) truth(node *yaml.Node, into reflect.Value, path string) {
	switch {
	case node.ShortTag() == "!!bool" && strings.EqualFold(node.Value, "true"):
		into.SetBool(true)
	case node.ShortTag() == "!!bool" && strings.EqualFold(node.Value, "false"):
		into.SetBool(false)
	default:
		d.tell(path, "it is neither true nor false", "write one of them, without quotes")
	}
}

func (d *decoder) number(node *yaml.Node, into reflect.Value, path string, l limits) {
	n, err := strconv.ParseInt(node.Value, 10, 64)
	if node.Kind != yaml.ScalarNode || node.ShortTag() != "!!int" || err != nil {
		d.tell(path, "it is no whole number", "write digits alone")
		return
	}
	if n < l.min || n > l.max {
		d.tell(path, fmt.Sprintf("%d is not between %d and %d", n, l.min, l.max), l.remedy)
		return
	}
	into.SetInt(n)
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// list writes names as a sentence has them.
func list(names []string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	return strings.Join(names[:len(names)-1], ", ") + " and " + names[len(names)-1]
}
