package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/clipperregistry/runner/webhook/checkout"
)

// webhookCheckout is what a task of the service starts with, to have the
// commit that it is about.
type webhookCheckout struct {
	API  string `default:"https://api.github.com" placeholder:"URL" help:"GitHub's API; default: https://api.github.com."`
	Into string `default:"." placeholder:"DIR" help:"Directory to fetch into; default: the current one."`

	Repository string `arg:"" help:"Repository, owner/name."`
	Commit     string `arg:"" help:"Commit, all its digits."`
}

// envSourceToken is the variable with a token that may read the repository: in
// a flag, every process could read it.
const envSourceToken = "SOURCE_TOKEN"

// Run fails with exit code 1: others are those of a runner, and would be told
// in its words.
func (c *webhookCheckout) Run(exit *int) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := (checkout.Fetcher{}).Fetch(ctx, checkout.Source{
		API: c.API, FullName: c.Repository, Commit: c.Commit, Token: os.Getenv(envSourceToken),
	}, c.Into); err != nil {
		*exit = 1
		_, err = fmt.Fprintln(os.Stderr, err)
		return err
	}
	fmt.Fprintf(os.Stderr, "%s of %s is in %s\n", c.Commit, c.Repository, c.Into)
	return nil
}
