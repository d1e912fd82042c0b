package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// settings are the runner's settings as NAME=value, the form in which flags
// and variables meet.
type settings []string

// newSettings takes the variables of environ that are settings, and over them
// what flags say.
func newSettings(environ []string, image string, flags pullFlags) (settings, error) {
	var s settings
	own := runnerimage.OwnNames()
	for _, entry := range environ {
		if name, _, _ := strings.Cut(entry, "="); slices.Contains(own, name) {
			s = append(s, entry)
		}
	}
	s.set("CLIPPER_MAGIC_IMAGE", image)
	s.set("CLIPPER_PLATFORM", flags.Platform)
	file := s.get("CLIPPER_CREDENTIALS_FILE")
	if flags.CredentialsFile != "" {
		file = string(flags.CredentialsFile)
		s.unset("CLIPPER_CREDENTIALS")
	}
	if file != "" && s.get("CLIPPER_CREDENTIALS") == "" {
		// Read here, where relative paths still mean something.
		value, err := readCredentials(file)
		if err != nil {
			return nil, err
		}
		s.unset("CLIPPER_CREDENTIALS_FILE")
		s.set("CLIPPER_CREDENTIALS", value)
	}
	return s, s.absolute("CLIPPER_CA_CERTS")
}

func readCredentials(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("%w: credentials file: %w", runnerimage.ErrSettings, err)
	}
	defer f.Close()
	return credentials.ReadValue(f)
}

func (s settings) get(name string) string {
	value := ""
	for _, entry := range s {
		if v, ok := strings.CutPrefix(entry, name+"="); ok {
			value = v
		}
	}
	return value
}

// set sets what is not empty.
func (s *settings) set(name, value string) {
	if value != "" {
		s.unset(name)
		*s = append(*s, name+"="+value)
	}
}

func (s *settings) unset(name string) {
	*s = slices.DeleteFunc(*s, func(entry string) bool { return strings.HasPrefix(entry, name+"=") })
}

// absolute makes a path absolute that is relative to the current directory.
func (s *settings) absolute(name string) error {
	value := s.get(name)
	if value == "" {
		return nil
	}
	path, err := filepath.Abs(value)
	if err != nil {
		return err
	}
	s.set(name, path)
	return nil
}

// login finds credentials for the image where none were given: those of
// `docker login`, then the ambient identity.
func (s *settings) login(ctx context.Context, parsed runnerimage.Settings) error {
	if s.get("CLIPPER_CREDENTIALS") != "" {
		return nil
	}
	login, err := personsLogin(ctx, parsed)
	if err != nil || login == (authn.AuthConfig{}) {
		return err
	}
	value, err := configJSON(parsed.Image.Host(), login)
	if err != nil {
		return err
	}
	s.set("CLIPPER_CREDENTIALS", value)
	return nil
}

func personsLogin(ctx context.Context, parsed runnerimage.Settings) (authn.AuthConfig, error) {
	repository, err := name.NewRepository(parsed.Image.Name())
	if err != nil {
		return authn.AuthConfig{}, err
	}
	found, err := authn.Resolve(ctx, authn.DefaultKeychain, repository)
	if err == nil && found != authn.Anonymous {
		var login *authn.AuthConfig
		if login, err = authn.Authorization(ctx, found); err == nil {
			return *login, nil
		}
	}
	if err != nil {
		return authn.AuthConfig{}, fmt.Errorf("%w: credentials of docker login for %s: %w; mend its config.json, or set CLIPPER_CREDENTIALS (- for none)", runnerimage.ErrSettings, parsed.Image.Host(), err)
	}
	ambient, err := credentials.New(credentials.Settings{Image: parsed.Image.Host(), Env: os.Getenv, Files: rootFS()})
	if err != nil {
		return authn.AuthConfig{}, err
	}
	return ambient.Login(ctx, parsed.Image.Host(), parsed.Image.Repository())
}

// configJSON is a docker config.json with one login.
func configJSON(host string, login authn.AuthConfig) (string, error) {
	entry := map[string]string{"identitytoken": login.IdentityToken, "registrytoken": login.RegistryToken}
	if login.Username != "" {
		entry["auth"] = base64.StdEncoding.EncodeToString([]byte(login.Username + ":" + login.Password))
	}
	data, err := json.Marshal(map[string]any{"auths": map[string]any{host: entry}})
	return string(data), err
}

// systemCerts are the places where distributions keep the CA certificates
// that the machine trusts, all in one file.
var systemCerts = []string{
	"/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Arch, Gentoo
	"/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, RHEL
	"/etc/ssl/ca-bundle.pem",                            // SUSE
	"/etc/ssl/cert.pem",                                 // Alpine
}

// trustMachine lets a run trust, besides the certificates that are built in,
// those that the machine trusts.
func (s *settings) trustMachine() {
	if s.get("CLIPPER_CA_CERTS") != "" {
		return
	}
	for _, path := range append([]string{os.Getenv("SSL_CERT_FILE")}, systemCerts...) {
		if info, err := os.Stat(path); err == nil && info.Size() > 0 {
			s.set("CLIPPER_CA_CERTS", path)
			return
		}
	}
}

func rootFS() fs.FS { return os.DirFS("/") }
