// Package setup makes the GitHub App that the service is.
//
// In goes a [Wish]: on whose account, where the service will be, what it is
// for. A person presses one button on a page of this machine and one on
// GitHub's; out come a private key and a file of variables for the service, in
// a directory that only its owner can read. It promises that nobody comes in
// without the token that was told to the one who asked, that a code is taken
// from the browser that was sent for it and from no other, and that no secret
// is told to a terminal, a page or an error.
package setup

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// ErrWish is returned for an App that cannot be as it is wished for.
var ErrWish = errors.New("no such App can be made")

// Wish is an App as it is to be.
type Wish struct {
	// Name is what people see, at most 34 characters; GitHub lets nobody have
	// one that is taken, and asks again. Default: Clipper and the organisation.
	Name string
	// Organization is whose it is; "" is the person's at the browser.
	Organization string
	// URL is where the service is, https://host: its pages, and its webhook.
	URL string
	// Pull says that GitHub cannot reach the service, which asks instead. URL is
	// for people alone then; default: http://127.0.0.1:8080.
	Pull bool
	// Public lets other accounts install it.
	Public bool
	// Features are what it is for. Default: those that are on by default.
	Features []string
	// GitHubURL is where people are. Default: https://github.com.
	GitHubURL string
}

// nowhere is the webhook of an App whose service asks for its deliveries.
// GitHub makes no list for a webhook that is not active, so there is one; the
// name is nobody's, for ever (RFC 2606), so that no stranger is sent a body.
const nowhere = "https://clipper.invalid"

// maxName is GitHub's bound of an App's name.
const maxName = 34

// Manifest is what GitHub makes an App from
// (https://docs.github.com/apps/sharing-github-apps/registering-a-github-app-from-a-manifest).
type Manifest struct {
	Name        string            `json:"name"`
	URL         string            `json:"url"`
	Hook        Hook              `json:"hook_attributes"`
	Redirect    string            `json:"redirect_url"`
	Callbacks   []string          `json:"callback_urls,omitempty"`
	SetupURL    string            `json:"setup_url,omitempty"`
	Description string            `json:"description"`
	Public      bool              `json:"public"`
	Events      []string          `json:"default_events"`
	Permissions map[string]string `json:"default_permissions"`
}

// Hook is an App's webhook.
type Hook struct {
	URL    string `json:"url"`
	Active bool   `json:"active"`
}

// homepage is where people read what the App is, if it has no pages of its own.
const homepage = "https://github.com/clipperregistry/runner"

// Manifest is that of the wish, from which GitHub sends the browser back to
// redirect.
func (w Wish) Manifest(redirect string) (Manifest, error) {
	if err := w.Valid(); err != nil {
		return Manifest{}, err
	}
	features, err := featuresOf(w.Features)
	if err != nil {
		return Manifest{}, err
	}
	permissions, events := Needs(features, w.Organization != "")
	m := Manifest{
		Name: w.name(), URL: homepage, Hook: Hook{w.Hook(), true}, Redirect: redirect, Callbacks: []string{w.Address() + "/sign-in/callback"}, Public: w.Public,
		Description: "Turns events into runs on Amazon ECS and in GitHub Actions, by the rules in .github/clipper.yml.",
		Events:      events, Permissions: permissions,
	}
	if !w.local() {
		m.URL, m.SetupURL = w.URL, w.URL
	}
	return m, nil
}

// Address is where people reach the service.
func (w Wish) Address() string {
	if w.Pull {
		return cmp.Or(w.URL, "http://127.0.0.1:8080")
	}
	return w.URL
}

// local says that the service is for people at its own machine.
func (w Wish) local() bool {
	u, err := url.Parse(w.Address())
	return err == nil && loopback(u.Hostname())
}

// Hook is where GitHub sends deliveries.
func (w Wish) Hook() string {
	if w.Pull && w.local() {
		return nowhere + "/webhook"
	}
	return w.Address() + "/webhook"
}

// Settings is the page of GitHub's on which an App's owner changes or deletes
// it.
func (w Wish) Settings(slug string) string {
	page := w.github() + "/settings/apps"
	if w.Organization != "" {
		page = w.github() + "/organizations/" + url.PathEscape(w.Organization) + "/settings/apps"
	}
	if slug == "" {
		return page
	}
	return page + "/" + url.PathEscape(slug)
}

func (w Wish) github() string { return cmp.Or(w.GitHubURL, "https://github.com") }

func (w Wish) name() string {
	name := cmp.Or(w.Name, strings.TrimSpace("Clipper "+w.Organization))
	for len(name) > maxName {
		name = name[:len(name)-1]
	}
	return strings.ToValidUTF8(name, "")
}

// Valid says what is wrong with the wish.
func (w Wish) Valid() error {
	if _, err := featuresOf(w.Features); err != nil {
		return err
	}
	if len(w.Name) > maxName {
		return fmt.Errorf("%w: GitHub takes names of at most %d characters", ErrWish, maxName)
	}
	if strings.Trim(w.Organization, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") != "" {
		return fmt.Errorf("%w: %q is no name of an organisation", ErrWish, w.Organization)
	}
	if _, err := origin(w.github()); err != nil {
		return fmt.Errorf("%w: GitHub's URL: %w", ErrWish, err)
	}
	if w.URL == "" {
		if w.Pull {
			return nil
		}
		return fmt.Errorf("%w: say where GitHub reaches the service, or that it does not and the service asks", ErrWish)
	}
	if _, err := origin(w.URL); err != nil {
		return fmt.Errorf("%w: the service's URL: %w", ErrWish, err)
	}
	return nil
}

// origin reads a URL that is nothing but a scheme and a host. Without TLS
// everybody on the way could read, so it is for this machine alone.
func origin(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || u.Scheme+"://"+u.Host != text {
		return nil, fmt.Errorf("%q is not as in https://clipper.example", text)
	}
	if u.Scheme == "https" || u.Scheme == "http" && loopback(u.Hostname()) {
		return u, nil
	}
	return nil, fmt.Errorf("%q has to be https", text)
}

// loopback says whether a host is this machine, without asking anybody.
func loopback(host string) bool {
	address, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && address.IsLoopback()
}

// loopbackHost says so of a Host header, whatever its port.
func loopbackHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	return loopback(host)
}
