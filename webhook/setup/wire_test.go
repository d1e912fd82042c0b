package setup_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
)

// forward leads every address to one.
type forward struct{ to string }

func (f *forward) dial(ctx context.Context, network, _ string) (net.Conn, error) {
	return new(net.Dialer).DialContext(ctx, network, f.to)
}

// forgetful is a network to a GitHub that gives an App no secret.
type forgetful struct{}

func (forgetful) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil || !strings.HasSuffix(r.URL.Path, "/conversions") {
		return resp, err
	}
	defer resp.Body.Close()
	var made map[string]any
	if err := json.NewDecoder(resp.Body).Decode(&made); err != nil {
		return nil, err
	}
	made["webhook_secret"] = nil
	text, err := json.Marshal(made)
	resp.Body = io.NopCloser(bytes.NewReader(text))
	return resp, err
}
