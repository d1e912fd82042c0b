package fakehub

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// suite is what an App says of a commit.
type suite struct {
	id      int64
	app     *App
	sha     string
	branch  string
	created time.Time
	updated time.Time // with its check runs
	runs    []*checkRun
}

// suiteKey is what there is one suite of.
type suiteKey struct {
	app int64
	sha string
}

// suiteOf is the App's suite of a commit.
func (r *Repo) suiteOf(app *App, sha string) *suite {
	found := r.suiteOfCommit[suiteKey{app.ID, sha}]
	if found == nil {
		found = &suite{id: r.hub.next(), app: app, sha: sha, created: r.hub.now(), updated: r.hub.now()}
		for ref, head := range r.refs {
			if branch, ok := strings.CutPrefix(ref, "heads/"); ok && head == sha {
				found.branch = branch
			}
		}
		r.suites = append(r.suites, found)
		r.suiteOfCommit[suiteKey{app.ID, sha}] = found
	}
	return found
}

// state is what all check runs of the suite come to.
func (s *suite) state() (status string, conclusion any) {
	status = "queued"
	done := 0
	for _, k := range s.runs {
		if k.members["status"] == "completed" {
			done++
			if conclusion == nil || conclusion == "success" {
				conclusion = k.members["conclusion"]
			}
		}
	}
	switch {
	case done > 0 && done == len(s.runs):
		return "completed", conclusion
	case done > 0:
		status = "in_progress"
	}
	return status, nil
}

func (r *Repo) showSuite(s *suite) object {
	status, conclusion := s.state()
	at := r.at(fmt.Sprintf("/check-suites/%d", s.id))
	head := r.graph.commits[s.sha]
	return object{"id": s.id, "head_sha": s.sha, "head_branch": nullable(s.branch), "status": status, "conclusion": conclusion, "url": at, "check_runs_url": at + "/check-runs",
		"app": s.app.show(), "created_at": stamp(s.created), "updated_at": stamp(s.updated), "latest_check_runs_count": len(s.runs), "repository": r.show(), "pull_requests": []object{},
		"head_commit": object{"id": s.sha, "tree_id": blobSHA(s.sha), "message": head.message, "timestamp": stamp(head.at)}}
}

// nullable is null for a text that is not there.
func nullable(text string) any {
	if text == "" {
		return nil
	}
	return text
}

// listChecks answers, as GitHub does, the latest check run of each name and App,
// unless all are asked for.
func (c *call) listChecks() (any, error) {
	at, err := c.commit(c.path("ref"))
	if err != nil {
		return nil, err
	}
	var all, found []*checkRun
	latest := map[string]*checkRun{}
	for _, app := range c.hub.apps {
		if s := c.repo.suiteOfCommit[suiteKey{app.ID, at.sha}]; s != nil {
			all = append(all, s.runs...)
		}
	}
	for _, k := range all {
		latest[fmt.Sprint(k.suite.app.ID, k.members["name"])] = k
	}
	for _, k := range all {
		name := c.query("check_name")
		switch {
		case c.query("filter") != "all" && latest[fmt.Sprint(k.suite.app.ID, k.members["name"])] != k,
			name != "" && k.members["name"] != name,
			c.query("status") != "" && k.members["status"] != c.query("status"),
			c.query("app_id") != "" && c.query("app_id") != strconv.FormatInt(k.suite.app.ID, 10):
			continue
		}
		found = append(found, k)
	}
	return list(c, "check_runs", found, c.repo.showCheck)
}

func (c *call) getSuite() (any, error) {
	id := c.id("check_suite_id")
	s, err := find(c.repo.suites, func(s *suite) bool { return s.id == id })
	return one(s, err, c.repo.showSuite)
}

func (c *call) createSuite() (any, error) {
	var in struct {
		SHA string `json:"head_sha"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	if c.repo.graph.commits[in.SHA] == nil {
		return nil, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", in.SHA)
	}
	before := len(c.repo.suites)
	s := c.repo.suiteOf(c.token.install.app, in.SHA)
	if len(c.repo.suites) == before {
		return reply{http.StatusOK, c.repo.showSuite(s)}, nil
	}
	return reply{http.StatusCreated, c.repo.showSuite(s)}, nil
}

// RerequestSuite presses "Re-run all checks" of a commit. The Apps that have
// checked it are told.
func (r *Repo) RerequestSuite(sha, login string) error {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	told := false
	for _, s := range r.suites {
		for _, i := range h.installations(s.app) {
			if s.sha == sha && i.sees(r) {
				told = true
				h.emitTo(i, "check_suite", "rerequested", h.account(login), r, object{"check_suite": r.showSuite(s)})
			}
		}
	}
	if !told {
		return fmt.Errorf("%s has no checks of %s", r.FullName, sha)
	}
	return nil
}
