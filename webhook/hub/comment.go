package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/webhook"
)

// Comment is a comment that is kept up to date, one for each Marker on a pull
// request.
type Comment struct {
	// ID is what GitHub calls it, 0 if that is not known: then it is found by its
	// marker, or created.
	ID          int64
	PullRequest int
	Marker      string // letters, digits and -_./: that people do not see
	Body        string // Markdown, cut to what GitHub takes
}

// maxComment is the longest body, in characters; here they are bytes.
const maxComment = 65536

// mark is the marker as the comment has it, in its first line. Names of rules
// may have two hyphens in a row, comments of HTML may not
// (https://github.github.com/gfm/#html-comment).
func (c Comment) mark() string {
	return "<!-- clipper:" + strings.ReplaceAll(c.Marker, "--", "-%2D") + " -->"
}

// PutComment makes the comment be as it is to be, and returns its ID. It may be
// called again after whatever error. One that somebody deleted while its ID was
// known is ErrGone, and not made again.
func (h *Hub) PutComment(ctx context.Context, r Repo, c Comment) (id int64, err error) {
	if id, err = h.putComment(ctx, r, c); err != nil {
		return 0, fmt.Errorf("comment on %s#%d: %w", r.FullName, c.PullRequest, err)
	}
	return id, nil
}

func (h *Hub) putComment(ctx context.Context, r Repo, c Comment) (int64, error) {
	if c.Marker == "" || strings.ContainsAny(c.Marker, "<>% \n") {
		return 0, fmt.Errorf("%w: %q is no marker", ErrInvalid, c.Marker)
	}
	if c.ID == 0 {
		var err error
		if c.ID, err = h.findComment(ctx, r, c); err != nil {
			return 0, err
		}
	}
	var got struct {
		ID int64 `json:"id"`
	}
	in := map[string]string{"body": cut(c.mark()+"\n"+c.Body, maxComment)}
	q := request{scope: r.in("pull_requests:write"), method: http.MethodPost, path: r.of("/issues/%s/comments", strconv.Itoa(c.PullRequest)), in: in, out: &got}
	if c.ID != 0 {
		q.method, q.path, q.again = http.MethodPatch, r.of("/issues/comments/%s", strconv.FormatInt(c.ID, 10)), true
	}
	if err := h.repo(ctx, r, q); err != nil {
		return 0, err
	}
	if got.ID == 0 {
		return 0, fmt.Errorf("%w: GitHub's answer has no id", ErrLost)
	}
	return got.ID, nil
}

// maxPages bounds a search among comments that anybody may write.
const maxPages = 50

// findComment looks for the App's own with the marker: others may have copied
// it.
func (h *Hub) findComment(ctx context.Context, r Repo, c Comment) (int64, error) {
	if err := r.valid(); err != nil {
		return 0, err
	}
	bot, err := h.Bot(ctx)
	if err != nil {
		return 0, err
	}
	type comment struct {
		ID   int64        `json:"id"`
		Body string       `json:"body"`
		User webhook.User `json:"user"`
	}
	q, n := request{scope: r.in("pull_requests:write"), path: r.of("/issues/%s/comments", strconv.Itoa(c.PullRequest))}, 0
	for page, err := range pages[[]comment](ctx, h, q) {
		if err != nil {
			return 0, err
		}
		for _, one := range page {
			if strings.EqualFold(one.User.Login, bot) && strings.HasPrefix(one.Body, c.mark()) {
				return one.ID, nil
			}
		}
		if n++; n == maxPages {
			return 0, errors.New("there are too many comments to find it")
		}
	}
	return 0, nil
}
