package fakehub

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// manifest is what an App is made from
// (https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest).
type manifest struct {
	Name string `json:"name"`
	URL  string `json:"url"`
	Hook struct {
		URL    string `json:"url"`
		Active *bool  `json:"active"`
	} `json:"hook_attributes"`
	RedirectURL string      `json:"redirect_url"`
	Callbacks   []string    `json:"callback_urls"`
	SetupURL    string      `json:"setup_url"`
	Description string      `json:"description"`
	Public      bool        `json:"public"`
	Events      []string    `json:"default_events"`
	Permissions Permissions `json:"default_permissions"`
	OnInstall   bool        `json:"request_oauth_on_install"`
	OnUpdate    bool        `json:"setup_on_update"`
}

// made is an App that waits for its conversion.
type made struct {
	app   *App
	until time.Time
}

// manifestPage makes the App at once, where GitHub's page has a button, and
// sends the browser back with a code.
func (h *Hub) manifestPage(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequest)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts["settings/apps/new"]++
	var m manifest
	decoder := json.NewDecoder(strings.NewReader(r.PostFormValue("manifest")))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(&m)
	if err == nil {
		err = h.allowed(m)
	}
	if err != nil {
		h.problem("settings/apps/new", false, err.Error())
		http.Error(w, "Error: "+err.Error(), http.StatusUnprocessableEntity)
		return
	}
	owner := r.PathValue("org")
	if owner == "" {
		if h.browser == nil {
			http.Redirect(w, r, h.URL+"/login", http.StatusFound)
			return
		}
		owner = h.browser.login
	}
	app := h.register(AppConfig{Name: m.Name, Owner: owner, Permissions: m.Permissions, Events: append([]string{}, m.Events...), WebhookURL: m.Hook.URL,
		CallbackURLs: m.Callbacks, SetupURL: m.SetupURL})
	code := strings.ToLower(rand.Text())
	h.created[code] = made{app, h.now().Add(time.Hour)}
	http.Redirect(w, r, withQuery(m.RedirectURL, url.Values{"code": {code}, "state": {r.FormValue("state")}}), http.StatusFound)
}

// allowed refuses what GitHub's page would: an App without a page, webhooks
// without a place, permissions that are none.
func (h *Hub) allowed(m manifest) error {
	if m.URL == "" {
		return fmt.Errorf("url wasn't supplied")
	}
	if len(m.Events) > 0 && m.Hook.URL == "" {
		return fmt.Errorf("hook_attributes.url wasn't supplied")
	}
	if m.RedirectURL == "" {
		return fmt.Errorf("redirect_url wasn't supplied")
	}
	for name, level := range m.Permissions {
		if !h.spec["apps/create-installation-access-token"].Permits(name, level) {
			return fmt.Errorf("default_permissions: %s: %s is not supported", name, level)
		}
	}
	return nil
}

// convert trades a code, once and within an hour, for the App and its secrets.
func (c *call) convert() (any, error) {
	h, code := c.hub, c.path("code")
	made, ok := h.created[code]
	if !ok || !h.now().Before(made.until) {
		return nil, errNotFound
	}
	delete(h.created, code)
	app := made.app
	shown := app.show()
	shown["client_secret"], shown["webhook_secret"], shown["pem"] = app.ClientSecret, app.WebhookSecret, app.PrivateKey
	return shown, nil
}

// FindApp finds an App by its slug; nil: there is none.
func (h *Hub) FindApp(slug string) *App {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, app := range h.apps {
		if app.Slug == slug {
			return app
		}
	}
	return nil
}

// installPage installs an App for all repositories of its owner, where GitHub's
// page lets one choose, and sends the browser to the App's set-up page.
func (h *Hub) installPage(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts["apps/installations/new"]++
	for _, app := range h.apps {
		if app.Slug != r.PathValue("slug") {
			continue
		}
		i := h.install(app, app.owner, nil)
		h.emitTo(i, "installation", "created", i.account, nil, object{"repositories": h.list(i.seen()), "requester": nil})
		target := h.URL + "/settings/installations"
		if app.setupURL != "" {
			target = withQuery(app.setupURL, url.Values{"installation_id": {fmt.Sprint(i.ID)}, "setup_action": {"install"}, "state": r.URL.Query()["state"]})
		}
		http.Redirect(w, r, target, http.StatusFound)
		return
	}
	http.NotFound(w, r)
}
