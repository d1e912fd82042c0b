package actions

// Request is a job to run.
type Request struct {
	// Workflow is the text of the file, and Job one of its jobs. Default: its
	// only one.
	Workflow, Job string
	// Matrix is the combination that this job runs for.
	Matrix map[string]any
	// Secrets and Vars are the contexts of that name. Secrets are masked.
	Secrets, Vars map[string]string
	// Listen, if not nil, is told the address of this machine in the job's
	// network before a container is there, and returns more variables.
	Listen func(address string) map[string]string
	// Options are given to docker create for every container, in front of the
	// workflow's own. Expressions in them may ask for vars.
	Options string
	// IDToken holds ACTIONS_ID_TOKEN_REQUEST_URL and _TOKEN; a job gets them
	// if it has the permission id-token: write.
	IDToken map[string]string
	// Runtime holds ACTIONS_RUNTIME_TOKEN, ACTIONS_RESULTS_URL and so on, which
	// JavaScript actions get and scripts do not.
	Runtime map[string]string
	// HostNetwork puts containers on this machine's network.
	HostNetwork bool
	// Cancel, when closed, cancels the job as a person would.
	Cancel <-chan struct{}
	// Output, if not nil, sees each line of the log as it comes.
	Output func(line string)
}

// Result is what a job left.
type Result struct {
	// Conclusion is success, failure or cancelled.
	Conclusion string
	// Steps are all that were looked at, pre and post steps too. Steps of
	// composite actions are in their action.
	Steps       []*StepResult
	Annotations []Annotation
	Outputs     map[string]string
	Log         string
	// Docker are the docker commands, word by word.
	Docker [][]string
}

// StepResult is what a step left.
type StepResult struct {
	ID, Name string
	// Stage is pre, main or post.
	Stage string
	// Outcome is what happened: success, failure, cancelled or skipped;
	// Conclusion is that after continue-on-error.
	Outcome, Conclusion string
	Outputs             map[string]string
	// Summary is the Markdown of $GITHUB_STEP_SUMMARY, masked.
	Summary string
	// Env and Path are what the step was started with, where it started one
	// process: its variables, without those of the container itself, and the
	// PATH that was given in place of the container's.
	Env  map[string]string
	Path string
}

// Step finds a step by its id.
func (r *Result) Step(id string) *StepResult {
	for _, s := range r.Steps {
		if s.ID == id && s.Stage == "main" {
			return s
		}
	}
	return nil
}
