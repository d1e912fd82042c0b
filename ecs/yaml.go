package ecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.yaml.in/yaml/v3"
)

// parseYAML reads a YAML document. Numbers and truth values are turned into
// strings where ECS wants a string, as in `cpu: 256` or `value: true`: nobody
// means anything else by them.
func parseYAML(text []byte) (any, error) {
	var document yaml.Node
	if err := yaml.Unmarshal(text, &document); err != nil {
		return nil, err
	}
	if len(document.Content) != 1 {
		return nil, errors.New("it is empty")
	}
	p := yamlParser{left: maxValues}
	return p.value(document.Content[0], schema, 0)
}

// yamlParser turns nodes into values. Aliases are followed, so that a short
// text can stand for many values: left is how many more there may be.
type yamlParser struct{ left int }

func (p *yamlParser) value(node *yaml.Node, s *shape, depth int) (any, error) {
	if p.left--; p.left < 0 || depth > maxDepth {
		return nil, fmt.Errorf("YAML, line %d: more than %d values or %d levels", node.Line, maxValues, maxDepth)
	}
	switch node.Kind {
	case yaml.AliasNode:
		return p.value(node.Alias, s, depth+1)
	case yaml.MappingNode:
		return p.object(node, s, depth)
	case yaml.SequenceNode:
		list := []any{}
		for _, item := range node.Content {
			value, err := p.value(item, s.item(), depth+1)
			if err != nil {
				return nil, err
			}
			list = append(list, value)
		}
		return list, nil
	}
	return scalar(node, s)
}

func (p *yamlParser) object(node *yaml.Node, s *shape, depth int) (*Object, error) {
	o := NewObject()
	seen := map[string]bool{} // not what is merged: that may be replaced
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, item := node.Content[i], node.Content[i+1]
		if key.Tag == "!!merge" {
			if err := p.merge(o, item, s, depth); err != nil {
				return nil, err
			}
			continue
		}
		if key.Kind != yaml.ScalarNode {
			return nil, fmt.Errorf("YAML, line %d: a name of a member must be a string", key.Line)
		}
		if seen[key.Value] {
			return nil, fmt.Errorf("YAML, line %d: the member %q comes twice", key.Line, key.Value)
		}
		seen[key.Value] = true
		value, err := p.value(item, s.member(key.Value), depth+1)
		if err != nil {
			return nil, err
		}
		o.Set(key.Value, value)
	}
	return o, nil
}

// merge takes over the members of `<<: *anchor` that o does not have; those
// that follow replace them.
func (p *yamlParser) merge(o *Object, node *yaml.Node, s *shape, depth int) error {
	value, err := p.value(node, s, depth+1)
	if err != nil {
		return err
	}
	sources, isList := value.([]any)
	if !isList {
		sources = []any{value}
	}
	for _, source := range sources {
		from, ok := source.(*Object)
		if !ok {
			return fmt.Errorf("YAML, line %d: << takes objects only", node.Line)
		}
		for _, m := range from.Members() {
			if o.index(m.Name) < 0 {
				o.Set(m.Name, m.Value)
			}
		}
	}
	return nil
}

func scalar(node *yaml.Node, s *shape) (any, error) {
	switch tag := node.ShortTag(); {
	case tag == "!!null":
		return nil, nil
	case s.is(text) || tag == "!!str" || tag == "!!timestamp":
		return node.Value, nil
	case tag == "!!bool":
		var truth bool
		err := node.Decode(&truth)
		return truth, err
	case tag == "!!int":
		var n int64
		if err := node.Decode(&n); err != nil {
			return nil, err
		}
		return number(n), nil
	case tag == "!!float":
		if json.Valid([]byte(node.Value)) {
			return json.Number(node.Value), nil
		}
	}
	return nil, fmt.Errorf("YAML, line %d: %q is no value of JSON", node.Line, node.Value)
}

// YAML is the definition as YAML.
func (d *Definition) YAML() ([]byte, error) {
	var b bytes.Buffer
	encoder := yaml.NewEncoder(&b)
	encoder.SetIndent(2)
	if err := encoder.Encode(yamlNode(d.root)); err != nil {
		return nil, err
	}
	return b.Bytes(), encoder.Close()
}

func yamlNode(value any) *yaml.Node {
	switch value := value.(type) {
	case *Object:
		node := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		for _, m := range value.Members() {
			node.Content = append(node.Content, yamlNode(m.Name), yamlNode(m.Value))
		}
		return node
	case []any:
		node := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"}
		for _, item := range value {
			node.Content = append(node.Content, yamlNode(item))
		}
		return node
	case json.Number:
		tag := "!!int"
		if _, err := value.Int64(); err != nil {
			tag = "!!float"
		}
		return &yaml.Node{Kind: yaml.ScalarNode, Tag: tag, Value: value.String()}
	}
	var node yaml.Node
	node.SetString("")
	if err := node.Encode(value); err != nil {
		panic(err) // a nil, bool or string
	}
	return &node
}
