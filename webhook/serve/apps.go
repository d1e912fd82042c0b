package serve

import (
	"bytes"
	"errors"
	"io"
	"os"

	"go.yaml.in/yaml/v3"
)

// ReadApps reads the file of several Apps:
//
//	apps:
//	  - id: 123456
//	    secrets: [SECRET]
//	    private_key: { file: /run/secrets/app.pem }  # or kms:, secret:, pem:
//	    api_url: https://github.example.com/api/v3
//	    github_url: https://github.example.com
//	    client_id: Iv1.0123456789abcdef
//	    client_secret: SECRET
//	    url: https://clipper.example.com
//
// A member that it does not know is an error.
func ReadApps(file string) ([]App, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, wrong("CLIPPER_WEBHOOK_APPS: %w", err)
	}
	var all struct {
		Apps []App `yaml:"apps"`
	}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&all); err != nil && !errors.Is(err, io.EOF) {
		return nil, wrong("CLIPPER_WEBHOOK_APPS: %s: %w", file, err)
	}
	if len(all.Apps) == 0 {
		return nil, wrong("CLIPPER_WEBHOOK_APPS: %s has no apps", file)
	}
	return all.Apps, nil
}
