package fakehub

import (
	"fmt"
	"time"
)

type comment struct {
	id      int64
	number  int64 // of the issue or pull request
	login   string
	body    string
	at      time.Time
	updated time.Time
}

// Comment is one as tests see it.
type Comment struct {
	ID          int64
	Number      int64
	Login, Body string
	Edited      bool
}

// maxComment is the longest body, in characters.
const maxComment = 65536

// Comment lets a person comment on a pull request. The Apps are told.
func (p *PullRequest) Comment(login, body string) int64 {
	p.repo.hub.mu.Lock()
	defer p.repo.hub.mu.Unlock()
	return p.repo.comment(p.Number, p.repo.hub.account(login), body).id
}

// EditComment changes a comment. The Apps are told.
func (r *Repo) EditComment(id int64, login, body string) error {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	k, err := find(r.comments, func(k *comment) bool { return k.id == id })
	if err != nil {
		return fmt.Errorf("%s has no comment %d", r.FullName, id)
	}
	r.edit(k, r.hub.account(login), body)
	return nil
}

// Comments lists those of a pull request, the oldest first.
func (r *Repo) Comments(number int64) []Comment {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	var all []Comment
	for _, k := range r.comments {
		if k.number == number {
			all = append(all, Comment{k.id, k.number, k.login, k.body, k.updated.After(k.at)})
		}
	}
	return all
}

func (r *Repo) comment(number int64, by *account, body string) *comment {
	k := &comment{r.hub.next(), number, by.login, body, r.hub.now(), r.hub.now()}
	k.updated = k.at
	r.comments = append(r.comments, k)
	r.tellComment("created", k, by, nil)
	return k
}

func (r *Repo) edit(k *comment, by *account, body string) {
	before := k.body
	k.body, k.updated = body, r.hub.now()
	r.tellComment("edited", k, by, object{"changes": object{"body": object{"from": before}}})
}

func (r *Repo) tellComment(action string, k *comment, by *account, extra object) {
	shown := object{"comment": r.showComment(k), "issue": r.showIssue(k.number)}
	for name, value := range extra {
		shown[name] = value
	}
	r.hub.emit(r, "issue_comment", action, by, shown)
}

func (r *Repo) showComment(k *comment) object {
	association := "NONE"
	if atLeast(r.level(k.login), "write") {
		association = "CONTRIBUTOR" // who may write is not told from it
	}
	return object{"id": k.id, "body": k.body, "user": r.hub.account(k.login).show(), "created_at": stamp(k.at), "updated_at": stamp(k.updated), "author_association": association,
		"url": r.at(fmt.Sprintf("/issues/comments/%d", k.id)), "issue_url": r.at(fmt.Sprintf("/issues/%d", k.number)),
		"html_url": fmt.Sprintf("%s/%s/pull/%d#issuecomment-%d", r.hub.URL, r.FullName, k.number, k.id)}
}

// showIssue is a pull request as issues show it.
func (r *Repo) showIssue(number int64) object {
	shown := object{"number": number, "state": "open", "title": "", "url": r.at(fmt.Sprintf("/issues/%d", number)), "labels": []object{}}
	if p, err := find(r.pulls, func(p *PullRequest) bool { return p.Number == number }); err == nil {
		at := r.at(fmt.Sprintf("/pulls/%d", number))
		page := fmt.Sprintf("%s/%s/pull/%d", r.hub.URL, r.FullName, number)
		shown["id"], shown["state"], shown["title"], shown["user"] = p.id, p.state, p.title, r.hub.account(p.login).show()
		shown["draft"], shown["labels"] = p.draft, p.show()["labels"]
		shown["pull_request"] = object{"url": at, "html_url": page, "diff_url": page + ".diff", "patch_url": page + ".patch", "merged_at": p.show()["merged_at"]}
	}
	return shown
}

func (c *call) createComment() (any, error) {
	number := c.id("issue_number")
	if number < 1 || number > c.repo.issues {
		return nil, errNotFound
	}
	body, err := c.commentBody()
	if err != nil {
		return nil, err
	}
	return c.repo.showComment(c.repo.comment(number, c.bot(), body)), nil
}

func (c *call) commentBody() (string, error) {
	var in struct {
		Body string `json:"body"`
	}
	if err := c.read(&in); err != nil {
		return "", err
	}
	if in.Body == "" {
		return "", invalid("IssueComment", "body", "missing_field", "Body cannot be blank")
	}
	if len([]rune(in.Body)) > maxComment {
		return "", invalid("IssueComment", "body", "unprocessable", "body is too long (maximum is 65536 characters)")
	}
	return in.Body, nil
}

func (c *call) comment() (*comment, error) {
	id := c.id("comment_id")
	return find(c.repo.comments, func(k *comment) bool { return k.id == id })
}

func (c *call) getComment() (any, error) {
	k, err := c.comment()
	return one(k, err, c.repo.showComment)
}

func (c *call) updateComment() (any, error) {
	k, err := c.comment()
	if err != nil {
		return nil, err
	}
	if k.login != c.bot().login {
		return nil, refuse(403, "Resource not accessible by integration")
	}
	body, err := c.commentBody()
	if err != nil {
		return nil, err
	}
	c.repo.edit(k, c.bot(), body)
	return c.repo.showComment(k), nil
}

func (c *call) listComments() (any, error) {
	number := c.id("issue_number")
	if number < 1 || number > c.repo.issues {
		return nil, errNotFound
	}
	since, _ := time.Parse(time.RFC3339, c.query("since"))
	var found []*comment
	for _, k := range c.repo.comments {
		if k.number == number && !k.updated.Before(since) {
			found = append(found, k)
		}
	}
	return list(c, "", found, c.repo.showComment)
}
