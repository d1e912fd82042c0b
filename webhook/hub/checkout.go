package hub

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// Token is one that is handed out of the room: to a task that checks a
// repository out, or to the client of scale sets. It says nothing of itself in logs.
type Token struct {
	value   string
	Expires time.Time // by GitHub's clock
}

// Reveal is the token. Lengths and characters of tokens vary: about 40 or 520.
func (t Token) Reveal() string { return t.value }

// String is for logs.
func (Token) String() string { return "token" }

// GoString is for logs.
func (Token) GoString() string { return "token" }

// CheckoutToken makes a token with which the contents of one repository can be
// read, for one task. Revoke it when the task is over; it lasts for an hour.
func (h *Hub) CheckoutToken(ctx context.Context, r Repo) (Token, error) {
	if err := r.valid(); err != nil {
		return Token{}, fmt.Errorf("make a token for %s: %w", r.FullName, err)
	}
	token, err := h.handOut(ctx, r.in("contents:read"))
	if err != nil {
		return Token{}, fmt.Errorf("make a token for %s: %w", r.FullName, err)
	}
	return token, nil
}

// handOut makes a token that leaves the room.
func (h *Hub) handOut(ctx context.Context, s scope) (Token, error) {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	source, err := h.source(s) // a new one: nobody else has its token
	if err != nil {
		return Token{}, err
	}
	value, err := h.mint(ctx, source, s)
	if statusOf(err) == http.StatusUnauthorized {
		h.identity.forget(h.identity.current())
		value, err = h.mint(ctx, source, s)
	}
	if err != nil {
		return Token{}, err
	}
	expires, _, err := source.Expiry()
	if err != nil {
		return Token{}, err
	}
	return Token{value, expires}, nil
}

// Revoke ends a token. One that has ended is no error.
func (h *Hub) Revoke(ctx context.Context, t Token) error {
	ctx, cancel := context.WithTimeout(ctx, h.timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodDelete, h.url.String()+"installation/token", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+t.value)
	req.Header.Set("Accept", "application/vnd.github+json")
	resp, err := h.http.Do(req)
	if err != nil {
		return fmt.Errorf("revoke a token: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 && resp.StatusCode != http.StatusUnauthorized {
		return fmt.Errorf("revoke a token: %w", h.refused(resp, request{method: http.MethodDelete, again: true}))
	}
	return nil
}
