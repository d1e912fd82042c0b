// Command extract cuts the operations of operations.txt and the webhooks of
// events.txt, with all that they refer to, out of GitHub's description of its
// API, and writes them to github.json. It is run by go generate in the directory of package spec, and
// needs npm, which fetches the description.
package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// Where the description comes from.
const (
	pkg    = "@octokit/openapi@23.0.2"
	member = "package/generated/api.github.com.json"
	// webhooks is a section of it that OpenAPI 3.0 does not know. They become
	// operations below a path of that name.
	webhooks = "x-webhooks"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "extract:", err)
		os.Exit(1)
	}
}

func run() error {
	whole, err := fetch()
	if err != nil {
		return fmt.Errorf("fetch %s: %w", pkg, err)
	}
	e := extract{whole: whole, taken: map[string]map[string]any{}, parts: map[string]map[string]any{}}
	for _, from := range []struct{ list, section, prefix string }{
		{"operations.txt", "paths", ""},
		{"events.txt", webhooks, "/" + webhooks + "/"},
	} {
		ids, err := os.ReadFile(from.list)
		if err != nil {
			return err
		}
		if err := e.paths(from.section, from.prefix, strings.Fields(string(ids))); err != nil {
			return err
		}
	}
	if err := e.correct(); err != nil {
		return err
	}
	return os.WriteFile("github.json", e.encode(), 0o644)
}

// correct mends where the description is not what its own prose says: runs are
// listed by a range of times, "date-time" or not.
func (e *extract) correct() error {
	created, _ := e.parts["parameters"]["created"].(map[string]any)
	schema, _ := created["schema"].(map[string]any)
	if schema["format"] != "date-time" {
		return errors.New("the parameter created needs no correction any more")
	}
	delete(schema, "format")
	return nil
}

// fetch brings the package and decodes its description.
func fetch() (map[string]any, error) {
	dir, err := os.MkdirTemp("", "extract")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	cmd := exec.Command("npm", "pack", "--silent", pkg)
	cmd.Dir, cmd.Stderr = dir, os.Stderr
	if err := cmd.Run(); err != nil {
		return nil, err
	}
	names, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err != nil || len(names) != 1 {
		return nil, fmt.Errorf("npm packed %v: %w", names, err)
	}
	file, err := os.Open(names[0])
	if err != nil {
		return nil, err
	}
	defer file.Close()
	unzipped, err := gzip.NewReader(file)
	if err != nil {
		return nil, err
	}
	for archive := tar.NewReader(unzipped); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return nil, errors.New("it has no " + member)
		} else if err != nil {
			return nil, err
		}
		if header.Name != member {
			continue
		}
		var whole map[string]any
		decoder := json.NewDecoder(archive)
		decoder.UseNumber()
		return whole, decoder.Decode(&whole)
	}
}

// extract is a description that grows by what is referred to.
type extract struct {
	whole map[string]any
	taken map[string]map[string]any // operations by path and method
	parts map[string]map[string]any // components by kind ("schemas") and name
}

// paths takes operations of a section by their ids.
func (e *extract) paths(section, prefix string, ids []string) error {
	found := map[string]bool{}
	for path, item := range e.whole[section].(map[string]any) {
		path = prefix + path
		for method, op := range item.(map[string]any) {
			operation, ok := op.(map[string]any)
			if !ok {
				continue
			}
			id, _ := operation["operationId"].(string)
			if !slices.Contains(ids, id) {
				continue
			}
			found[id] = true
			if e.taken[path] == nil {
				e.taken[path] = map[string]any{}
			}
			e.taken[path][method] = e.keep(operation)
		}
	}
	for _, id := range ids {
		if !found[id] {
			return fmt.Errorf("the description has no %s", id)
		}
	}
	return nil
}

// prose is what no request and no answer is judged by.
var prose = []string{
	"description", "summary", "example", "examples", "externalDocs", "tags", "deprecated", "title",
	"x-github", "x-octokit", "x-github-breaking-changes", "x-github-docs-schema-name",
}

// named are the members whose own members bear names and are no keywords.
var named = []string{"properties", "patternProperties", "content", "headers", "responses"}

// keep copies a part without its prose, and takes what it refers to.
func (e *extract) keep(part map[string]any) map[string]any {
	kept := map[string]any{}
	for key, value := range part {
		switch {
		case slices.Contains(prose, key):
		case key == "enum" || key == "default" || key == "required":
			kept[key] = value
		case key == "$ref":
			e.take(value.(string))
			kept[key] = value
		case key == "mapping": // of a discriminator
			for _, ref := range value.(map[string]any) {
				e.take(ref.(string))
			}
			kept[key] = value
		case slices.Contains(named, key):
			members := map[string]any{}
			for name, member := range value.(map[string]any) {
				members[name] = e.any(member)
			}
			kept[key] = members
		default:
			kept[key] = e.any(value)
		}
	}
	return kept
}

func (e *extract) any(value any) any {
	switch v := value.(type) {
	case map[string]any:
		return e.keep(v)
	case []any:
		all := make([]any, len(v))
		for i, element := range v {
			all[i] = e.any(element)
		}
		return all
	}
	return value
}

// take takes the component that a reference names, "#/components/schemas/x".
func (e *extract) take(ref string) {
	kind, name, _ := strings.Cut(strings.TrimPrefix(ref, "#/components/"), "/")
	if e.parts[kind] == nil {
		e.parts[kind] = map[string]any{}
	}
	if _, ok := e.parts[kind][name]; ok || kind == "examples" {
		return
	}
	e.parts[kind][name] = nil // it may refer to itself
	all, _ := e.whole["components"].(map[string]any)[kind].(map[string]any)
	e.parts[kind][name] = e.keep(all[name].(map[string]any))
}

// encode writes one operation and one component to a line, so that a newer
// description shows its differences.
func (e *extract) encode() []byte {
	var out bytes.Buffer
	version := e.whole["info"].(map[string]any)["version"]
	fmt.Fprintf(&out, "{\"openapi\":\"3.0.3\",\n\"info\":{\"title\":\"GitHub's REST API, in part\",\"version\":%q,\"license\":{\"name\":\"MIT\"},\"x-source\":%q},\n\"paths\":{", version, pkg)
	section(&out, e.taken)
	out.WriteString("},\n\"components\":{")
	section(&out, e.parts)
	out.WriteString("}}\n")
	return out.Bytes()
}

// section writes objects of objects, one of the inner to a line.
func section(out *bytes.Buffer, outer map[string]map[string]any) {
	between := ""
	for _, group := range sorted(outer) {
		fmt.Fprintf(out, "%s\n%q:{", between, group)
		between = ""
		for _, name := range sorted(outer[group]) {
			fmt.Fprintf(out, "%s\n  %q:%s", between, name, compact(outer[group][name]))
			between = ","
		}
		out.WriteString("}")
		between = ","
	}
}

func sorted[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

func compact(v any) []byte {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		panic(err) // it was decoded from JSON
	}
	return bytes.TrimSpace(out.Bytes())
}
