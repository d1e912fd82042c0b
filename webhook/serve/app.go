package serve

import "github.com/clipperregistry/runner/webhook/rules"

// API is the URL of the App's API.
func (a App) API() string { return a.api() }

// GitHub is the URL of the pages on which people sign in to the App.
func (a App) GitHub() string { return a.gitHub() }

// Check says all that is wrong with the settings, as far as that shows without
// opening anything. The error wraps ErrSettings.
func (s Settings) Check() error { return s.check() }

// Rules are the operator's: the policy that counts.
func (s Settings) Rules() (*rules.Policy, error) { return s.policy() }
