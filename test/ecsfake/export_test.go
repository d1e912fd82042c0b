package ecsfake

// Head is how a request for an operation begins: its target, or the version of
// its service.
func Head(service string) (target, version string) {
	for prefix, name := range targets {
		if name == service {
			target = prefix
		}
	}
	for v, name := range versions {
		if name == service {
			version = v
		}
	}
	return target, version
}

// Required are the fields that an operation's input must have.
func Required(operation string) []string { return required[operation] }
