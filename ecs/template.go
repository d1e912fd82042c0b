package ecs

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"text/template"
	"text/template/parse"
)

// Expand replaces what ecspresso's files have in place of values:
//
//	{{ env `NAME` `DEFAULT` }}     the variable, or what is written last
//	{{ must_env `NAME` }}          the variable, which must be set
//	{{ env `NAME` | json_escape }} the same, to stand between quotes of JSON
//
// A text without these is no template and stays as it is, so that the {{.Name}}
// of a log option is safe. The error is an ErrDefinition.
func Expand(text []byte, lookup func(name string) (string, bool)) ([]byte, error) {
	functions := template.FuncMap{
		"env": func(names ...string) string {
			last := ""
			for _, name := range names {
				if value, _ := lookup(name); value != "" {
					return value
				}
				last = name
			}
			return last
		},
		"must_env": func(name string) (string, error) {
			value, ok := lookup(name)
			if !ok {
				return "", fmt.Errorf("%s is not set", name)
			}
			return value, nil
		},
		"json_escape": jsonEscape,
	}
	if len(text) > maxText {
		return nil, fmt.Errorf("%w: it is longer than %d bytes", ErrDefinition, maxText)
	}
	t, err := template.New("definition").Funcs(functions).Option("missingkey=error").Parse(string(text))
	switch {
	case err != nil && foreign(err):
		return nil, fmt.Errorf("%w: template: %w; there are %s", ErrDefinition, err, "env, must_env and json_escape")
	case err != nil || !calls(t.Tree.Root, functions):
		return text, nil
	}
	b := bounded{left: maxText}
	if err := t.Execute(&b, struct{}{}); err != nil {
		return nil, fmt.Errorf("%w: template: %w", ErrDefinition, err)
	}
	return b.Bytes(), nil
}

func jsonEscape(text string) (string, error) {
	quoted, err := json.Marshal(text)
	return strings.TrimSuffix(strings.TrimPrefix(string(quoted), `"`), `"`), err
}

// plugins are functions of ecspresso that a file may call and that nobody
// offers here: left as text, they would be registered.
var plugins = []string{"tfstate", "tfstatef", "cfn_output", "cfn_export", "ssm", "ssm_list", "secretsmanager_arn", "external"}

var undefined = regexp.MustCompile(`function "(\w+)" not defined`)

func foreign(err error) bool {
	match := undefined.FindStringSubmatch(err.Error())
	return match != nil && slices.Contains(plugins, match[1])
}

// calls says whether a template calls one of the functions.
func calls(node parse.Node, functions template.FuncMap) bool {
	switch node := node.(type) {
	case *parse.ListNode:
		return node != nil && slices.ContainsFunc(node.Nodes, func(n parse.Node) bool { return calls(n, functions) })
	case *parse.ActionNode:
		return calls(node.Pipe, functions)
	case *parse.PipeNode:
		return node != nil && slices.ContainsFunc(node.Cmds, func(c *parse.CommandNode) bool { return calls(c, functions) })
	case *parse.CommandNode:
		return slices.ContainsFunc(node.Args, func(n parse.Node) bool { return calls(n, functions) })
	case *parse.IdentifierNode:
		return functions[node.Ident] != nil
	case *parse.IfNode:
		return calls(node.Pipe, functions) || calls(node.List, functions) || calls(node.ElseList, functions)
	case *parse.RangeNode:
		return calls(node.Pipe, functions) || calls(node.List, functions) || calls(node.ElseList, functions)
	case *parse.WithNode:
		return calls(node.Pipe, functions) || calls(node.List, functions) || calls(node.ElseList, functions)
	}
	return false
}

// bounded is a buffer that takes no more than left bytes: a range in a short
// template can write without end.
type bounded struct {
	bytes.Buffer
	left int
}

func (b *bounded) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		return 0, fmt.Errorf("it makes more than %d bytes", maxText)
	}
	return b.Buffer.Write(p)
}
