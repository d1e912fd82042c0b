package work

import (
	"strings"

	"github.com/clipperregistry/runner/webhook"
)

// commands says whether a comment may be a command, so that for all the others
// nothing is asked. Which command it is, and whether its author may give it, is
// for the rules to say, which ask for the author's permission at that time.
func commands(e *webhook.Event) bool {
	return e.Action == "created" && e.Issue.PullRequest != nil && strings.HasPrefix(strings.TrimLeft(e.Comment.Body, " \t\r\n"), "/")
}
