package web_test

import (
	"bufio"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
)

func TestInbox(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		mine, theirs := w.push(w.repo, map[string]string{"a": "1"}), w.push(w.secret, map[string]string{"a": "1"})
		b := w.signedIn("rita")
		b.has("/deliveries", mine.GUID, "acme/app", "received", "!"+theirs.GUID, "!acme/secret")
		b.has("/deliveries?event=push&repository=ACME/app&state=received", mine.GUID)
		b.has("/deliveries?guid="+mine.GUID, mine.GUID)
		for _, q := range []string{"event=release", "state=dead", "guid=" + theirs.GUID, "repository=acme/secret", "repository=none"} {
			b.has("/deliveries?"+q, "No delivery fits", "!/deliveries/"+mine.GUID, "!/deliveries/"+theirs.GUID)
		}
	})
}

func TestInboxPages(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		for i := range 60 {
			_, err := w.db.Accept(t.Context(), webhook.Delivery{App: w.app.ID, GUID: fmt.Sprintf("guid-%02d", i), Event: "push", Source: webhook.Pushed, Received: time.Now(), Body: []byte("{}"), Head: webhook.Head{Installation: w.install.ID, Repository: w.repo.ID, FullName: "acme/app"}})
			w.must(err)
			w.run(database.Record{Delivery: webhook.Delivery{App: w.app.ID, Head: webhook.Head{Installation: w.install.ID, Repository: w.repo.ID, FullName: "acme/app"}}}, fmt.Sprintf("run%02d", i), webhook.Queued)
		}
		b := w.signedIn("mona")
		for list, name := range map[string]string{"/deliveries": "guid-", "/runs": "run"} {
			first := b.has(list, name+"59", name+"10", "!"+name+"09", "Older")
			_, next, _ := strings.Cut(first, `rel="next" href="`)
			next, _, _ = strings.Cut(next, `"`)
			b.has(strings.ReplaceAll(next, "&amp;", "&"), name+"09", name+"00", "!"+name+"10", "!Older")
			if status, _ := b.get(list + "?before=nothing"); status != http.StatusNotFound {
				t.Errorf("%s before nothing: %d", list, status)
			}
		}
	})
}

func TestDelivery(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		rec := w.push(w.repo, map[string]string{"a": "1"})
		w.run(rec, "runone", webhook.Running)
		b := w.signedIn("mona")
		b.has("/deliveries/"+rec.GUID, "X-GitHub-Delivery", "itest", "release", "fits:", "does not fit:", `/runs/runone`, "&#34;ref&#34;: &#34;refs/heads/main&#34;", "Replay")
		w.signedIn("rita").has("/deliveries/"+rec.GUID, "!Replay")
		if _, body := b.get("/deliveries/" + rec.GUID + "/body"); !strings.HasPrefix(body, "{") {
			t.Errorf("the body is %.40s", body)
		}
		path := "/deliveries/" + rec.GUID + "/replay"
		if status, text := b.post(path, b.form("/deliveries/"+rec.GUID, path)); status != http.StatusOK || !strings.Contains(text, "decided again") {
			t.Errorf("replay: %d %s", status, text)
		}
		if asked := w.orders.asked(); asked != "replay by mona" {
			t.Errorf("asked was %q", asked)
		}
	})
}

func TestRun(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		rec := w.push(w.repo, map[string]string{"a": "1"})
		w.run(rec, "waits", webhook.AwaitingApproval)
		w.run(rec, "over", webhook.Failed, func(r *webhook.Run) { r.Started, r.Ended = r.Created, r.Created.Add(time.Minute) })
		w.run(rec, "goes", webhook.Running)
		w.logs.say("goes", "\x1b[32mok\x1b[0m  \tpkg/store", "done")
		onActions := func(id int64) func(*webhook.Run) {
			return func(r *webhook.Run) {
				r.Job, r.WorkflowRun = []byte(`{"workflow":{"file":"deploy.yml","ref":"main"},"check":"deploy"}`), id
			}
		}
		w.run(rec, "flow", webhook.Running, onActions(4711))
		w.run(rec, "soon", webhook.Starting, onActions(0))
		b := w.signedIn("mona")
		page := `href="` + w.URL + `/acme/app/actions/runs/4711"`
		b.has("/runs/flow", "workflow deploy.yml at main", page+">4711<", "The log is on GitHub", page+">the workflow", `!id="log"`)
		b.has("/runs/soon", "The log will be on GitHub", "!/actions/runs/", `!id="log"`)
		b.has("/runs/goes", `id="log"`, "!on GitHub")
		if got := b.events("/runs/flow/live?rev=0", "put", 1, ""); len(got) != 1 || !strings.Contains(got[0], page) {
			t.Errorf("the state is %q", got)
		}
		b.has("/runs", "awaiting approval", "failed", "running")
		b.has("/runs?state=failed", "over", "!/runs/goes")
		b.has("/runs/goes", `<span class="f2">ok</span>`, "done", "task of ghcr.io/acme/ci:1.26", "running now", "Cancel", "!Approve", "!Run again")
		b.has("/runs/over", "failed after 1m0s", "Run again", "!Cancel")
		for _, order := range []struct{ path, says, at string }{
			{"/runs/waits/approve", "is approved", "/runs/waits"},
			{"/runs/goes/cancel", "being cancelled", "/runs/goes"},
			{"/runs/over/rerun", "does the other one again", "/runs/over2"},
		} {
			page, _, _ := strings.Cut(order.path[1:], "/")
			page = "/" + page + "/" + strings.Split(order.path, "/")[2]
			if status, text := b.post(order.path, b.form(page, order.path)); status != http.StatusOK || !strings.Contains(text, order.says) || !strings.Contains(text, order.at) {
				t.Errorf("%s: %d %s", order.path, status, text)
			}
		}
		if asked := w.orders.asked(); asked != "approve by mona, cancel by mona, rerun by mona" {
			t.Errorf("asked was %q", asked)
		}
		b.has("/runs/waits", "approved by mona")
	})
}

// TestStart has a rule run by hand: the form counts once, and is there for rules
// that run so and people who may write.
func TestStart(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		page := fmt.Sprintf("/repositories/%d", w.repo.ID)
		w.signedIn("rita").has(page, "manual", "!By hand", "!/start/")
		b := w.signedIn("mona")
		path, form := b.start(page)
		if !strings.HasPrefix(path, page+"/rules/release/start/") {
			t.Errorf("the form is for %s", path)
		}
		for range 2 {
			if status, text := b.post(path, form); status != http.StatusOK || !strings.Contains(text, "started by hand") {
				t.Errorf("start: %d %s", status, text)
			}
		}
		if text := b.has("/runs", "/runs/by-hand-"); strings.Count(text, "<tr id=") != 1 {
			t.Errorf("the runs are %s", text)
		}
		if asked := w.orders.asked(); asked != "start release by mona, start release by mona" {
			t.Errorf("asked was %q", asked)
		}
	})
}

func TestOthers(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.push(w.repo, map[string]string{"a": "1"})
		b := w.signedIn("mona")
		b.has("/repositories", "acme/app", "!acme/secret")
		b.has(fmt.Sprintf("/repositories/%d", w.repo.ID), "itest", "ECS task", "deploy.yml", "Why an event matched")
	})
}

// TestHealth counts what a person can read, and says that the database does not
// answer, and no figures, where it does not.
func TestHealth(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		w.run(w.push(w.repo, map[string]string{"a": "1"}), "mine", webhook.Running)
		secret := w.push(w.secret, map[string]string{"a": "1"})
		for i := range 3 {
			w.run(secret, fmt.Sprint("theirs", i), webhook.Running)
		}
		waiting := 0
		for _, err := range w.db.Deliveries(t.Context(), database.DeliveryFilter{Repositories: []int64{w.repo.ID}}) {
			w.must(err)
			waiting++
		}
		b := w.signedIn("mona")
		b.has("/health", "well", fmt.Sprintf("<strong>%d</strong> deliveries wait for a decision, the first for", waiting), "<strong>1</strong> runs are under way")
		w.User("nobody")
		w.signedIn("nobody").has("/health", "well", "<strong>0</strong> deliveries wait for a decision<", "<strong>0</strong> runs are under way")
		w.must(w.db.Close())
		b.has("/health", "the database does not answer", "!well", "!under way", "!closed")
	})
}

// events reads a stream until it has so many events of a kind.
func (b *visitor) events(path, kind string, n int, after string) []string {
	b.w.t.Helper()
	req, err := http.NewRequestWithContext(b.w.t.Context(), http.MethodGet, b.w.url+path, nil)
	b.w.must(err)
	req.Header.Set("Accept", "text/event-stream")
	if after != "" {
		req.Header.Set("Last-Event-ID", after)
	}
	resp, err := b.Do(req)
	b.w.must(err)
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil
	}
	var got []string
	lines := bufio.NewScanner(resp.Body)
	for event, data := "", ""; len(got) < n && lines.Scan(); {
		switch name, value, _ := strings.Cut(lines.Text(), ": "); name {
		case "event":
			event = value
		case "data":
			data += value + "\n"
		case "":
			if event == kind {
				got = append(got, data)
			}
			event, data = "", ""
		}
	}
	return got
}

func TestLive(t *testing.T) {
	both(t, func(t *testing.T, w *world) {
		first := w.push(w.repo, map[string]string{"a": "1"})
		b := w.signedIn("mona")
		if got := b.events("/deliveries/live?event=push", "put", 1, ""); len(got) != 1 || !strings.Contains(got[0], first.GUID) {
			t.Errorf("live deliveries begin with %q", got)
		}
		w.run(first, "goes", webhook.Running)
		if got := b.events("/runs/live?state=running", "put", 1, ""); len(got) != 1 || !strings.Contains(got[0], "/runs/goes") {
			t.Errorf("live runs begin with %q", got)
		}
		w.logs.say("goes", "one", "two", "three", "<b>four\r\nevent: end")
		w.logs.end("goes")
		if got := strings.Join(b.events("/runs/goes/log", "add", 9, ""), ""); strings.Count(got, `class="line"`) != 4 || strings.Contains(got, "<b>") {
			t.Errorf("the log is %q", got)
		}
		at := time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC).UnixNano()
		if got := strings.Join(b.events("/runs/goes/log", "add", 9, fmt.Sprintf("%d.1", at)), ""); strings.Contains(got, ">one<") || strings.Count(got, `class="line"`) != 3 {
			t.Errorf("behind the first line, the log is %q", got)
		}
		w.move("goes", webhook.Succeeded, "")
		if got := b.events("/runs/goes/live?rev=1", "put", 1, ""); len(got) != 1 || !strings.Contains(got[0], "succeeded") {
			t.Errorf("the state is %q", got)
		}
		if got := b.events("/runs/goes/live?rev=1", "end", 1, ""); len(got) != 1 {
			t.Error("the stream of a run that is over does not end")
		}
	})
}

func TestSearchIsKept(t *testing.T) {
	w := start(t, t.TempDir()+"/clipper.db")
	w.signedIn("mona").has("/deliveries?"+url.Values{"event": {`"><script>`}}.Encode(), "&#34;&gt;&lt;script&gt;", "!<script>")
}
