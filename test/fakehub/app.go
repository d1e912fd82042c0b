package fakehub

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"strings"
	"sync"
)

// AppConfig is what an App is registered with.
type AppConfig struct {
	Name        string      // default: "clipper"
	Owner       string      // default: "acme", an organisation
	Permissions Permissions // default: Everything
	Events      []string    // that it subscribes to; default: all
	// WebhookURL gets its deliveries. Default: none are sent, until SetWebhook
	// or the App itself says where.
	WebhookURL    string
	WebhookSecret string // default: a new one
	// CallbackURLs are where people may come back to from signing in.
	CallbackURLs []string
	// SetupURL is where people come to from installing it.
	SetupURL string
}

// homepage is that of every App; check runs that name no page have it.
const homepage = "https://clipper.example"

// Everything is all that a Clipper App could ask for.
var Everything = Permissions{
	"actions": "write", "administration": "write", "checks": "write", "contents": "write", "deployments": "write",
	"issues": "write", "merge_queues": "read", "metadata": "read", "organization_self_hosted_runners": "write",
	"packages": "read", "pull_requests": "write", "statuses": "write",
}

// App is a GitHub App. What is exported does not change.
type App struct {
	ID                     int64
	Slug, Name             string
	ClientID, ClientSecret string
	WebhookSecret          string
	PrivateKey             string // PEM

	hub         *Hub
	owner       *account
	key         *rsa.PrivateKey
	permissions Permissions
	events      []string
	hook        hookConfig
	callbacks   []string
	setupURL    string
	deliveries  []*delivery // the oldest first
}

// App registers one.
func (h *Hub) App(config AppConfig) *App {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.register(config)
}

func (h *Hub) register(config AppConfig) *App {
	if config.Name == "" {
		config.Name = "clipper"
	}
	if config.Permissions == nil {
		config.Permissions = Everything
	}
	if config.WebhookSecret == "" {
		config.WebhookSecret = rand.Text()
	}
	keyOf := newKey
	if n := len(h.apps); n < len(keys) {
		keyOf = keys[n]
	}
	key := keyOf()
	a := &App{
		ID: h.next(), Name: config.Name, Slug: strings.ReplaceAll(strings.ToLower(config.Name), " ", "-"),
		ClientID: "Iv23li" + rand.Text()[:14], ClientSecret: strings.ToLower(rand.Text()) + rand.Text()[:14],
		WebhookSecret: config.WebhookSecret,
		PrivateKey:    string(pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)})),
		hub:           h, owner: h.owner(config.Owner), key: key, permissions: config.Permissions, events: config.Events,
		hook:      hookConfig{URL: config.WebhookURL, ContentType: "json", InsecureSSL: "0", Secret: config.WebhookSecret},
		callbacks: config.CallbackURLs, setupURL: config.SetupURL,
	}
	h.apps = append(h.apps, a)
	return a
}

// keys are the first Apps' of every hub: most of a test's time went into making
// new ones.
var keys = func() (all [4]func() *rsa.PrivateKey) {
	for i := range all {
		all[i] = sync.OnceValue(newKey)
	}
	return all
}()

func newKey() *rsa.PrivateKey {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err) // the machine has no randomness
	}
	return key
}

// owner finds an account, or makes an organisation.
func (h *Hub) owner(login string) *account {
	if login == "" {
		login = "acme"
	}
	if known := h.accounts[strings.ToLower(login)]; known != nil {
		return known
	}
	a := h.account(login)
	a.organization = true
	return a
}

// Bot is the login that the App acts as.
func (a *App) Bot() string { return a.Slug + "[bot]" }

// SetWebhook says where deliveries go; "": nowhere, and none are noted, as of a
// webhook that is not active.
func (a *App) SetWebhook(url string) {
	a.hub.mu.Lock()
	defer a.hub.mu.Unlock()
	a.hook.URL = url
}

// subscribes reports whether the App is told of an event. Of what happens to
// itself it is always told.
func (a *App) subscribes(event string) bool {
	return a.events == nil || slices.Contains(a.events, event) || strings.HasPrefix(event, "installation") || event == "ping"
}

func (a *App) show() object {
	events := a.events
	if events == nil {
		events = []string{}
	}
	return object{
		"id": a.ID, "slug": a.Slug, "name": a.Name, "client_id": a.ClientID, "owner": a.owner.show(), "permissions": a.permissions, "events": events,
		"html_url": a.hub.URL + "/apps/" + a.Slug, "external_url": homepage, "created_at": placed, "updated_at": placed,
	}
}

// getApp answers the App with what only it sees of itself.
func (c *call) getApp() (any, error) {
	shown := c.app.show()
	shown["installations_count"] = len(c.hub.installations(c.app))
	return shown, nil
}
