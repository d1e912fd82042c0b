package serve

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
)

// TestRedaction: no secret of the settings is in the log, however it comes
// there, nor what looks like one.
func TestRedaction(t *testing.T) {
	s := settings(t)
	s.CookieKeys = []string{cookieKey, `a key with "quotes" and \ and 32 bytes`}
	s.Database = "postgres://clipper:database%2Fpassword@127.0.0.1/clipper"
	s.Apps[0].ClientID, s.Apps[0].ClientSecret = "Iv1.0", clientSecret
	s.Apps[0].Secrets = append(s.Apps[0].Secrets, "second+secret/with=signs")
	tokens := []string{
		"ghs_" + strings.Repeat("aB3", 12), "gho_" + strings.Repeat("x", 36), "ghs_" + strings.Repeat("a-b.c_", 80), "ghu_" + strings.Repeat("y", 40),
		"github_pat_" + strings.Repeat("1A", 30), "AKIAIOSFODNN7EXAMPLE", "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiI3In0." + strings.Repeat("s", 43),
	}
	keyLine := strings.Split(privateKey(), "\n")[3]
	hidden := append(s.secrets(), append(tokens, keyLine, "database/password")...)
	for _, s.JSON = range []bool{false, true} {
		var b bytes.Buffer
		log := s.logger(newRedactor(&b, s.secrets()...))
		for _, secret := range hidden {
			log.Info(secret, "text", "before "+secret+" after", "error", fmt.Errorf("failed with %s: %w", secret, errors.New(secret)),
				"url", "https://x/?q="+url.QueryEscape(secret), "any", map[string]any{"in": []string{secret}}, slog.Group("g", "k", secret))
		}
		text := b.String()
		for _, secret := range hidden {
			in, _ := json.Marshal(secret)
			for _, form := range []string{secret, url.QueryEscape(secret), strings.Trim(string(in), `"`), fmt.Sprintf("%q", secret)} {
				if strings.Contains(text, form) {
					t.Errorf("JSON %v: the log has %.20s…", s.JSON, form)
				}
			}
		}
		if !strings.Contains(text, "before *** after") || strings.Count(text, "\n") != len(hidden) {
			t.Errorf("JSON %v: the log is %.2000s", s.JSON, text)
		}
	}
}

// TestNothingTold: a service that meets trouble on all sides tells nothing
// secret, at any end.
func TestNothingTold(t *testing.T) {
	s := settings(t)
	s.URL, s.CookieKeys = "http://clipper.example", []string{cookieKey}
	s.Apps[0].ClientID, s.Apps[0].ClientSecret = "Iv1.0", clientSecret
	r := start(t, s)
	deliver(r, "guid", webhookSecret)
	deliver(r, webhookSecret, "wrong")
	r.get(r.public + "/sign-in/callback?code=" + clientSecret + "&state=" + cookieKey[:5])
	_, ready, _ := r.get(r.admin + "/readyz")
	_, figures, _ := r.get(r.admin + "/metrics")
	r.until("GitHub was asked", func() bool { return strings.Contains(r.log.String(), "connection refused") })
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{webhookSecret, clientSecret, cookieKey, strings.Split(privateKey(), "\n")[1], "-----BEGIN"} {
		if strings.Contains(r.log.String()+ready+figures, secret) {
			t.Errorf("%.20s… is told:\n%s", secret, r.log)
		}
	}
}

// TestRefusedHeaders: requests with more of a header than any of GitHub's or a
// browser's are refused.
func TestRefusedHeaders(t *testing.T) {
	r := start(t, settings(t))
	req, err := http.NewRequest(http.MethodGet, r.public+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Cookie", strings.Repeat("x", 2*maxHeader))
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("it is answered %s", resp.Status)
	}
}
