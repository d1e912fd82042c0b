package serve

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestPullPeriod: unless it is told how often, a service that GitHub cannot call
// asks for deliveries every ten seconds, and another one compares them every
// minute.
func TestPullPeriod(t *testing.T) {
	for pull, want := range map[bool]int{true: 12, false: 2} {
		synctest.Test(t, func(t *testing.T) {
			log := &journal{}
			settings := settings(t)
			settings.Pull, settings.Log = pull, log
			s, err := open(t.Context(), settings)
			if err != nil {
				t.Fatal(err)
			}
			defer s.db.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute-time.Second)
			defer cancel()
			s.apps[0].reconciler.Run(ctx)
			if n := strings.Count(log.String(), `msg="deliveries not reconciled"`); n != want {
				t.Errorf("with pull %t, GitHub was asked %d times, want %d\n%s", pull, n, want, log)
			}
		})
	}
}
