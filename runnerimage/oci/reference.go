package oci

import (
	"fmt"
	"regexp"
	"strings"
	"sync"

	"github.com/google/go-containerregistry/pkg/name"
)

// Reference names an image: host, repository and a tag, a digest, or both. A
// digest decides; a tag beside it only informs. References are comparable. The
// zero value names nothing.
type Reference struct {
	host, repository, tag string
	digest                Digest
}

// The grammar of the distribution project, which is stricter than
// go-containerregistry's: what passes is safe inside a URL's path. Compiled when
// they are needed: a start that pulls nothing needs none.
var (
	hostForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?$`)
	})
	repositoryForm = sync.OnceValue(func() *regexp.Regexp {
		return regexp.MustCompile(`^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$`)
	})
	tagForm = sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$`) })
)

// longest is the limit of a reference's text; the distribution project allows
// 255 bytes of name, a tag of 128 and a digest of 135.
const longest = 255 + 1 + 128 + 1 + 135

// ParseReference parses "host/repository:tag", "host/repository@digest" or
// both, and Docker's short forms: "debian" is
// "index.docker.io/library/debian:latest". Its errors say what is wrong with s.
func ParseReference(s string) (Reference, error) {
	ref, err := parseReference(s)
	if err != nil {
		if len(s) > longest {
			s = s[:longest] + "…"
		}
		return Reference{}, fmt.Errorf("image reference %q: %w", s, err)
	}
	return ref, nil
}

func parseReference(s string) (Reference, error) {
	switch {
	case s == "":
		return Reference{}, fmt.Errorf("it is empty; write host/repository:tag")
	case len(s) > longest:
		return Reference{}, fmt.Errorf("it is longer than %d bytes", longest)
	case strings.ContainsAny(s, " \t\r\n"):
		return Reference{}, fmt.Errorf("it contains white space")
	case strings.Contains(s, "://"):
		return Reference{}, fmt.Errorf("it is a URL; leave out %q", s[:strings.Index(s, "://")+3])
	}

	rest, digestText, hasDigest := strings.Cut(s, "@")
	var ref Reference
	if hasDigest {
		digest, err := ParseDigest(digestText)
		if err != nil {
			return Reference{}, fmt.Errorf("its digest %q is not sha256: with 64, or sha512: with 128, lower-case hex digits", digestText)
		}
		ref.digest = digest
	}
	rest, ref.tag = cutTag(rest)
	if strings.HasSuffix(rest, ":") {
		return Reference{}, fmt.Errorf("no tag follows the colon")
	}
	if ref.tag == "" && !hasDigest {
		ref.tag = name.DefaultTag
	}
	if ref.tag != "" && !tagForm().MatchString(ref.tag) {
		return Reference{}, fmt.Errorf("its tag %q is not 1 to 128 letters, digits, '_', '.' or '-', beginning with a letter, digit or '_'", ref.tag)
	}
	// Registries' host names know no case, repositories may have lower case only.
	if host, repository, ok := strings.Cut(rest, "/"); ok && strings.ContainsAny(host, ".:") {
		rest = strings.ToLower(host) + "/" + repository
	}
	if rest != strings.ToLower(rest) {
		return Reference{}, fmt.Errorf("its repository has upper-case letters; write %q", strings.ToLower(rest))
	}
	repository, err := name.NewRepository(rest)
	if err != nil {
		return Reference{}, fmt.Errorf("it is not of the form host/repository:tag")
	}
	ref.host, ref.repository = repository.RegistryStr(), repository.RepositoryStr()
	if !hostForm().MatchString(ref.host) {
		return Reference{}, fmt.Errorf("its registry %q is not host or host:port", ref.host)
	}
	if !repositoryForm().MatchString(ref.repository) || len(ref.repository) > 255 {
		return Reference{}, fmt.Errorf("its repository %q is not names of lower-case letters and digits, with single '.', '_' or '-' inside, joined by '/'", ref.repository)
	}
	return ref, nil
}

// cutTag splits a tag off; a colon before the last slash belongs to a port.
func cutTag(s string) (rest, tag string) {
	colon := strings.LastIndexByte(s, ':')
	if colon < 0 || colon == len(s)-1 || strings.Contains(s[colon:], "/") {
		return s, ""
	}
	return s[:colon], s[colon+1:]
}

// Host is the registry, with its port if it has one: "ghcr.io",
// "127.0.0.1:5000", and "index.docker.io" for Docker Hub.
func (r Reference) Host() string { return r.host }

// Repository is the name within the registry: "library/debian".
func (r Reference) Repository() string { return r.repository }

// Name is "host/repository".
func (r Reference) Name() string { return r.host + "/" + r.repository }

// Tag is the tag, or "" where the reference has only a digest.
func (r Reference) Tag() string { return r.tag }

// Digest is the digest, if the reference has one.
func (r Reference) Digest() (Digest, bool) { return r.digest, r.digest != Digest{} }

// WithDigest returns the same reference bound to d.
func (r Reference) WithDigest(d Digest) Reference {
	r.digest = d
	return r
}

// String is the full form, which ParseReference reads back.
func (r Reference) String() string {
	s := r.Name()
	if r.tag != "" {
		s += ":" + r.tag
	}
	if digest, ok := r.Digest(); ok {
		s += "@" + digest.String()
	}
	return s
}
