package fakehub

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Installation is an App on an account.
type Installation struct {
	ID int64

	app         *App
	account     *account
	repos       []*Repo // nil: all of the account's
	permissions Permissions
	suspended   bool
	created     time.Time
}

// Install installs the App on an account, for some of its repositories or, if
// none are named, for all. The App is told.
func (a *App) Install(account string, repos ...*Repo) *Installation {
	h := a.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	i := h.install(a, h.owner(account), repos)
	h.emitTo(i, "installation", "created", i.account, nil, object{"repositories": h.list(i.seen()), "requester": nil})
	return i
}

func (h *Hub) install(a *App, on *account, repos []*Repo) *Installation {
	i := &Installation{ID: h.next(), app: a, account: on, repos: repos, permissions: a.permissions, created: h.now()}
	h.installs[i.ID] = i
	return i
}

// Add lets the App see more repositories, if it does not see all.
func (i *Installation) Add(repos ...*Repo) { i.change("added", repos) }

// Remove takes repositories from the App.
func (i *Installation) Remove(repos ...*Repo) { i.change("removed", repos) }

func (i *Installation) change(action string, repos []*Repo) {
	h := i.app.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	kept := slices.DeleteFunc(slices.Clone(i.seen()), func(r *Repo) bool { return slices.Contains(repos, r) })
	extra := object{"repositories_added": []object{}, "repositories_removed": []object{}, "repository_selection": "selected", "requester": nil}
	if action == "added" {
		kept = append(kept, repos...)
	}
	extra["repositories_"+action] = h.list(repos)
	i.repos = kept
	h.emitTo(i, "installation_repositories", action, i.account, nil, extra)
}

// Uninstall ends the installation and its tokens. The App is told.
func (i *Installation) Uninstall() {
	h := i.app.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.emitTo(i, "installation", "deleted", i.account, nil, object{"repositories": h.list(i.seen()), "requester": nil})
	delete(h.installs, i.ID)
	h.revoke(i)
}

// Suspend refuses all calls until it is undone. The App is told, but not of
// which repositories.
func (i *Installation) Suspend(suspended bool) {
	h := i.app.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	i.suspended = suspended
	action := "unsuspend"
	if suspended {
		action = "suspend"
	}
	h.emitTo(i, "installation", action, i.account, nil, nil)
}

// Revoke ends all tokens of the installation.
func (i *Installation) Revoke() {
	h := i.app.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	h.revoke(i)
}

func (h *Hub) revoke(i *Installation) {
	for value, t := range h.tokens {
		if t.install == i {
			delete(h.tokens, value)
		}
	}
}

// SetPermissions changes what the account has granted.
func (i *Installation) SetPermissions(granted Permissions) {
	i.app.hub.mu.Lock()
	defer i.app.hub.mu.Unlock()
	i.permissions = granted
}

// caller names the installation for limits.
func (i *Installation) caller() string { return "installation ID " + strconv.FormatInt(i.ID, 10) }

// seen lists the repositories of the installation, by name.
func (i *Installation) seen() []*Repo {
	if i.repos != nil {
		return i.repos
	}
	var all []*Repo
	for _, r := range i.app.hub.repos {
		if r.owner == i.account {
			all = append(all, r)
		}
	}
	slices.SortFunc(all, func(a, b *Repo) int { return strings.Compare(a.name, b.name) })
	return all
}

func (i *Installation) sees(r *Repo) bool {
	if i.repos == nil {
		return r.owner == i.account
	}
	return slices.Contains(i.repos, r)
}

func (i *Installation) selection() string {
	if i.repos == nil {
		return "all"
	}
	return "selected"
}

func (i *Installation) show() object {
	h := i.app.hub
	at := h.APIURL + "/app/installations/" + strconv.FormatInt(i.ID, 10)
	events := i.app.events
	if events == nil {
		events = []string{}
	}
	shown := object{
		"id": i.ID, "account": i.account.show(), "app_id": i.app.ID, "app_slug": i.app.Slug, "client_id": i.app.ClientID,
		"target_id": i.account.id, "target_type": i.account.kind(), "repository_selection": i.selection(),
		"access_tokens_url": at + "/access_tokens", "repositories_url": h.APIURL + "/installation/repositories",
		"permissions": i.permissions, "events": events, "created_at": stamp(i.created), "updated_at": stamp(i.created),
	}
	if i.suspended {
		shown["suspended_at"], shown["suspended_by"] = stamp(h.now()), i.account.show()
	}
	return shown
}

// installations lists those of an App, by age.
func (h *Hub) installations(a *App) []*Installation {
	var all []*Installation
	for _, i := range h.installs {
		if i.app == a {
			all = append(all, i)
		}
	}
	slices.SortFunc(all, func(a, b *Installation) int { return int(a.ID - b.ID) })
	return all
}

func (c *call) listInstallations() (any, error) {
	return list(c, "", c.hub.installations(c.app), (*Installation).show)
}

// installation is the one that the path names.
func (c *call) installation() (*Installation, error) {
	i := c.hub.installs[c.id("installation_id")]
	if i == nil || i.app != c.app {
		return nil, errNotFound
	}
	return i, nil
}

func (c *call) getInstallation() (any, error) {
	i, err := c.installation()
	return one(i, err, (*Installation).show)
}

func (c *call) findInstallation() (any, error) {
	for _, i := range c.hub.installations(c.app) {
		if c.repo != nil && i.sees(c.repo) || c.owner != nil && i.account == c.owner {
			return i.show(), nil
		}
	}
	return nil, refuse(http.StatusNotFound, "Not Found")
}
