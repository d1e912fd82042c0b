package fakehub

import (
	"bytes"
	"compress/gzip"
	_ "embed"
	"encoding/json"
	"testing"
)

// Example is the body of a delivery that GitHub publishes.
type Example struct {
	Event string
	Body  []byte
}

//go:embed testdata/octokit-webhooks-examples-7.6.1.json.gz
var examples []byte

// Examples are the bodies that GitHub's own library publishes: the 329 of npm
// @octokit/webhooks-examples 7.6.1 (MIT License, © Octokit contributors).
func Examples(t testing.TB) []Example {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(examples))
	if err != nil {
		t.Fatal(err)
	}
	var events []struct {
		Name     string
		Examples []json.RawMessage
	}
	if err := json.NewDecoder(z).Decode(&events); err != nil {
		t.Fatal(err)
	}
	var all []Example
	for _, e := range events {
		for _, body := range e.Examples {
			all = append(all, Example{e.Name, body})
		}
	}
	if len(all) != 329 {
		t.Fatalf("%d examples, want 329", len(all))
	}
	return all
}
