// Command serve runs a fakehub for clients that are not tests in Go: one App,
// installed on one repository with a workflow. It prints what a client needs to
// know as one line of JSON, and ends with its input.
//
//	-listen ADDRESS   where it listens (default 127.0.0.1, a free port)
//	-webhook URL      where deliveries go (default: nowhere)
//	-callback URL     where people come back to from signing in
//	-login NAME       who sits at the browser (default "mona", who may write)
//	-enterprise       be a GitHub Enterprise Server
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"

	"github.com/clipperregistry/runner/test/fakehub"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "serve:", err)
		os.Exit(1)
	}
}

const workflow = `name: Deploy
run-name: Deploy ${{ inputs.image }} ${{ inputs.clipper_run }}
on: { workflow_dispatch: { inputs: { image: { required: true }, clipper_run: {} } } }
jobs: { deploy: { runs-on: ubuntu-latest, steps: [ { run: "true" } ] } }
`

func run() error {
	var config fakehub.Config
	var app fakehub.AppConfig
	flag.StringVar(&config.Address, "listen", "", "")
	flag.BoolVar(&config.Enterprise, "enterprise", false, "")
	flag.StringVar(&app.WebhookURL, "webhook", "", "")
	callback := flag.String("callback", "", "")
	login := flag.String("login", "mona", "")
	flag.Parse()
	if *callback != "" {
		app.CallbackURLs = []string{*callback}
	}

	hub, err := fakehub.Start(config)
	if err != nil {
		return err
	}
	defer hub.Close()
	made, repo := hub.App(app), hub.Repo("acme/app")
	sha := repo.Commit(map[string]string{".github/workflows/deploy.yml": workflow, "main.go": "package main\n"})
	repo.Permit(*login, "write")
	hub.SignIn(*login)
	err = json.NewEncoder(os.Stdout).Encode(map[string]any{
		"url": hub.URL, "api_url": hub.APIURL, "app_id": made.ID, "client_id": made.ClientID, "client_secret": made.ClientSecret,
		"private_key": made.PrivateKey, "webhook_secret": made.WebhookSecret, "installation_id": made.Install("acme", repo).ID,
		"repository": repo.FullName, "sha": sha,
	})
	if err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	for _, p := range hub.Problems() {
		fmt.Fprintln(os.Stderr, p)
	}
	return nil
}
