package fakehub_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"github.com/clipperregistry/runner/test/fakehub"
)

// A hub with an App on a repository, which is told of a push.
func Example() {
	hub, err := fakehub.Start(fakehub.Config{})
	if err != nil {
		log.Fatal(err)
	}
	defer hub.Close()
	service := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		fmt.Println("told of", r.Header.Get("X-GitHub-Event"))
	}))
	defer service.Close()

	app := hub.App(fakehub.AppConfig{WebhookURL: service.URL, Events: []string{"push"}})
	repo := hub.Repo("acme/app")
	repo.Commit(map[string]string{".github/clipper.yml": "version: 1"})
	hub.Hold() // so that the order is certain
	app.Install("acme", repo)
	repo.Push("mona", "main", map[string]string{"main.go": "package main"})
	hub.Release(nil)
	if err := hub.Settle(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(app.Deliveries()), "deliveries,", len(hub.Problems()), "problems")
	// Output:
	// told of installation
	// told of push
	// 2 deliveries, 0 problems
}
