package setup

import (
	"context"
	"errors"
	"time"

	"github.com/clipperregistry/runner/webhook/hub"
)

// Await returns the first installation of an App, once there is one. It asks
// again after each pause, or when a limit of GitHub's lets it.
func Await(ctx context.Context, h *hub.Hub, pause time.Duration) (hub.Installation, error) {
	for {
		wait := pause
		for i, err := range h.Installations(ctx) {
			if err == nil {
				return i, nil
			}
			if limited, ok := errors.AsType[*hub.Limited](err); ok {
				wait = max(pause, time.Until(limited.Until))
			}
			if errors.Is(err, hub.ErrGone) || errors.Is(err, hub.ErrRefused) {
				return hub.Installation{}, err
			}
		}
		select {
		case <-ctx.Done():
			return hub.Installation{}, ctx.Err()
		case <-time.After(wait):
		}
	}
}
