package runnerimage

import (
	"context"
	"time"

	"github.com/clipperregistry/runner/runnerimage/oci"
	"github.com/clipperregistry/runner/runnerimage/stock"
)

// BackoffPolicy says whether a start that failed keeps its container for a
// while.
type BackoffPolicy string

const (
	// BackoffAuto keeps it on ECS.
	BackoffAuto BackoffPolicy = "auto"
	// BackoffNever ends it at once.
	BackoffNever BackoffPolicy = "never"
)

// ECS waits longer and longer, up to a quarter of an hour, before it replaces
// a task that never came to run, as one does whose image cannot be pulled. A
// task whose runner ran counts as one that ran, however short, and is replaced
// at once
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-throttle-logic.html).
// So the runner waits in place of ECS.
const (
	shortestBackoff = 30 * time.Second
	longestBackoff  = 15 * time.Minute
	// fixedBackoff is for a start without a store, which cannot know of those
	// before it.
	fixedBackoff = time.Minute
	// replacedWithin is how long after the end of one task ECS may take to
	// start the next: a failure after that has nothing to do with the last.
	replacedWithin = 10 * time.Minute
)

// Backoff keeps the container of a start that failed with this exit code for a
// while, where cfg says that this is ECS. The end of ctx, the stop signal, ends
// the wait at once; the exit code stays the failure's, for that is why there is
// no program. Of cfg it uses Settings, as far as they could be read, Root,
// Environ and Log.
func Backoff(ctx context.Context, cfg Config, code int) {
	if code == ExitInterrupted || ctx.Err() != nil || cfg.Settings.Backoff == BackoffNever || !onECS(cfg) {
		return
	}
	wait := backoff(ctx, cfg)
	newReport(cfg).say("the container stays for %s before it ends, because ECS would start the next one at once, most likely to fail alike; %s=%s ends it without a wait",
		wait.Round(time.Second), envBackoff, BackoffNever)
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// backoff says how long to wait: where the store remembers earlier failures of
// the image, about as long as they have been going on, which doubles it each
// time. A store that cannot be used was told of by the start.
func backoff(ctx context.Context, cfg Config) time.Duration {
	s := cfg.Settings
	if s.Image == (oci.Reference{}) {
		return fixedBackoff
	}
	quiet := cfg
	quiet.Settings.Log = LogQuiet
	shared, err := openStock(ctx, quiet, newReport(quiet))
	if shared == nil || err != nil {
		return fixedBackoff
	}
	defer shared.Close()
	failed, wait := after(shared.Failures(s.Image, s.Platform), time.Now())
	shared.NoteFailures(s.Image, s.Platform, failed)
	return wait
}

// after is one more failure after those before it, and how long to wait now.
// Tasks that fail side by side wait alike: it is time that counts.
func after(before stock.Failures, now time.Time) (stock.Failures, time.Duration) {
	failed := before
	if now.Before(before.First) || now.After(before.Until.Add(replacedWithin)) {
		failed = stock.Failures{First: now}
	}
	wait := min(max(now.Sub(failed.First), shortestBackoff), longestBackoff)
	if until := now.Add(wait); until.After(failed.Until) {
		failed.Until = until
	}
	return failed, wait
}
