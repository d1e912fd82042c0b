// Package checkout fetches a commit's files from GitHub, inside of the task
// that is to work with them. In goes the name of a repository, a commit and,
// unless the repository is public, a token that may read it; out comes a
// directory with the files, which everybody may write. It has no history: what
// is fetched is the archive that GitHub makes of the commit.
//
// Promised: no file is written outside of the directory, whatever is in the
// archive; the files are those of the commit, else there is an error; the token
// goes to no other host than the API's, and is in no error.
package checkout

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strings"
	"time"
)

// Errors that callers may rely on.
var (
	// ErrSource says that the source is none.
	ErrSource = errors.New("no such source")
	// ErrRefused says that GitHub has no such commit, or not for this token.
	ErrRefused = errors.New("GitHub does not give the commit")
	// ErrArchive says that what GitHub sent is not the commit's archive.
	ErrArchive = errors.New("not the commit's archive")
)

// Source is a commit.
type Source struct {
	// API is the URL of GitHub's API, https://api.github.com.
	API string
	// FullName is the repository's, owner/name.
	FullName string
	Commit   string
	// Token may read the repository; "" asks as anybody can.
	Token string
}

var (
	fullNames = regexp.MustCompile(`^[A-Za-z0-9-]{1,100}/[A-Za-z0-9._-]{1,100}$`)
	commits   = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)
)

// Fetcher fetches. The zero value is the one to use.
type Fetcher struct {
	// Transport is what requests go out with. Default: Go's.
	Transport http.RoundTripper
	// First is the wait before the second try, of four; each is twice the last.
	// Default: 1 s.
	First time.Duration
}

// tries is how often GitHub is asked.
const tries = 4

// Fetch writes the commit's files into a directory that is there. What a try
// that failed has left, the next one writes over.
func (f Fetcher) Fetch(ctx context.Context, s Source, dir string) error {
	if !fullNames.MatchString(s.FullName) || !commits.MatchString(s.Commit) {
		return fmt.Errorf("%w: commit %q of %q", ErrSource, s.Commit, s.FullName)
	}
	wait := f.First
	if wait <= 0 {
		wait = time.Second
	}
	for n := 1; ; n++ {
		err := f.try(ctx, s, dir)
		if err == nil || errors.Is(err, ErrRefused) || errors.Is(err, ErrArchive) || n == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return errors.Join(context.Cause(ctx), err)
		case <-time.After(wait):
		}
		wait *= 2
	}
}

func (f Fetcher) try(ctx context.Context, s Source, dir string) error {
	url := strings.TrimSuffix(s.API, "/") + "/repos/" + s.FullName + "/tarball/" + s.Commit
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrSource, err)
	}
	request.Header.Set("Accept", "application/vnd.github+json")
	request.Header.Set("X-GitHub-Api-Version", "2022-11-28")
	if s.Token != "" {
		// net/http takes it off on the way to another host.
		request.Header.Set("Authorization", "Bearer "+s.Token)
	}
	response, err := (&http.Client{Transport: f.Transport, CheckRedirect: redirect}).Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	switch {
	case response.StatusCode >= 500 || response.StatusCode == http.StatusTooManyRequests:
		return fmt.Errorf("GitHub answers %s", response.Status)
	case response.StatusCode != http.StatusOK:
		return fmt.Errorf("%w: commit %s of %s: %s%s", ErrRefused, s.Commit, s.FullName, response.Status, hint(s))
	}
	return unpack(response.Body, s.Commit, dir)
}

func hint(s Source) string {
	if s.Token == "" {
		return "; it is asked for without a token, and that reads public repositories alone"
	}
	return ""
}

// redirect follows GitHub to the host that has its archives, and from TLS to
// nothing else.
func redirect(next *http.Request, before []*http.Request) error {
	if len(before) >= 5 {
		return fmt.Errorf("%w: it redirects too often", ErrRefused)
	}
	if before[0].URL.Scheme == "https" && next.URL.Scheme != "https" {
		return fmt.Errorf("%w: it redirects to a host without TLS", ErrRefused)
	}
	return nil
}

// unpack reads the archive: a tar of one directory, compressed with gzip.
func unpack(body io.Reader, commit, dir string) error {
	unzipped, err := gzip.NewReader(body)
	if errors.Is(err, gzip.ErrHeader) {
		return fmt.Errorf("%w: %w", ErrArchive, err)
	}
	if err != nil {
		return err
	}
	return extract(unzipped, commit, dir)
}
