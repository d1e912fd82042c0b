package actions

import (
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strings"
)

// scriptFormats are the shells that the runner knows: how they are called, and
// how the file's name ends.
var scriptFormats = map[string]struct{ arguments, extension string }{
	"sh":     {"-e {0}", ".sh"},
	"bash":   {"--noprofile --norc -e -o pipefail {0}", ".sh"},
	"python": {"{0}", ".py"},
	"pwsh":   {`-command ". '{0}'"`, ".ps1"},
}

// runScript runs a run: step (ScriptHandler.cs).
func (s *running) runScript() error {
	script, err := s.scope().expand(s.Run)
	if err != nil {
		return err
	}
	dir, err := s.scope().expand(s.WorkingDirectory)
	if err != nil {
		return err
	}
	shell, err := s.scope().expand(s.Shell)
	if err != nil {
		return err
	}
	if s.frame.inputs == nil { // a composite action's steps inherit nothing
		for _, defaults := range []Defaults{s.job.def.Defaults, s.job.workflow.Defaults} {
			if shell == "" {
				shell = defaults.Run.Shell
			}
			if dir == "" {
				dir = defaults.Run.WorkingDirectory
			}
		}
	}
	program, format := s.shell(shell)
	if !strings.Contains(format, "{0}") {
		return saidf("Invalid shell option. Shell must be a valid built-in (bash, sh, cmd, powershell, pwsh) or a format string containing '{0}'")
	}
	file := filepath.Join(s.job.dirs.temp, randomHex(16)+scriptFormats[program].extension)
	if program == "pwsh" {
		script = "$ErrorActionPreference = 'stop'\n" + script + "\nif ((Test-Path -LiteralPath variable:\\LASTEXITCODE)) { exit $LASTEXITCODE }"
	}
	if err := os.WriteFile(file, []byte(script), 0o644); err != nil {
		return err
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(s.job.dirs.workspace, dir)
	}
	s.printEnv(script)
	env := s.processEnv()
	maps.Copy(env, s.job.idToken())
	return s.start(stepCommand{
		dir: dir, file: program, env: env,
		arguments: strings.ReplaceAll(format, "{0}", s.job.host.location(file)),
	}, true)
}

// shell picks the program and its arguments. On the machine itself the default
// is bash called as sh is.
func (s *running) shell(option string) (program, format string) {
	if option == "" {
		program = "sh"
		if _, ok := s.job.host.(machine); ok {
			program = "bash"
		}
		return program, scriptFormats["sh"].arguments
	}
	program, format, _ = strings.Cut(option, " ")
	if format == "" {
		format = scriptFormats[program].arguments
	}
	return program, format
}

// printEnv writes what GitHub shows before a step.
func (s *running) printEnv(script string) {
	l := s.job.log
	l.print(script)
	if len(s.env) > 0 {
		l.print("env:")
	}
	for _, name := range sortedNames(s.env) {
		l.printf("  %s: %s", name, s.env[name])
	}
	l.print("##[endgroup]")
}

// processEnv is what every process of the step gets.
func (s *running) processEnv() map[string]string {
	env := maps.Clone(s.env)
	for name, value := range s.state {
		env["STATE_"+name] = value
	}
	s.fromContexts(env)
	return env
}

// start runs the process.
func (s *running) start(cmd stepCommand, script bool) error {
	s.result.Env = cmd.env
	exit, err := s.job.host.run(s.ended, s, cmd)
	if err != nil {
		return err
	}
	if exit != 0 {
		s.failed = true
		if script {
			s.annotate("error", fmt.Sprintf("Process completed with exit code %d.", exit), nil)
		}
	}
	return nil
}

// runNode runs a stage of a JavaScript action (NodeScriptActionHandler.cs).
func (s *running) runNode() error {
	inputs, err := s.evaluateInputs()
	if err != nil {
		return err
	}
	file := map[string]string{"pre": s.manifest.Runs.Pre, "main": s.manifest.Runs.Main, "post": s.manifest.Runs.Post}[s.stage]
	target := filepath.Join(s.dir, file)
	if _, err := os.Stat(target); err != nil {
		return saidf("File not found: '%s'", target)
	}
	s.printEnv("with: " + fmt.Sprint(inputs))
	env := s.processEnv()
	for name, value := range inputs {
		env["INPUT_"+strings.ToUpper(strings.ReplaceAll(name, " ", "_"))] = value
	}
	s.setActionSource(env)
	maps.Copy(env, s.job.req.Runtime)
	maps.Copy(env, s.job.idToken())
	delete(env, "NODE_ICU_DATA")
	node, err := s.job.host.node(s.manifest.Runs.Using)
	if err != nil {
		return err
	}
	return s.start(stepCommand{
		dir: s.job.dirs.workspace, file: node, env: env,
		arguments: `"` + s.job.host.location(target) + `"`,
	}, false)
}

// setActionSource says which repository an action is from.
func (s *running) setActionSource(env map[string]string) {
	if s.local {
		return
	}
	env["GITHUB_ACTION_REPOSITORY"], env["GITHUB_ACTION_REF"], _ = strings.Cut(s.Uses, "@")
}

// evaluateInputs are the step's with:, and the defaults of the action.
func (s *running) evaluateInputs() (map[string]string, error) {
	inputs := map[string]string{}
	for _, p := range s.With {
		value, err := s.scope().expand(p.Value)
		if err != nil {
			return nil, err
		}
		inputs[p.Name] = value
		if _, ok := s.manifest.Inputs[p.Name]; !ok {
			s.annotate("warning", fmt.Sprintf("Unexpected input(s) '%s'", p.Name), nil)
		}
		if message := s.manifest.Inputs[p.Name].DeprecationMessage; message != "" {
			s.annotate("warning", fmt.Sprintf("Input '%s' has been deprecated with message: %s", p.Name, message), nil)
		}
	}
	defaults := s.scope()
	delete(defaults.contexts, "inputs")
	for name, in := range s.manifest.Inputs {
		if _, ok := inputs[name]; ok {
			continue
		}
		value, err := defaults.expand(in.Default)
		if err != nil {
			return nil, err
		}
		inputs[name] = value
	}
	return inputs, nil
}

// runComposite runs the steps of a composite action (CompositeActionHandler.cs).
// github.action_path is the machine's; only the variable is translated.
func (s *running) runComposite() error {
	inputs, err := s.evaluateInputs()
	if err != nil {
		return err
	}
	s.printEnv("with: " + fmt.Sprint(inputs))
	status := success
	f := &frame{steps: map[string]any{}, inputs: texts(inputs), env: s.own, actionPath: s.dir, status: &status}
	if len(s.children) > 0 && s.children[0].frame != nil {
		f.steps = s.children[0].frame.steps // of the stage before
	}
	for _, child := range s.inOrder() {
		child.frame = f
		if s.stage != "main" && !s.job.has(child, s.stage) || s.stage == "post" && !child.began {
			continue
		}
		if result := s.job.runStage(child, s.stage); result.Conclusion == failure || result.Conclusion == cancelled {
			s.failed, status = true, failure
		} else {
			s.result.Summary += result.Summary
		}
	}
	for name, output := range s.manifest.Outputs {
		places := scope{contexts: map[string]any{"steps": f.steps, "inputs": f.inputs, "github": s.github, "env": envContext(s.job.env), "runner": s.job.runnerContext()}}
		if s.result.Outputs[name], err = places.expand(output.Value); err != nil {
			return err
		}
	}
	return nil
}

// inOrder are a composite action's steps; their post stages run backwards.
func (s *running) inOrder() []*instance {
	if s.stage != "post" {
		return s.children
	}
	var backwards []*instance
	for n := len(s.children) - 1; n >= 0; n-- {
		backwards = append(backwards, s.children[n])
	}
	return backwards
}

// fetchAction copies an action of another repository to _actions and returns
// its directory there.
func (j *job) fetchAction(uses string) (string, error) {
	name, ref, ok := strings.Cut(uses, "@")
	parts := strings.SplitN(name, "/", 3)
	if !ok || len(parts) < 2 {
		return "", saidf("Unable to resolve action: Expected format {org}/{repo}[/path]@ref. Actual '%s'", uses)
	}
	source, ok := j.runner.Actions[parts[0]+"/"+parts[1]+"@"+ref]
	if !ok {
		return "", saidf("Unable to resolve action `%s`, not found", uses)
	}
	dir := filepath.Join(j.dirs.actions, parts[0], parts[1], ref)
	if _, err := os.Stat(dir); err != nil {
		if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
			return "", err
		}
	}
	if len(parts) == 3 {
		dir = filepath.Join(dir, parts[2])
	}
	return dir, nil
}
