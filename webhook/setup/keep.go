package setup

import (
	"cmp"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/webhook/hub"
)

// Files of a directory that keeps an App.
const (
	EnvFile    = "webhook.env" // the variables of the service
	PolicyFile = "policy.yml"  // the operator's policy, which is theirs to change
)

// Directory keeps what the service needs to be an App: files that only their
// owner can read. The file of variables comes last, so that whoever is killed
// has left either what was there or all that is new.
type Directory struct {
	path string
	// Force replaces the variables that are there. Keys and policies are never
	// replaced.
	Force bool
}

// OpenDirectory makes a directory, or checks that one may be written to: before
// GitHub gives away secrets for which there is no place.
func OpenDirectory(path string, force bool) (*Directory, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return nil, err
	}
	if strings.Trim(path, pathLetters) != "" {
		// Shells, systemd and engines read a file of variables each in their way.
		return nil, fmt.Errorf("%s has characters that not everything reads alike which reads a file of variables: take another directory", path)
	}
	d := &Directory{path, force}
	if err := os.MkdirAll(path, 0o700); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(d.Env()); err == nil && !force {
		return nil, fmt.Errorf("%s %w, and is another App's: take another directory, or replace it by --force", d.Env(), fs.ErrExist)
	}
	trial, err := os.CreateTemp(path, ".trial-")
	if err != nil {
		return nil, err
	}
	return d, errors.Join(trial.Close(), os.Remove(trial.Name()))
}

const pathLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-+@:,"

// Env is the file of variables.
func (d *Directory) Env() string { return filepath.Join(d.path, EnvFile) }

// Key is the file of an App's private key.
func (d *Directory) Key(app int64) string {
	return filepath.Join(d.path, "app-"+strconv.FormatInt(app, 10)+".pem")
}

// Policy is the operator's policy.
func (d *Directory) Policy() string { return filepath.Join(d.path, PolicyFile) }

// Variable is a setting of the service.
type Variable struct{ Name, Value string }

// Variables are the settings with which the service is the App. They do not
// have its key, but say where it is.
func (d *Directory) Variables(w Wish, apiURL string, made hub.Made) []Variable {
	all := []Variable{
		{"CLIPPER_GITHUB_APP_ID", strconv.FormatInt(made.ID, 10)},
		{"CLIPPER_GITHUB_PRIVATE_KEY_FILE", d.Key(made.ID)},
		{"CLIPPER_GITHUB_API_URL", apiURL},
		{"CLIPPER_GITHUB_URL", w.GitHubURL},
		{"CLIPPER_GITHUB_CLIENT_ID", made.ClientID},
		{"CLIPPER_GITHUB_CLIENT_SECRET", made.ClientSecret},
		{"CLIPPER_WEBHOOK_SECRETS", made.WebhookSecret},
		{"CLIPPER_WEBHOOK_COOKIE_KEY", newKey()},
		{"CLIPPER_WEBHOOK_URL", w.Address()},
		{"CLIPPER_WEBHOOK_POLICY", d.Policy()},
	}
	if w.Pull {
		all = append(all, Variable{"CLIPPER_WEBHOOK_PULL", "true"})
	}
	return all
}

// newKey is 32 random bytes, written so that everything reads them alike.
func newKey() string {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails
	return hex.EncodeToString(key)
}

// Keep writes the App's files.
func (d *Directory) Keep(w Wish, apiURL string, made hub.Made) error {
	var env strings.Builder
	fmt.Fprintf(&env, "# %s of %s: %s\n", oneLine(made.Name), oneLine(made.Owner), oneLine(made.Page))
	for _, v := range d.Variables(w, apiURL, made) {
		if strings.ContainsAny(v.Value, "\n\r'\"\\$` #") {
			return fmt.Errorf("the value of %s cannot be written into a file of variables", v.Name)
		}
		if v.Value != "" {
			fmt.Fprintf(&env, "%s=%s\n", v.Name, v.Value)
		}
	}
	if err := d.put(d.Key(made.ID), made.PrivateKey, false); err != nil {
		return err
	}
	policy := fmt.Sprintf(policyText, cmp.Or(made.Owner, "nobody"))
	if err := d.put(d.Policy(), []byte(policy), false); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.put(d.Env(), []byte(env.String()), d.Force)
}

// put makes a file appear whole, or not at all.
func (d *Directory) put(path string, content []byte, replace bool) error {
	f, err := os.CreateTemp(d.path, ".new-") // of mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if replace {
		err = os.Rename(f.Name(), path)
	} else {
		err = os.Link(f.Name(), path)
	}
	if err != nil {
		return err
	}
	dir, err := os.Open(d.path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// policyText is a policy to begin with.
const policyText = `# What the rules of repositories may have. What is not named here, nobody gets.
# clipper-runner webhook config schema --policy says what there is.
version: 1
repositories: ["%s/*"]
workflows: true

# For tasks on Amazon ECS:
# images:
#   - { match: docker.io/library/** }
# clusters:
#   default:
#     cluster: ci
#     subnets: [subnet-0a1b2c3d]
#     security_groups: [sg-0a1b2c3d]
#     execution_role: arn:aws:iam::111122223333:role/clipper-execution
`

// oneLine is text for a comment.
func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
