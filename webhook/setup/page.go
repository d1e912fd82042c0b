package setup

import (
	"bytes"
	"encoding/json"
	"html/template"
	"net/http"

	"github.com/clipperregistry/runner/webhook/hub"
)

// beginning is the page with the button.
type beginning struct {
	Manifest
	Target       string // of the form
	Organization string
	Used         bool // GitHub was asked already
}

// JSON is what the form sends.
func (b beginning) JSON() (string, error) {
	text, err := json.Marshal(b.Manifest)
	return string(text), err
}

type ending struct {
	hub.Made
	Install string
}

var pages = template.Must(template.New("").Parse(`
{{- define "top"}}<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{{.}} · Clipper</title>
<style>:root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:4rem auto;padding:0 1rem}
button,a.button{font:inherit;padding:.6rem 1.2rem;border:1px solid;border-radius:.4rem;display:inline-block}
td,th{text-align:left;padding:0 1.5rem 0 0;font-weight:normal}</style>
<main><h1>{{.}}</h1>
{{end}}
{{- define "begin"}}{{template "top" "A GitHub App for the service"}}
{{- if .Used}}<p>GitHub was asked already. To ask again, run the command again.</p>
{{- else}}<p>GitHub shows its name, which you can change, and makes it {{if .Organization}}in the organisation <b>{{.Organization}}</b>{{else}}on your account{{end}}.</p>
<form method="post" action="{{.Target}}"><input type="hidden" name="manifest" value="{{.JSON}}">
<button autofocus>Make the App on GitHub</button></form>
<h2>What it may do</h2><table>
{{- range $name, $level := .Permissions}}<tr><th scope="row">{{$name}}</th><td>{{$level}}</td></tr>{{end}}</table>
<p>Deliveries go to <code>{{.Hook.URL}}</code>, of: {{range $i, $name := .Events}}{{if $i}}, {{end}}{{$name}}{{end}}.</p>
{{- end}}</main>{{end}}
{{- define "end"}}{{template "top" "The App is made"}}
<p><b>{{.Name}}</b>, App {{.ID}}. Its key and secrets are where the terminal says.</p>
<p><a class="button" href="{{.Install}}" rel="noreferrer">Install it on repositories</a></p></main>{{end}}
{{- define "refuse"}}{{template "top" "That did not work"}}<p>{{.}}</p></main>{{end}}`))

func show(w http.ResponseWriter, status int, name string, data any) {
	var page bytes.Buffer
	if err := pages.ExecuteTemplate(&page, name, data); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(page.Bytes()) // to a browser that may be gone
}

func refuse(w http.ResponseWriter, status int, text string) { show(w, status, "refuse", text) }
