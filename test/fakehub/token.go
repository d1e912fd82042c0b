package fakehub

import (
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// token is what an installation, or a person, was given.
type token struct {
	value   string
	expires time.Time

	install     *Installation
	repos       []*Repo // nil: all of the installation's
	permissions Permissions

	user *account
	app  *App // through which the person signed in
}

func (t *token) sees(r *Repo) bool {
	return t.install.sees(r) && (t.repos == nil || slices.Contains(t.repos, r))
}

// createToken is POST /app/installations/{id}/access_tokens. A token has at
// most what the installation has.
func (c *call) createToken() (any, error) {
	i, err := c.installation()
	if err != nil {
		return nil, err
	}
	if i.suspended {
		return nil, refuse(http.StatusForbidden, "This installation has been suspended")
	}
	var in struct {
		Repositories []string    `json:"repositories"`
		IDs          []int64     `json:"repository_ids"`
		Permissions  Permissions `json:"permissions"`
	}
	if err := c.read(&in); err != nil {
		return nil, err
	}
	t := &token{install: i, permissions: i.permissions, expires: c.hub.now().Add(time.Hour).Truncate(time.Second)}
	if in.Permissions != nil {
		if !in.Permissions.within(i.permissions) {
			return nil, refuse(http.StatusUnprocessableEntity, "The permissions requested are not granted to this installation.")
		}
		t.permissions = in.Permissions
		if t.permissions["metadata"] == "" && i.permissions["metadata"] != "" {
			t.permissions["metadata"] = "read" // every token may
		}
	}
	wanted := len(in.Repositories) + len(in.IDs)
	for _, r := range i.seen() {
		if slices.ContainsFunc(in.Repositories, func(name string) bool { return strings.EqualFold(name, r.name) }) || slices.Contains(in.IDs, r.ID) {
			t.repos = append(t.repos, r)
		}
	}
	if len(t.repos) < wanted {
		return nil, refuse(http.StatusUnprocessableEntity, "There is at least one repository that does not exist or is not accessible to the parent installation.")
	}
	t.value = c.hub.mint(i, c.request.Header.Get("X-GitHub-Stateless-S2S-Token"))
	c.hub.tokens[t.value] = t
	shown := object{"token": t.value, "expires_at": stamp(t.expires), "permissions": t.permissions, "repository_selection": i.selection()}
	if t.repos != nil {
		shown["repository_selection"], shown["repositories"] = "selected", c.hub.list(t.repos)
	}
	return shown, nil
}

// mint makes a token: 40 characters, or stateless: ghs_APPID_JWT of about 520
// (https://github.blog/changelog/2026-05-15-github-app-installation-tokens-per-request-override-header/).
func (h *Hub) mint(i *Installation, override string) string {
	if override == "enabled" || override == "" && h.config.Stateless {
		part := func(size int) string {
			random := make([]byte, size)
			_, _ = rand.Read(random) // never fails
			return base64.RawURLEncoding.EncodeToString(random)
		}
		head, _ := json.Marshal(object{"alg": "ES256", "typ": "JWT"})
		return "ghs_" + strconv.FormatInt(i.app.ID, 10) + "_" + base64.RawURLEncoding.EncodeToString(head) + "." + part(290) + "." + part(64)
	}
	return "ghs_" + (rand.Text() + rand.Text())[:36]
}

func (c *call) revokeToken() (any, error) {
	delete(c.hub.tokens, c.token.value)
	return nil, nil
}

func (c *call) listRepos() (any, error) {
	var seen []*Repo
	for _, r := range c.token.install.seen() {
		if c.token.sees(r) {
			seen = append(seen, r)
		}
	}
	answer, err := list(c, "repositories", seen, (*Repo).show)
	answer.(object)["repository_selection"] = c.token.install.selection()
	return answer, err
}

// stamp is a time as GitHub writes it.
func stamp(t time.Time) string {
	return t.UTC().Format(time.RFC3339)
}
