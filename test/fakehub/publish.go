package fakehub

import "fmt"

// PublishRelease publishes a release of a tag, which is made if it is not
// there. The Apps are told.
func (r *Repo) PublishRelease(login, tag string) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.refs["tags/"+tag] == "" {
		r.refs["tags/"+tag] = r.refs["heads/"+r.defaultBranch]
	}
	h.emit(r, "release", "published", h.account(login), object{"release": object{
		"id": h.next(), "tag_name": tag, "name": tag, "target_commitish": r.defaultBranch, "draft": false, "prerelease": false, "author": h.account(login).show(),
		"html_url": h.URL + "/" + r.FullName + "/releases/tag/" + tag, "published_at": stamp(h.now()), "created_at": stamp(h.now()),
	}})
}

// PublishPackage publishes a container image in the registry. The Apps are told.
func (r *Repo) PublishPackage(login, name, tag, digest string) {
	h := r.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	version := object{
		"id": h.next(), "version": digest, "name": digest, "package_url": fmt.Sprintf("ghcr.io/%s/%s:%s", r.owner.login, name, tag),
		"container_metadata": object{"tag": object{"name": tag, "digest": digest}}, "target_oid": r.refs["heads/"+r.defaultBranch],
	}
	h.emit(r, "registry_package", "published", h.account(login), object{"registry_package": object{
		"id": h.next(), "name": name, "namespace": r.owner.login, "ecosystem": "CONTAINER", "package_type": "CONTAINER", "owner": r.owner.show(), "package_version": version,
		"created_at": stamp(h.now()), "updated_at": stamp(h.now()),
	}})
}

// QueueMerge puts a pull request into the merge queue: a commit of its own,
// which is to be checked. The Apps are told.
func (p *PullRequest) QueueMerge(login string) (sha string) {
	r, h := p.repo, p.repo.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	base := r.head(p.base)
	branch := fmt.Sprintf("gh-readonly-queue/%s/pr-%d-%s", p.base, p.Number, base.sha)
	r.refs["heads/"+branch] = base.sha
	merged := r.merge(branch, r.graph.commits[p.headSHA])
	h.emit(r, "merge_group", "checks_requested", h.account(login), object{"merge_group": object{
		"head_sha": merged.sha, "head_ref": "refs/heads/" + branch, "base_sha": base.sha, "base_ref": "refs/heads/" + p.base,
		"head_commit": object{"id": merged.sha, "tree_id": blobSHA(merged.sha), "message": merged.message, "timestamp": stamp(merged.at),
			"author": merged.who(), "committer": merged.who()},
	}})
	return merged.sha
}
