package spec

import (
	"math"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// Fill is what members get that an answer must have and nobody set: null where
// that is allowed, else the least that is: the first of an enumeration, "", 0,
// false, []. URL and Time are for members that must be one.
type Fill struct {
	URL, Time string
}

// Complete returns the answer with all that the description requires. The
// value is of decoded JSON's types and may be changed.
func (op *Operation) Complete(status int, value any, fill Fill) any {
	schema, _ := op.response(status)
	if schema == nil {
		return value
	}
	return fill.complete(value, schema)
}

func (f Fill) complete(value any, schema *openapi3.Schema) any {
	switch v := value.(type) {
	case map[string]any:
		parts := chosen(v, schema)
		for _, part := range parts {
			for _, name := range part.Required {
				if _, ok := v[name]; ok {
					continue
				}
				if narrow := narrowest(name, parts); narrow != nil {
					v[name] = f.least(narrow)
				}
			}
			for name, member := range v {
				if p := part.Properties[name]; p != nil {
					v[name] = f.complete(member, p.Value)
				} else if others := part.AdditionalProperties.Schema; others != nil {
					v[name] = f.complete(member, others.Value)
				}
			}
		}
	case []any:
		for _, part := range parts(schema) {
			if part.Items == nil {
				continue
			}
			for i := range v {
				v[i] = f.complete(v[i], part.Items.Value)
			}
			break
		}
	}
	return value
}

// chosen lists the parts of a schema that an object follows: of alternatives
// the one that names most of its members.
func chosen(v map[string]any, schema *openapi3.Schema) []*openapi3.Schema {
	all := []*openapi3.Schema{schema}
	for _, ref := range schema.AllOf {
		all = append(all, chosen(v, ref.Value)...)
	}
	for _, refs := range []openapi3.SchemaRefs{schema.AnyOf, schema.OneOf} {
		var best []*openapi3.Schema
		most := -1
		for _, ref := range refs {
			candidate := chosen(v, ref.Value)
			if n := known(v, candidate); n > most {
				best, most = candidate, n
			}
		}
		all = append(all, best...)
	}
	return all
}

// narrowest is, of what all parts say of a member, that which allows the least:
// no null, few values. nil: none says anything.
func narrowest(name string, parts []*openapi3.Schema) *openapi3.Schema {
	var found *openapi3.Schema
	width := func(s *openapi3.Schema) int {
		n := math.MaxInt32
		if len(s.Enum) > 0 {
			n = len(s.Enum)
		}
		if s.Nullable {
			n += math.MaxInt32
		}
		return n
	}
	for _, part := range parts {
		if p := part.Properties[name]; p != nil && (found == nil || width(p.Value) < width(found)) {
			found = p.Value
		}
	}
	return found
}

func known(v map[string]any, schemas []*openapi3.Schema) int {
	n := 0
	for name := range v {
		for _, schema := range schemas {
			if schema.Properties[name] != nil {
				n++
				break
			}
		}
	}
	return n
}

// least is the least value that a schema allows.
func (f Fill) least(schema *openapi3.Schema) any {
	switch {
	case schema.Nullable:
		return nil
	case len(schema.Enum) > 0:
		return schema.Enum[0]
	case schema.Type.Is("string"):
		return f.text(schema)
	case schema.Type.Is("integer"), schema.Type.Is("number"):
		if schema.Min != nil {
			return *schema.Min
		}
		return 0.0
	case schema.Type.Is("boolean"):
		return false
	case schema.Type.Is("array"):
		return []any{}
	case schema.Type.Is("object"), len(schema.AllOf) > 0, len(schema.Properties) > 0:
		return f.complete(map[string]any{}, schema)
	}
	for _, refs := range []openapi3.SchemaRefs{schema.AnyOf, schema.OneOf} {
		for _, ref := range refs {
			if ref.Value.Nullable {
				return nil
			}
		}
		if len(refs) > 0 {
			return f.least(refs[0].Value)
		}
	}
	return map[string]any{}
}

func (f Fill) text(schema *openapi3.Schema) string {
	switch schema.Format {
	case "date-time":
		return f.Time
	case "date":
		return f.Time[:len("2006-01-02")]
	case "uri":
		return f.URL
	case "email":
		return "octocat@github.example"
	}
	return strings.Repeat("0", int(schema.MinLength)) //nolint:gosec // a handful
}

// CompleteEvent returns what GitHub sends with all that the description
// requires. The value is of decoded JSON's types and may be changed.
func (op *Operation) CompleteEvent(value any, fill Fill) any {
	return fill.complete(value, op.request())
}

// Least is the least answer that the description allows; nil: it has no body.
func (op *Operation) Least(fill Fill) any {
	schema, _ := op.response(op.Success)
	if schema == nil {
		return nil
	}
	return fill.least(schema)
}
