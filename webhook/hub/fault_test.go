package hub_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
)

// kind is what an error promises.
func kind(err error) string {
	var limited *hub.Limited
	switch {
	case err == nil:
		return "none"
	case errors.As(err, &limited):
		return "limited"
	case errors.Is(err, hub.ErrLost):
		return "lost"
	case errors.Is(err, hub.ErrGone):
		return "gone"
	case errors.Is(err, hub.ErrRefused):
		return "refused"
	case errors.Is(err, hub.ErrInvalid):
		return "invalid"
	}
	return "temporary"
}

// trouble is a way in which a call goes wrong, and what the error is.
type trouble struct {
	name           string
	fault          fakehub.Fault
	read, mutation string
}

var troubles = []trouble{
	{"reset before", fakehub.Unreachable, "temporary", "lost"}, // who can tell
	{"502", fakehub.BadGateway, "temporary", "lost"},
	{"500", fakehub.ServerError, "temporary", "lost"},
	{"revoked", fakehub.Revoked, "temporary", "temporary"},
	{"secondary limit", fakehub.SecondaryLimit, "limited", "limited"},
	{"primary limit", fakehub.PrimaryLimit, "limited", "limited"},
	{"429", fakehub.Fault{Status: 429, Message: "Too many"}, "limited", "limited"},
	{"uninstalled", fakehub.Uninstalled, "gone", "gone"},
	{"suspended", fakehub.Fault{Status: 403, Message: "This installation has been suspended"}, "gone", "gone"},
	{"no permission", fakehub.Fault{Status: 403, Message: "Resource not accessible by integration"}, "refused", "refused"},
	{"422", fakehub.Fault{Status: 422, Message: "Validation Failed"}, "invalid", "invalid"},
	// These have been done.
	{"lost response", fakehub.LostResponse, "temporary", "lost"},
	{"late 502", fakehub.LateBadGateway, "temporary", "lost"},
	{"truncated JSON", fakehub.Truncated, "temporary", "lost"},
}

// TestFaults lets every call of every method go wrong in every way.
func TestFaults(t *testing.T) {
	for _, m := range methods {
		t.Run(m.name, func(t *testing.T) {
			var w *world
			var call func(context.Context, *hub.Hub) error
			for _, f := range troubles {
				if w == nil || f.fault.Committed { // what was done is there
					w = start(t, fakehub.Config{})
					call = m.prepare(w)
				}
				wanted := f.read
				if m.effect {
					wanted = f.mutation
				}
				if other, special := m.except[f.name]; special {
					wanted = other
				}
				w.Fail(m.operation, f.fault, -1)
				e := &hears{}
				err := call(t.Context(), w.hub(listen(e)))
				w.Heal()
				if got := kind(err); got != wanted {
					t.Errorf("%s: it is %s, want %s: %v", f.name, got, wanted, err)
				}
				secretless(t, w, e, err)
			}
		})
	}
}

// secretless holds an error against all that nobody is to read.
func secretless(t *testing.T, w *world, e *hears, err error) {
	t.Helper()
	if err == nil {
		return
	}
	text := err.Error()
	for _, one := range e.said {
		_, credential, _ := strings.Cut(one.header.Get("Authorization"), " ")
		for _, secret := range []string{credential, one.secret} {
			if secret != "" && strings.Contains(text, secret) {
				t.Errorf("the error has a token: %s", text)
			}
		}
	}
	if strings.Contains(text, "ghs_") || strings.Contains(text, "eyJ") || strings.Contains(text, w.app.WebhookSecret) {
		t.Errorf("the error has a secret: %s", text)
	}
}

// TestHang has a read, an effect and a token wait in vain.
func TestHang(t *testing.T) {
	for _, tt := range []struct{ operation, want string }{
		{"repos/get", "temporary"}, {"repos/create-dispatch-event", "lost"}, {"apps/create-installation-access-token", "temporary"},
	} {
		t.Run(tt.operation, func(t *testing.T) {
			t.Parallel()
			w := start(t, fakehub.Config{})
			w.Fail(tt.operation, fakehub.LateHang, 1)
			h := w.hub(within(2 * time.Second))
			call := func(ctx context.Context) error {
				if tt.operation == "repos/get" {
					_, err := h.Repository(ctx, w.at)
					return err
				}
				return h.RepositoryDispatch(ctx, w.at, "bench", nil, "")
			}
			err := call(t.Context())
			if kind(err) != tt.want || !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%v, want it %s", err, tt.want)
			}
			if err := call(t.Context()); err != nil {
				t.Errorf("then: %v", err)
			}
		})
	}
}

// TestUnsent: what did not leave this machine is not lost.
func TestUnsent(t *testing.T) {
	w := start(t, fakehub.Config{})
	h := w.hub()
	if _, err := h.Repository(t.Context(), w.at); err != nil { // it has a token
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := h.RepositoryDispatch(ctx, w.at, "bench", nil, ""); kind(err) != "temporary" {
		t.Errorf("%v, want it temporary", err)
	}
	nowhere := w.hub(func(c *hub.Config) { c.URL = "http://127.0.0.1:1" })
	if err := nowhere.RepositoryDispatch(t.Context(), w.at, "bench", nil, ""); kind(err) != "temporary" {
		t.Errorf("%v, want it temporary", err)
	}
	if n := w.Count("repos/create-dispatch-event"); n != 0 {
		t.Errorf("%d requests", n)
	}
}

// TestRevoked replaces a token once, in the same call, and carries out once
// what was asked for.
func TestRevoked(t *testing.T) {
	w := start(t, fakehub.Config{})
	h := w.hub()
	if _, err := h.PutCheck(t.Context(), w.at, w.check()); err != nil {
		t.Fatal(err)
	}
	w.install.Revoke()
	c := w.check()
	c.Run = "run-2"
	if _, err := h.PutCheck(t.Context(), w.at, c); err != nil {
		t.Errorf("after its tokens were revoked: %v", err)
	}
	if n := len(w.repo.Checks("")); n != 2 {
		t.Errorf("%d checks", n)
	}
	if n := w.Count("apps/create-installation-access-token"); n != 2 {
		t.Errorf("%d tokens", n)
	}
}

// TestInstallationEnds: suspended, uninstalled, and without the repository.
func TestInstallationEnds(t *testing.T) {
	for name, end := range map[string]func(w *world){
		"suspended":   func(w *world) { w.install.Suspend(true) },
		"uninstalled": func(w *world) { w.install.Uninstall() },
		"removed":     func(w *world) { w.install.Remove(w.repo) },
	} {
		t.Run(name, func(t *testing.T) {
			w := start(t, fakehub.Config{})
			h := w.hub()
			if _, err := h.PutCheck(t.Context(), w.at, w.check()); err != nil {
				t.Fatal(err)
			}
			end(w)
			for who, h := range map[string]*hub.Hub{"with its token": h, "anew": w.hub()} {
				if _, err := h.PutCheck(t.Context(), w.at, w.check()); !errors.Is(err, hub.ErrGone) {
					t.Errorf("%s: %v, want ErrGone", who, err)
				}
			}
		})
	}
}

// TestPermissionMissing names the permission, whether the token or the call is
// refused.
func TestPermissionMissing(t *testing.T) {
	w := start(t, fakehub.Config{})
	had := w.hub()
	if _, err := had.PutCheck(t.Context(), w.at, w.check()); err != nil {
		t.Fatal(err)
	}
	w.install.SetPermissions(fakehub.Permissions{"metadata": "read", "contents": "read"})
	_, err := w.hub().PutCheck(t.Context(), w.at, w.check())
	if !errors.Is(err, hub.ErrRefused) || !strings.Contains(err.Error(), "checks=write") {
		t.Errorf("%v, want ErrRefused and the permission", err)
	}
	w.install.SetPermissions(fakehub.Everything)
	w.Fail("checks/list-for-ref", fakehub.Fault{Status: 403, Message: "Resource not accessible by integration"}, 1)
	_, err = w.hub().PutCheck(t.Context(), w.at, w.check())
	if !errors.Is(err, hub.ErrRefused) || !strings.Contains(err.Error(), "checks=") {
		t.Errorf("%v, want ErrRefused and the permission", err)
	}
}

// TestClock: the machine's clock is wrong, and nobody notices.
func TestClock(t *testing.T) {
	for _, skew := range []time.Duration{-45 * time.Minute, -2 * time.Minute, 3 * time.Minute, 26 * time.Hour} {
		t.Run(skew.String(), func(t *testing.T) {
			w := start(t, fakehub.Config{})
			w.Advance(skew)
			h := w.hub()
			if _, err := h.App(t.Context()); err != nil {
				t.Error(err)
			}
			if got := h.Skew(); (got - skew).Abs() > 5*time.Second {
				t.Errorf("the skew is %s", got)
			}
			if _, err := w.hub().PutCheck(t.Context(), w.at, w.check()); err != nil {
				t.Error(err)
			}
			if _, err := w.hub().CheckoutToken(t.Context(), w.at); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestExpired: tokens end while they are kept, on a machine whose clock stands.
func TestExpired(t *testing.T) {
	w := start(t, fakehub.Config{})
	h := w.hub()
	for range 3 {
		if _, err := h.Repository(t.Context(), w.at); err != nil {
			t.Error(err)
		}
		if _, err := h.App(t.Context()); err != nil {
			t.Error(err)
		}
		w.Advance(2 * time.Hour)
	}
}
