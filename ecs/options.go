package ecs

import (
	"context"

	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Options say how to render.
type Options struct {
	// RunnerImage is the reference of the runner image. Default: the one that
	// a container has already, else DefaultRunner with the tag Version.
	RunnerImage string
	// Version is the tag of the default runner image. Default: "latest".
	Version string
	// Credentials are the ARNs (or, of SSM parameters, the names) of the
	// credentials to pull with, by container; "" is for all others. Default:
	// what a container has in its secrets, else its repositoryCredentials.
	Credentials map[string]string
	// Containers are the names of those to move. Default: all but known
	// sidecars and those that are labelled clipper.enable=false.
	Containers []string
	// Resolve asks an image's registry. Default: images keep their tags, and
	// nothing is known of their sizes.
	Resolve func(ctx context.Context, ref oci.Reference, platform oci.Platform) (Image, error)
	// Store, if not nil, is mounted at StorePath in all that are moved.
	Store *Store
	// HealthCheck gives a container without a health check the runner's, which
	// runs the test that the image brings, or tells that the program started.
	HealthCheck bool
	// PullRate is how many compressed bytes a second are pulled and unpacked,
	// for the time that health checks and dependencies have to wait.
	// Default: DefaultPullRate.
	PullRate int64
	// Allow are the names of rules that warn where they would refuse.
	Allow []string
}

// Image is what a registry says of an image.
type Image struct {
	// Digest is that of what the reference names, index or manifest; the
	// image is pinned to it.
	Digest oci.Digest
	// Config is the config of the platform asked for.
	Config *oci.Config
	// Size is what its layers weigh compressed, in bytes.
	Size int64
	// Unpacked is what they weigh on disk. Default: an estimate from Size.
	Unpacked int64
}

// Store is the volume that keeps images between tasks. Exactly one of its
// fields is set, AccessPoint only beside a file system.
type Store struct {
	EFS         string // the id of a file system, "fs-…"
	S3Files     string // the ARN of an S3 file system
	AccessPoint string // the id (EFS) or ARN (S3 Files) of an access point of it
	Host        string // a directory of the container instance
	Docker      string // the name of a Docker volume of the container instance
}
