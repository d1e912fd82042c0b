package work

import (
	"cmp"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/mask"
	"github.com/clipperregistry/runner/webhook/rules"
)

// Where runs are shown.
const (
	checkChannel      = "check"
	deploymentChannel = "deployment"
	commentChannel    = "comment"
)

// show is what GitHub is to show of a run as it is now, with its last lines.
func (w *Work) show(run *webhook.Run, lines []string) []database.Desire {
	job, err := jobOf(run)
	if err != nil { // that of a configuration has none
		return nil
	}
	urgent := run.State.Over() || run.State == webhook.AwaitingApproval
	var desires []database.Desire
	if run.Commit != "" && job.Check != "" {
		desires = append(desires, desire(checkChannel, w.check(run, job.Check, lines), urgent))
	}
	if job.Environment != "" || run.DeploymentID != 0 {
		desires = append(desires, desire(deploymentChannel, hub.Deployment{
			ID: run.DeploymentID, Run: run.ID, Commit: run.Commit, Environment: job.Environment, Production: job.Production,
			State: run.State.Deployment(), Description: title(run), LogURL: w.Page(run),
		}, urgent))
	}
	if job.Sticky && run.PullRequest != 0 {
		desires = append(desires, desire(commentChannel, hub.Comment{
			PullRequest: run.PullRequest, Marker: run.RuleKey, Body: w.comment(run, job),
		}, urgent))
	}
	return desires
}

func desire(channel string, what any, urgent bool) database.Desire {
	state, err := json.Marshal(what)
	if err != nil {
		panic(err) // strings and numbers
	}
	return database.Desire{Channel: channel, State: state, Urgent: urgent}
}

func (w *Work) check(run *webhook.Run, name string, lines []string) hub.Check {
	c := hub.Check{
		Run: run.ID, Name: name, Commit: run.Commit, Started: run.Started, Ended: run.Ended, URL: w.Page(run),
		Title: title(run), Summary: w.onGitHub(run) + summary(run, lines), Actions: buttons(run),
	}
	c.Status, c.Conclusion = run.State.Check()
	return c
}

// titles say where a run stands.
var titles = map[webhook.State]string{
	webhook.AwaitingApproval: "Waits for approval", webhook.Queued: "Queued", webhook.Starting: "Starting",
	webhook.Resolving: "Starting", webhook.Ambiguous: "Whether it was started is not known", webhook.Running: "Running",
	webhook.Finishing: "Finishing", webhook.Succeeded: "Succeeded", webhook.Failed: "Failed", webhook.TimedOut: "Timed out",
	webhook.Cancelled: "Cancelled", webhook.Lost: "Lost",
}

func title(run *webhook.Run) string {
	text := titles[run.State]
	if run.State == webhook.Failed && run.ExitCode != nil {
		text += fmt.Sprintf(" with exit code %d", *run.ExitCode)
	}
	return text
}

// mostShown is how much of the last lines is shown: the check's summary has
// 65,535 bytes for all of it.
const mostShown = 56 << 10

// onGitHub leads to the log of a workflow, which GitHub has.
func (w *Work) onGitHub(run *webhook.Run) string {
	if page := w.Workflow(run); page != "" {
		return "[The run of the workflow](" + page + ") has the log.\n\n"
	}
	return ""
}

// mostReason bounds what is said about the state.
const mostReason = 4 << 10

func summary(run *webhook.Run, lines []string) string {
	var b strings.Builder
	if run.Reason != "" {
		b.WriteString(fenced(tail([]string{run.Reason}, mostReason)))
	}
	switch {
	case run.State == webhook.AwaitingApproval:
		b.WriteString("The code comes from a fork. Look at the commit, and then press **Approve**: that counts for this commit alone.\n\n")
	case run.State == webhook.Ambiguous:
		b.WriteString("It may run, or may have run. It is not started again unless somebody has it run again.\n\n")
	}
	if len(lines) > 0 {
		b.WriteString("Last lines:\n\n" + fenced(tail(lines, mostShown)))
	}
	return cmp.Or(b.String(), title(run))
}

// tail joins the last of the lines, as many as there is room for.
func tail(lines []string, most int) string {
	first, size := len(lines), 0
	clean := mask.RedactLines(lines)
	for first > 0 {
		line := printable(clean[first-1])
		if size += len(line) + 1; size > most && first < len(lines) {
			break
		}
		first--
		clean[first] = line[max(0, len(line)-most):]
	}
	return strings.ToValidUTF8(strings.Join(clean[first:], "\n"), "")
}

// fenced is a text as Markdown that nothing in it gets out of.
func fenced(text string) string {
	fence := "```"
	for strings.Contains(text, fence) {
		fence += "`"
	}
	return fence + "text\n" + text + "\n" + fence + "\n\n"
}

// ticks are more of them than a fence of a sensible length can hold.
var ticks = regexp.MustCompile("`{33,}")

// overwritten is what a carriage return had other characters take the place of,
// as a progress bar does.
var overwritten = regexp.MustCompile(`(?m)^.*\r([^\r\n])`)

// printable is a text without what moves cursors and changes colours.
func printable(s string) string {
	s = overwritten.ReplaceAllString(mask.Plain(s), "$1")
	return ticks.ReplaceAllString(strings.ReplaceAll(s, "\r", ""), strings.Repeat("`", 32))
}

// redact takes out of a text what looks like a secret.
func redact(s string) string { return mask.Redact(s) }

// buttons are what people may ask for: at most three, in GitHub's lengths.
func buttons(run *webhook.Run) []hub.Action {
	again := hub.Action{Label: "Run again", Description: "The same for the same commit", Identifier: string(rules.WishRerun)}
	cancel := hub.Action{Label: "Cancel", Description: "End this run", Identifier: string(rules.WishCancel)}
	switch {
	case run.State == webhook.AwaitingApproval:
		return []hub.Action{{Label: "Approve", Description: "Run this commit of the fork", Identifier: string(rules.WishApprove)}, cancel}
	case run.State.Over():
		return []hub.Action{again}
	case run.State == webhook.Ambiguous:
		return []hub.Action{again, cancel}
	}
	return []hub.Action{cancel}
}

func (w *Work) comment(run *webhook.Run, job rules.Job) string {
	text := fmt.Sprintf("**%s**: %s, for %s\n", plain(job.Check), title(run), run.Commit)
	if page := w.Page(run); page != "" {
		text += "\n[Log](" + page + ")\n"
	}
	return text
}

// plain is a text in Markdown that means nothing but itself.
func plain(s string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune("\\`*_{}[]<>#|~@!\n", c) {
			return ' '
		}
		return c
	}, s)
}
