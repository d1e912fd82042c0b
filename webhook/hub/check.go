package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/google/go-github/v60/github"

	"github.com/clipperregistry/runner/webhook"
)

// Check is a check run as it is to be: all of it, not what has changed.
type Check struct {
	// ID is what GitHub calls it, 0 if that is not known: then it is found by its
	// Run, or created.
	ID     int64
	Run    string // goes into external_id
	Name   string
	Commit string

	Status     string // queued, in_progress or completed
	Conclusion webhook.Conclusion
	Started    time.Time
	Ended      time.Time
	URL        string // of its page

	// Title, Summary and Text are Markdown, cut to what GitHub takes.
	Title, Summary, Text string
	// Annotations are on lines of the commit. They can be added to and not
	// changed: those at the front are as they were.
	Annotations []Annotation
	Actions     []Action // at most 3 buttons
}

// Annotation is a note on lines of a file.
type Annotation struct {
	Path       string
	Start, End int    // lines
	Level      string // notice, warning or failure
	Message    string
	Title      string
}

// Action is a button under a check run.
type Action struct {
	Label       string // cut to 20 characters
	Description string // cut to 40
	Identifier  string // at most 20; comes back with requested_action
}

// What GitHub takes of a check run
// (https://docs.github.com/rest/checks/runs#create-a-check-run).
const (
	maxOutput      = 65535 // bytes, of the summary and of the text
	maxTitle       = 255
	maxAnnotations = 50 // in one request
	maxLabel       = 20 // of a button
	maxNote        = 40 // below it
)

// checkAnswer is what is read of GitHub's.
type checkAnswer struct {
	ID         int64  `json:"id"`
	ExternalID string `json:"external_id"`
	Output     struct {
		Annotations int `json:"annotations_count"`
	} `json:"output"`
}

// PutCheck makes a check run be as it is to be, and returns its ID. Called
// again, after whatever error or crash, it neither makes a second one nor adds
// an annotation twice.
func (h *Hub) PutCheck(ctx context.Context, r Repo, c Check) (id int64, err error) {
	got := checkAnswer{ID: c.ID}
	if c.ID == 0 {
		if got, err = h.findCheck(ctx, r, c); err != nil {
			return 0, fmt.Errorf("find the check %q of %s: %w", c.Name, r.FullName, err)
		}
	}
	q := request{scope: r.in("checks:write"), method: http.MethodPost, path: r.of("/check-runs"), in: c.create(), out: &got}
	if got.ID != 0 {
		q = h.checkUpdate(r, got.ID, c.update(0, 0), &got)
	}
	if err := h.putCheck(ctx, r, q, &got); err != nil {
		return 0, fmt.Errorf("show the check %q of %s: %w", c.Name, r.FullName, err)
	}
	for n := got.Output.Annotations; n < len(c.Annotations); n = got.Output.Annotations {
		q := h.checkUpdate(r, got.ID, c.update(n, n+maxAnnotations), &got)
		q.again = false // they would be there twice
		err := h.putCheck(ctx, r, q, &got)
		if err == nil && got.Output.Annotations <= n {
			err = errors.New("GitHub does not take more annotations")
		}
		if err != nil {
			return got.ID, fmt.Errorf("annotate the check %q of %s: %w", c.Name, r.FullName, err)
		}
	}
	return got.ID, nil
}

func (h *Hub) putCheck(ctx context.Context, r Repo, q request, got *checkAnswer) error {
	if err := h.repo(ctx, r, q); err != nil {
		return err
	}
	if got.ID == 0 {
		return fmt.Errorf("%w: GitHub's answer has no id", ErrLost)
	}
	return nil
}

func (h *Hub) checkUpdate(r Repo, id int64, in github.UpdateCheckRunOptions, got *checkAnswer) request {
	return request{scope: r.in("checks:write"), method: http.MethodPatch, path: r.of("/check-runs/%s", strconv.FormatInt(id, 10)), in: in, out: got, again: true}
}

// findCheck looks for the run's, with the token that creates it.
func (h *Hub) findCheck(ctx context.Context, r Repo, c Check) (checkAnswer, error) {
	if err := r.valid(); err != nil {
		return checkAnswer{}, err
	}
	type page struct {
		Checks []checkAnswer `json:"check_runs"`
	}
	q := request{scope: r.in("checks:write"), path: r.of("/commits/%s/check-runs", c.Commit), query: url.Values{
		"check_name": {c.Name}, "filter": {"all"}, "app_id": {strconv.FormatInt(h.app, 10)},
	}}
	for page, err := range pages[page](ctx, h, q) {
		if err != nil {
			return checkAnswer{}, err
		}
		for _, one := range page.Checks {
			if one.ExternalID == c.Run {
				return one, nil
			}
		}
	}
	return checkAnswer{}, nil
}

func (c Check) create() github.CreateCheckRunOptions {
	return github.CreateCheckRunOptions{
		Name: c.Name, HeadSHA: c.Commit, ExternalID: &c.Run, DetailsURL: some(c.URL),
		Status: some(c.Status), Conclusion: some(string(c.Conclusion)), StartedAt: stamp(c.Started), CompletedAt: stamp(c.Ended),
		Output: c.output(0, maxAnnotations), Actions: c.actions(),
	}
}

// update has the annotations between two numbers.
func (c Check) update(from, to int) github.UpdateCheckRunOptions {
	return github.UpdateCheckRunOptions{
		Name: c.Name, ExternalID: &c.Run, DetailsURL: some(c.URL),
		Status: some(c.Status), Conclusion: some(string(c.Conclusion)), CompletedAt: stamp(c.Ended),
		Output: c.output(from, to), Actions: c.actions(),
	}
}

func (c Check) output(from, to int) *github.CheckRunOutput {
	if c.Title == "" && c.Summary == "" && c.Text == "" && len(c.Annotations) == 0 {
		return nil
	}
	title, summary := cut(c.Title, maxTitle), cut(c.Summary, maxOutput)
	if title == "" {
		title = cut(c.Name, maxTitle)
	}
	out := &github.CheckRunOutput{Title: &title, Summary: &summary, Text: some(cut(c.Text, maxOutput))}
	for _, a := range c.Annotations[min(from, len(c.Annotations)):min(to, len(c.Annotations))] {
		start := max(a.Start, 1)
		end := max(a.End, start)
		message := cut(a.Message, maxOutput)
		out.Annotations = append(out.Annotations, &github.CheckRunAnnotation{
			Path: &a.Path, StartLine: &start, EndLine: &end, AnnotationLevel: &a.Level, Message: &message, Title: some(cut(a.Title, maxTitle)),
		})
	}
	return out
}

func (c Check) actions() []*github.CheckRunAction {
	var actions []*github.CheckRunAction
	for _, a := range c.Actions {
		actions = append(actions, &github.CheckRunAction{Label: cut(a.Label, maxLabel), Description: cut(a.Description, maxNote), Identifier: a.Identifier})
	}
	return actions
}

// some is nil for a text that is not there.
func some(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func stamp(t time.Time) *github.Timestamp {
	if t.IsZero() {
		return nil
	}
	return &github.Timestamp{Time: t.UTC().Truncate(time.Second)}
}

// cut cuts a text to so many bytes, and says that it did.
func cut(s string, most int) string {
	const mark = "…"
	if len(s) <= most {
		return s
	}
	s = s[:most-len(mark)]
	for len(s) > 0 && !utf8.RuneStart(s[len(s)-1]) {
		s = s[:len(s)-1]
	}
	if last, size := utf8.DecodeLastRuneInString(s); last == utf8.RuneError && size == 1 {
		s = s[:len(s)-1]
	}
	return s + mark
}
