package ecs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// The bounds of what is read: text that could be a definition of MaxSize,
// whatever its white space, comments and escapes.
const (
	maxText   = 1 << 20
	maxDepth  = 64
	maxValues = 1 << 17
)

// Parse reads a task definition, JSON or YAML. It may be in the form that is
// registered or in the one that describe-task-definition prints; what ECS adds
// to the latter is left out, and its tags are taken in. The error is an
// ErrDefinition.
func Parse(text []byte) (*Definition, error) {
	root, err := parseRoot(text)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDefinition, err)
	}
	return &Definition{registerForm(root)}, nil
}

func parseRoot(text []byte) (*Object, error) {
	if len(text) > maxText {
		return nil, fmt.Errorf("it is longer than %d bytes", maxText)
	}
	parse := parseYAML
	if text = bytes.TrimSpace(bytes.TrimPrefix(text, []byte("\ufeff"))); bytes.HasPrefix(text, []byte("{")) {
		parse = parseJSON
	}
	value, err := parse(text)
	if err != nil {
		return nil, err
	}
	root, ok := value.(*Object)
	if !ok {
		return nil, errors.New("it is no object with a family and containerDefinitions")
	}
	if described := root.Object("taskDefinition"); described != nil {
		if tags, ok := root.Get("tags"); ok {
			described.Set("tags", tags)
		}
		root = described
	}
	if _, ok := root.Get("containerDefinitions"); !ok {
		return nil, errors.New("it has no containerDefinitions")
	}
	return root, nil
}

// registerForm leaves out what ECS tells of a revision and does not take.
func registerForm(root *Object) *Object {
	for _, name := range described {
		root.Delete(name)
	}
	return root
}

// parseJSON reads one value and makes sure that nothing follows it.
func parseJSON(text []byte) (any, error) {
	p := jsonParser{decoder: json.NewDecoder(bytes.NewReader(text))}
	p.decoder.UseNumber()
	value, err := p.value(0)
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return nil, fmt.Errorf("JSON, line %d: %w", 1+bytes.Count(text[:p.decoder.InputOffset()], []byte("\n")), err)
	}
	if _, err := p.decoder.Token(); err != io.EOF {
		return nil, errors.New("JSON: something follows the definition")
	}
	return value, nil
}

type jsonParser struct {
	decoder *json.Decoder
}

func (p *jsonParser) value(depth int) (any, error) {
	if depth > maxDepth {
		return nil, fmt.Errorf("it is nested deeper than %d levels", maxDepth)
	}
	token, err := p.decoder.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('{'):
		return p.object(depth)
	case json.Delim('['):
		return p.list(depth)
	}
	return token, nil
}

func (p *jsonParser) object(depth int) (*Object, error) {
	o := NewObject()
	seen := map[string]bool{}
	for p.decoder.More() {
		token, err := p.decoder.Token()
		if err != nil {
			return nil, err
		}
		name, ok := token.(string)
		if !ok {
			return nil, fmt.Errorf("%v stands where a name belongs", token)
		}
		if seen[name] {
			return nil, fmt.Errorf("the member %q comes twice", name)
		}
		seen[name] = true
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		o.members = append(o.members, Member{name, value})
	}
	_, err := p.decoder.Token()
	return o, err
}

func (p *jsonParser) list(depth int) ([]any, error) {
	list := []any{}
	for p.decoder.More() {
		value, err := p.value(depth + 1)
		if err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	_, err := p.decoder.Token()
	return list, err
}
