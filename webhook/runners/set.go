package runners

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/rules"
)

// set is a set of runners. What it remembers is its own goroutine's.
type set struct {
	rules.RunnerSet
	config  *Config
	replica string
	key     string
	before  []*set // that take what both could
	log     *slog.Logger
	metrics *metrics
	nudged  chan struct{}

	github  GitHub // that the owner was found with
	url     string
	owner   hub.Owner
	source  source
	members map[string]*member // by name
	strays  map[string]time.Time
	surplus time.Time // since when there are too many; zero is never
	ends    int       // how many passes have found runners that failed, and none that did not
	hold    time.Time // until when none is started
}

// source is where the jobs of a set come from. Beside listen, its methods are
// not called by two goroutines at once, but register.
type source interface {
	// wanted is how many jobs want a runner, or have one of the set's, of which
	// there are so many at work.
	wanted(ctx context.Context, working int) (int, error)
	// register makes a runner of that name, and says what it is started with. One
	// that is there already is replaced, unless it is at work: that is errAtWork.
	register(ctx context.Context, name string) (id int64, config string, err error)
	// listen calls changed when there is something new, until ctx is done.
	listen(ctx context.Context, changed func())
}

// errAtWork says that a runner cannot be made anew.
var errAtWork = errors.New("the runner is at work")

func (s *set) nudge() {
	select {
	case s.nudged <- struct{}{}:
	default:
	}
}

// lease is the name of what only one replica does.
func (s *set) lease() string { return "runners/" + s.key }

// run keeps the set while no other replica does.
func (s *set) run(ctx context.Context) {
	for ctx.Err() == nil {
		held, err := s.config.Store.Hold(ctx, s.lease(), s.replica, s.config.Pace.Lease)
		if err != nil && ctx.Err() == nil {
			s.log.Warn("runners are not kept", "error", err)
		}
		if held {
			s.lead(ctx)
		}
		_ = sleep(ctx, s.config.Pace.Lease/3, nil) // the loop asks
	}
}

// lead makes passes until ctx is done, or another replica has the lease.
func (s *set) lead(ctx context.Context) {
	within, stop := context.WithCancel(ctx)
	var listening sync.WaitGroup
	defer func() {
		stop()
		listening.Wait()
		done, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
		defer cancel()
		_ = s.config.Store.Yield(done, s.lease(), s.replica) // it ends by itself
	}()
	s.github, s.source, s.members, s.strays, s.surplus, s.ends, s.hold = nil, nil, nil, map[string]time.Time{}, time.Time{}, 0, time.Time{}
	for failed := 0; ; {
		wait, patient := s.config.Pace.Pass, false
		begun := s.source != nil
		if err := s.inTime(within); err != nil {
			if ctx.Err() != nil || errors.Is(err, errTaken) {
				return
			}
			if errors.Is(err, hub.ErrGone) { // all begins anew with finding the owner
				s.log.Warn("the owner of runners is not there", "error", err)
				return
			}
			failed++
			wait, patient = s.pause(err, failed), true
			s.log.Warn("runners are behind", "error", err, "again", wait.Round(time.Second))
		} else {
			failed = 0
		}
		if !begun && s.source != nil {
			listening.Go(func() { s.source.listen(within, s.nudge) })
		}
		_ = sleep(within, min(wait, s.config.Pace.Least), nil) // rest asks
		if !s.rest(within, wait, patient) {
			return
		}
	}
}

// passTime is how long a pass may take: AWS that does not answer at all must
// not keep the set for ever.
const passTime = 5 * time.Minute

func (s *set) inTime(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, passTime)
	defer cancel()
	return s.pass(ctx)
}

// farewell is how long the last words to others may take.
const farewell = 5 * time.Second

// errTaken says that another replica has the set now.
var errTaken = errors.New("another replica keeps the runners")

// keep holds the lease on.
func (s *set) keep(ctx context.Context) error {
	held, err := s.config.Store.Hold(ctx, s.lease(), s.replica, s.config.Pace.Lease)
	if err == nil && !held {
		err = errTaken
	}
	return err
}

// rest waits for the next pass and holds the lease meanwhile. Who is patient
// waits whatever happens. It says whether there is to be another pass.
func (s *set) rest(ctx context.Context, wait time.Duration, patient bool) bool {
	until := s.config.Now().Add(wait)
	for {
		left := until.Sub(s.config.Now())
		if left <= 0 {
			return ctx.Err() == nil
		}
		nudged := s.nudged
		if patient {
			nudged = nil
		}
		if sleep(ctx, min(left, s.config.Pace.Lease/3), nudged) {
			return true
		}
		if ctx.Err() != nil || errors.Is(s.keep(ctx), errTaken) {
			return false
		}
	}
}

// pause is how long to wait after so many failures in a row.
func (s *set) pause(err error, failed int) time.Duration {
	var limited *hub.Limited
	if errors.As(err, &limited) {
		return max(limited.Until.Sub(s.config.Now()), s.config.Pace.Retry)
	}
	return doubled(s.config.Pace.Retry, s.config.Pace.RetryMost, failed)
}

// doubled is a pause that is twice as long each time.
func doubled(first, most time.Duration, times int) time.Duration {
	for range min(times, 30) - 1 {
		if first *= 2; first >= most {
			return most
		}
	}
	return min(first, most)
}

// sleep waits, and says whether it was woken before.
func sleep(ctx context.Context, d time.Duration, woken <-chan struct{}) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	case <-woken:
		return true
	}
	return false
}
