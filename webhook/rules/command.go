package rules

import (
	"regexp"
	"strings"
)

// commandLine is all that a command can be: a word, and a commit behind it.
var commandLine = regexp.MustCompile(`^(/[a-z][a-z0-9-]{0,31})(?: +([0-9a-f]{7,64}))?$`)

// parseCommand reads the command of a comment, which is its first line alone.
func parseCommand(body string) (command, commit string, ok bool) {
	line, _, _ := strings.Cut(strings.TrimLeft(body, "\r\n"), "\n")
	if len(line) > 200 {
		return "", "", false
	}
	found := commandLine.FindStringSubmatch(strings.Trim(line, " \t\r"))
	if found == nil {
		return "", "", false
	}
	return found[1], found[2], true
}

// comment looks at a command in a comment on a pull request.
func (m *matching) comment(on *Comment) bool {
	e := m.event
	if e.Action != "created" {
		return m.no("the comment was %s, and only new comments are read", e.Action)
	}
	command, commit, ok := parseCommand(e.Comment.Body)
	switch {
	case !ok:
		return m.no("the comment's first line is no command")
	case command != on.Command:
		return m.no("the command is %s, not %s", command, on.Command)
	case e.Issue.PullRequest == nil:
		return m.no("the comment is on an issue, not on a pull request")
	case e.Comment.User.Login != e.Sender.Login:
		return m.no("%s sent what %s wrote", e.Sender.Login, e.Comment.User.Login)
	case !m.permitted(on.Require):
		return false
	case m.facts.PullRequest == nil || m.facts.PullRequest.Number != e.Issue.Number:
		return m.need(NeedPullRequest)
	}
	return m.yes("the command is %s", command) && m.seen(commit)
}

// seen looks at whether the pull request's head is what the author of the
// comment saw. No time tells that: GitHub has none for when a pull request got
// its head, and who pushes can take a commit away before somebody looks and put
// it back behind the command. So a command names the commit, and all of it: of
// the beginning of a name anybody can make two commits that share it.
//
// Where nothing is gained by that, the head counts as it is. To a branch of the
// repository itself push those who may write, and they can give the command,
// too, unless it requires more of them.
func (m *matching) seen(commit string) bool {
	p, on := m.facts.PullRequest, m.rule.On.Comment
	fork, above := p.Fork(m.event.Repository.ID), !Write.AtLeast(on.Require)
	switch whole := commit != "" && commit == p.Head.SHA; {
	case p.State != "" && p.State != "open":
		return m.no("the pull request is %s", p.State)
	case !strings.HasPrefix(p.Head.SHA, commit):
		return m.no("the pull request's head is %s by now, not %s", p.Head.SHA, commit)
	case fork && !whole:
		return m.no("the code comes from a fork: name the whole commit that you looked at, as in %s COMMIT", on.Command)
	case above && !whole:
		return m.no("whoever may write can push to the branch: name the whole commit that you looked at, as in %s COMMIT", on.Command)
	case commit != "":
		m.yes("the command names the pull request's head")
	}
	m.commanded = true
	return true
}
