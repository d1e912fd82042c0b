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

// comment looks at a command in a comment. It is about the commit that its
// author saw: the one that it names, or the pull request's head if that is
// known to be no younger than the comment.
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
// comment saw.
func (m *matching) seen(commit string) bool {
	p, written := m.facts.PullRequest, m.event.Comment.CreatedAt.Time()
	switch {
	case p.State != "" && p.State != "open":
		return m.no("the pull request is %s", p.State)
	case commit != "" && !strings.HasPrefix(p.Head.SHA, commit):
		return m.no("the pull request's head is %s by now, not %s", p.Head.SHA, commit)
	case commit != "":
		m.yes("the command names the pull request's head")
	case m.facts.HeadSince.IsZero() || written.IsZero():
		if p.Fork(m.event.Repository.ID) {
			return m.no("the code comes from a fork, and whether its head was there before the comment is not known: name it, as in %s %.12s", m.rule.On.Comment.Command, p.Head.SHA)
		}
	case m.facts.HeadSince.After(written):
		return m.no("the pull request got its head %s after the comment was written: look at it and comment again", p.Head.SHA)
	default:
		m.yes("the pull request's head was there before the comment")
	}
	m.commanded = true
	return true
}
