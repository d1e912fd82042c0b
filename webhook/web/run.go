package web

import (
	"context"
	"encoding/json"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// runPage is one run.
type runPage struct {
	webhook.Run
	Repo   repo
	Repeat bool // it may be done again
	What   string
	Time   []webhook.Moved
	Shown  []database.Item
	// Tokens of the forms, "" where there is none.
	Approve, Again, Cancel string

	// OnGitHub says that the log is GitHub's, at Workflow once that is known.
	OnGitHub bool
	Workflow string

	Log   []logLine
	Mute  bool // the log could not be read
	Live  string
	After string // address of the log's next lines
	More  string // address of the page with more lines
}

// logLine is a line as it is shown.
type logLine struct {
	At        time.Time
	Container string
	Spans     []span
}

func shown(l Line) logLine { return logLine{l.At, text(l.Container), spans(l.Text)} }

// Lines of a log that a page has: some, or many for who asks.
const (
	someLines = 500
	manyLines = 5_000
)

// findRun is the page's run, if the person can read it.
func (v *visit) findRun(ctx context.Context) (webhook.Run, repo, error) {
	return v.readable(ctx, v.r.PathValue("id"))
}

// readable is a run that the person can read.
func (v *visit) readable(ctx context.Context, id string) (webhook.Run, repo, error) {
	run, err := v.Books.Run(ctx, id)
	if err != nil {
		return run, repo{}, err
	}
	at, ok := v.view[run.Repository]
	if !ok || run.App != v.App {
		return run, repo{}, errNoPage
	}
	return run, at, nil
}

func (s *Server) run(v *visit) error {
	run, at, err := v.findRun(v.ctx())
	if err != nil {
		return err
	}
	p, err := v.runPage(v.ctx(), run, at)
	if err != nil {
		return err
	}
	n := someLines
	if v.r.FormValue("lines") == "many" {
		n = manyLines
	}
	lines, err := s.Logs.Tail(v.ctx(), run, n)
	if err != nil {
		s.Log.Warn("read the log of a run", "run", run.ID, "error", err)
		p.Mute = true
	}
	lines = lines[max(0, len(lines)-n):]
	since := place{}
	for _, l := range lines {
		since = since.after(l)
		p.Log = append(p.Log, shown(l))
	}
	if len(lines) == someLines && n == someLines {
		p.More = "/runs/" + run.ID + "?lines=many#log"
	}
	if !run.State.Over() {
		p.Live = "/runs/" + run.ID + "/live?rev=" + strconv.FormatInt(run.Rev, 10)
		p.After = "/runs/" + run.ID + "/log?after=" + since.String()
	}
	return v.show("run", text(run.Rule)+" of "+text(run.FullName), p)
}

// runPage is all of a run but its log.
func (v *visit) runPage(ctx context.Context, run webhook.Run, at repo) (runPage, error) {
	p := runPage{Run: run, Repo: at, Time: run.History(), Workflow: run.WorkflowPage(v.GitHubURL)}
	var job rules.Job
	if json.Unmarshal(run.Job, &job) == nil {
		p.What, p.OnGitHub = job.String(), job.Workflow != nil || job.Dispatch != nil
	}
	var err error
	if p.Shown, err = v.Books.Shown(ctx, run.ID); err != nil {
		return p, err
	}
	if !at.Write {
		return p, nil
	}
	token := func(order string) string { return v.seal.token(v.session.ID, "/runs/"+run.ID+"/"+order) }
	switch {
	case run.State.Over(), run.State == webhook.Ambiguous:
		p.Again = token("rerun")
	case run.State == webhook.AwaitingApproval:
		p.Approve = token("approve")
	}
	if !run.State.Over() && run.CancelRequested == "" {
		p.Cancel = token("cancel")
	}
	return p, nil
}

// liveRun sends the run's state whenever it has changed, until it is over.
func (s *Server) liveRun(v *visit) error {
	if _, _, err := v.findRun(v.ctx()); err != nil {
		return err
	}
	rev, _ := strconv.ParseInt(v.r.FormValue("rev"), 10, 64)
	state := webhook.State("")
	return v.poll(func(ctx context.Context, out *stream) (bool, error) {
		run, at, err := v.findRun(ctx)
		if err != nil || run.Rev == rev {
			return false, err
		}
		rev = run.Rev
		p, err := v.runPage(ctx, run, at)
		if err != nil {
			return false, err
		}
		if err := out.put("put", "", "run-state", p); err != nil {
			return true, nil
		}
		if run.State != state {
			state = run.State
			if err := out.send("say", "", "The run is now: "+strings.ReplaceAll(string(state), "_", " ")); err != nil {
				return true, nil
			}
		}
		if run.State.Over() {
			return true, out.send("end", "", "over")
		}
		return false, nil
	})
}

// place is one in a log: behind the n-th line of a time, in nanoseconds since
// 1970.
type place struct {
	at int64
	n  int
}

func (p place) String() string { return fmt.Sprintf("%d.%d", p.at, p.n) }

func (p place) after(l Line) place {
	if at := l.At.UnixNano(); at != p.at {
		return place{at, 1}
	}
	return place{p.at, p.n + 1}
}

func placeOf(s string) (p place) {
	at, n, _ := strings.Cut(s, ".")
	p.at, _ = strconv.ParseInt(at, 10, 64) // what is no place is the beginning
	p.n, _ = strconv.Atoi(n)
	return p
}

// liveLog sends lines while they are written. A browser that comes back says
// which it had last.
func (s *Server) liveLog(v *visit) error {
	run, _, err := v.findRun(v.ctx())
	if err != nil {
		return err
	}
	from := v.r.Header.Get("Last-Event-ID")
	if from == "" {
		from = v.r.FormValue("after")
	}
	had := placeOf(from)
	var since time.Time
	if had.at != 0 {
		since = time.Unix(0, had.at)
	}
	now := place{at: had.at}
	return v.listen(func(ctx context.Context, out *stream) error {
		ctx, gone := context.WithCancel(ctx)
		defer gone()
		err := s.Logs.Follow(ctx, run, since, func(l Line) {
			if now = now.after(l); now.at == had.at && now.n <= had.n {
				return
			}
			if err := out.put("add", now.String(), "log-line", shown(l)); err != nil {
				gone()
			}
		})
		if err != nil || ctx.Err() != nil {
			return err
		}
		return out.send("end", "", "over")
	})
}

func (s *Server) approve(v *visit) error {
	return v.order("approved", func(run webhook.Run) (string, error) {
		commit := v.r.PostFormValue("commit")
		if commit != run.Commit {
			return "", fmt.Errorf("%w: the commit is not the run's", ErrRefused)
		}
		return run.ID, s.Orders.Approve(v.ctx(), run.ID, commit, v.session.Login)
	})
}

func (s *Server) rerun(v *visit) error {
	return v.order("rerun", func(run webhook.Run) (string, error) {
		return s.Orders.Rerun(v.ctx(), run.ID, v.session.Login)
	})
}

func (s *Server) cancel(v *visit) error {
	return v.order("cancelled", func(run webhook.Run) (string, error) {
		return run.ID, s.Orders.Cancel(v.ctx(), run.ID, v.session.Login)
	})
}

// order carries out what a person asks for, and shows them the run that it is
// about then.
func (v *visit) order(word string, do func(webhook.Run) (string, error)) error {
	run, at, err := v.findRun(v.ctx())
	if err != nil {
		return err
	}
	if err := v.mayAsk(at); err != nil {
		return err
	}
	id, err := do(run)
	if err != nil {
		return err
	}
	v.Log.Info("a run was "+word, "run", run.ID, "by", v.session.Login)
	return v.redirect("/runs/" + url.PathEscape(id) + "?said=" + word)
}
