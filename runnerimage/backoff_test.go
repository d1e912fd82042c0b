package runnerimage

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/stock"
)

const ecsEnv = "ECS_CONTAINER_METADATA_URI_V4=http://169.254.170.2/v4/0"

func TestBackoff(t *testing.T) {
	image, err := oci.ParseReference("debian")
	if err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name     string
		code     int
		settings Settings
		environ  []string
		stop     time.Duration // when the stop signal comes, 0: never
		waited   time.Duration
	}{
		{"denied", ExitDenied, Settings{Image: image}, []string{ecsEnv}, 0, time.Minute},
		{"no image named", ExitSettings, Settings{}, []string{ecsEnv}, 0, time.Minute},
		{"no program", ExitNoProgram, Settings{Image: image, Backoff: BackoffAuto}, []string{"A=b", ecsEnv}, 0, time.Minute},
		{"stopped meanwhile", ExitNotFound, Settings{Image: image}, []string{ecsEnv}, 5 * time.Second, 5 * time.Second},
		{"stopped before the wait", ExitNetwork, Settings{Image: image}, []string{ecsEnv}, -1, 0},
		{"stopped before it failed", ExitInterrupted, Settings{Image: image}, []string{ecsEnv}, 0, 0},
		{"never", ExitNoPlatform, Settings{Image: image, Backoff: BackoffNever}, []string{ecsEnv}, 0, 0},
		{"elsewhere", ExitNoPlatform, Settings{Image: image}, []string{"ECS_CONTAINER_METADATA_URI_V4="}, 0, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			root := t.TempDir()
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithCancel(t.Context())
				defer stop()
				switch {
				case test.stop > 0:
					time.AfterFunc(test.stop, stop)
				case test.stop < 0:
					stop()
				}
				var log bytes.Buffer
				start := time.Now()
				Backoff(ctx, Config{Settings: test.settings, Root: root, Environ: test.environ, Log: &log}, test.code)
				if waited := time.Since(start); waited != test.waited {
					t.Errorf("waited %s, want %s", waited, test.waited)
				}
				if told := strings.Contains(log.String(), "stays for 1m0s"); told != (test.waited > 0) || strings.Count(log.String(), "\n") > 1 {
					t.Errorf("said %q", &log)
				}
			})
		})
	}
}

// TestBackoffGrows: every failure that follows another waits about twice as
// long, up to a limit, also where several tasks fail side by side; a success
// or a pause begins anew.
func TestBackoffGrows(t *testing.T) {
	start := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	now, failed := start, stock.Failures{}
	const toReplace = 10 * time.Second
	for n, want := range []time.Duration{30, 40, 90, 190, 390, 790, 900, 900} {
		want *= time.Second
		var wait time.Duration
		for range 3 { // tasks
			failed, wait = after(failed, now)
			if wait != want {
				t.Fatalf("failure %d waits %s, want %s", n, wait, want)
			}
		}
		if failed.First != start || failed.Until != now.Add(wait) {
			t.Fatalf("failure %d at %s: %+v", n, now, failed)
		}
		now = now.Add(wait + toReplace)
	}
	for name, later := range map[string]time.Time{"after a pause": failed.Until.Add(replacedWithin + 1), "by another clock": start.Add(-time.Hour)} {
		if again, wait := after(failed, later); again.First != later || wait != shortestBackoff {
			t.Errorf("%s: %+v, %s", name, again, wait)
		}
	}
}
