package runnerimage_test

import (
	"encoding/json"
	"maps"
	"testing"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage"
)

// TestSummaryIsReadOnECS: who watches a task reads from the summary where the
// time went.
func TestSummaryIsReadOnECS(t *testing.T) {
	line, err := json.Marshal(runnerimage.Summary{
		Message: "ready", Image: "debian:12", Digest: "sha256:00", Entries: 1, BytesPulled: 2, BytesReused: 3, BytesWritten: 4, Claimed: 5,
		Milliseconds: map[runnerimage.Phase]int64{runnerimage.PhaseResolve: 6, runnerimage.PhaseClear: 7, runnerimage.PhaseUnpack: 8, runnerimage.PhaseTotal: 9},
	})
	if err != nil {
		t.Fatal(err)
	}
	got, ok := watch.ParseStart(watch.Line{Container: "app", Text: string(line) + "\n"})
	if !ok || got.Container != "app" || got.Image != "debian:12" || got.Digest != "sha256:00" ||
		got.BytesPulled != 2 || got.BytesReused != 3 || got.BytesWritten != 4 ||
		!maps.Equal(got.Milliseconds, map[string]int64{"resolve": 6, "clear": 7, "unpack": 8, "total": 9}) {
		t.Errorf("of %s it reads %+v, %t", line, got, ok)
	}
}
