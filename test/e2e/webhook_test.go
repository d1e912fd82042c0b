package e2e

import (
	"bufio"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/clipperregistry/runner/test/fakehub"
)

// TestWebhook runs the tests of a sample repository for its pull requests: in a
// container of PostgreSQL's image, checked out by the service's own, against
// another container of it.
func TestWebhook(t *testing.T) {
	t.Parallel()
	w := newWebhookWorld(t)
	files := sample(t, "", "")
	slow := strings.Replace(files["test.sql"], "SELECT pg_sleep(1)", "SELECT pg_sleep(3600)", 1)
	wrong := strings.Replace(files["schema.sql"], "SELECT 10 -", "SELECT 9 -", 1)

	green := w.concluded(t, w.pull("tidy", map[string]string{"README.md": "# Slots\n"}).HeadSHA())
	if green.Name != "itest (main)" || green.Conclusion != "success" || green.Title != "Succeeded" || green.DetailsURL != w.url+"/runs/"+green.ExternalID {
		t.Errorf("%+v", green)
	}
	checkText(t, green.Summary, "run | psql:test.sql:20: INFO:  sunday: 10 places are free", "checkout | ", "db | ", "database system is ready to accept connections")

	red := w.concluded(t, w.pull("wrong", map[string]string{"schema.sql": wrong}).HeadSHA())
	if red.Conclusion != "failure" || red.Title != "Failed with exit code 3" {
		t.Errorf("%+v", red)
	}
	checkText(t, red.Summary, "the program: exit code 3", "run | psql:test.sql:14: ERROR:  monday: 9 places are free, want 10")
	if strings.Contains(red.Summary, "tuesday") {
		t.Errorf("it went on behind the failure:\n%s", red.Summary)
	}

	// A push while the tests of the commit before it run.
	pull := w.pull("slow", map[string]string{"test.sql": slow})
	old := w.check(t, pull.HeadSHA(), "runs", func(c fakehub.Check) bool { return c.Status == "in_progress" })
	mona := w.visitor(t, "mona")
	live := openPage(t, mona, w.liveLog(t, mona, old.DetailsURL))
	lines := bufio.NewScanner(live)
	seen := false
	for !seen && lines.Scan() {
		seen = strings.Contains(lines.Text(), "monday: 5 places are free")
	}
	live.Close()
	if !seen {
		t.Errorf("the live log ended without the line: %v", lines.Err())
	}
	next := pull.Push(map[string]string{"test.sql": files["test.sql"]})
	cancelled, follower := w.concluded(t, old.HeadSHA), w.concluded(t, next)
	if cancelled.Conclusion != "cancelled" || !strings.Contains(cancelled.Summary, "superseded by run "+follower.ExternalID) || follower.Conclusion != "success" {
		t.Errorf("the old commit's check: %+v\nthe new one's: %+v", cancelled, follower)
	}
	if page := readPage(t, mona, cancelled.DetailsURL); !strings.Contains(page, "monday: 5 places are free") || strings.Contains(page, "tuesday") {
		t.Errorf("the page of the run that was cancelled:\n%s", page)
	}

	// One task each; nobody has to stop any.
	tasks := w.stopped(t)
	for _, c := range []fakehub.Check{green, red, cancelled, follower} {
		task, ok := tasks["run-"+c.ExternalID+"-1"]
		if !ok {
			t.Fatalf("no task of run %s ended: %v", c.ExternalID, tasks)
		}
		if reason := aws.ToString(task.StoppedReason); strings.Contains(reason, "superseded") != (c.Conclusion == "cancelled") {
			t.Errorf("the task of the check that is %s was stopped: %s", c.Conclusion, reason)
		}
	}
	if n := w.aws.Calls("ecs:RunTask"); n != 4 || len(tasks) != 4 {
		t.Errorf("%d tasks were started, %d ended", n, len(tasks))
	}
}
