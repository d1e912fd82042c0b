// Package oci holds the vocabulary of images: references, digests, platforms,
// manifests. Strings and decoded documents come in, checked values go out. It
// does no I/O, and the documents' types are those of go-containerregistry, so
// that they can be passed to and from its packages.
package oci

import v1 "github.com/google/go-containerregistry/pkg/v1"

// The official types under the words that the specification uses.
type (
	Digest     = v1.Hash
	Descriptor = v1.Descriptor
	Manifest   = v1.Manifest
	Index      = v1.IndexManifest
	Config     = v1.ConfigFile
	Platform   = v1.Platform
)

// ParseDigest parses "algorithm:hex". The algorithms are sha256 and sha512.
func ParseDigest(s string) (Digest, error) { return v1.NewHash(s) }
