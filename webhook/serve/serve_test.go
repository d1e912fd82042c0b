package serve

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/database"
)

// TestServe takes a push through the whole service: delivered, decided about,
// run, shown, counted, and to be seen on its page.
func TestServe(t *testing.T) {
	both(t, func(t *testing.T, s Settings) {
		w := newWorld(t, s)
		commit := w.repo.Push("mona", "main", map[string]string{"main.go": "package main\n"})
		w.until("a workflow runs", func() bool { return len(w.repo.Runs()) > 0 })
		w.repo.Runs()[0].Complete("success")
		w.until("the check is green", func() bool { return w.check(commit).Conclusion == "success" })
		if err := w.Settle(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.until("nothing waits", func() bool {
			_, body, _ := w.get(w.admin + "/readyz")
			return strings.Contains(body, `"undecided":0,"oldest_seconds":0,"unsent":0,"unended":0`)
		})
		if url := w.check(commit).DetailsURL; !strings.HasPrefix(url, "http://clipper.example/runs/") {
			t.Errorf("the check's page is %q", url)
		}
		if page := fmt.Sprintf("(%s/acme/app/actions/runs/%d)", w.URL, w.repo.Runs()[0].ID); !strings.Contains(w.check(commit).Summary, page) {
			t.Errorf("the check does not lead to %s: %s", page, w.check(commit).Summary)
		}
		if n := len(w.repo.Runs()); n != 1 {
			t.Errorf("there are %d runs", n)
		}

		if status, body, _ := w.get(w.public + "/healthz"); status != http.StatusOK || body != "ok\n" {
			t.Errorf("/healthz is %d %q", status, body)
		}
		if status, _, header := w.get(w.public + "/runs"); status != http.StatusSeeOther || !strings.HasPrefix(header.Get("Location"), "/sign-in") {
			t.Errorf("the pages answer %d, to %s", status, header.Get("Location"))
		}
		if status, _, _ := w.get(w.public + "/metrics"); status == http.StatusOK {
			t.Error("strangers can read the figures")
		}
		status, body, _ := w.get(w.admin + "/readyz")
		var told readiness
		if err := json.Unmarshal([]byte(body), &told); err != nil || status != http.StatusOK || !told.Ready || !told.Database.OK || len(told.Apps) != 1 || told.Apps[0].App != w.app.ID || told.Apps[0].Reconciled == nil {
			t.Errorf("/readyz is %d %s", status, body)
		}
		_, figures, _ := w.get(w.admin + "/metrics")
		for _, line := range []string{
			`clipper_build_info{go="`, `clipper_webhook_decided_total{outcome="matched"} 1`, `clipper_webhook_run_moves_total{state="succeeded"} 1`,
			`clipper_webhook_deliveries_waiting{state="received"} 0`, `clipper_webhook_runs{state="running"} 0`, `clipper_webhook_outbox 0`, `clipper_webhook_queue_age_seconds 0`,
			`clipper_webhook_database_up 1`, `clipper_webhook_draining 0`, `clipper_webhook_answers_total{status="202"} `, `clipper_webhook_reports_total{channel="check",outcome="sent"} `,
			fmt.Sprintf(`clipper_github_budget_remaining{app="%d",installation="%d"} `, w.app.ID, w.install.ID),
			fmt.Sprintf(`clipper_github_requests_total{app="%d",status="200"} `, w.app.ID),
			fmt.Sprintf(`clipper_github_clock_skew_seconds{app="%d"} `, w.app.ID),
			fmt.Sprintf(`clipper_webhook_pulled_total{app="%d"} `, w.app.ID), `process_resident_memory_bytes `,
		} {
			if !strings.Contains(figures, "\n"+line) {
				t.Errorf("the figures lack %s", line)
			}
		}
		if t.Failed() {
			t.Log(figures)
		}
	})
}

// TestGitHubAway: deliveries are taken in while GitHub's API is out of reach,
// and the service is ready.
func TestGitHubAway(t *testing.T) {
	both(t, func(t *testing.T, s Settings) {
		r := start(t, s)
		if code := deliver(r, "guid-1", webhookSecret); code != http.StatusAccepted {
			t.Errorf("a delivery is answered %d", code)
		}
		if code := deliver(r, "guid-1", webhookSecret); code != http.StatusOK {
			t.Errorf("the same again is answered %d", code)
		}
		if code := deliver(r, "guid-2", "another secret"); code < 400 {
			t.Errorf("a delivery of somebody else's is answered %d", code)
		}
		if status, body, _ := r.get(r.admin + "/readyz"); status != http.StatusOK {
			t.Errorf("/readyz is %d %s", status, body)
		}
		if status, _, _ := r.get(r.public + "/runs"); status != http.StatusNotFound {
			t.Errorf("an App without OAuth has pages: %d", status)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		stored(t, s, "guid-1")
	})
}

// TestPull: without a public address, deliveries are fetched.
func TestPull(t *testing.T) {
	s := settings(t)
	s.Listen, s.Pull, s.Reconcile = "", true, 50*time.Millisecond
	w := newWorld(t, s)
	w.app.SetWebhook("http://127.0.0.1:1/nobody-there")
	w.repo.Push("mona", "main", map[string]string{"main.go": "package main\n"})
	w.until("a workflow runs", func() bool { return len(w.repo.Runs()) > 0 })
}

// TestEnd ends a service while deliveries come: it does so in time, and what was
// answered with success is stored.
func TestEnd(t *testing.T) {
	both(t, func(t *testing.T, s Settings) {
		r := start(t, s)
		var (
			mu    sync.Mutex
			taken []string
			wg    sync.WaitGroup
			enter = make(chan struct{})
			once  sync.Once
		)
		for i := range 8 {
			wg.Go(func() {
				for n := range 1000 {
					guid := fmt.Sprintf("guid-%d-%d", i, n)
					code := deliver(r, guid, webhookSecret)
					if code == 0 || code == http.StatusServiceUnavailable { // it has gone, or is going
						return
					}
					mu.Lock()
					if taken = append(taken, guid); len(taken) > 50 {
						once.Do(func() { close(enter) })
					}
					mu.Unlock()
				}
			})
		}
		<-enter
		began := time.Now()
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took > 25*time.Second {
			t.Errorf("it took %s", took)
		}
		wg.Wait()
		stored(t, s, taken...)
		if !strings.Contains(r.log.String(), "msg=ended") {
			t.Errorf("the log does not say that it ended\n%s", r.log)
		}
	})
}

// TestDraining: who is ending is not ready, and neither is one whose database
// is away.
func TestDraining(t *testing.T) {
	s, err := open(t.Context(), settings(t))
	if err != nil {
		t.Fatal(err)
	}
	if told := s.readiness(t.Context()); !told.Ready || len(told.Warnings) > 0 {
		t.Errorf("at first, it is %+v", told)
	}
	s.draining.Store(true)
	if told := s.readiness(t.Context()); told.Ready || !told.Draining {
		t.Errorf("while it ends, it is %+v", told)
	}
	s.draining.Store(false)
	s.began = time.Now().Add(-time.Hour)
	if told := s.readiness(t.Context()); !told.Ready || len(told.Warnings) != 1 {
		t.Errorf("after an hour without GitHub, it is %+v", told)
	}
	if err := s.db.Close(); err != nil {
		t.Fatal(err)
	}
	if told := s.readiness(t.Context()); told.Ready || told.Database.OK || told.Database.Error == "" {
		t.Errorf("without a database, it is %+v", told)
	}
}

// TestTaken: an address that is taken ends the service, and nothing else is left
// open.
func TestTaken(t *testing.T) {
	first := start(t, settings(t))
	s := settings(t)
	s.Admin = strings.TrimPrefix(first.admin, "http://")
	isSettings(t, Run(t.Context(), s), "address already in use")
	s.Admin = ""
	start(t, s)
}

// TestNetworks: deliveries come from the networks that were named, by the word
// of proxies that are believed.
func TestNetworks(t *testing.T) {
	prefixes := func(list ...string) (all []netip.Prefix) {
		for _, p := range list {
			all = append(all, netip.MustParsePrefix(p))
		}
		return all
	}
	for name, tt := range map[string]struct {
		networks, proxies []netip.Prefix
		forwarded         string
		want              int
	}{
		"elsewhere":            {prefixes("192.0.2.0/24"), nil, "", http.StatusForbidden},
		"here":                 {prefixes("192.0.2.0/24", "127.0.0.0/8"), nil, "", http.StatusAccepted},
		"behind a proxy":       {prefixes("192.0.2.0/24"), prefixes("127.0.0.0/8"), "192.0.2.1", http.StatusAccepted},
		"behind another proxy": {prefixes("192.0.2.0/24"), prefixes("10.0.0.0/8"), "192.0.2.1", http.StatusForbidden},
	} {
		t.Run(name, func(t *testing.T) {
			s := settings(t)
			s.Networks, s.Proxies = tt.networks, tt.proxies
			r := start(t, s)
			if code := deliver(r, "guid", webhookSecret, "X-Forwarded-For", tt.forwarded); code != tt.want {
				t.Errorf("it is answered %d, want %d", code, tt.want)
			}
			if status, _, _ := r.get(r.public + "/healthz"); status != http.StatusOK {
				t.Errorf("/healthz is %d", status)
			}
		})
	}
}

// deliver sends a ping, with some more headers, and returns the answer's status,
// 0 if there was none.
func deliver(r *running, guid, secret string, header ...string) int {
	body := []byte(`{"zen":"Keep it logically awesome.","hook_id":1,"hook":{"app_id":7}}`)
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	req, err := http.NewRequest(http.MethodPost, r.public+"/webhook", bytes.NewReader(body))
	if err != nil {
		r.t.Error(err)
		return 0
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "X-GitHub-Event": "ping", "X-GitHub-Delivery": guid, "X-GitHub-Hook-ID": "1",
		"X-Hub-Signature-256": "sha256=" + hex.EncodeToString(mac.Sum(nil)), "X-GitHub-Hook-Installation-Target-Type": "integration", "X-GitHub-Hook-Installation-Target-ID": "7",
	} {
		req.Header.Set(name, value)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// stored fails unless the database has the deliveries.
func stored(t *testing.T, s Settings, guids ...string) {
	t.Helper()
	db, err := database.Open(t.Context(), s.Database, database.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, guid := range guids {
		if _, err := db.Delivery(t.Context(), 7, guid); err != nil {
			t.Errorf("%s: %v", guid, err)
		}
	}
}

// TestHang: GitHub's silence holds up no end, and what was asked then is done by
// who works next.
func TestHang(t *testing.T) {
	t.Parallel() // it waits for most of its time
	s := settings(t)
	w := newWorld(t, s)
	w.Fail("repos/get-content", fakehub.Hang, -1)
	w.repo.Push("mona", "main", map[string]string{"main.go": "package main\n"})
	w.until("GitHub hangs", func() bool { return w.Count("repos/get-content") > 0 })
	began := time.Now()
	if err := w.stop(); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(began); took > 25*time.Second {
		t.Errorf("it took %s", took)
	}
	w.Heal()
	s.Apps, s.URL, s.CookieKeys = w.apps, "http://clipper.example", []string{cookieKey}
	next := start(t, s)
	next.until("a workflow runs", func() bool { return len(w.repo.Runs()) == 1 })
}
