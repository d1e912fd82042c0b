package fakehub_test

import (
	"context"
	"net/http"
	"net/url"
	"testing"

	"github.com/bradleyfalzon/ghinstallation/v2"
	"github.com/google/go-github/v60/github"

	"github.com/clipperregistry/runner/test/fakehub"
)

// world is a hub with an App on a repository, and the App's real clients.
type world struct {
	*fakehub.Hub
	app     *fakehub.App
	install *fakehub.Installation
	repo    *fakehub.Repo
	sha     string
	// asApp calls with JSON Web Tokens, client with the installation's tokens.
	asApp, client *github.Client
}

const workflow = `
name: Deploy
run-name: "Deploy ${{ inputs.image }} (${{ inputs.clipper_run }})"
on:
  workflow_dispatch:
    inputs:
      image: {required: true}
      clipper_run: {}
      level: {type: choice, options: [low, high], default: low}
jobs:
  build: {runs-on: [self-hosted, clipper], steps: [{run: "true"}]}
`

// start makes a world. At its end nothing may have been wrong on either side.
func start(t *testing.T, config fakehub.Config) *world {
	t.Helper()
	hub := fakehub.New(t, config)
	w := &world{Hub: hub, app: hub.App(fakehub.AppConfig{}), repo: hub.Repo("acme/app")}
	w.sha = w.repo.Commit(map[string]string{".github/workflows/deploy.yml": workflow, "main.go": "package main\n", "docs/a.md": "a"})
	w.install = w.app.Install("acme", w.repo)
	w.asApp = w.clientOf(t, w.jwt(t, w.app))
	w.client = w.clientOf(t, w.installed(t, w.install, nil))
	return w
}

func (w *world) jwt(t *testing.T, app *fakehub.App) *ghinstallation.AppsTransport {
	t.Helper()
	apps, err := ghinstallation.NewAppsTransport(http.DefaultTransport, app.ID, []byte(app.PrivateKey))
	if err != nil {
		t.Fatal(err)
	}
	apps.BaseURL = w.APIURL
	return apps
}

// installed is a transport with the installation's token. Options must be
// there: without, ghinstallation sends null for a body.
func (w *world) installed(t *testing.T, install *fakehub.Installation, options *github.InstallationTokenOptions) *ghinstallation.Transport {
	t.Helper()
	if options == nil {
		options = &github.InstallationTokenOptions{}
	}
	transport := ghinstallation.NewFromAppsTransport(w.jwt(t, w.app), install.ID)
	transport.InstallationTokenOptions = options
	return transport
}

func (w *world) clientOf(t *testing.T, transport http.RoundTripper) *github.Client {
	t.Helper()
	client := github.NewClient(&http.Client{Transport: transport})
	base, err := url.Parse(w.APIURL + "/")
	if err != nil {
		t.Fatal(err)
	}
	client.BaseURL = base
	return client
}

// call makes a call that the library has no type for.
func call(ctx context.Context, client *github.Client, method, path string, in, out any) (*github.Response, error) {
	req, err := client.NewRequest(method, path, in)
	if err != nil {
		return nil, err
	}
	return client.Do(ctx, req, out)
}

// wrong takes the problems of a test that is wrong on purpose, and wants one.
func (w *world) wrong(t *testing.T, operation string) {
	t.Helper()
	problems := w.TakeProblems()
	if len(problems) != 1 || problems[0].Operation != operation || problems[0].Fake {
		t.Errorf("problems %v, want one of %s's caller", problems, operation)
	}
}
