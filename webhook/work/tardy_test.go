package work

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/hub"
)

// tardy is a network that loses the answer to the first check, and brings the
// request to GitHub a while later.
type tardy struct {
	next  http.RoundTripper
	lost  atomic.Bool
	later sync.WaitGroup
}

const tardiness = 1500 * time.Millisecond // by then it is sent again

func (n *tardy) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodPost || !strings.HasSuffix(req.URL.Path, "/check-runs") || !n.lost.CompareAndSwap(false, true) {
		return n.next.RoundTrip(req)
	}
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	late := req.Clone(context.Background())
	late.Body = io.NopCloser(bytes.NewReader(body))
	n.later.Go(func() {
		time.Sleep(tardiness)
		if resp, err := n.next.RoundTrip(late); err == nil {
			resp.Body.Close()
		}
	})
	return nil, errors.New("the connection broke")
}

// TestTardyCheck: a check that GitHub makes long after nobody waits for its
// answer any more is the only one of its run.
func TestTardyCheck(t *testing.T) {
	both(t, nil, func(t *testing.T, w *world) {
		network := &tardy{next: http.DefaultTransport}
		signer, err := hub.ParseKey([]byte(w.app.PrivateKey))
		if err != nil {
			t.Fatal(err)
		}
		github, err := hub.New(hub.Config{App: w.app.ID, Signer: signer, URL: w.APIURL, Transport: network})
		if err != nil {
			t.Fatal(err)
		}
		w.work.GitHub[w.app.ID], w.work.Pace.Answer = github, 2*tardiness
		w.serve()
		w.repo.Push("mona", "main", change)
		w.began().Complete("success")
		run := w.comes("deploy", webhook.Succeeded)
		network.later.Wait()
		w.rest()
		checks := w.repo.Checks(run.Commit)
		if len(checks) != 1 || checks[0].Conclusion != "success" || !network.lost.Load() {
			t.Errorf("the checks are %+v", checks)
		}
	})
}
