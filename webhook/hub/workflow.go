package hub

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/clipperregistry/runner/webhook"
)

// NonceInput is the input of a workflow, and the member of a payload, that a
// nonce is given to. A workflow that puts it into its run-name can be found by
// it: run-name: Deploy ${{ inputs.clipper_run }}.
const NonceInput = "clipper_run"

// GitHub takes so many inputs and members of a payload, and so many bytes
// (https://docs.github.com/rest/repos/repos#create-a-repository-dispatch-event).
const (
	maxInputs  = 25
	maxPayload = 64 << 10
	maxMembers = 10
	maxType    = 100 // characters
)

// Dispatch is a workflow that is to be started.
type Dispatch struct {
	File   string // its name below .github/workflows
	Ref    string // a branch or tag
	Inputs map[string]string
	// Nonce tells this start from all others.
	Nonce string
}

// Dispatched is what became of a Dispatch.
type Dispatched struct {
	// Run is the workflow's run, 0 where GitHub does not say: an Enterprise
	// Server up to 3.19. Then FindRun finds it.
	Run int64
	URL string // of its page
}

// Dispatch starts a workflow, and gives it the nonce if it declares NonceInput.
// GitHub has no key that would keep it from starting twice: after ErrLost, ask
// FindRun, and do not dispatch again.
func (h *Hub) Dispatch(ctx context.Context, r Repo, d Dispatch) (Dispatched, error) {
	failed := func(err error) (Dispatched, error) {
		return Dispatched{}, fmt.Errorf("start the workflow %s of %s at %s: %w", d.File, r.FullName, d.Ref, err)
	}
	if path.Base(d.File) != d.File || d.File == "." || d.File == ".." {
		return failed(fmt.Errorf("%w: it is no name of a file", ErrInvalid))
	}
	inputs := d.Inputs
	if _, given := inputs[NonceInput]; d.Nonce != "" && !given && len(inputs) < maxInputs {
		declared, err := h.declares(ctx, r, d.Ref, d.File)
		if err != nil {
			return failed(err)
		}
		if declared {
			inputs = maps.Clone(inputs)
			if inputs == nil {
				inputs = map[string]string{}
			}
			inputs[NonceInput] = d.Nonce
		}
	}
	in := map[string]any{"ref": d.Ref, "return_run_details": true}
	if len(inputs) > 0 {
		in["inputs"] = inputs
	}
	var started struct {
		Run int64  `json:"workflow_run_id"`
		URL string `json:"html_url"`
	}
	err := h.repo(ctx, r, request{
		scope: r.in("actions:write"), method: http.MethodPost, path: r.of("/actions/workflows/%s/dispatches", d.File), in: in, out: &started,
	})
	if err != nil {
		return failed(err)
	}
	return Dispatched{started.Run, started.URL}, nil
}

// declares says whether a workflow takes the nonce: what it does not declare,
// GitHub refuses.
func (h *Hub) declares(ctx context.Context, r Repo, ref, name string) (bool, error) {
	content, err := h.file(ctx, r, ref, ".github/workflows/"+name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errUnknown) {
		return false, nil // what is wrong, the dispatch is told
	}
	if err != nil {
		return false, err
	}
	return declaresNonce(content), nil
}

// declaresNonce reads on.workflow_dispatch.inputs. What is no workflow has
// none.
func declaresNonce(content []byte) bool {
	var top struct {
		On yaml.Node `yaml:"on"`
	}
	var on struct {
		Dispatch struct {
			Inputs map[string]yaml.Node `yaml:"inputs"`
		} `yaml:"workflow_dispatch"`
	}
	if yaml.Unmarshal(content, &top) != nil || top.On.Decode(&on) != nil {
		return false
	}
	_, declared := on.Dispatch.Inputs[NonceInput]
	return declared
}

// RepositoryDispatch starts the workflows that wait for an event type. GitHub
// does not say which runs follow: FindRun finds the one whose run-name has
// github.event.client_payload.clipper_run. After ErrLost, too.
func (h *Hub) RepositoryDispatch(ctx context.Context, r Repo, event string, payload map[string]string, nonce string) error {
	err := h.repositoryDispatch(ctx, r, event, payload, nonce)
	if err != nil {
		err = fmt.Errorf("dispatch %q in %s: %w", event, r.FullName, err)
	}
	return err
}

func (h *Hub) repositoryDispatch(ctx context.Context, r Repo, event string, payload map[string]string, nonce string) error {
	all := maps.Clone(payload)
	if all == nil {
		all = map[string]string{}
	}
	if _, given := all[NonceInput]; nonce != "" && !given && len(all) < maxMembers {
		all[NonceInput] = nonce
	}
	bytes := 0
	for name, value := range all {
		bytes += len(name) + len(value) + 6
	}
	switch {
	case len(all) > maxMembers || bytes > maxPayload:
		return fmt.Errorf("%w: its payload has %d members and %d bytes, of at most %d and %d", ErrInvalid, len(all), bytes, maxMembers, maxPayload)
	case event == "" || len([]rune(event)) > maxType:
		return fmt.Errorf("%w: its type has %d characters, of at most %d", ErrInvalid, len([]rune(event)), maxType)
	}
	in := map[string]any{"event_type": event, "client_payload": all}
	return h.repo(ctx, r, request{scope: r.in("contents:write"), method: http.MethodPost, path: r.of("/dispatches"), in: in})
}

// WorkflowRun is a run of GitHub Actions.
type WorkflowRun struct {
	ID         int64  `json:"id"`
	Attempt    int    `json:"run_attempt"`
	Event      string `json:"event"`
	Title      string `json:"display_title"`
	Status     string `json:"status"`     // queued, in_progress, completed…
	Conclusion string `json:"conclusion"` // "" is not yet
	URL        string `json:"html_url"`
	HeadSHA    string `json:"head_sha"`

	CreatedAt webhook.Moment `json:"created_at"`
	StartedAt webhook.Moment `json:"run_started_at"`
	UpdatedAt webhook.Moment `json:"updated_at"`
}

// Find says which run is looked for.
type Find struct {
	File  string // the workflow; "" is any that a RepositoryDispatch started
	Nonce string
	Since time.Time // that it was started, by this machine's clock
}

// before is how much earlier is looked than it was asked for: clocks differ.
const before = 2 * time.Minute

// FindRun finds the run that this App started with a nonce, by its title. One
// whose workflow does not have the nonce in its run-name is not found; nor is,
// for a moment, one that was started just now. Of several it is the first.
func (h *Hub) FindRun(ctx context.Context, r Repo, f Find) (run WorkflowRun, found bool, err error) {
	failed := func(err error) (WorkflowRun, bool, error) {
		return WorkflowRun{}, false, fmt.Errorf("find the run %s in %s: %w", f.Nonce, r.FullName, err)
	}
	if err := r.valid(); err != nil {
		return failed(err)
	}
	if f.Nonce == "" {
		return failed(fmt.Errorf("%w: without a nonce", ErrInvalid))
	}
	bot, err := h.Bot(ctx)
	if err != nil {
		return failed(err)
	}
	event, where := "workflow_dispatch", r.of("/actions/workflows/%s/runs", f.File)
	if f.File == "" {
		event, where = "repository_dispatch", r.of("/actions/runs")
	}
	type page struct {
		Runs []WorkflowRun `json:"workflow_runs"`
	}
	q := request{scope: r.in("actions:read"), path: where, query: url.Values{
		"event": {event}, "actor": {bot}, "created": {">=" + f.Since.Add(h.Skew()-before).UTC().Format(time.RFC3339)},
	}}
	for page, err := range pages[page](ctx, h, q) {
		if err != nil {
			return failed(err)
		}
		for _, one := range page.Runs { // the latest first
			if hasWord(one.Title, f.Nonce) {
				run, found = one, true
			}
		}
	}
	return run, found, nil
}

// hasWord says whether a word is in a text, and not as a part of a longer one.
func hasWord(text, word string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], word)
		if i < 0 {
			return false
		}
		start := from + i
		end := start + len(word)
		if (start == 0 || !isWord(text[start-1])) && (end == len(text) || !isWord(text[end])) {
			return true
		}
		from = end
	}
}

func isWord(c byte) bool {
	return c == '-' || c == '_' || '0' <= c && c <= '9' || 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z'
}

// WorkflowRun is a run as it is now.
func (h *Hub) WorkflowRun(ctx context.Context, r Repo, id int64) (WorkflowRun, error) {
	var run WorkflowRun
	err := h.repo(ctx, r, request{scope: r.in("actions:read"), method: http.MethodGet, path: r.of("/actions/runs/%s", strconv.FormatInt(id, 10)), out: &run})
	if err == nil && run.ID != id {
		err = errors.New("GitHub's answer is another's")
	}
	if err != nil {
		return WorkflowRun{}, fmt.Errorf("look up run %d of %s: %w", id, r.FullName, err)
	}
	return run, nil
}

// CancelRun has a run end. One that has ended is no error.
func (h *Hub) CancelRun(ctx context.Context, r Repo, id int64) error {
	err := h.repo(ctx, r, request{scope: r.in("actions:write"), method: http.MethodPost, path: r.of("/actions/runs/%s/cancel", strconv.FormatInt(id, 10)), again: true})
	if err != nil && statusOf(err) != http.StatusConflict {
		return fmt.Errorf("cancel run %d of %s: %w", id, r.FullName, err)
	}
	return nil
}

// Rerun starts a run that has ended again, all of it or what failed. GitHub
// counts its attempts: after ErrLost, a WorkflowRun says whether it was. One
// that runs is ErrInvalid.
func (h *Hub) Rerun(ctx context.Context, r Repo, id int64, failedOnly bool) error {
	what := "/actions/runs/%s/rerun"
	if failedOnly {
		what = "/actions/runs/%s/rerun-failed-jobs"
	}
	err := h.repo(ctx, r, request{scope: r.in("actions:write"), method: http.MethodPost, path: r.of(what, strconv.FormatInt(id, 10))})
	var no *refusal
	if errors.As(err, &no) && no.status == http.StatusForbidden && strings.Contains(no.message, "already running") {
		err = fmt.Errorf("%w: it is running", ErrInvalid)
	}
	if err != nil {
		return fmt.Errorf("run %d of %s again: %w", id, r.FullName, err)
	}
	return nil
}
