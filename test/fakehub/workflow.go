package fakehub

import (
	"fmt"
	"maps"
	"net/http"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// workflow is what a file below .github/workflows says, as far as dispatches
// ask for it.
type workflow struct {
	id         int64
	path, name string
	runName    string
	dispatched bool // has "on: workflow_dispatch"
	inputs     map[string]input
	jobs       map[string][]string // labels of "runs-on", by the job's name
}

type input struct {
	Required bool     `yaml:"required"`
	Default  any      `yaml:"default"`
	Type     string   `yaml:"type"`
	Options  []string `yaml:"options"`
}

// labels is a list, or one of them alone.
type labels []string

// UnmarshalYAML reads both.
func (l *labels) UnmarshalYAML(node *yaml.Node) error {
	if node.Kind == yaml.ScalarNode {
		*l = labels{node.Value}
		return nil
	}
	return node.Decode((*[]string)(l))
}

// workflows lists those of a commit, by path. A file that is no workflow is
// left out.
func (r *Repo) workflows(at *commit) []*workflow {
	var all []*workflow
	if at == nil {
		return nil
	}
	for _, file := range slices.Sorted(maps.Keys(at.files)) {
		if ok, _ := path.Match(".github/workflows/*.y*ml", file); !ok {
			continue
		}
		if w := parseWorkflow(file, at.files[file]); w != nil {
			if r.workflowIDs[file] == 0 {
				r.workflowIDs[file] = r.hub.next()
			}
			w.id = r.workflowIDs[file]
			all = append(all, w)
		}
	}
	return all
}

func parseWorkflow(file, content string) *workflow {
	var top struct {
		Name    string    `yaml:"name"`
		RunName string    `yaml:"run-name"`
		On      yaml.Node `yaml:"on"`
		Jobs    map[string]struct {
			RunsOn labels `yaml:"runs-on"`
		} `yaml:"jobs"`
	}
	if yaml.Unmarshal([]byte(content), &top) != nil {
		return nil
	}
	w := &workflow{path: file, name: top.Name, runName: top.RunName, jobs: map[string][]string{}}
	if w.name == "" {
		w.name = file
	}
	for name, declared := range top.Jobs {
		w.jobs[name] = declared.RunsOn
	}
	var one string
	var several []string
	var each map[string]struct {
		Inputs map[string]input `yaml:"inputs"`
	}
	switch {
	case top.On.Decode(&one) == nil:
		w.dispatched = one == "workflow_dispatch"
	case top.On.Decode(&several) == nil:
		w.dispatched = slices.Contains(several, "workflow_dispatch")
	default:
		_ = top.On.Decode(&each) // other triggers may have other forms
		_, w.dispatched = each["workflow_dispatch"]
		w.inputs = each["workflow_dispatch"].Inputs
	}
	return w
}

// workflow is the one that the path names by id or by the file's name. What
// the default branch has counts.
func (c *call) workflow() (*workflow, error) {
	named := c.path("workflow_id")
	return find(c.repo.workflows(c.repo.head(c.repo.defaultBranch)), func(w *workflow) bool {
		return named == path.Base(w.path) || named == strconv.FormatInt(w.id, 10)
	})
}

func (r *Repo) showWorkflow(w *workflow) object {
	return object{"id": w.id, "name": w.name, "path": w.path, "state": "active", "url": r.at(fmt.Sprintf("/actions/workflows/%d", w.id)),
		"html_url": r.hub.URL + "/" + r.FullName + "/blob/" + r.defaultBranch + "/" + w.path}
}

func (c *call) getWorkflow() (any, error) {
	w, err := c.workflow()
	return one(w, err, c.repo.showWorkflow)
}

func (c *call) listWorkflows() (any, error) {
	return list(c, "workflows", c.repo.workflows(c.repo.head(c.repo.defaultBranch)), c.repo.showWorkflow)
}

// dispatchWorkflow starts a run of a branch or tag, with inputs that the
// workflow declares there.
func (c *call) dispatchWorkflow() (any, error) {
	known, err := c.workflow()
	if err != nil {
		return nil, err
	}
	var in struct {
		Ref     string         `json:"ref"`
		Inputs  map[string]any `json:"inputs"`
		Details bool           `json:"return_run_details"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if c.hub.config.Enterprise && len(in.Inputs) > 10 {
		return nil, refuse(http.StatusUnprocessableEntity, "you may only define up to 10 inputs for a workflow_dispatch event")
	}
	branch := strings.TrimPrefix(strings.TrimPrefix(in.Ref, "refs/heads/"), "refs/tags/")
	at := c.repo.graph.commits[firstOf(c.repo.refs["heads/"+branch], c.repo.refs["tags/"+branch])]
	if at == nil {
		return nil, refuse(http.StatusUnprocessableEntity, "No ref found for: %s", in.Ref)
	}
	w, err := find(c.repo.workflows(at), func(w *workflow) bool { return w.path == known.path })
	if err != nil || !w.dispatched {
		return nil, refuse(http.StatusUnprocessableEntity, "Workflow does not have 'workflow_dispatch' trigger")
	}
	given, err := w.take(in.Inputs)
	if err != nil {
		return nil, err
	}
	c.hub.emit(c.repo, "workflow_dispatch", "", c.bot(), object{"inputs": given, "ref": "refs/heads/" + branch, "workflow": w.path})
	run := c.repo.start(w, "workflow_dispatch", branch, at, c.bot(), given, nil)
	if in.Details && !c.hub.config.Enterprise {
		return reply{http.StatusOK, object{"workflow_run_id": run.ID, "run_url": run.at(), "html_url": run.page()}}, nil
	}
	return reply{http.StatusNoContent, nil}, nil
}

// bot is whom the App acts as.
func (c *call) bot() *account { return c.hub.account(c.token.install.app.Bot()) }

func firstOf(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// take holds inputs against their declarations.
func (w *workflow) take(given map[string]any) (map[string]string, error) {
	taken := map[string]string{}
	for name, value := range given {
		if _, ok := w.inputs[name]; !ok {
			return nil, refuse(http.StatusUnprocessableEntity, "Unexpected inputs provided: [%q]", name)
		}
		taken[name] = fmt.Sprint(value)
	}
	for name, declared := range w.inputs {
		value, ok := taken[name]
		if !ok && declared.Default != nil {
			value, ok = fmt.Sprint(declared.Default), true
			taken[name] = value
		}
		if !ok && declared.Required {
			return nil, refuse(http.StatusUnprocessableEntity, "Required input '%s' not provided", name)
		}
		wrong := declared.Type == "choice" && !slices.Contains(declared.Options, value) || declared.Type == "boolean" && value != "true" && value != "false"
		if ok && wrong {
			return nil, refuse(http.StatusUnprocessableEntity, "Provided value '%s' for input '%s' not in the list of allowed values", value, name)
		}
	}
	return taken, nil
}

var expression = regexp.MustCompile(`\$\{\{\s*([^}]*?)\s*\}\}`)

// title is what a run is called: the workflow's run-name with what a dispatch
// may say in it, else the workflow's name, as GitHub calls a dispatched run.
func (w *workflow) title(event, branch string, actor *account, inputs map[string]string, payload map[string]any) string {
	if w.runName == "" {
		return w.name
	}
	return strings.TrimSpace(expression.ReplaceAllStringFunc(w.runName, func(found string) string {
		name := expression.FindStringSubmatch(found)[1]
		switch name {
		case "github.actor":
			return actor.login
		case "github.ref_name":
			return branch
		case "github.event_name":
			return event
		}
		if key, ok := strings.CutPrefix(name, "github.event.client_payload."); ok && payload[key] != nil {
			return fmt.Sprint(payload[key])
		}
		for _, prefix := range []string{"inputs.", "github.event.inputs."} {
			if key, ok := strings.CutPrefix(name, prefix); ok {
				return inputs[key]
			}
		}
		return ""
	}))
}

// dispatchEvent is POST /repos/{owner}/{repo}/dispatches. What it starts, it
// does not say.
func (c *call) dispatchEvent() (any, error) {
	var in struct {
		Type    string         `json:"event_type"`
		Payload map[string]any `json:"client_payload"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if len(c.body) > 64<<10 {
		return nil, refuse(http.StatusUnprocessableEntity, "client_payload is too large.")
	}
	c.hub.emit(c.repo, "repository_dispatch", in.Type, c.bot(), object{"branch": c.repo.defaultBranch, "client_payload": in.Payload})
	at := c.repo.head(c.repo.defaultBranch)
	for _, w := range c.repo.workflows(at) {
		if dispatchable(at.files[w.path], in.Type) {
			c.repo.start(w, "repository_dispatch", c.repo.defaultBranch, at, c.bot(), nil, in.Payload)
		}
	}
	return nil, nil
}

// dispatchable reports whether a workflow is started by an event's type.
func dispatchable(content, kind string) bool {
	var top struct {
		On struct {
			Dispatch *struct {
				Types []string `yaml:"types"`
			} `yaml:"repository_dispatch"`
		} `yaml:"on"`
	}
	if yaml.Unmarshal([]byte(content), &top) != nil || top.On.Dispatch == nil {
		return false
	}
	return len(top.On.Dispatch.Types) == 0 || slices.Contains(top.On.Dispatch.Types, kind)
}
