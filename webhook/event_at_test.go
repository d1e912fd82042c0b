package webhook_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook"
)

// TestAt: of every event that rules decide about, GitHub's published bodies
// tell when it happened, in the member that says it.
func TestAt(t *testing.T) {
	members := map[string]string{
		"push": "repository.pushed_at", "pull_request": "pull_request.updated_at", "issue_comment": "comment.created_at",
		"merge_group": "merge_group.head_commit.timestamp", "deployment": "deployment.created_at",
		"release": "release.updated_at", "release published": "release.published_at",
		"package": "package.package_version.updated_at", "registry_package": "registry_package.package_version.updated_at",
		"workflow_run": "workflow_run.updated_at",
	}
	told := map[string]int{}
	for i, ex := range fakehub.Examples(t) {
		var body map[string]any
		if err := json.Unmarshal(ex.Body, &body); err != nil {
			t.Fatal(err)
		}
		action, _ := body["action"].(string)
		member, is := members[ex.Event+" "+action]
		if !is {
			if member, is = members[ex.Event]; !is {
				continue
			}
		}
		e, err := webhook.ParseEvent(ex.Event, ex.Body)
		if err != nil {
			t.Fatal(err)
		}
		want := in(body, member)
		if !e.At().Equal(want) {
			t.Errorf("example %d, %s %s: it was at %s, want %s", i, ex.Event, action, e.At(), want)
		}
		if !want.IsZero() {
			told[member]++
		}
	}
	for _, member := range members {
		// Of the published bodies none of registry_package is there, and in those
		// of releases updated_at, which GitHub has since, is not.
		if told[member] == 0 && member != "release.updated_at" && !strings.HasPrefix(member, "registry_package.") {
			t.Errorf("no body has %s", member)
		}
	}
}

// in is a member of a body as a time.
func in(body map[string]any, member string) time.Time {
	var value any = body
	for name := range strings.SplitSeq(member, ".") {
		value = value.(map[string]any)[name]
	}
	switch v := value.(type) {
	case string:
		at, err := time.Parse(time.RFC3339, v)
		if err != nil {
			panic(err)
		}
		return at
	case float64:
		return time.Unix(int64(v), 0)
	}
	return time.Time{}
}

// TestAtOf: events that no published body is of, and releases, which happen
// again long after they were published.
func TestAtOf(t *testing.T) {
	const long, late = "2026-01-01T00:00:00Z", "2026-01-02T03:04:05Z"
	at := webhook.Moment(late).Time()
	version := webhook.PackageVersion{UpdatedAt: late}
	for _, tt := range []struct {
		e    webhook.Event
		want time.Time
	}{
		{webhook.Event{Name: "push", Repository: webhook.Repository{PushedAt: "1767323045"}}, at},
		{webhook.Event{Name: "registry_package", Package: &webhook.Package{Version: version}}, at},
		{webhook.Event{Name: "release", Action: "published", Release: &webhook.Release{PublishedAt: late}}, at},
		{webhook.Event{Name: "release", Action: "edited", Release: &webhook.Release{PublishedAt: long, UpdatedAt: late}}, at},
		{webhook.Event{Name: "release", Action: "released", Release: &webhook.Release{PublishedAt: long}}, time.Time{}},
		{webhook.Event{Name: "check_run", CheckRun: &webhook.CheckRun{CompletedAt: long}, Deployment: &webhook.Deployment{CreatedAt: long}}, time.Time{}},
		{webhook.Event{Name: webhook.Schedule, Due: late}, at},
		{webhook.Event{Name: webhook.Manual, Due: late}, at},
		{webhook.Event{Name: "star"}, time.Time{}},
	} {
		if got := tt.e.At(); !got.Equal(tt.want) {
			t.Errorf("%s %s was at %s, want %s", tt.e.Name, tt.e.Action, got, tt.want)
		}
	}
}
