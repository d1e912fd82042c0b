package fakehub

import (
	"crypto/sha1"
	"encoding/hex"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Deleted stands for the content of a file that a commit deletes.
const Deleted = "\x00deleted"

// Commit adds a commit to the default branch, and tells nobody.
func (r *Repo) Commit(files map[string]string) (sha string) { return r.CommitTo("", files) }

// CommitTo adds a commit to a branch, which starts at the default branch if it
// is not there. Nobody is told.
func (r *Repo) CommitTo(branch string, files map[string]string) (sha string) {
	r.hub.mu.Lock()
	defer r.hub.mu.Unlock()
	return r.commit(branch, files).sha
}

// Push is CommitTo by a person, of which the Apps are told.
func (r *Repo) Push(login, branch string, files map[string]string) (sha string) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if branch == "" {
		branch = r.defaultBranch
	}
	before := r.head(branch)
	after := r.commit(branch, files)
	h.pushed(r, h.account(login), "refs/heads/"+branch, before, after)
	return after.sha
}

// ForcePush puts a branch at a commit, whatever it has. The Apps are told.
func (r *Repo) ForcePush(login, branch, sha string) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	before := r.head(branch)
	r.refs["heads/"+branch] = sha
	h.pushed(r, h.account(login), "refs/heads/"+branch, before, r.head(branch))
}

// PushTag names a commit. The Apps are told.
func (r *Repo) PushTag(login, name, sha string) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	before := r.graph.commits[r.refs["tags/"+name]]
	r.refs["tags/"+name] = sha
	h.pushed(r, h.account(login), "refs/tags/"+name, before, r.graph.commits[sha])
}

// DeleteBranch deletes a branch. The Apps are told.
func (r *Repo) DeleteBranch(login, name string) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	before := r.head(name)
	delete(r.refs, "heads/"+name)
	h.pushed(r, h.account(login), "refs/heads/"+name, before, nil)
}

func (r *Repo) head(branch string) *commit { return r.graph.commits[r.refs["heads/"+branch]] }

func (r *Repo) commit(branch string, files map[string]string) *commit {
	if branch == "" {
		branch = r.defaultBranch
	}
	parent := r.head(branch)
	if parent == nil {
		parent = r.head(r.defaultBranch)
	}
	c := &commit{message: "Commit to " + branch, author: r.owner.login, at: r.hub.now(), files: map[string]string{}}
	if parent != nil {
		c.parents = []*commit{parent}
		maps.Copy(c.files, parent.files)
	}
	maps.Copy(c.files, files)
	maps.DeleteFunc(c.files, func(_, content string) bool { return content == Deleted })
	r.keep(c)
	r.refs["heads/"+branch] = c.sha
	return c
}

// merge adds a commit with two parents to a branch.
func (r *Repo) merge(branch string, head *commit) *commit {
	base := r.head(branch)
	c := &commit{message: "Merge", author: r.owner.login, at: r.hub.now(), parents: []*commit{base, head}, files: maps.Clone(base.files)}
	for path, change := range diff(mergeBase(base, head), head) {
		if c.files[path] = head.files[path]; change == "removed" {
			delete(c.files, path)
		}
	}
	r.keep(c)
	r.refs["heads/"+branch] = c.sha
	return c
}

func (r *Repo) keep(c *commit) {
	named, _ := json.Marshal([]any{r.ID, r.hub.next(), c.message})
	sum := sha1.Sum(named)
	c.sha = hex.EncodeToString(sum[:])
	for _, parent := range c.parents {
		c.depth = max(c.depth, parent.depth+1)
	}
	r.graph.commits[c.sha] = c
}

// resolve finds a commit by its SHA, a branch, a tag, or a full reference.
func (r *Repo) resolve(ref string) *commit {
	ref = strings.TrimPrefix(ref, "refs/")
	for _, sha := range []string{ref, r.refs[ref], r.refs["heads/"+ref], r.refs["tags/"+ref]} {
		if c := r.graph.commits[sha]; c != nil {
			return c
		}
	}
	return nil
}

// entries shows changes as GitHub does, without their patches.
func (r *Repo) entries(changes map[string]string, at *commit) []object {
	shown := []object{}
	for _, path := range slices.Sorted(maps.Keys(changes)) {
		shown = append(shown, object{"filename": path, "status": changes[path], "sha": blobSHA(at.files[path])})
	}
	return shown
}

// who wrote a commit, as events have it.
func (c *commit) who() object {
	return object{"name": c.author, "email": c.author + "@users.noreply.github.example"}
}

// person is who wrote it, and when.
func (c *commit) person() object {
	who := c.who()
	who["date"] = stamp(c.at)
	return who
}

// showCommit is a commit as /commits and /compare have it.
func (r *Repo) showCommit(c *commit) object {
	parents := []object{}
	for _, p := range c.parents {
		parents = append(parents, object{"sha": p.sha, "url": r.at("/commits/" + p.sha)})
	}
	return object{"sha": c.sha, "url": r.at("/commits/" + c.sha), "parents": parents, "author": r.hub.account(c.author).show(), "committer": r.hub.account(c.author).show(),
		"commit": object{"message": c.message, "author": c.person(), "committer": c.person(), "tree": object{"sha": blobSHA(c.sha), "url": r.at("/git/trees/" + c.sha)}}}
}

// found is the commit that a part of the path names.
func (c *call) commit(ref string) (*commit, error) {
	if len(c.repo.refs) == 0 {
		return nil, refuse(http.StatusConflict, "Git Repository is empty.")
	}
	found := c.repo.resolve(ref)
	if found == nil {
		return nil, refuse(http.StatusUnprocessableEntity, "No commit found for SHA: %s", ref)
	}
	return found, nil
}
