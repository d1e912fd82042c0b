package serve

import (
	"context"

	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/web"
	"github.com/clipperregistry/runner/webhook/work"
)

// rulebook is what the work knows of an App's rules, in the words of the pages.
type rulebook struct {
	app  int64
	work *work.Work
}

// Rules are those of a repository at its default branch.
func (b rulebook) Rules(ctx context.Context, installation, repository int64, fullName string) (web.Rules, error) {
	r, err := b.work.Rules(ctx, b.app, hub.Repo{Installation: installation, ID: repository, FullName: fullName})
	return web.Rules(r), err
}

// Explain is what every rule makes of a delivery.
func (b rulebook) Explain(ctx context.Context, d database.Record) (web.Explanation, error) {
	e, err := b.work.Explain(ctx, d)
	return web.Explanation(e), err
}
