package fakehub

import (
	"crypto/sha1"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
)

// blobSHA is what git calls a file's content.
func blobSHA(content string) string {
	sum := sha1.Sum(fmt.Appendf(nil, "blob %d\x00%s", len(content), content))
	return hex.EncodeToString(sum[:])
}

// getContent answers a file, or the list of a directory.
func (c *call) getContent() (any, error) {
	ref := c.query("ref")
	if ref == "" {
		ref = c.repo.defaultBranch
	}
	at := c.repo.resolve(ref)
	if at == nil {
		return nil, refuse(http.StatusNotFound, "No commit found for the ref %s", ref)
	}
	name := strings.Trim(c.path("path"), "/")
	if content, ok := at.files[name]; ok {
		return c.file(name, content, at), nil
	}
	children := map[string]object{}
	for file, content := range at.files {
		rest, inside := strings.CutPrefix(file, name+"/")
		if name == "" {
			rest, inside = file, true
		}
		if !inside {
			continue
		}
		child, _, deeper := strings.Cut(rest, "/")
		entry := c.entry(path.Join(name, child), "file", at)
		entry["size"], entry["sha"] = len(content), blobSHA(content)
		if deeper {
			entry = c.entry(path.Join(name, child), "dir", at)
		}
		children[child] = entry
	}
	if len(children) == 0 {
		return nil, errNotFound
	}
	shown := []object{}
	for _, child := range slices.Sorted(maps.Keys(children)) {
		shown = append(shown, children[child])
	}
	return shown, nil
}

func (c *call) entry(name, kind string, at *commit) object {
	return object{"type": kind, "name": path.Base(name), "path": name, "size": 0, "sha": blobSHA(name),
		"url": c.repo.at("/contents/" + name + "?ref=" + at.sha)}
}

// maxContent is the largest file whose content is in the answer
// (https://docs.github.com/rest/repos/contents: "between 1-100 MB: … the content field will be an empty string").
const maxContent = 1 << 20

func (c *call) file(name, content string, at *commit) object {
	shown := c.entry(name, "file", at)
	shown["size"], shown["sha"] = len(content), blobSHA(content)
	if shown["encoding"], shown["content"] = "base64", ""; len(content) > maxContent {
		shown["encoding"] = "none"
		return shown
	}
	var lines strings.Builder
	for line := range slices.Chunk([]byte(base64.StdEncoding.EncodeToString([]byte(content))), 60) {
		lines.Write(append(line[:len(line):len(line)], '\n'))
	}
	shown["content"] = lines.String()
	return shown
}

func (c *call) getCommit() (any, error) {
	found, err := c.commit(c.path("ref"))
	if err != nil {
		return nil, err
	}
	shown := c.repo.showCommit(found)
	var parent *commit
	if len(found.parents) > 0 {
		parent = found.parents[0]
	}
	shown["files"] = c.repo.entries(diff(parent, found), found)
	return shown, nil
}

func (c *call) getGitCommit() (any, error) {
	found := c.repo.graph.commits[c.path("commit_sha")]
	if found == nil {
		return nil, errNotFound
	}
	shown := c.repo.showCommit(found)["commit"].(object)
	shown["sha"], shown["parents"] = found.sha, c.repo.showCommit(found)["parents"]
	return shown, nil
}

func (c *call) getRef() (any, error) {
	sha := c.repo.refs[c.path("ref")]
	if sha == "" {
		return nil, errNotFound
	}
	return object{"ref": "refs/" + c.path("ref"), "object": object{"type": "commit", "sha": sha, "url": c.repo.at("/git/commits/" + sha)}}, nil
}

func (c *call) getBranch() (any, error) {
	head := c.repo.head(c.path("branch"))
	if head == nil {
		return nil, refuse(http.StatusNotFound, "Branch not found")
	}
	return object{"name": c.path("branch"), "commit": c.repo.showCommit(head), "protected": c.path("branch") == c.repo.defaultBranch}, nil
}

// compare answers what a head has since it left a base: BASE...HEAD, each a
// commit, a branch, or OWNER:BRANCH of a fork.
func (c *call) compare() (any, error) {
	from, to, ok := strings.Cut(c.path("basehead"), "...")
	base, head := c.side(from), c.side(to)
	if !ok || base == nil || head == nil {
		return nil, errNotFound
	}
	fork := mergeBase(base, head)
	if fork == nil {
		return nil, refuse(http.StatusNotFound, "No common ancestor between %s and %s.", from, to)
	}
	ahead, behind := between(base, head), between(head, base)
	commits := []object{}
	for _, one := range ahead {
		commits = append(commits, c.repo.showCommit(one))
	}
	state := "identical"
	switch {
	case len(ahead) > 0 && len(behind) > 0:
		state = "diverged"
	case len(ahead) > 0:
		state = "ahead"
	case len(behind) > 0:
		state = "behind"
	}
	return object{"status": state, "ahead_by": len(ahead), "behind_by": len(behind), "total_commits": len(ahead),
		"base_commit": c.repo.showCommit(base), "merge_base_commit": c.repo.showCommit(fork), "commits": page(c, commits),
		"files": c.repo.entries(diff(fork, head), head)}, nil
}

func (c *call) side(ref string) *commit {
	if owner, branch, ok := strings.Cut(ref, ":"); ok {
		fork := c.hub.repos[strings.ToLower(owner+"/"+c.repo.name)]
		if fork == nil || fork.graph != c.repo.graph {
			return nil
		}
		return fork.head(branch)
	}
	return c.repo.resolve(ref)
}
