package runnerimage

// Usage is the one screen for people who start the runner image without
// naming an image.
const Usage = `Clipper Runner becomes any OCI image you name.

  docker run --rm -e CLIPPER_MAGIC_IMAGE=debian:12 clipperregistry/runner cat /etc/os-release

What it pulls
  CLIPPER_MAGIC_IMAGE           the image to become: host/repo:tag and/or @sha256:…
  CLIPPER_PLATFORM              os/arch[/variant]; default: this machine's
  CLIPPER_CREDENTIALS           a token, user:password, {"username","password"},
                                a docker config.json, or - for none
  CLIPPER_CREDENTIALS_FILE      the same, from a file
  CLIPPER_CREDENTIALS_REGISTRY  the only host they are sent to; default: the image's
  CLIPPER_PULL_POLICY           always, if-not-present, never: ask the registry
  CLIPPER_TOC                   auto, never: start from a published table of contents
  CLIPPER_STORE                 keeps content; default: a volume at /.clipper-runner/store
  CLIPPER_STORE_MAX             how much it may take, as in 10GiB; default: no limit
  CLIPPER_MIRRORS               registry mirrors: mirror.example, host=mirror.example/prefix
  CLIPPER_INSECURE_REGISTRIES   registries that may be asked over plain HTTP
  CLIPPER_CA_CERTS              file or directory with further CA certificates

What it starts
  arguments                     replace the image's CMD
  CLIPPER_ENTRYPOINT            JSON array that replaces the image's ENTRYPOINT and CMD
  CLIPPER_USER, CLIPPER_WORKDIR replace the image's USER and WORKDIR
  CLIPPER_CAP_DROP              capabilities to drop before the program starts
  CLIPPER_HOSTS                 names for /etc/hosts: db=127.0.0.1,cache=127.0.0.1
  CLIPPER_INIT                  auto, always, never: stay as PID 1 to reap processes
                                and to translate the stop signal
  other variables               go to the program, over the image's ENV

CLIPPER_LOG is text, json or quiet; CLIPPER_BACKOFF is auto or never: failures on ECS wait.
CLIPPER_AWS_ROLE_ARN, CLIPPER_GCP_PROVIDER, CLIPPER_GCP_SERVICE_ACCOUNT,
CLIPPER_AZURE_CLIENT_ID, CLIPPER_AZURE_TENANT_ID, CLIPPER_OIDC_URL and
CLIPPER_OIDC_AUDIENCE say who a GitHub job is, for github-init.

/.clipper-runner/runner.env may hold the same settings as NAME=value lines.
/.clipper-runner/exec CMD runs CMD with the image's environment, user and directory.

Exit codes: 80 internal, 81 credentials refused, 82 image not found, 83 no such platform,
84 no space, 85 network, 86 digest mismatch, 87 bad settings, 88 cannot run here, 89
interrupted, 126 not executable, 127 not found; a program that started reports its own.
`
