package hub_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/clipperregistry/runner/test/fakehub"
	"github.com/clipperregistry/runner/webhook/hub"
)

const deploy = `
name: Deploy
run-name: "Deploy ${{ inputs.image }} (${{ inputs.clipper_run }})"
on:
  workflow_dispatch:
    inputs:
      image: {required: true}
      clipper_run: {}
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

// plain declares no nonce.
const plain = `
name: Plain
on: workflow_dispatch
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

const bench = `
name: Bench
run-name: "Bench ${{ github.event.client_payload.clipper_run }}"
on: {repository_dispatch: {types: [bench]}}
jobs:
  build: {runs-on: [self-hosted], steps: [{run: "true"}]}
`

// world is a GitHub with an App on a repository.
type world struct {
	*fakehub.Hub
	t       *testing.T
	app     *fakehub.App
	install *fakehub.Installation
	repo    *fakehub.Repo
	sha     string
	at      hub.Repo

	enterprise bool
}

// start makes a world. At its end, nothing may have been asked that GitHub does
// not describe.
func start(t *testing.T, config fakehub.Config) *world {
	t.Helper()
	github := fakehub.New(t, config)
	w := &world{Hub: github, t: t, app: github.App(fakehub.AppConfig{}), repo: github.Repo("acme/app"), enterprise: config.Enterprise}
	w.sha = w.repo.Commit(map[string]string{
		".github/clipper.yml": "version: 1\n", ".github/workflows/deploy.yml": deploy, ".github/workflows/plain.yml": plain,
		".github/workflows/bench.yml": bench, "main.go": "package main\n",
	})
	w.install = w.app.Install("acme", w.repo)
	w.at = hub.Repo{Installation: w.install.ID, ID: w.repo.ID, FullName: "acme/app"}
	return w
}

// hub is the App's client, which has seen nothing yet.
func (w *world) hub(change ...func(*hub.Config)) *hub.Hub {
	w.t.Helper()
	key, err := hub.ParseKey([]byte(w.app.PrivateKey))
	if err != nil {
		w.t.Fatal(err)
	}
	c := hub.Config{App: w.app.ID, Signer: key, URL: w.APIURL, Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	for _, f := range change {
		f(&c)
	}
	h, err := hub.New(c)
	if err != nil {
		w.t.Fatal(err)
	}
	return h
}

// hears is a transport that keeps what was asked.
type hears struct {
	next http.RoundTripper
	mu   sync.Mutex
	said []said
}

type said struct {
	method, path string
	header       http.Header
	body         map[string]any
	secret       string // that the answer has
}

func (e *hears) RoundTrip(req *http.Request) (*http.Response, error) {
	one := said{method: req.Method, path: req.URL.Path, header: req.Header.Clone()}
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req = req.Clone(req.Context())
		req.Body = io.NopCloser(bytes.NewReader(body))
		_ = json.Unmarshal(body, &one.body) // a body that is none is not kept
	}
	resp, err := e.next.RoundTrip(req)
	if err == nil && strings.HasSuffix(one.path, "/access_tokens") {
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			return nil, err
		}
		var token struct{ Token string }
		_ = json.Unmarshal(body, &token) // there is none in a refusal
		one.secret = token.Token
		resp.Body = io.NopCloser(bytes.NewReader(body))
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.said = append(e.said, one)
	return resp, err
}

// listen has a hub's requests heard.
func listen(e *hears) func(*hub.Config) {
	return func(c *hub.Config) { e.next, c.Transport = c.Transport, e }
}

func within(d time.Duration) func(*hub.Config) { return func(c *hub.Config) { c.Timeout = d } }
