package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

// webhookHealthy is the health check of a container that has nothing but this
// program. That GitHub or the database is out of reach is no reason to kill the
// service, which would only lose time: it asks whether the process answers.
type webhookHealthy struct {
	Listen      string `env:"CLIPPER_WEBHOOK_LISTEN" default:"127.0.0.1:8080" placeholder:"ADDRESS" help:"Public address of the service; default: 127.0.0.1:8080."`
	AdminListen string `env:"CLIPPER_WEBHOOK_ADMIN_LISTEN" default:"127.0.0.1:8081" placeholder:"ADDRESS" help:"Its admin address, which is asked if there is no public one."`
}

func (c *webhookHealthy) Run(exit *int) error {
	target, err := c.target()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err == nil {
		defer resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
		err = fmt.Errorf("%s answers %s", target, resp.Status)
	}
	*exit = 1
	fmt.Fprintln(os.Stderr, err)
	return nil
}

// target is what to ask. A service that listens on all addresses is asked on
// this machine's own.
func (c *webhookHealthy) target() (string, error) {
	address, path := c.Listen, "/healthz"
	if address == "" {
		address, path = c.AdminListen, "/metrics"
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", badArguments{fmt.Errorf("the service's address: %w", err)}
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if ip != nil && ip.To4() == nil {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port) + path, nil
}
