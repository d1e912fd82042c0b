package fakehub

import (
	"strings"
)

func (c *call) getUser() (any, error) {
	shown := c.token.user.show()
	shown["name"], shown["user_view_type"] = c.token.user.login, "private"
	return shown, nil
}

// reads lists what a person may read of an installation.
func (i *Installation) reads(login string) []*Repo {
	var found []*Repo
	for _, r := range i.seen() {
		if atLeast(r.level(login), "read") {
			found = append(found, r)
		}
	}
	return found
}

// listUserInstallations answers those of the App, where the person may read
// something or which are the person's own.
func (c *call) listUserInstallations() (any, error) {
	var found []*Installation
	for _, i := range c.hub.installations(c.token.app) {
		if i.account == c.token.user || len(i.reads(c.token.user.login)) > 0 {
			found = append(found, i)
		}
	}
	return list(c, "installations", found, (*Installation).show)
}

func (c *call) listUserRepos() (any, error) {
	i := c.hub.installs[c.id("installation_id")]
	if i == nil || i.app != c.token.app {
		return nil, errNotFound
	}
	login := c.token.user.login
	return list(c, "repositories", i.reads(login), func(r *Repo) object {
		shown, level := r.show(), r.level(login)
		may := object{}
		for name, least := range map[string]string{"pull": "read", "triage": "triage", "push": "write", "maintain": "maintain", "admin": "admin"} {
			may[name] = atLeast(level, least)
		}
		shown["permissions"] = may
		return shown
	})
}

// SignIn makes a person the one who sits at the browser: the OAuth pages let
// them in without asking. "": nobody, the pages refuse.
func (h *Hub) SignIn(login string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.browser = nil
	if login != "" {
		h.browser = h.account(login)
	}
}

// isPage reports whether a path is none of the API.
func isPage(path string) bool {
	for _, prefix := range []string{"/login/", "/settings/", "/organizations/", "/apps/", "/github-apps/", archives} {
		if strings.HasPrefix(path, prefix) {
			return true
		}
	}
	return false
}

// pages enters what browsers see.
func (h *Hub) pages() {
	h.mux.HandleFunc("GET /login/oauth/authorize", h.authorizePage)
	h.mux.HandleFunc("GET "+archives, h.archivePage)
	h.mux.HandleFunc("POST /login/oauth/access_token", h.exchange)
	h.mux.HandleFunc("POST /settings/apps/new", h.manifestPage)
	h.mux.HandleFunc("POST /organizations/{org}/settings/apps/new", h.manifestPage)
	h.mux.HandleFunc("GET /apps/{slug}/installations/new", h.installPage)
	h.mux.HandleFunc("GET /github-apps/{slug}/installations/new", h.installPage)
}
