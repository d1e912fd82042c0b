package actions

import (
	"maps"
	"strings"
)

// GitHubToken is ${{ github.token }} of every job.
const GitHubToken = "ghs_replayed0123456789abcdefghijklmnop"

// githubContext are the job's facts. Those that begin with an underscore of
// GitHub's own do not reach variables.
func (j *job) githubContext() map[string]any {
	owner, _, _ := strings.Cut(repository, "/")
	return texts(map[string]string{
		"token":            GitHubToken,
		"actor":            "octocat",
		"api_url":          "https://api.github.com",
		"event_name":       "push",
		"event_path":       j.dirs.flow + "/event.json",
		"graphql_url":      "https://api.github.com/graphql",
		"job":              j.req.Job,
		"ref":              "refs/heads/main",
		"ref_name":         "main",
		"ref_type":         "branch",
		"repository":       repository,
		"repository_owner": owner,
		"retention_days":   "90",
		"run_attempt":      "1",
		"run_id":           "1234567890",
		"run_number":       "7",
		"server_url":       "https://github.com",
		"sha":              "ffac537e6cbbf934b08745a378932722df287a53",
		"workflow":         j.workflow.Name,
		"workflow_ref":     repository + "/.github/workflows/ci.yml@refs/heads/main",
		"workspace":        j.dirs.workspace,
	})
}

// runnerContext are the runner's facts.
func (j *job) runnerContext() map[string]any {
	environment := "github-hosted"
	if j.runner.SelfHosted {
		environment = "self-hosted"
	}
	return texts(map[string]string{
		"os": "Linux", "arch": "X64", "name": "replay", "environment": environment,
		"temp": j.dirs.temp, "tool_cache": j.dirs.tools, "workspace": j.dirs.work,
	})
}

// jobContext is the job's status and its containers.
func (j *job) jobContext() map[string]any {
	context, services := map[string]any{"status": j.status}, map[string]any{}
	for _, c := range j.containers {
		about := map[string]any{"id": c.id, "network": j.network}
		if c.alias == "" {
			context["container"] = about
		} else {
			services[c.alias] = about
		}
	}
	context["services"] = services
	return context
}

// contexts makes the contexts of these names.
func (j *job) contexts(names ...string) map[string]any {
	contexts := map[string]any{}
	for _, name := range names {
		switch name {
		case "github":
			contexts[name] = j.github
		case "matrix":
			contexts[name] = j.req.Matrix
		case "vars":
			contexts[name] = texts(j.vars)
		case "secrets":
			secrets := texts(j.req.Secrets)
			secrets["GITHUB_TOKEN"] = GitHubToken
			contexts[name] = secrets
		case "env":
			contexts[name] = envContext(maps.Clone(j.env))
		case "runner":
			contexts[name] = j.runnerContext()
		case "job":
			contexts[name] = j.jobContext()
		}
	}
	return contexts
}

// fromContexts are the variables that every process of a step gets whatever
// anybody set: GITHUB_… and RUNNER_….
func (s *running) fromContexts(env map[string]string) {
	for name, value := range s.github {
		if name != "token" {
			env["GITHUB_"+strings.ToUpper(name)] = toText(value)
		}
	}
	for name, value := range s.job.runnerContext() {
		env["RUNNER_"+strings.ToUpper(name)] = toText(value)
	}
}

// idToken are the variables by which a step asks for an ID token. The job gets
// them if its permissions say so.
func (j *job) idToken() map[string]string {
	permissions := j.def.Permissions
	if permissions == nil {
		permissions = j.workflow.Permissions
	}
	if permissions == "write-all" {
		return j.req.IDToken
	}
	if list, ok := permissions.(map[string]any); ok && list["id-token"] == "write" {
		return j.req.IDToken
	}
	return nil
}

func cutPair(variable string) (name, value string) {
	name, value, _ = strings.Cut(variable, "=")
	return name, value
}
