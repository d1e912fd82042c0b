package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/serve"
	"github.com/clipperregistry/runner/webhook/setup"
)

// webhookSetup makes the GitHub App that the service is.
type webhookSetup struct {
	URL          string   `name:"url" env:"CLIPPER_WEBHOOK_URL" placeholder:"URL" help:"Where GitHub and people will reach the service, https://host."`
	Pull         bool     `env:"CLIPPER_WEBHOOK_PULL" help:"GitHub will not reach the service, which asks for its deliveries; --url is for people, default: http://127.0.0.1:8080."`
	Organization string   `placeholder:"NAME" help:"Organisation that owns the App; default: the person at the browser."`
	Name         string   `placeholder:"NAME" help:"The App's name; default: Clipper and the organisation. GitHub's page lets you change it."`
	For          []string `placeholder:"FEATURE" help:"What the App is for: workflows, deployments, comments, packages, merge-queue, dispatch, runners; default: all but the last two."`
	Public       bool     `help:"Let other accounts install it."`
	Dir          path     `default:"clipper-webhook" placeholder:"DIR" help:"Directory for its key and the service's variables; default: clipper-webhook."`
	Force        bool     `help:"Replace the variables that are there."`
	Listen       string   `default:"127.0.0.1:0" placeholder:"ADDRESS" help:"Address of this machine for the page; default: 127.0.0.1, a free port."`
	Wait         bool     `help:"Wait until the App is installed somewhere."`
	APIURL       string   `name:"api-url" env:"CLIPPER_GITHUB_API_URL" placeholder:"URL" help:"GitHub's API; default: https://api.github.com. An Enterprise Server's is https://HOST/api/v3."`
	GitHubURL    string   `name:"github-url" env:"CLIPPER_GITHUB_URL" placeholder:"URL" help:"GitHub's pages; default: by the API's."`
}

// setupLasts is how long GitHub's codes do.
const setupLasts = time.Hour

func (c *webhookSetup) Run(*int) error {
	ctx, stop := untilSignal()
	defer stop()
	limited, cancel := context.WithTimeoutCause(ctx, setupLasts, errors.New("nobody made the App within an hour"))
	defer cancel()
	made, dir, err := c.make(limited)
	if err != nil {
		if limited.Err() != nil && ctx.Err() == nil {
			err = context.Cause(limited)
		}
		return err
	}
	c.told(made, dir)
	if !c.Wait {
		return nil
	}
	h, err := made.Hub(hub.Config{URL: c.APIURL})
	if err != nil {
		return err
	}
	i, err := setup.Await(ctx, h, 3*time.Second)
	if err == nil {
		fmt.Printf("\nIt is installed on %s.\n", i.Account.Login)
	}
	return err
}

func (c *webhookSetup) wish() setup.Wish {
	return setup.Wish{
		Name: c.Name, Organization: c.Organization, URL: c.URL, Pull: c.Pull, Public: c.Public, Features: c.For,
		GitHubURL: serve.App{APIURL: c.APIURL, GitHubURL: c.GitHubURL}.GitHub(),
	}
}

func (c *webhookSetup) make(ctx context.Context) (made hub.Made, dir *setup.Directory, err error) {
	wish := c.wish()
	if err := wish.Valid(); err != nil {
		return made, nil, badArguments{err}
	}
	if dir, err = setup.OpenDirectory(string(c.Dir), c.Force); err != nil {
		return made, nil, badArguments{err}
	}
	listener, err := c.listen(ctx)
	if err != nil {
		return made, nil, err
	}
	m := setup.Maker{
		Wish: wish, APIURL: c.APIURL,
		Tell: func(page string) {
			_, port, _ := net.SplitHostPort(listener.Addr().String())
			fmt.Printf("Open this page; it is for one browser, once:\n\n    %s\n\n"+
				"If your browser is on another machine, first: ssh -L %s:127.0.0.1:%s THIS-MACHINE\n", page, port, port)
		},
		Keep: func(made hub.Made) error { return dir.Keep(wish, c.APIURL, made) },
	}
	made, err = m.Make(ctx, listener)
	if errors.Is(err, setup.ErrSecretsLost) {
		err = fmt.Errorf("%w; delete the App at %s, and run this again", err, wish.Settings(made.Slug))
	}
	return made, dir, err
}

// listen takes an address that nobody but this machine reaches: what the page
// needs to be safe is that no one on the way reads it.
func (c *webhookSetup) listen(ctx context.Context) (net.Listener, error) {
	address, err := net.ResolveTCPAddr("tcp", c.Listen)
	if err != nil || !address.IP.IsLoopback() {
		return nil, fmt.Errorf("%w: --listen %s is no address of this machine alone, as in 127.0.0.1:8799", runnerimage.ErrSettings, c.Listen)
	}
	return new(net.ListenConfig).Listen(ctx, "tcp", c.Listen)
}

// told says what is there now, and what is next.
func (c *webhookSetup) told(made hub.Made, dir *setup.Directory) {
	fmt.Printf("\n%s is made, App %d of %s. For your eyes only:\n\n    %s   its private key\n    %s   the service's variables\n    %s   what rules may have\n",
		made.Name, made.ID, made.Owner, dir.Key(made.ID), dir.Env(), dir.Policy())
	if c.Pull {
		fmt.Printf("\nThe service will ask GitHub for its deliveries. GitHub lists them while the App's webhook is active, so leave it so:\nit is %s, and need not be reached.\n", c.wish().Hook())
	}
	fmt.Printf("\nNext:\n\n    install it on repositories: %s\n    set -a; . %s; set +a\n    %s webhook doctor\n    %s webhook serve\n",
		setup.InstallPage(made), dir.Env(), os.Args[0], os.Args[0])
}
