package serve

import (
	"context"
	"encoding/json"
	"time"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/mask"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/task"
	"github.com/clipperregistry/runner/webhook/web"
)

// logs are what runs on ECS say, without what looks like a secret. A run of a
// workflow has its log on GitHub.
type logs struct {
	db     *database.DB
	tasks  *tasks
	secret func(string) string // takes out the service's own, and nothing that tells of a key
	every  time.Duration       // that a run is looked at which has no task yet
}

// job is that of a run, if it is one for ECS.
func job(run webhook.Run) (task.Job, bool) {
	var j rules.Job
	if json.Unmarshal(run.Job, &j) != nil || j.ECS == nil {
		return task.Job{}, false
	}
	return task.Of(&run, j.ECS), true
}

// Tail has the last lines of a run's last attempt.
func (l logs) Tail(ctx context.Context, run webhook.Run, n int) ([]web.Line, error) {
	j, ok := job(run)
	if !ok || run.Task == "" {
		return nil, nil
	}
	read, err := l.tasks.Tail(ctx, run.Task, j, n)
	texts := make([]string, len(read))
	for i, line := range read {
		texts[i] = l.secret(line.Text)
	}
	lines := make([]web.Line, len(read))
	for i, text := range mask.RedactLines(texts) {
		lines[i] = web.Line{At: read[i].At, Container: read[i].Container, Text: text}
	}
	return lines, err
}

// Follow tells lines of a run while they are written, attempt after attempt.
func (l logs) Follow(ctx context.Context, run webhook.Run, since time.Time, tell func(web.Line)) error {
	if _, ok := job(run); !ok {
		return nil
	}
	clean, told := cleaner{secret: l.secret}, ""
	for {
		now, err := l.db.Run(ctx, run.ID)
		if err != nil {
			return err
		}
		if now.Task != told {
			told = now.Task
			j, _ := job(now)
			if err := l.tasks.Follow(ctx, now.Task, j, since, func(line watch.Line) { tell(clean.line(line)) }); err != nil {
				return err
			}
			continue
		}
		if now.State.Over() {
			return nil
		}
		if err := watch.Sleep(ctx, l.every); err != nil {
			return err
		}
	}
}

// cleaner takes secrets out of the lines of a log, one after the other.
type cleaner struct {
	secret func(string) string
	lines  map[string]*mask.Lines // by container
}

func (c *cleaner) line(l watch.Line) web.Line {
	if c.lines == nil {
		c.lines = map[string]*mask.Lines{}
	}
	if c.lines[l.Container] == nil {
		c.lines[l.Container] = new(mask.Lines)
	}
	return web.Line{At: l.At, Container: l.Container, Text: c.lines[l.Container].Redact(c.secret(l.Text))}
}
