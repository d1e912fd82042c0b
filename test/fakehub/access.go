package fakehub

import (
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// access is who may call an operation.
type access int

const (
	anybody        access = iota // signed in or not
	asApp                        // with a JSON Web Token
	asInstallation               // with an installation's token
	asUser                       // with a person's token
)

// Permissions are what an App may do, as GitHub names it: "checks": "write".
type Permissions map[string]string

// allows reports whether a need is met: "checks:write", or one of several,
// "issues:write|pull_requests:write". To write is to read.
func (p Permissions) allows(need string) bool {
	for one := range strings.SplitSeq(need, "|") {
		name, level, _ := strings.Cut(one, ":")
		has := p[name]
		if has == level || has == "admin" || has == "write" && level == "read" {
			return true
		}
	}
	return need == ""
}

// within reports whether all of p is granted by what somebody has.
func (p Permissions) within(granted Permissions) bool {
	for name, level := range p {
		if !granted.allows(name + ":" + level) {
			return false
		}
	}
	return true
}

// authorize asks whether the caller may: what a token does not see is not
// there, what it may not do is forbidden.
func (c *call) authorize() error {
	h := c.hub
	c.header.Set("X-Accepted-GitHub-Permissions", accepted(c.operation.needs))
	if c.operation.by == asInstallation && c.token.install == nil || c.operation.by == asUser && c.token.user == nil {
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	if org := c.path("org"); org != "" {
		if c.owner = h.accounts[strings.ToLower(org)]; c.owner == nil || !c.owner.organization {
			return errNotFound
		}
		if c.token != nil && c.token.install != nil && c.token.install.account != c.owner {
			return errNotFound
		}
	}
	if repo := c.path("repo"); repo != "" {
		c.repo = h.repos[strings.ToLower(c.path("owner")+"/"+repo)]
		if c.repo == nil {
			return c.moved(c.path("owner") + "/" + repo)
		}
		if c.token != nil && c.token.install != nil && !c.token.sees(c.repo) {
			return errNotFound
		}
	}
	if c.token != nil && c.token.install != nil && !c.token.permissions.allows(c.operation.needs) {
		return refuse(http.StatusForbidden, "Resource not accessible by integration")
	}
	return nil
}

// moved sends the caller of a repository that has another name now to its ID,
// with 307 what is not to become a GET
// (https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects).
func (c *call) moved(fullName string) error {
	r := c.hub.former[strings.ToLower(fullName)]
	if r == nil || c.token != nil && c.token.install != nil && !c.token.sees(r) {
		return errNotFound
	}
	status := http.StatusTemporaryRedirect
	if c.request.Method == http.MethodGet {
		status = http.StatusMovedPermanently
	}
	rest := strings.TrimPrefix(c.request.URL.RequestURI(), "/repos/"+fullName)
	c.header.Set("Location", fmt.Sprintf("%s/repositories/%d%s", c.hub.APIURL, r.ID, rest))
	return refuse(status, "Moved Permanently")
}

// named gives a path below /repositories/ID the repository's name.
func (h *Hub) named(path string) string {
	id, rest, _ := strings.Cut(strings.TrimPrefix(path, "/repositories/"), "/")
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, r := range h.repos {
		if strconv.FormatInt(r.ID, 10) == id {
			return strings.TrimSuffix("/repos/"+r.FullName+"/"+rest, "/")
		}
	}
	return path
}

// accepted is a need as GitHub's header has it.
func accepted(needs string) string {
	return strings.ReplaceAll(strings.ReplaceAll(needs, ":", "="), "|", "; ")
}

// levels of a person in a repository, from the least.
var levels = []string{"none", "read", "triage", "write", "maintain", "admin"}

func atLeast(level, least string) bool {
	return slices.Index(levels, level) >= slices.Index(levels, least)
}
