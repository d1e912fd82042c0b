package doctor

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/webhook/rules"
)

// settings says all that is wrong with the settings, and what of them is weak.
func (c Checkup) settings() []Finding {
	var found []Finding
	for _, err := range flat(c.Settings.Check()) {
		found = append(found, Finding{Bad, "settings", err.Error(), ""})
	}
	if len(found) == 0 {
		found = one(OK, "settings", fmt.Sprintf("%d %s", len(c.Settings.Apps), plural(len(c.Settings.Apps), "App", "Apps")), "")
	}
	for _, a := range c.Settings.Apps {
		if how := a.Key.Exposed(); how != "" {
			found = append(found, Finding{Warn, "private key", how, "whoever has it is the App; GitHub makes a new one on the App's settings page"})
		}
		for _, secret := range a.Secrets {
			if why := weak(secret); why != "" {
				found = append(found, Finding{Bad, "secrets", fmt.Sprintf("a webhook secret of App %d %s", a.ID, why),
					"make another with openssl rand -hex 32; while it replaces the old one on GitHub, have both here, by a comma"})
			}
			if slices.Contains(c.Settings.CookieKeys, secret) {
				found = append(found, Finding{Bad, "secrets", "a webhook secret is the key of cookies, too", "make another with openssl rand -hex 32"})
			}
		}
	}
	for _, key := range c.Settings.CookieKeys {
		if why := weak(key); why != "" {
			found = append(found, Finding{Bad, "secrets", "a key of cookies " + why, "make another with openssl rand -hex 32: whoever guesses it signs in as anybody"})
		}
	}
	return found
}

// known are secrets of manuals and examples, which are tried first.
var known = []string{"It's a Secret to Everybody", "development", "changeme", "change-me", "secret", "password", "webhook-secret", "your-webhook-secret"}

// leastSecret is what nobody guesses, be it random.
const leastSecret = 16

// weak says what is wrong with a secret, or "".
func weak(secret string) string {
	letters := map[rune]bool{}
	for _, r := range secret {
		letters[r] = true
	}
	switch {
	case slices.ContainsFunc(known, func(k string) bool { return strings.EqualFold(k, secret) }):
		return "is one of a manual"
	case len(secret) < leastSecret:
		return fmt.Sprintf("has %d characters, fewer than %d", len(secret), leastSecret)
	case len(letters) < 6:
		return "is made of few characters"
	}
	return ""
}

// rules are the operator's policy.
func (c Checkup) rules() (*rules.Policy, []Finding) {
	p, err := c.Settings.Rules()
	switch {
	case err != nil:
		return nil, one(Bad, "policy", err.Error(), "clipper-runner webhook config lint --policy FILE tells more")
	case c.Settings.Policy == "":
		return p, one(Warn, "policy", "none: every repository that the App is installed in is served, workflows alone", "write one, and name it with CLIPPER_WEBHOOK_POLICY")
	}
	found := one(OK, "policy", c.Settings.Policy, "")
	if len(p.Clusters) > 0 && c.Settings.Image == "" {
		found = append(found, Finding{Warn, "policy", "tasks may run, and without CLIPPER_WEBHOOK_IMAGE none of them gets its sources", "name the image of this service"})
	}
	if len(p.Clusters) == 0 && !p.Workflows {
		found = append(found, Finding{Bad, "policy", "it lets nothing run: it has no clusters, and no workflows", "see clipper-runner webhook config schema --policy"})
	}
	return p, found
}

// flat are the errors that one was joined of. An error that says something of
// its own about several is one.
func flat(err error) []error {
	if err == nil {
		return nil
	}
	several, ok := err.(interface{ Unwrap() []error })
	if !ok || errors.Join(several.Unwrap()...).Error() != err.Error() {
		return []error{err}
	}
	var all []error
	for _, e := range several.Unwrap() {
		all = append(all, flat(e)...)
	}
	return all
}

func plural(n int, single, many string) string {
	if n == 1 {
		return single
	}
	return many
}
