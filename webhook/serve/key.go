package serve

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/clipperregistry/runner/webhook/hub"
)

// Key says where an App's private key is: one member is set.
type Key struct {
	PEM    string `yaml:"pem"`    // the key itself
	File   string `yaml:"file"`   // with the key
	KMS    string `yaml:"kms"`    // ARN or alias of a key in AWS KMS, which signs
	Secret string `yaml:"secret"` // ARN of a secret in AWS Secrets Manager
}

func (k Key) check() error {
	set := 0
	for _, member := range []string{k.PEM, k.File, k.KMS, k.Secret} {
		if member != "" {
			set++
		}
	}
	switch set {
	case 0:
		return errors.New("there is no private key: set CLIPPER_GITHUB_PRIVATE_KEY, or _FILE, _KMS or _SECRET")
	case 1:
		return nil
	}
	return errors.New("there are several private keys: set one of CLIPPER_GITHUB_PRIVATE_KEY, _FILE, _KMS and _SECRET")
}

// Signer makes what signs with the key, and returns the key itself where it has
// passed through here, which logs must not have. The errors are ErrSettings, or
// those of AWS.
func (k Key) Signer(ctx context.Context, aws *AWS) (signer hub.Signer, pem string, err error) {
	if err := k.check(); err != nil {
		return nil, "", wrong("%w", err)
	}
	switch {
	case k.KMS != "":
		return hub.KMSKey(kms.NewFromConfig(aws.Config), k.KMS), "", nil
	case k.Secret != "":
		signer, err = hub.SecretKey(ctx, secretsmanager.NewFromConfig(aws.Config), k.Secret)
		return signer, "", err
	case k.File != "":
		text, err := os.ReadFile(k.File)
		if err != nil {
			return nil, "", wrong("the private key: %w", err)
		}
		if signer, err = hub.ParseKey(text); err != nil {
			return nil, "", wrong("%s: %w", k.File, err)
		}
		return signer, string(text), nil
	}
	if signer, err = hub.ParseKey([]byte(k.PEM)); err != nil {
		return nil, "", wrong("%w: the variable has the lines of the file that GitHub hands out", err)
	}
	return signer, k.PEM, nil
}

// dockerSecrets is where Docker and Compose put files, with modes that say
// nothing: who else is in the container decides
// (https://docs.docker.com/compose/how-tos/use-secrets/).
const dockerSecrets = "/run/secrets/"

// Exposed says how others of this machine can get at the key's file, "" if they
// cannot.
func (k Key) Exposed() string {
	if k.File == "" {
		return ""
	}
	file, err := filepath.EvalSymlinks(k.File)
	if err != nil {
		return "" // what is not there is nobody's
	}
	info, err := os.Stat(file)
	if err != nil {
		return ""
	}
	return exposed(file, info.Mode().Perm())
}

func exposed(file string, mode fs.FileMode) string {
	if mode&0o077 == 0 || strings.HasPrefix(file, dockerSecrets) {
		return ""
	}
	return fmt.Sprintf("%s has mode %04o, which lets others at it: chmod 600 %[1]s", file, mode)
}

// warnOfKeys tells of files with keys that others can get at.
func (s *service) warnOfKeys() {
	for _, a := range s.Apps {
		if how := a.Key.Exposed(); how != "" {
			s.tell.Warn("the private key is not kept to the service", "app", a.ID, "file", how)
		}
	}
}

// String is for logs.
func (Key) String() string { return "private key" }

// GoString is for logs.
func (Key) GoString() string { return "private key" }

var _ fmt.Stringer = Key{}
