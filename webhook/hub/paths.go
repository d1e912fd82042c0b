package hub

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// Change is what paths are asked of: what Head has since it left Base. With a
// PullRequest, they are its ends.
type Change struct {
	Base, Head  string // commits
	PullRequest int
}

// Paths are those that a change touches, sorted; a file that was moved has two.
type Paths struct {
	Names []string
	// Cut says that there are more, which GitHub does not list.
	Cut bool
}

type rangeKey struct {
	repository int64
	base, head string
}

// GitHub lists so many files between two commits, and so many of a pull
// request.
const (
	maxCompared = 300
	maxPulled   = 3000
)

type changedFile struct {
	Name   string `json:"filename"`
	Before string `json:"previous_filename"`
}

// ChangedPaths are the paths that a change touches. Of a pull request that
// touches very many, they are those of its head at this time.
func (h *Hub) ChangedPaths(ctx context.Context, r Repo, c Change) (Paths, error) {
	key := rangeKey{r.ID, c.Base, c.Head}
	if p, there := h.paths.get(key); there {
		return p, nil
	}
	files, err := h.compare(ctx, r, c)
	if err == nil && len(files) >= maxCompared && c.PullRequest != 0 {
		files, err = h.pulled(ctx, r, c.PullRequest)
	}
	if err != nil {
		return Paths{}, fmt.Errorf("look up what changed in %s from %.12s to %.12s: %w", r.FullName, c.Base, c.Head, err)
	}
	p := Paths{Cut: len(files) >= maxPulled || len(files) >= maxCompared && c.PullRequest == 0}
	size := 0
	for _, f := range files {
		p.Names = append(p.Names, f.Name)
		if f.Before != "" {
			p.Names = append(p.Names, f.Before)
		}
		size += len(f.Name) + len(f.Before) + 16
	}
	slices.Sort(p.Names)
	p.Names = slices.Compact(p.Names)
	if isCommit(c.Base) && isCommit(c.Head) && r.ID != 0 && len(files) < maxCompared {
		h.paths.put(key, p, size)
	}
	return p, nil
}

func (h *Hub) compare(ctx context.Context, r Repo, c Change) ([]changedFile, error) {
	var found struct {
		Files []changedFile `json:"files"`
	}
	err := h.repo(ctx, r, request{
		scope: r.in("contents:read"), method: http.MethodGet, path: r.of("/compare/%s", c.Base+"..."+c.Head),
		query: map[string][]string{"per_page": {"1"}}, // of commits; all files are on the first page
		out:   &found,
	})
	return found.Files, err
}

func (h *Hub) pulled(ctx context.Context, r Repo, number int) ([]changedFile, error) {
	var files []changedFile
	q := request{scope: r.in("pull_requests:read"), path: r.of("/pulls/%s/files", strconv.Itoa(number))}
	for page, err := range pages[[]changedFile](ctx, h, q) {
		if err != nil {
			return nil, err
		}
		if files = append(files, page...); len(files) >= maxPulled {
			break
		}
	}
	return files, nil
}
