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
	told := ""
	for {
		now, err := l.db.Run(ctx, run.ID)
		if err != nil {
			return err
		}
		if now.Task != "" && now.Task != told { // between two attempts there is none
			told = now.Task
			if err := l.follow(ctx, now, since, tell); err != nil {
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

// follow tells the lines of one attempt. Who comes back may do so within a
// private key, which is known by what was told before.
func (l logs) follow(ctx context.Context, run webhook.Run, since time.Time, tell func(web.Line)) error {
	j, _ := job(run)
	clean := cleaner{secret: l.secret}
	if !since.IsZero() {
		earlier, err := l.tasks.Before(ctx, run.Task, j, since, mask.LongestKey)
		if err != nil {
			return err
		}
		for _, line := range earlier {
			clean.line(line)
		}
	}
	return l.tasks.Follow(ctx, run.Task, j, since, func(line watch.Line) { tell(clean.line(line)) })
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
