package spec

import (
	"bytes"
	"slices"
	"strconv"
	"strings"

	"github.com/getkin/kin-openapi/openapi3"
)

// parts lists a schema and all that it is composed of, alternatives too.
func parts(schema *openapi3.Schema) []*openapi3.Schema {
	all := []*openapi3.Schema{schema}
	for _, refs := range []openapi3.SchemaRefs{schema.AllOf, schema.AnyOf, schema.OneOf} {
		for _, ref := range refs {
			all = append(all, parts(ref.Value)...)
		}
	}
	return all
}

// strangers lists the members of a value that no part of the schemas names.
// Where a schema names none, or allows others, there are no strangers.
func strangers(at string, value any, schemas ...*openapi3.Schema) []string {
	var all []*openapi3.Schema
	for _, schema := range schemas {
		all = append(all, parts(schema)...)
	}
	var found []string
	switch v := value.(type) {
	case []any:
		var items []*openapi3.Schema
		for _, schema := range all {
			if schema.Items != nil {
				items = append(items, schema.Items.Value)
			}
		}
		if len(items) == 0 {
			return nil
		}
		for i, element := range v {
			found = append(found, strangers(at+"["+strconv.Itoa(i)+"]", element, items...)...)
		}
	case map[string]any:
		if open(all) {
			return nil
		}
		for name, member := range v {
			var named []*openapi3.Schema
			for _, schema := range all {
				if p := schema.Properties[name]; p != nil {
					named = append(named, p.Value)
				}
			}
			place := name
			if at != "" {
				place = at + "." + name
			}
			if len(named) == 0 {
				found = append(found, place)
				continue
			}
			found = append(found, strangers(place, member, named...)...)
		}
	}
	slices.Sort(found)
	return found
}

// open reports whether objects may have members that are not named.
func open(schemas []*openapi3.Schema) bool {
	named := false
	for _, schema := range schemas {
		if schema.AdditionalProperties.Schema != nil || schema.AdditionalProperties.Has != nil && *schema.AdditionalProperties.Has {
			return true
		}
		named = named || len(schema.Properties) > 0
	}
	return !named
}

// nameless drops the places whose last name some object of the description
// has: GitHub describes one thing at several places, at some of them in part.
func nameless(places []string) []string {
	return slices.DeleteFunc(places, func(place string) bool {
		name := place[strings.LastIndex(place, ".")+1:]
		return anyName(name)
	})
}

// anyName reports whether the description has a member of that name.
func anyName(name string) bool {
	return bytes.Contains(description, []byte(strconv.Quote(name)+":"))
}
