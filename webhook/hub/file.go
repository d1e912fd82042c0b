package hub

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"strings"
)

// configFile is where a repository has its rules.
const configFile = ".github/clipper.yml"

type fileKey struct {
	repository   int64
	commit, path string
}

// file is what a commit has under a path.
type file struct {
	content []byte
	err     error // that it has none
}

// Config is the file with a repository's rules, as a commit has it. If it has
// none, the error is fs.ErrNotExist.
func (h *Hub) Config(ctx context.Context, r Repo, commit string) ([]byte, error) {
	content, err := h.file(ctx, r, commit, configFile)
	if err != nil {
		return nil, fmt.Errorf("read %s of %s at %.12s: %w", configFile, r.FullName, commit, err)
	}
	return content, nil
}

// file reads a file. What a commit has is read once.
func (h *Hub) file(ctx context.Context, r Repo, commit, path string) ([]byte, error) {
	key := fileKey{r.ID, commit, path}
	final := isCommit(commit) && r.ID != 0
	if final {
		if f, there := h.files.get(key); there {
			return f.content, f.err
		}
	}
	content, err := h.readFile(ctx, r, commit, path)
	if final && (err == nil || errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrInvalid)) {
		h.files.put(key, file{content, err}, len(content))
	}
	return content, err
}

// isCommit says whether it names a commit for ever, as branches do not.
func isCommit(s string) bool {
	return (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdef") == ""
}

func (h *Hub) readFile(ctx context.Context, r Repo, commit, path string) ([]byte, error) {
	var answer fileAnswer
	err := h.repo(ctx, r, request{
		scope: r.in("contents:read"), method: http.MethodGet, path: r.of("/contents/") + (&url.URL{Path: path}).EscapedPath(),
		query: url.Values{"ref": {commit}}, out: &answer,
	})
	switch {
	case statusOf(err) == http.StatusNotFound:
		return nil, h.missing(ctx, r, err)
	case err != nil:
		return nil, err
	case answer.kind != "file" || answer.encoding != "base64":
		return nil, fmt.Errorf("%w: it is a %s of %d bytes", ErrInvalid, short(answer.kind), answer.size)
	}
	content, err := base64.StdEncoding.DecodeString(strings.ReplaceAll(answer.content, "\n", ""))
	if err != nil {
		return nil, fmt.Errorf("read GitHub's answer: %w", err)
	}
	return content, nil
}

var errUnknown = errors.New("GitHub does not know the commit yet")

// missing says why a file is not there: there is none in the commit, or nothing
// at all. A commit that the event is about, and that GitHub does not know, has
// not come to all of its servers yet.
func (h *Hub) missing(ctx context.Context, r Repo, err error) error {
	var no *refusal
	if errors.As(err, &no) && strings.Contains(no.message, "No commit found") {
		return errUnknown
	}
	if _, err := h.Repository(ctx, r); err != nil {
		return err
	}
	return fs.ErrNotExist
}

// fileAnswer is what GitHub has at a path: an object, or for a directory a list.
type fileAnswer struct {
	kind, encoding, content string
	size                    int64
}

// UnmarshalJSON reads both.
func (f *fileAnswer) UnmarshalJSON(b []byte) error {
	if len(b) > 0 && b[0] == '[' {
		f.kind = "directory"
		return nil
	}
	var object struct {
		Type     string `json:"type"`
		Encoding string `json:"encoding"`
		Content  string `json:"content"`
		Size     int64  `json:"size"`
	}
	err := json.Unmarshal(b, &object)
	f.kind, f.encoding, f.content, f.size = object.Type, object.Encoding, object.Content, object.Size
	return err
}
