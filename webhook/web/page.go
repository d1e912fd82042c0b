package web

import (
	"bytes"
	"embed"
	"html/template"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

//go:embed templates assets
var files embed.FS

// page is what every page is made of.
type page struct {
	Title string
	Said  string // what a form did
	Data  any

	// These are put in by show.
	Login   string
	Section string // of the navigation
	SignOut string // token
}

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"clock": func(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05") },
	"stamp": func(t time.Time) string { return t.UTC().Format(time.RFC3339) },
	"short": func(commit string) string { return commit[:min(len(commit), 12)] },
	"words": func(s any) string { return strings.ReplaceAll(text(s), "_", " ") },
	"tone":  func(s any) string { return tones[text(s)] },
	"text":  text,
	"took":  func(d time.Duration) string { return d.Round(time.Second).String() },
}).ParseFS(files, "templates/*.html"))

// text is a value for people: what strangers wrote, without what steers.
func text(s any) string {
	var t string
	switch s := s.(type) {
	case string:
		t = s
	case webhook.State:
		t = string(s)
	case webhook.Source:
		t = string(s)
	case database.DeliveryState:
		t = string(s)
	case rules.Outcome:
		t = string(s)
	case rules.Need:
		t = string(s)
	}
	return strings.Map(func(r rune) rune {
		if hidden(r) {
			return -1
		}
		return r
	}, t)
}

// tones are the colours of states; the word is always beside it.
var tones = map[string]string{
	string(webhook.Succeeded): "good", string(database.Matched): "good", string(rules.Starts): "good",
	string(webhook.Failed): "bad", string(webhook.TimedOut): "bad", string(webhook.Lost): "bad", string(database.Dead): "bad", string(rules.Refused): "bad",
	string(webhook.AwaitingApproval): "ask", string(webhook.Ambiguous): "ask", string(rules.Asks): "ask", string(rules.Waits): "ask",
	string(webhook.Running): "busy", string(webhook.Starting): "busy", string(webhook.Resolving): "busy", string(webhook.Finishing): "busy",
}

// show renders a page whole before it is sent: half a page is none.
func (s *Server) show(w http.ResponseWriter, r *http.Request, in *session, status int, name string, p page) {
	if in != nil {
		p.Login, p.SignOut = in.Login, s.seal.token(in.ID, "/sign-out")
	}
	p.Section, _, _ = strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	var b bytes.Buffer
	for _, part := range []string{"top", name, "bottom"} {
		if err := templates.ExecuteTemplate(&b, part, p); err != nil {
			s.Log.Error("render a page", "page", name, "error", err)
			http.Error(w, "The page could not be made.", http.StatusInternalServerError)
			return
		}
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(b.Bytes()) // who went away needs no page
}

func serveAsset(w http.ResponseWriter, r *http.Request) {
	content, err := files.ReadFile(path.Join("assets", path.Base(r.PathValue("name"))))
	if err != nil {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", mime.TypeByExtension(path.Ext(r.PathValue("name"))))
	w.Header().Set("Cache-Control", "no-cache")
	_, _ = w.Write(content)
}
