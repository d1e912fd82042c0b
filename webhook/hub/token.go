package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"
	"time"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"
)

// scope is what a token is for. The zero value is the App itself.
type scope struct {
	installation int64
	repository   int64  // 0: name, or if that is empty all of the installation's
	name         string // of the repository, without its owner
	permissions  string // "checks:write,contents:read"
}

// installation is one of the App's, with a client and tokens of its own: a
// limit that one of them has met is not the others'.
type installation struct {
	client *github.Client
	tokens map[scope]*token
	budget Budget
	used   time.Time
}

// Many installations are kept in mind, and those that were not used for long
// are forgotten.
const (
	manyKept = 1000
	keepFor  = time.Hour
)

// makeRoom forgets what is idle, if many are kept.
func makeRoom[K comparable, V any](kept map[K]V, idle func(V) bool) {
	if len(kept) >= manyKept {
		maps.DeleteFunc(kept, func(_ K, v V) bool { return idle(v) })
	}
}

// installation finds or makes one; 0 is the App.
func (h *Hub) installation(id int64) *installation {
	now := h.now()
	i := h.installations[id]
	if i == nil {
		makeRoom(h.installations, func(old *installation) bool { return now.Sub(old.used) > keepFor })
		client := github.NewClient(h.http)
		client.BaseURL = h.url
		i = &installation{client: client, tokens: map[scope]*token{}}
		h.installations[id] = i
	}
	i.used = now
	return i
}

// Budget is what GitHub lets an installation ask for in an hour.
type Budget struct {
	Limit, Remaining int
}

// Budgets are those of the installations that were asked for something lately,
// by the latest answers; that of 0 is the App's own. An Enterprise Server may
// have no limits, and no budgets then.
func (h *Hub) Budgets() map[int64]Budget {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[int64]Budget{}
	for id, i := range h.installations {
		if i.budget.Limit > 0 {
			all[id] = i.budget
		}
	}
	return all
}

// spent notes what an answer says of a budget.
func (h *Hub) spent(id int64, rate github.Rate) {
	if rate.Limit == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := h.installations[id]; i != nil {
		i.budget = Budget{rate.Limit, rate.Remaining}
	}
}

// client is the one for a scope.
func (h *Hub) client(s scope) *github.Client {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.installation(s.installation).client
}

// token finds the keeper of a scope's token.
func (h *Hub) token(s scope) *token {
	h.mu.Lock()
	defer h.mu.Unlock()
	i, now := h.installation(s.installation), h.now()
	t := i.tokens[s]
	if t == nil {
		makeRoom(i.tokens, func(old *token) bool { return now.Sub(old.used) > keepFor })
		t = &token{gate: make(chan struct{}, 1)}
		i.tokens[s] = t
	}
	t.used = now
	return t
}

// drop forgets a token that GitHub has revoked, unless that was done.
func (h *Hub) drop(s scope, t *token) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if i := h.installations[s.installation]; i != nil && i.tokens[s] == t {
		delete(i.tokens, s)
	}
}

// token keeps a scope's token, which lasts for an hour.
type token struct {
	used time.Time // under the hub's lock
	// gate is held by who asks for one; the others wait for it.
	gate   chan struct{}
	source *ghinstallation.Transport
}

// credential is what a request has in its header, and what is to be called if
// GitHub does not know it.
func (h *Hub) credential(ctx context.Context, s scope) (header string, renew func(), err error) {
	if s.installation == 0 {
		jwt, err := h.identity.jwt(ctx)
		return "Bearer " + jwt, func() { h.identity.forget(jwt) }, err
	}
	t := h.token(s)
	select {
	case t.gate <- struct{}{}:
	case <-ctx.Done():
		return "", nil, ctx.Err()
	}
	defer func() { <-t.gate }()
	if t.source == nil {
		if t.source, err = h.source(s); err != nil {
			return "", nil, err
		}
	}
	value, err := h.mint(ctx, t.source, s)
	if err != nil {
		renew := func() {}
		if statusOf(err) == http.StatusUnauthorized { // by now, GitHub's clock is known
			jwt := h.identity.current()
			renew = func() { h.identity.forget(jwt) }
		}
		return "", renew, fmt.Errorf("get a token for installation %d: %w", s.installation, err)
	}
	return "Bearer " + value, func() { h.drop(s, t) }, nil
}

// source makes what gets tokens of a scope. Each has an AppsTransport of its
// own: those that share one write to it at the same time. The options are never
// nil, or it would send null.
func (h *Hub) source(s scope) (*ghinstallation.Transport, error) {
	permissions, err := s.grant()
	if err != nil {
		return nil, err
	}
	apps, err := ghinstallation.NewAppsTransportWithOptions(h.wire, h.app, ghinstallation.WithSigner(h.identity))
	if err != nil {
		return nil, err
	}
	apps.BaseURL = strings.TrimSuffix(h.url.String(), "/")
	source := ghinstallation.NewFromAppsTransport(apps, s.installation)
	source.InstallationTokenOptions = &github.InstallationTokenOptions{Permissions: permissions}
	switch {
	case s.repository != 0:
		source.InstallationTokenOptions.RepositoryIDs = []int64{s.repository}
	case s.name != "":
		source.InstallationTokenOptions.Repositories = []string{s.name}
	}
	return source, nil
}

// grant is the scope's permissions in the library's words.
func (s scope) grant() (*github.InstallationPermissions, error) {
	wanted := map[string]string{}
	for one := range strings.SplitSeq(s.permissions, ",") {
		name, level, _ := strings.Cut(one, ":")
		wanted[name] = level
	}
	encoded, err := json.Marshal(wanted)
	if err != nil {
		return nil, err
	}
	granted := new(github.InstallationPermissions)
	if err := json.Unmarshal(encoded, granted); err != nil {
		return nil, err
	}
	if again, err := json.Marshal(granted); err != nil || len(again) != len(encoded) {
		return nil, fmt.Errorf("%w: there are no permissions %s", ErrInvalid, s.permissions)
	}
	return granted, nil
}

// mint gets a token of a source, an old one while it lasts. Nothing is lost
// with an answer: a token that nobody has is none.
func (h *Hub) mint(ctx context.Context, source *ghinstallation.Transport, s scope) (string, error) {
	value, err := source.Token(ctx)
	if err == nil && value == "" {
		return "", errors.New("there is none in GitHub's answer")
	}
	var failed *ghinstallation.HTTPError
	if !errors.As(err, &failed) || failed.Response == nil {
		return value, err
	}
	defer failed.Response.Body.Close()
	err = h.refused(failed.Response, request{scope: s, method: http.MethodGet})
	var r *refusal
	if !errors.As(err, &r) || r.status != http.StatusUnprocessableEntity {
		return "", err
	}
	// One of two things: of permissions, or of repositories
	// (https://docs.github.com/rest/apps/apps#create-an-installation-access-token-for-an-app).
	r.kind = ErrGone
	if strings.Contains(r.message, "permission") {
		r.kind = fmt.Errorf("%w: it needs the permission %s", ErrRefused, strings.ReplaceAll(s.permissions, ":", "="))
	}
	return "", r
}
