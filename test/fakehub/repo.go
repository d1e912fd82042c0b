package fakehub

import (
	"net/http"
	"strings"
	"time"
)

// Repo is a repository. All are private.
type Repo struct {
	ID       int64
	FullName string

	hub           *Hub
	owner         *account
	name          string
	defaultBranch string
	parent        *Repo // that it was forked from
	graph         *graph
	refs          map[string]string // "heads/main": a commit
	people        map[string]string // login: level
	pushedAt      time.Time         // the last time; zero: never
	issues        int64             // the highest number

	pulls         []*PullRequest
	comments      []*comment
	suites        []*suite
	suiteOfCommit map[suiteKey]*suite
	checks        []*checkRun
	statuses      []*status
	deployments   []*deployment
	workflowIDs   map[string]int64 // by path
	runs          []*Run
	started       map[int64]int // runs, by workflow
}

// Repo finds a repository by its full name, "acme/app", or makes it: empty,
// with "main" for its branch. Its owner is an organisation unless User has
// made a person of that name.
func (h *Hub) Repo(fullName string) *Repo {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.repos[strings.ToLower(fullName)]; r != nil {
		return r
	}
	owner, name, _ := strings.Cut(fullName, "/")
	return h.repo(h.owner(owner), name)
}

func (h *Hub) repo(owner *account, name string) *Repo {
	r := &Repo{ID: h.next(), FullName: owner.login + "/" + name, hub: h, owner: owner, name: name, defaultBranch: "main",
		graph: &graph{commits: map[string]*commit{}}, refs: map[string]string{}, people: map[string]string{},
		workflowIDs: map[string]int64{}, started: map[int64]int{}, suiteOfCommit: map[suiteKey]*suite{}}
	if !owner.organization {
		r.people[owner.login] = "admin"
	}
	h.repos[strings.ToLower(r.FullName)] = r
	return r
}

// Fork makes a person's copy of the repository, with all its branches.
func (r *Repo) Fork(login string) *Repo {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	fork := r.hub.repo(r.hub.account(login), r.name)
	fork.parent, fork.graph = r, r.graph
	for ref, sha := range r.refs {
		fork.refs[ref] = sha
	}
	return fork
}

// Permit gives a person a level: read, triage, write, maintain, admin, none.
func (r *Repo) Permit(login, level string) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	r.hub.account(login)
	r.people[login] = level
}

// Rename gives the repository another name, with the same ID. Calls with the
// old one are sent to the ID.
func (r *Repo) Rename(name string) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.repos, strings.ToLower(r.FullName))
	h.former[strings.ToLower(r.FullName)] = r
	r.name, r.FullName = name, r.owner.login+"/"+name
	h.repos[strings.ToLower(r.FullName)] = r
}

// SetDefaultBranch makes a branch the default one, where configuration is read.
func (r *Repo) SetDefaultBranch(branch string) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	r.defaultBranch = branch
}

// level is what a person may do here.
func (r *Repo) level(login string) string {
	for known, level := range r.people {
		if strings.EqualFold(known, login) {
			return level
		}
	}
	return "none"
}

// show is the least of a repository that all descriptions of it have.
func (r *Repo) show() object {
	shown := object{"id": r.ID, "name": r.name, "full_name": r.FullName, "owner": r.owner.show(), "private": true, "visibility": "private",
		"default_branch": r.defaultBranch, "fork": r.parent != nil, "html_url": r.hub.URL + "/" + r.FullName, "url": r.at("")}
	if !r.pushedAt.IsZero() {
		shown["pushed_at"] = stamp(r.pushedAt)
	}
	return shown
}

// at is the URL of a part of the repository in the API.
func (r *Repo) at(path string) string { return r.hub.APIURL + "/repos/" + r.FullName + path }

// list shows repositories as events of installations do.
func (h *Hub) list(repos []*Repo) []object {
	shown := []object{}
	for _, r := range repos {
		shown = append(shown, object{"id": r.ID, "name": r.name, "full_name": r.FullName, "private": true})
	}
	return shown
}

func (c *call) getRepo() (any, error) {
	shown := c.repo.show()
	if c.repo.parent != nil {
		shown["parent"], shown["source"] = c.repo.parent.show(), c.repo.parent.show()
	}
	if c.repo.owner.organization {
		shown["organization"] = c.repo.owner.show()
	}
	return shown, nil
}

// getLevel maps a role to the four levels that there were once, as the
// description says.
func (c *call) getLevel() (any, error) {
	person := c.hub.accounts[strings.ToLower(c.path("username"))]
	if person == nil {
		return nil, refuse(http.StatusNotFound, "%s is not a user", c.path("username"))
	}
	role := c.repo.level(person.login)
	permission := map[string]string{"maintain": "write", "triage": "read"}[role]
	if permission == "" {
		permission = role
	}
	return object{"permission": permission, "role_name": role, "user": person.show()}, nil
}
