package actions

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// frame is what the steps of one list have in common: those of the job, or
// those of one composite action.
type frame struct {
	steps      map[string]any // the steps context
	inputs     map[string]any // nil in the job's own
	env        map[string]string
	actionPath string
	status     *string // what success() and failure() ask
}

// instance is a step with what it keeps from pre to post.
type instance struct {
	Step
	frame    *frame
	dir      string // of its action, on the machine
	manifest *Manifest
	local    bool
	state    map[string]string
	children []*instance // of a composite action, once they were looked at
	began    bool        // only what began has a post stage
}

// running is a step while one of its stages runs.
type running struct {
	*instance
	job    *job
	stage  string
	result *StepResult
	env    map[string]string // global, outer steps', and its own
	own    map[string]string // outer steps' and its own
	github map[string]any
	failed bool
	ended  context.Context // done when the step is to end
}

// prepareAll fetches the actions of all steps.
func (j *job) prepareAll() []*instance {
	root := &frame{steps: map[string]any{}, status: &j.status}
	all := newInstances(root, j.def.Steps)
	for _, in := range all {
		if err := j.prepare(in); err != nil {
			j.fail(err)
		}
	}
	return all
}

// runAll runs pre steps, steps and post steps, in GitHub's order.
func (j *job) runAll(all []*instance) {
	for _, stage := range []string{"pre", "main"} {
		for _, in := range all {
			if stage == "main" || j.has(in, "pre") {
				j.runStep(in, stage)
			}
		}
	}
	for _, in := range slices.Backward(j.post) {
		j.runStep(in, "post")
	}
}

func newInstances(f *frame, steps []Step) (all []*instance) {
	for _, step := range steps {
		all = append(all, &instance{Step: step, frame: f, state: map[string]string{}})
	}
	return all
}

// prepare fetches the action of a step, as GitHub does for all actions of other
// repositories before anything runs. Actions of the workspace are read when
// their step runs.
func (j *job) prepare(in *instance) (err error) {
	if in.Uses == "" || in.manifest != nil {
		return nil
	}
	if in.local = strings.HasPrefix(in.Uses, "./"); in.local {
		return nil
	}
	if in.dir, err = j.fetchAction(in.Uses); err == nil {
		in.manifest, err = readManifest(in.dir)
	}
	if err != nil || in.manifest.Runs.Using != "composite" {
		return err
	}
	in.children = newInstances(nil, in.manifest.Runs.Steps)
	for _, child := range in.children {
		if err := j.prepare(child); err != nil {
			return err
		}
	}
	return nil
}

// has says whether a step has a stage of this name, itself or in a composite
// action.
func (j *job) has(in *instance, stage string) bool {
	if in.manifest == nil {
		return false
	}
	for _, child := range in.children {
		if j.has(child, stage) {
			return true
		}
	}
	return stage == "pre" && in.manifest.Runs.Pre != "" || stage == "post" && in.manifest.Runs.Post != ""
}

// runStep runs one stage of a step of the job and notes how it went.
func (j *job) runStep(in *instance, stage string) {
	result := j.runStage(in, stage)
	j.result.Steps = append(j.result.Steps, result)
	switch {
	case j.cancelled.Err() != nil:
		j.status = cancelled
	case result.Conclusion == failure && j.status == success:
		j.status = failure
	}
}

// runStage runs one stage of a step, of the job or of a composite action
// (StepsRunner.cs, ActionRunner.cs).
func (j *job) runStage(in *instance, stage string) *StepResult {
	s := &running{instance: in, job: j, stage: stage, own: maps.Clone(in.frame.env)}
	s.result = &StepResult{ID: in.ID, Name: in.title(), Stage: stage, Outputs: map[string]string{}}
	if s.own == nil {
		s.own = map[string]string{}
	}
	s.github = maps.Clone(j.github)
	if in.frame.actionPath != "" {
		s.github["action_path"] = in.frame.actionPath
	}
	if j.cancelled.Err() != nil {
		j.status = cancelled
	}
	run, err := s.decide()
	switch {
	case err != nil:
		s.annotate("error", err.Error(), nil)
		s.conclude(failure)
	case !run:
		s.conclude(skipped)
	default:
		s.conclude(s.perform())
	}
	return s.result
}

// decide evaluates the step's env: and if:.
func (s *running) decide() (run bool, err error) {
	s.env = maps.Clone(s.job.env)
	maps.Copy(s.env, s.own)
	evaluated := map[string]string{}
	places := s.scope()
	for _, p := range s.Env {
		if evaluated[p.Name], err = places.expand(p.Value); err != nil {
			return false, err
		}
	}
	maps.Copy(s.env, evaluated)
	maps.Copy(s.own, evaluated)
	condition := s.If
	if s.stage != "main" {
		condition = "always()"
		if s.manifest != nil && s.stage == "pre" && s.manifest.Runs.PreIf != "" {
			condition = s.manifest.Runs.PreIf
		}
		if s.manifest != nil && s.stage == "post" && s.manifest.Runs.PostIf != "" {
			condition = s.manifest.Runs.PostIf
		}
	}
	s.result.Path = ""
	return s.scope().condition(condition)
}

// scope is what expressions in the step see.
func (s *running) scope() scope {
	contexts := s.job.contexts("matrix", "vars", "secrets", "runner", "job")
	contexts["github"], contexts["steps"], contexts["env"] = s.github, s.frame.steps, envContext(s.env)
	if s.frame.inputs != nil {
		contexts["inputs"] = s.frame.inputs
		delete(contexts, "secrets") // an action gets secrets as inputs
	}
	return scope{contexts: contexts, status: s.status}
}

func (s *running) status(function string) bool {
	switch stopped := s.job.status == cancelled; function {
	case "always":
		return true
	case cancelled:
		return stopped
	default:
		return !stopped && *s.frame.status == function
	}
}

// perform runs the stage and returns its outcome.
func (s *running) perform() string {
	// A step that would run after a cancellation is not ended by it.
	s.ended = s.job.cancelled
	before := s.job.status
	s.job.status = cancelled
	if again, err := s.scope().condition(orAlways(s.If, s.stage)); before == cancelled || err == nil && again {
		s.ended = context.Background()
	}
	s.job.status = before

	s.job.log.printf("##[group]%s", s.result.Name)
	files, err := newCommandFiles(s.job.dirs.temp, randomHex(16))
	if err == nil {
		err = s.job.dirs.own(files.dir)
	}
	if err == nil {
		for name, path := range files.paths() {
			s.github[name] = path
		}
		err = s.load()
	}
	if err == nil {
		err = s.handle()
		s.obey(files)
	}
	if err != nil {
		s.annotate("error", err.Error(), nil)
		s.failed = true
	}
	switch {
	case s.ended.Err() != nil:
		s.annotate("error", "The operation was canceled.", nil)
		return cancelled
	case s.failed:
		return failure
	default:
		return success
	}
}

func orAlways(condition, stage string) string {
	if stage != "main" {
		return "always()"
	}
	return condition
}

// load reads the step's action, if it has one, and remembers its post stage.
func (s *running) load() (err error) {
	if s.Uses == "" {
		return nil
	}
	if s.local && s.manifest == nil {
		s.dir = filepath.Join(s.job.dirs.workspace, s.Uses)
		if s.manifest, err = readManifest(s.dir); err != nil {
			return err
		}
		s.children = newInstances(nil, s.manifest.Runs.Steps)
		for _, child := range s.children {
			if err := s.job.prepare(child); err != nil {
				return err
			}
		}
		if s.job.has(s.instance, "pre") {
			s.annotate("warning", fmt.Sprintf("`pre` execution is not supported for local action from '%s'", s.Uses), nil)
		}
	}
	s.began = true
	if s.job.has(s.instance, "post") && s.frame.inputs == nil && !slices.Contains(s.job.post, s.instance) {
		s.job.post = append(s.job.post, s.instance)
	}
	return nil
}

// handle runs what the step is.
func (s *running) handle() error {
	switch {
	case s.Uses == "":
		return s.runScript()
	case s.manifest.Runs.Using == "composite":
		return s.runComposite()
	default:
		return s.runNode()
	}
}

// conclude notes the outcome, in the steps context too.
func (s *running) conclude(outcome string) {
	s.result.Outcome, s.result.Conclusion = outcome, outcome
	if outcome == failure && s.ContinueOnError {
		s.result.Conclusion = success
	}
	if s.ID != "" && s.stage == "main" {
		s.frame.steps[s.ID] = map[string]any{
			"outputs": texts(s.result.Outputs), "outcome": s.result.Outcome, "conclusion": s.result.Conclusion,
		}
	}
}

// stepsContext is the steps context at the end of the job.
func (j *job) stepsContext() map[string]any {
	steps := map[string]any{}
	for _, r := range j.result.Steps {
		if r.ID != "" && r.Stage == "main" {
			steps[r.ID] = map[string]any{"outputs": texts(r.Outputs), "outcome": r.Outcome, "conclusion": r.Conclusion}
		}
	}
	return steps
}
