package fakehub

import (
	"fmt"
	"slices"
	"time"
)

// PullRequest is one. What is exported does not change.
type PullRequest struct {
	Number int64

	id           int64
	repo         *Repo // that it wants to change
	from         *Repo // that has its branch; nil: it was deleted
	head, base   string
	headSHA      string
	title, login string
	draft        bool
	labels       []string
	state        string
	mergedAs     *commit
	created      time.Time
}

// Pull is what a pull request is opened with.
type Pull struct {
	// From has the branch. Default: the repository itself.
	From *Repo
	Head string // a branch that is there
	Base string // default: the default branch
	// Login is who opens it. Default: who owns From.
	Login  string
	Title  string
	Draft  bool
	Labels []string
}

// OpenPullRequest opens one. The Apps are told.
func (r *Repo) OpenPullRequest(pull Pull) *PullRequest {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if pull.From == nil {
		pull.From = r
	}
	if pull.Base == "" {
		pull.Base = r.defaultBranch
	}
	if pull.Login == "" {
		pull.Login = pull.From.owner.login
	}
	if pull.Title == "" {
		pull.Title = "Change " + pull.Head
	}
	r.issues++
	p := &PullRequest{Number: r.issues, id: h.next(), repo: r, from: pull.From, head: pull.Head, base: pull.Base, headSHA: pull.From.refs["heads/"+pull.Head],
		title: pull.Title, login: pull.Login, draft: pull.Draft, labels: pull.Labels, state: "open", created: h.now()}
	r.pulls = append(r.pulls, p)
	p.tell("opened", p.login, nil)
	return p
}

// Push adds a commit to the pull request's branch. The Apps are told of it on
// both sides.
func (p *PullRequest) Push(files map[string]string) (sha string) {
	h := p.repo.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	before := p.from.head(p.head)
	after := p.from.commit(p.head, files)
	p.headSHA = after.sha
	h.pushed(p.from, h.account(p.login), "refs/heads/"+p.head, before, after)
	p.tell("synchronize", p.login, object{"before": before.sha, "after": after.sha})
	return after.sha
}

// Label puts a label on it. The Apps are told.
func (p *PullRequest) Label(login, name string) {
	p.repo.hub.mu.Lock()
	defer p.repo.hub.mu.Unlock()
	p.labels = append(p.labels, name)
	p.tell("labeled", login, object{"label": p.repo.label(name)})
}

// Close closes it without a merge. The Apps are told.
func (p *PullRequest) Close(login string) {
	p.repo.hub.mu.Lock()
	defer p.repo.hub.mu.Unlock()
	p.state = "closed"
	p.tell("closed", login, nil)
}

// Reopen opens it again. The Apps are told.
func (p *PullRequest) Reopen(login string) {
	p.repo.hub.mu.Lock()
	defer p.repo.hub.mu.Unlock()
	p.state = "open"
	p.tell("reopened", login, nil)
}

// Merge merges it into its base. The Apps are told of both.
func (p *PullRequest) Merge(login string) (sha string) {
	h := p.repo.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	before := p.repo.head(p.base)
	p.state = "closed"
	p.mergedAs = p.repo.merge(p.base, p.repo.graph.commits[p.headSHA])
	p.tell("closed", login, nil)
	h.pushed(p.repo, h.account(login), "refs/heads/"+p.base, before, p.mergedAs)
	return p.mergedAs.sha
}

// HeadSHA is the commit that it wants merged now.
func (p *PullRequest) HeadSHA() string {
	p.repo.hub.mu.Lock()
	defer p.repo.hub.mu.Unlock()
	return p.headSHA
}

// DeleteFork deletes the repository that it comes from: it stays, without one.
func (p *PullRequest) DeleteFork() {
	p.repo.hub.mu.Lock()
	defer p.repo.hub.mu.Unlock()
	p.from = nil
}

func (p *PullRequest) tell(action, login string, extra object) {
	h := p.repo.hub
	shown := object{"number": p.Number, "pull_request": p.show()}
	for name, value := range extra {
		shown[name] = value
	}
	h.emit(p.repo, "pull_request", action, h.account(login), shown)
}

func (r *Repo) label(name string) object {
	return object{"id": r.ID, "name": name, "color": "ededed", "default": false, "description": ""}
}

func (p *PullRequest) show() object {
	h, at := p.repo.hub, p.repo.at(fmt.Sprintf("/pulls/%d", p.Number))
	labels := []object{}
	for _, name := range p.labels {
		labels = append(labels, p.repo.label(name))
	}
	association := "NONE"
	if atLeast(p.repo.level(p.login), "write") {
		association = "CONTRIBUTOR" // who may write is not told from it
	}
	shown := object{
		"id": p.id, "number": p.Number, "state": p.state, "title": p.title, "draft": p.draft, "labels": labels, "user": h.account(p.login).show(),
		"url": at, "html_url": fmt.Sprintf("%s/%s/pull/%d", h.URL, p.repo.FullName, p.Number), "created_at": stamp(p.created), "updated_at": stamp(h.now()),
		"merged": p.mergedAs != nil, "author_association": association,
		"head": p.sideOf(p.from, p.head, p.headSHA), "base": p.sideOf(p.repo, p.base, p.repo.refs["heads/"+p.base]),
	}
	if p.mergedAs != nil {
		shown["merge_commit_sha"], shown["merged_at"] = p.mergedAs.sha, stamp(p.mergedAs.at)
	}
	if p.state == "closed" {
		shown["closed_at"] = stamp(h.now())
	}
	return shown
}

func (p *PullRequest) sideOf(r *Repo, branch, sha string) object {
	if r == nil { // as GitHub shows it
		return object{"label": "unknown:" + branch, "ref": branch, "sha": sha, "repo": nil, "user": nil}
	}
	return object{"label": r.owner.login + ":" + branch, "ref": branch, "sha": sha, "repo": r.show(), "user": r.owner.show()}
}

// pull is the pull request that the path names.
func (c *call) pull() (*PullRequest, error) {
	id := c.id("pull_number")
	return find(c.repo.pulls, func(p *PullRequest) bool { return p.Number == id })
}

// find finds one thing of a list, of several the newest.
func find[T any](all []*T, is func(*T) bool) (*T, error) {
	for _, one := range slices.Backward(all) {
		if is(one) {
			return one, nil
		}
	}
	return nil, errNotFound
}

func (c *call) getPull() (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	shown := p.show()
	shown["changed_files"], shown["mergeable"], shown["mergeable_state"] = len(p.changes()), true, "clean"
	return shown, nil
}

// listPulls answers the newest first.
func (c *call) listPulls() (any, error) {
	state, head, base := c.query("state"), c.query("head"), c.query("base")
	var found []*PullRequest
	for _, p := range slices.Backward(c.repo.pulls) {
		of := p.head
		if p.from != nil {
			of = p.from.owner.login + ":" + p.head
		}
		if (state == p.state || state == "" && p.state == "open" || state == "all") && (head == "" || head == of) && (base == "" || base == p.base) {
			found = append(found, p)
		}
	}
	return list(c, "", found, func(p *PullRequest) object {
		shown := p.show()
		delete(shown, "merged") // only one alone has it
		return shown
	})
}

func (p *PullRequest) changes() map[string]string {
	head, base := p.repo.graph.commits[p.headSHA], p.repo.head(p.base)
	return diff(mergeBase(base, head), head)
}

func (c *call) listPullFiles() (any, error) {
	p, err := c.pull()
	if err != nil {
		return nil, err
	}
	return page(c, c.repo.entries(p.changes(), c.repo.graph.commits[p.headSHA])), nil
}
