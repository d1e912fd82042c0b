package rules

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"maps"
	"math"
	"reflect"
	"slices"
	"strings"
)

// Schema is the JSON Schema of configurations, for editors. It is made from
// the same types and tags that the decoder goes by, and kept in a file so that
// it can be published; a test holds the two against each other.
//
//go:embed schema.json
var Schema []byte

// PolicySchema is that of policies.
//
//go:embed policy.schema.json
var PolicySchema []byte

// FleetSchema is that of files of runners.
//
//go:embed fleet.schema.json
var FleetSchema []byte

// schema is one of JSON Schema's.
type schema map[string]any

// schemaOf is the schema of a document that is decoded into a type.
func schemaOf(t reflect.Type, title string) ([]byte, error) {
	s := schemaFor(t, limits{})
	s["$schema"] = "http://json-schema.org/draft-07/schema#"
	s["title"] = title
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	err := encoder.Encode(s)
	return b.Bytes(), err
}

func schemaFor(t reflect.Type, l limits) schema {
	if t.Kind() == reflect.Pointer {
		s := schemaFor(t.Elem(), l)
		if t.Elem().Kind() == reflect.Struct && s["type"] == "object" {
			s["type"] = []any{"object", "null"}
		}
		return s
	}
	if text, ok := reflect.New(t).Interface().(texts); ok {
		s := maps.Clone(text.form())
		s["maxLength"] = l.longest
		return s
	}
	switch t.Kind() {
	case reflect.Struct:
		return objectSchema(t, l)
	case reflect.Slice:
		return schema{"type": "array", "items": schemaFor(t.Elem(), l.items()), "minItems": l.least, "maxItems": l.most}
	case reflect.Map:
		return schema{
			"type": "object", "additionalProperties": schemaFor(t.Elem(), l.items()), "maxProperties": l.most,
			"propertyNames": schema{"pattern": formats[l.keys].pattern.String()},
		}
	case reflect.Bool:
		return schema{"type": "boolean"}
	case reflect.String:
		return stringSchema(l)
	}
	s := schema{"type": "integer", "minimum": l.min}
	if l.max < math.MaxInt32 {
		s["maximum"] = l.max
	}
	return s
}

func stringSchema(l limits) schema {
	s := schema{"type": "string", "maxLength": l.longest}
	if l.enum != nil {
		return schema{"type": "string", "enum": slices.Clone(l.enum)}
	}
	if l.format != "" {
		s["pattern"] = formats[l.format].pattern.String()
	}
	return s
}

func objectSchema(t reflect.Type, l limits) schema {
	members, need := schema{}, []string{}
	for _, f := range fieldsOf(t) {
		s := schemaFor(t.Field(f.index).Type, f.limits)
		s["description"] = strings.TrimSpace(f.doc)
		if f.byDefault != "" {
			s["description"] = f.doc + " Default: " + f.byDefault + "."
		}
		members[f.name] = s
		if f.need {
			need = append(need, f.name)
		}
	}
	s := schema{"type": "object", "properties": members, "additionalProperties": false}
	if len(need) > 0 {
		s["required"] = need
	}
	if l.least > 0 {
		s["minProperties"] = l.least
	}
	if l.one {
		s["maxProperties"] = 1
	}
	return s
}
