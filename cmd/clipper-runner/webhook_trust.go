package main

import (
	"crypto/x509"
	"sync"

	"github.com/clipperregistry/runner/runnerimage"
)

// trust lets the commands of the service know whom to trust in an image that
// has no certificates.
var trust = sync.OnceValue(func() error {
	roots, err := runnerimage.TrustedRoots("", rootFS())
	if err == nil {
		x509.SetFallbackRoots(roots)
	}
	return err
})

// AfterApply is called before every command of the service. The certificates
// that are built in count where the machine has none.
func (webhookCommand) AfterApply() error { return trust() }
