package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
	"github.com/clipperregistry/runner/webhook/serve"
)

type runsShow struct {
	databaseFlag
	URL       string `name:"url" env:"CLIPPER_WEBHOOK_URL" placeholder:"URL" help:"Where the service's pages are, for a link."`
	GitHubURL string `name:"github-url" env:"CLIPPER_GITHUB_URL" placeholder:"URL" help:"Where GitHub's pages are, for links; default: https://github.com."`
	Lines     int    `default:"20" placeholder:"N" help:"How many lines of its log, from AWS, at most; default: 20."`
	JSON      bool   `help:"Print one JSON object."`

	ID string `arg:"" help:"Run, as webhook runs list names it."`
}

// shownRun is a run with what belongs to it.
type shownRun struct {
	listedRun
	What    string            `json:"what"` // is started
	Job     json.RawMessage   `json:"job"`
	History []webhook.Moved   `json:"history"`
	Links   map[string]string `json:"links"`
	Shown   []shownPlace      `json:"shown"`
	Log     []shownLine       `json:"log"`
	NoLog   string            `json:"log_error,omitempty"`
}

// shownPlace is where GitHub shows the run, or is to.
type shownPlace struct {
	Channel string `json:"channel"`
	ID      string `json:"id"`
	Failure string `json:"failure,omitempty"`
}

// shownLine is one of its log.
type shownLine struct {
	At        time.Time `json:"at"`
	Container string    `json:"container"`
	Text      string    `json:"text"`
}

func (c *runsShow) Run(exit *int) error {
	ctx, stop := untilSignal()
	defer stop()
	return endedWebhook(ctx, exit, c.show(ctx, os.Stdout))
}

func (c *runsShow) show(ctx context.Context, out io.Writer) error {
	db, err := c.look(ctx)
	if err != nil {
		return err
	}
	defer db.Close()
	run, err := db.Run(ctx, c.ID)
	if err != nil {
		return err
	}
	places, err := db.Shown(ctx, c.ID)
	if err != nil {
		return err
	}
	s := shownRun{listedRun: listRun(run), Job: run.Job, History: run.History(), Links: c.links(&run), Shown: []shownPlace{}, Log: []shownLine{}}
	var job rules.Job
	if json.Unmarshal(run.Job, &job) == nil {
		s.What = job.String()
	}
	for _, p := range places {
		s.Shown = append(s.Shown, shownPlace{p.Channel, p.Remote, p.Failure})
	}
	if c.Lines > 0 {
		if err := s.tail(ctx, run, c.Lines); err != nil {
			s.NoLog = err.Error()
		}
	}
	if c.JSON {
		return printJSON(s)
	}
	return s.print(out)
}

// tailTime is how long AWS may take to say what a run said.
const tailTime = 15 * time.Second

// tail reads the last lines.
func (s *shownRun) tail(ctx context.Context, run webhook.Run, n int) error {
	if run.Task == "" {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, tailTime)
	defer stop()
	aws, err := serve.LoadAWS(ctx)
	if err != nil {
		return err
	}
	lines, err := serve.Tail(ctx, aws, run, n)
	for _, l := range lines[max(0, len(lines)-n):] {
		s.Log = append(s.Log, shownLine{l.At.UTC(), l.Container, l.Text})
	}
	return err
}

// links are where people see what it became.
func (c *runsShow) links(run *webhook.Run) map[string]string {
	links := map[string]string{}
	github := strings.TrimSuffix(cmp.Or(c.GitHubURL, "https://github.com"), "/")
	repository := github + "/" + run.FullName
	if c.URL != "" {
		links["page"] = strings.TrimSuffix(c.URL, "/") + "/runs/" + run.ID
	}
	if page := run.WorkflowPage(github); page != "" {
		links["workflow"] = page
	}
	if run.CheckRun != 0 {
		links["check"] = repository + "/runs/" + strconv.FormatInt(run.CheckRun, 10)
	}
	if run.Commit != "" {
		links["commit"] = repository + "/commit/" + run.Commit
	}
	if run.PullRequest != 0 {
		links["pull_request"] = repository + "/pull/" + strconv.Itoa(run.PullRequest)
	}
	return links
}

func (s shownRun) print(out io.Writer) error {
	state := string(s.State)
	if s.ExitCode != nil {
		state += ", exit code " + strconv.Itoa(*s.ExitCode)
	}
	fields := [][2]string{
		{"Run", s.ID}, {"Rule", s.Rule + " of " + s.Repository}, {"State", state}, {"Reason", s.Reason}, {"Starts", s.What},
		{"Event", s.Event + " by " + cmp.Or(s.Sender, "the clock")}, {"Delivery", s.Delivery}, {"Commit", strings.TrimSpace(s.Commit + " " + s.Ref)}, {"Again", s.Rerun},
		{"Task", s.Task},
	}
	for _, name := range []string{"page", "workflow", "check", "commit", "pull_request"} {
		if link := s.Links[name]; link != "" {
			fields = append(fields, [2]string{"Link", link})
		}
	}
	for _, p := range s.Shown {
		fields = append(fields, [2]string{"Shown", strings.TrimSpace(p.Channel + " " + cmp.Or(p.Failure, p.ID, "is to come"))})
	}
	for i, m := range s.History {
		name := ""
		if i == 0 {
			name = "Way"
		}
		fields = append(fields, [2]string{name, strings.TrimSpace(seconds(m.At) + " " + m.What)})
	}
	if err := printFields(out, fields); err != nil {
		return err
	}
	if s.NoLog != "" {
		fmt.Fprintf(out, "\nIts log cannot be read: %s\n", shown(s.NoLog))
	}
	if len(s.Log) > 0 {
		fmt.Fprintln(out, "\nLast lines:")
	}
	for _, l := range s.Log {
		fmt.Fprintf(out, "%s | %s\n", shown(l.Container), shown(l.Text))
	}
	return nil
}
