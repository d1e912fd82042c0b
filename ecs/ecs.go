// Package ecs moves ordinary ECS task definitions onto the runner image. In
// goes a task definition as people keep them (JSON or YAML, the form that is
// registered or the one that is described), out comes the one to register,
// with a report of every member that changed and why.
//
// A definition is foreign JSON: Definition keeps the order of its members and
// those that it does not know. Render is a pure function of a definition, its
// Options and what Options.Resolve says of the images; schema_table.go lists
// every member that ECS has and what becomes of it, and rendering what was
// rendered changes nothing. Diff compares two definitions by what they mean to
// ECS.
//
// This room asks nobody: no registry, no AWS. The rooms below it check
// (rules, verify), register and start (deploy, run) and observe (watch) what
// it makes.
package ecs

// DefaultRunner is the repository of the runner image of a rendered container.
const DefaultRunner = "clipperregistry/runner"

// MaxSize is the limit of a task definition: 64 KiB of JSON without white
// space (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html).
const MaxSize = 64 << 10

// The paths of the runner image that a rendered definition names.
const (
	// StorePath is where the volume of Options.Store is mounted.
	StorePath = "/.clipper-runner/store"
	// HealthcheckPath is the program that wraps a health check:
	// ["CMD", HealthcheckPath, "--", "CMD-SHELL", "…"].
	HealthcheckPath = "/.clipper-runner/healthcheck"
	runnerDir       = "/.clipper-runner"
)

// StoreVolume is the name of the volume of Options.Store.
const StoreVolume = "clipper-store"

// Settings of the runner that a rendered container has in its environment;
// Credentials is always a secret.
const (
	EnvImage               = "CLIPPER_MAGIC_IMAGE"
	EnvCredentials         = "CLIPPER_CREDENTIALS"
	EnvCredentialsRegistry = "CLIPPER_CREDENTIALS_REGISTRY"
	EnvEntrypoint          = "CLIPPER_ENTRYPOINT"
	EnvUser                = "CLIPPER_USER"
	EnvWorkDir             = "CLIPPER_WORKDIR"
	EnvCapDrop             = "CLIPPER_CAP_DROP"
)

// Docker labels of a rendered container.
const (
	// LabelImage is the image as the definition named it, with its tag.
	LabelImage = "clipper.image"
	// LabelRunner is the runner image that took its place. A container whose
	// image is another one was given a new image since, and is moved again.
	LabelRunner = "clipper.runner"
	// LabelSource is the digest of the rendered definition without this label
	// (Definition.Digest); the first container that was moved has it.
	LabelSource = "clipper.source-hash"
	// LabelEnable, which a person may set, keeps a container as it is where
	// it is "false".
	LabelEnable = "clipper.enable"
)
