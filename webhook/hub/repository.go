package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/webhook"
)

// Repository looks up a repository.
func (h *Hub) Repository(ctx context.Context, r Repo) (webhook.Repository, error) {
	var found webhook.Repository
	err := h.repo(ctx, r, request{scope: r.in("metadata:read"), method: http.MethodGet, path: r.of(""), out: &found})
	if err != nil {
		return webhook.Repository{}, fmt.Errorf("look up %s: %w", r.FullName, err)
	}
	return found, nil
}

// Head is the commit that a full reference is at, as refs/heads/main.
func (h *Hub) Head(ctx context.Context, r Repo, ref string) (commit string, err error) {
	short, ok := strings.CutPrefix(ref, "refs/")
	if !ok {
		return "", fmt.Errorf("%w: %q is no full reference", ErrInvalid, ref)
	}
	// A tag may have an object of its own; commits are what all have.
	var found struct {
		SHA string `json:"sha"`
	}
	err = h.repo(ctx, r, request{scope: r.in("contents:read"), method: http.MethodGet, path: r.of("/commits/") + escapeRef(short), out: &found})
	if statusOf(err) == http.StatusUnprocessableEntity || statusOf(err) == http.StatusConflict { // no such reference, or no commits
		err = fmt.Errorf("%w: %w", ErrGone, err)
	}
	if err == nil && found.SHA == "" {
		err = errors.New("GitHub's answer has no commit")
	}
	if err != nil {
		return "", fmt.Errorf("look up %s of %s: %w", ref, r.FullName, err)
	}
	return found.SHA, nil
}

// escapeRef keeps a reference's slashes.
func escapeRef(ref string) string {
	parts := strings.Split(ref, "/")
	for i, part := range parts {
		parts[i] = url.PathEscape(part)
	}
	return strings.Join(parts, "/")
}

// PullRequest looks up a pull request as it is now.
func (h *Hub) PullRequest(ctx context.Context, r Repo, number int) (*webhook.PullRequest, error) {
	p := new(webhook.PullRequest)
	err := h.repo(ctx, r, request{scope: r.in("pull_requests:read"), method: http.MethodGet, path: r.of("/pulls/%s", strconv.Itoa(number)), out: p})
	if err == nil && p.Number != number {
		err = errors.New("GitHub's answer is another's")
	}
	if err != nil {
		return nil, fmt.Errorf("look up %s#%d: %w", r.FullName, number, err)
	}
	return p, nil
}

// Permission is what a person may do in a repository now: none, read, triage,
// write, maintain or admin.
func (h *Hub) Permission(ctx context.Context, r Repo, login string) (string, error) {
	var found struct {
		Permission string `json:"permission"`
		Role       string `json:"role_name"`
	}
	err := h.repo(ctx, r, request{scope: r.in("metadata:read"), method: http.MethodGet, path: r.of("/collaborators/%s/permission", login), out: &found})
	switch {
	case statusOf(err) == http.StatusNotFound: // no such person, or repository
		return "none", nil
	case err != nil:
		return "", fmt.Errorf("look up what %s may do in %s: %w", login, r.FullName, err)
	}
	switch found.Role {
	case "triage", "maintain":
		return found.Role, nil
	}
	// permission has the others, and of roles that an organisation has made
	// itself, what they begin with.
	switch found.Permission {
	case "none", "read", "write", "admin":
		return found.Permission, nil
	}
	return "", fmt.Errorf("look up what %s may do in %s: GitHub's answer has no permission", login, r.FullName)
}
