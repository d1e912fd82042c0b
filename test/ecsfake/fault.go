package ecsfake

import (
	"maps"
	"path"
	"slices"
	"time"
)

// Fault is something that goes wrong with calls.
type Fault struct {
	// Operation is the call, "ecs:RunTask", or a pattern of path.Match, "ecs:*".
	Operation string
	// Times is how many calls it hits. Default: 1; -1: all.
	Times int
	// Code, if not empty, is the error that is answered; nothing is done then.
	// ThrottlingException is what the SDK retries.
	Code, Message string
	// Status is the HTTP status of that error. Default: 400.
	Status int
	// Lose ends the connection when the call is done, before it is answered.
	Lose bool
	// Delay is waited first.
	Delay time.Duration
}

// Throttle makes the next calls fail as too many
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html:
// "If an API request exceeds the API request rate for its bucket, the request fails with a ThrottlingException").
func Throttle(operation string, times int) Fault {
	return Fault{Operation: operation, Times: times, Code: "ThrottlingException", Message: "Rate exceeded"}
}

// traffic is what came in and what shall happen to it.
type traffic struct {
	counts  map[string]int
	faults  []*Fault
	hits    []Fault
	missing int // how many describes do not yet see what is new
	// failures are answered by the next calls of RunTask.
	failures []string
	// slowPull delays every pull.
	slowPull time.Duration
}

func newTraffic() traffic { return traffic{counts: map[string]int{}} }

// next takes the first fault that hits a call.
func (t *traffic) next(action string) Fault {
	for _, fault := range t.faults {
		if hit, _ := path.Match(fault.Operation, action); !hit || fault.Times == 0 {
			continue
		}
		if fault.Times > 0 {
			fault.Times--
		}
		t.hits = append(t.hits, *fault)
		return *fault
	}
	return Fault{}
}

// Inject makes calls go wrong. Of several faults that hit one call, the first
// injected acts.
func (f *Fake) Inject(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if fault.Times == 0 {
		fault.Times = 1
	}
	f.traffic.faults = append(f.traffic.faults, &fault)
}

// Heal ends all faults and lags.
func (f *Fake) Heal() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traffic.faults, f.traffic.failures, f.traffic.missing = nil, nil, 0
}

// Lag makes tasks, services and service deployments that are new from now on
// missing in their first describes
// (https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_RunTask.html: "The Amazon ECS
// API follows an eventual consistency model", "the result of an API command you run … might
// not be immediately visible to all subsequent commands you run").
func (f *Fake) Lag(describes int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traffic.missing = describes
}

// FailPlacement makes the next calls of RunTask, and the next tasks of
// services, find no place for a reason such as "RESOURCE:MEMORY"
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/api_failures_messages.html).
func (f *Fake) FailPlacement(reasons ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traffic.failures = append(f.traffic.failures, reasons...)
}

// SlowPull delays every pull of an image.
func (f *Fake) SlowPull(d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.traffic.slowPull = d
}

// Hits lists the faults that have hit a call, once for each, the first first.
func (f *Fake) Hits() []Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.traffic.hits)
}

// Calls counts the calls of an operation, "ecs:RunTask", answered or not.
func (f *Fake) Calls(operation string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.traffic.counts[operation]
}

// Counts counts the calls of all operations since ResetCounts.
func (f *Fake) Counts() map[string]int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return maps.Clone(f.traffic.counts)
}

// ResetCounts counts from zero again.
func (f *Fake) ResetCounts() {
	f.mu.Lock()
	defer f.mu.Unlock()
	clear(f.traffic.counts)
}
