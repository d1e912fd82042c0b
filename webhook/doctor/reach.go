package doctor

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
)

// public looks whether the service answers where GitHub and people are sent.
func (c Checkup) public(ctx context.Context) []Finding {
	var found []Finding
	for _, at := range c.addresses() {
		found = append(found, c.answers(ctx, at))
	}
	return found
}

// addresses are the service's own and those of its Apps' pages.
func (c Checkup) addresses() (all []string) {
	seen := map[string]bool{"": true}
	list := []string{c.Settings.URL}
	for _, a := range c.Settings.Apps {
		list = append(list, a.URL)
	}
	for _, at := range list {
		at = strings.TrimSuffix(at, "/")
		if !seen[at] {
			all = append(all, at)
		}
		seen[at] = true
	}
	return all
}

func (c Checkup) answers(ctx context.Context, at string) Finding {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, at+"/healthz", nil)
	if err != nil {
		return Finding{Bad, "address", err.Error(), ""}
	}
	resp, err := c.Client.Do(req)
	if err != nil {
		return Finding{Warn, "address", err.Error(), "is the service running, and what is in front of it? This machine may be unable to see itself from outside"}
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64)) // what is missing is not "ok"
	if resp.StatusCode != http.StatusOK || strings.TrimSpace(string(text)) != "ok" {
		return Finding{Bad, "address", fmt.Sprintf("%s/healthz answers %s, which is not the service", at, resp.Status), "lead " + at + " to CLIPPER_WEBHOOK_LISTEN, all paths"}
	}
	return Finding{OK, "address", at + " is the service", ""}
}

// oauth has GitHub check the client's secret, with a code that is none: what it
// says against that tells whether it knows the client.
func (p *appointment) oauth(ctx context.Context) []Finding {
	if p.ClientID == "" {
		return one(Warn, "sign-in", "there is no OAuth client, and so there are no pages", "set CLIPPER_GITHUB_CLIENT_ID and CLIPPER_GITHUB_CLIENT_SECRET")
	}
	form := url.Values{"client_id": {p.ClientID}, "client_secret": {p.ClientSecret}, "code": {"0"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(p.GitHub(), "/")+"/login/oauth/access_token", strings.NewReader(form.Encode()))
	if err != nil {
		return one(Bad, "sign-in", err.Error(), "")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Accept", "application/json")
	resp, err := p.Client.Do(req)
	if err != nil {
		return one(Warn, "sign-in", err.Error(), "is CLIPPER_GITHUB_URL right?")
	}
	defer resp.Body.Close()
	var answer struct {
		Error string `json:"error"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&answer)
	switch {
	case answer.Error == "bad_verification_code":
		return one(OK, "sign-in", "GitHub knows the OAuth client and its secret", "")
	case answer.Error == "incorrect_client_credentials", err == nil && resp.StatusCode == http.StatusNotFound:
		return one(Bad, "sign-in", "GitHub does not know the OAuth client, or its secret is another", p.settingsPage()+", Client secrets")
	}
	return one(Warn, "sign-in", fmt.Sprintf("GitHub answers %s %s", resp.Status, answer.Error), "")
}
