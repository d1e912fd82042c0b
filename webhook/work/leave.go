package work

import (
	"context"
	"errors"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
)

// leave cancels the runs in repositories that the App was taken from. Whether it
// was is asked: the delivery may be late, or an old one that somebody has kept.
func (t *turn) leave(ctx context.Context, e *webhook.Event) error {
	left := database.RunFilter{App: t.app, Installation: e.Installation.ID, Unended: true}
	switch {
	case e.Name == "installation" && e.Action == "deleted":
	case len(e.RepositoriesRemoved) == 0:
		return nil
	default:
		for _, r := range e.RepositoriesRemoved {
			left.Repositories = append(left.Repositories, r.ID)
		}
	}
	gone := map[int64]bool{}
	for run, err := range t.DB.Runs(ctx, left) {
		if err != nil {
			return err
		}
		is, asked := gone[run.Repository]
		if !asked {
			_, err := t.github.Repository(ctx, repo(&run))
			if is = errors.Is(err, hub.ErrGone); err != nil && !is {
				return err
			}
			gone[run.Repository] = is
		}
		if is {
			if err := t.DB.Cancel(ctx, run.ID, "the App was taken from the repository"); err != nil {
				return err
			}
		}
	}
	return nil
}
