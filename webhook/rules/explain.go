package rules

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/clipperregistry/runner/webhook"
)

// outcomes are what is said of them.
var outcomes = map[Outcome]string{
	Ignored: "does not run", Asks: "cannot be told yet", Starts: "runs", Waits: "waits for approval", Refused: "is refused",
}

// needed are what is said of facts that are missing.
var needed = map[Need]string{
	NeedPaths: "which paths were changed", NeedPermission: "what the sender may do in the repository",
	NeedPullRequest: "the pull request as it is now", NeedCommit: "the commit of the ref",
}

// Explain tells decisions about an event to a person.
func Explain(e *webhook.Event, decisions []Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s", e.Name)
	if e.Action != "" {
		fmt.Fprintf(&b, " %s", e.Action)
	}
	fmt.Fprintf(&b, " in %s by %s: %s\n", clean(e.Repository.FullName), clean(e.Sender.Login), clean(e.Key()))
	for _, d := range decisions {
		fmt.Fprintf(&b, "\n%s %s\n", d.Rule, outcomes[d.Outcome])
		for _, s := range d.Steps {
			mark := "-"
			if s.OK {
				mark = "+"
			}
			fmt.Fprintf(&b, "  %s %s\n", mark, oneLine(s.Text))
		}
		for _, n := range d.Needs {
			fmt.Fprintf(&b, "  ? %s\n", needed[n])
		}
		if d.Run != nil && d.Outcome != Refused {
			b.WriteString(summary(d.Run))
		}
	}
	if len(decisions) == 0 {
		b.WriteString("\nthere are no rules\n")
	}
	return b.String()
}

// summary is what would start.
func summary(run *webhook.Run) string {
	var j Job
	if err := json.Unmarshal(run.Job, &j); err != nil {
		panic(err) // it was written here
	}
	var b strings.Builder
	if what := j.String(); what != "" {
		fmt.Fprintf(&b, "  = %s\n", what)
	}
	fmt.Fprintf(&b, "  = check %q on %s\n", j.Check, run.Commit)
	if run.Group != "" {
		_, group, _ := strings.Cut(run.Group, "/")
		fmt.Fprintf(&b, "  = in the group %s\n", group)
	}
	return b.String()
}
