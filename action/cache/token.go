package cache

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"
	"syscall"
)

// Service is the cache service of a job, and the right to use it.
type Service struct {
	// URL is where the service is, Token the job's. No other host gets it.
	URL   string `json:"url"`
	Token string `json:"token"`
	Mode  Mode   `json:"mode,omitempty"`

	// HTTP sends requests; nil is http.DefaultTransport. Mask is told what must
	// not be seen in the job's log; nil tells nobody.
	HTTP *http.Client `json:"-"`
	Mask func(string) `json:"-"`
}

// Mode is what a repository's settings let a job do (ACTIONS_CACHE_MODE).
type Mode string

func (m Mode) reads() bool  { return m != "none" && m != "write-only" }
func (m Mode) writes() bool { return m != "none" && m != "read" }

// maxToken bounds the file of ReadToken.
const maxToken = 64 << 10

// ErrToken says that what a job was handed is no right to use the cache.
var ErrToken = errors.New("no token for the Actions cache")

// ReadToken reads the file by which the action's JavaScript step hands the
// job's token over, and removes it. It is one JSON object with the fields of
// Service, and must be for its owner's eyes alone.
func ReadToken(path string) (*Service, error) {
	s, err := readToken(path)
	// Unlike os.Remove this is no danger to a directory.
	if removed := syscall.Unlink(path); err == nil && removed != nil {
		err = removed // it must not be left to the steps that follow
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrToken, err)
	}
	return s, nil
}

func readToken(path string) (*Service, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0 || info.Size() > maxToken {
		return nil, &fs.PathError{Op: "read", Path: path, Err: errors.New("it is not a small file for its owner alone")}
	}
	var s Service
	if err := json.NewDecoder(io.LimitReader(f, maxToken)).Decode(&s); err != nil {
		return nil, errors.New("the file is not of the form that the action writes") // an error of encoding/json may show a part of it
	}
	return &s, s.check()
}

// check says what is wrong with a service.
func (s *Service) check() error {
	u, err := url.Parse(s.URL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.Scheme != "https" && u.Scheme != "http":
		return errors.New("ACTIONS_RESULTS_URL is no URL")
	case s.Token == "" || strings.ContainsAny(s.Token, " \r\n"):
		return errors.New("ACTIONS_RUNTIME_TOKEN is no token")
	}
	return nil
}

const permissionWrite = 2

// mayWrite reports whether the token may write to a cache at all, as far as it
// says. That of a fork's pull request may not.
func (s *Service) mayWrite() bool {
	parts := strings.Split(s.Token, ".")
	if len(parts) != 3 {
		return true // the service will say
	}
	var claims struct {
		Access string `json:"ac"`
	}
	var scopes []struct {
		Scope      string
		Permission int
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || json.Unmarshal(payload, &claims) != nil || json.Unmarshal([]byte(claims.Access), &scopes) != nil {
		return true
	}
	for _, scope := range scopes {
		if scope.Permission&permissionWrite != 0 {
			return true
		}
	}
	return false
}
