package hub

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"

	"github.com/clipperregistry/runner/webhook"
)

// App is what GitHub knows of the App.
type App struct {
	ID          int64             `json:"id"`
	Slug        string            `json:"slug"`
	Name        string            `json:"name"`
	Page        string            `json:"html_url"`
	Permissions map[string]string `json:"permissions"`
	Events      []string          `json:"events"`
}

// Bot is the login under which the App acts.
func (a App) Bot() string { return a.Slug + "[bot]" }

// App asks GitHub about the App itself.
func (h *Hub) App(ctx context.Context) (App, error) {
	var a App
	if _, err := h.do(ctx, request{method: http.MethodGet, path: "app", out: &a}); err != nil {
		return App{}, fmt.Errorf("look up App %d: %w", h.app, err)
	}
	h.self.Store(&a)
	return a, nil
}

// Bot is the App's own login. It is asked for once.
func (h *Hub) Bot(ctx context.Context) (string, error) {
	if a := h.self.Load(); a != nil {
		return a.Bot(), nil
	}
	a, err := h.App(ctx)
	return a.Bot(), err
}

// Installation is the App on an account.
type Installation struct {
	ID          int64             `json:"id"`
	Account     webhook.User      `json:"account"`
	Selection   string            `json:"repository_selection"` // all or selected
	Permissions map[string]string `json:"permissions"`          // that the account has granted
	SuspendedAt webhook.Moment    `json:"suspended_at"`
}

// Suspended says whether the App is not to do anything there.
func (i Installation) Suspended() bool { return i.SuspendedAt != "" }

// Installations are all of the App's.
func (h *Hub) Installations(ctx context.Context) iter.Seq2[Installation, error] {
	return flat(pages[[]Installation](ctx, h, request{path: "app/installations"}), "list installations", func(page []Installation) []Installation { return page })
}

// Installation looks up one.
func (h *Hub) Installation(ctx context.Context, id int64) (Installation, error) {
	return h.lookUp(ctx, "app/installations/"+strconv.FormatInt(id, 10))
}

// InstallationOf is the one that has a repository.
func (h *Hub) InstallationOf(ctx context.Context, fullName string) (Installation, error) {
	r := Repo{FullName: fullName, Installation: 1}
	if err := r.valid(); err != nil {
		return Installation{}, err
	}
	return h.lookUp(ctx, r.of("/installation"))
}

func (h *Hub) lookUp(ctx context.Context, path string) (i Installation, err error) {
	if _, err = h.do(ctx, request{method: http.MethodGet, path: path, out: &i}); err != nil {
		err = fmt.Errorf("look up an installation: %w", err)
	}
	return i, err
}

// Repositories are those that an installation has.
func (h *Hub) Repositories(ctx context.Context, installation int64) iter.Seq2[webhook.Repository, error] {
	type page struct {
		Repositories []webhook.Repository `json:"repositories"`
	}
	q := request{scope: scope{installation: installation, permissions: "metadata:read"}, path: "installation/repositories"}
	return flat(pages[page](ctx, h, q), "list repositories", func(p page) []webhook.Repository { return p.Repositories })
}

// flat makes one list of pages.
func flat[P, T any](pages iter.Seq2[P, error], what string, items func(P) []T) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for page, err := range pages {
			if err != nil {
				var none T
				yield(none, fmt.Errorf("%s: %w", what, err))
				return
			}
			for _, item := range items(page) {
				if !yield(item, nil) {
					return
				}
			}
		}
	}
}

// Hooks are the networks that deliveries come from. An Enterprise Server has
// none to name.
func (h *Hub) Hooks(ctx context.Context) ([]netip.Prefix, error) {
	var meta struct {
		Hooks []string `json:"hooks"`
	}
	if _, err := h.do(ctx, request{method: http.MethodGet, path: "meta", out: &meta}); err != nil {
		return nil, fmt.Errorf("look up GitHub's networks: %w", err)
	}
	var networks []netip.Prefix
	for _, text := range meta.Hooks {
		network, err := netip.ParsePrefix(text)
		if err != nil {
			return nil, fmt.Errorf("look up GitHub's networks: %w", err)
		}
		networks = append(networks, network)
	}
	return networks, nil
}

// Webhook is where GitHub sends the App's deliveries, "" is nowhere.
func (h *Hub) Webhook(ctx context.Context) (string, error) {
	var hook struct {
		URL string `json:"url"`
	}
	if _, err := h.do(ctx, request{method: http.MethodGet, path: "app/hook/config", out: &hook}); err != nil {
		return "", fmt.Errorf("look up the App's webhook: %w", err)
	}
	return hook.URL, nil
}

// SetWebhook has GitHub send deliveries to a URL, signed with a secret.
func (h *Hub) SetWebhook(ctx context.Context, target *url.URL, secret string) error {
	in := map[string]string{"url": target.String(), "content_type": "json", "secret": secret, "insecure_ssl": "0"}
	if _, err := h.do(ctx, request{method: http.MethodPatch, path: "app/hook/config", in: in, again: true}); err != nil {
		return fmt.Errorf("set the App's webhook: %w", err)
	}
	return nil
}
