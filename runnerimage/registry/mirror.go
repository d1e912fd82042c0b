package registry

import (
	"fmt"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Mirror is a registry that is asked, without credentials, before a
// reference's own one.
type Mirror struct {
	// For is the host whose images it has ("index.docker.io"), "" for all. A
	// mirror for all is told the host by the query ns=host, as containerd does.
	For string
	// Host is the mirror, with its port if it has one.
	Host string
	// Prefix stands before the repository's name: "dockerhub" makes
	// library/debian dockerhub/library/debian. It may be "".
	Prefix string
}

// ParseMirrors parses a comma list of "mirror.host[/prefix]", a mirror for all
// hosts, and "host=mirror.host[/prefix]".
func ParseMirrors(s string) ([]Mirror, error) {
	var mirrors []Mirror
	for item := range strings.SplitSeq(s, ",") {
		item = strings.TrimSpace(item)
		if item == "" {
			continue
		}
		m, err := parseMirror(item)
		if err != nil {
			return nil, fmt.Errorf("mirror %q: %w", item, err)
		}
		mirrors = append(mirrors, m)
	}
	return mirrors, nil
}

func parseMirror(item string) (Mirror, error) {
	if strings.Contains(item, "://") {
		return Mirror{}, fmt.Errorf("leave out the scheme; plain HTTP is for hosts in CLIPPER_INSECURE_REGISTRIES")
	}
	var m Mirror
	where := item
	if host, rest, ok := strings.Cut(item, "="); ok {
		of, err := parseHost(host)
		if err != nil {
			return Mirror{}, err
		}
		m.For, where = of, rest
	}
	host, prefix, _ := strings.Cut(strings.TrimSuffix(where, "/"), "/")
	var err error
	if m.Host, err = parseHost(host); err != nil {
		return Mirror{}, err
	}
	if prefix != "" {
		ref, err := oci.ParseReference(m.Host + "/" + prefix + "/x")
		if err != nil || ref.Repository() != prefix+"/x" {
			return Mirror{}, fmt.Errorf("its prefix %q is not lower-case names joined by '/'", prefix)
		}
		m.Prefix = prefix
	}
	return m, nil
}

// parseHost brings a registry's host to the form that references have.
func parseHost(s string) (string, error) {
	ref, err := oci.ParseReference(s + "/x/x")
	if err != nil || ref.Repository() != "x/x" {
		return "", fmt.Errorf("%q is not a registry's host or host:port", s)
	}
	return ref.Host(), nil
}

// place is the mirror's copy of ref's repository, if the mirror is for it.
func (m Mirror) place(ref oci.Reference) (place, bool) {
	if m.For != "" && m.For != ref.Host() {
		return place{}, false
	}
	p := place{host: m.Host, repository: ref.Repository(), mirror: true}
	if m.Prefix != "" {
		p.repository = m.Prefix + "/" + p.repository
	}
	if m.Host == ref.Host() && m.Prefix == "" {
		return place{}, false // it is the registry itself
	}
	if m.For == "" {
		p.namespace = ref.Host()
		if p.namespace == "index.docker.io" {
			p.namespace = "docker.io" // the name by which mirrors know it
		}
	}
	return p, true
}

// missedMirror says why a mirror was passed over, and marks one that nobody
// answers at.
func (c *Client) missedMirror(p place, err error) string {
	if _, kind := c.judge(p, err); kind == ErrUnreachable {
		if _, answered := asAnswer(err); !answered {
			c.setDown(p.host)
		}
	}
	return fmt.Sprintf("mirror %s: %s", p, c.words(err))
}

func withMirrors(err error, missed []string) error {
	if len(missed) == 0 {
		return err
	}
	return fmt.Errorf("%w; before that, %s", err, strings.Join(missed, ", "))
}
