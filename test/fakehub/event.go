package fakehub

import (
	"fmt"
	"maps"
	"strings"
)

// maxPayload is the largest payload: a larger event is not sent at all
// (https://docs.github.com/webhooks/webhook-events-and-payloads).
const maxPayload = 25 << 20

// emit tells every App that sees a repository and subscribes.
func (h *Hub) emit(r *Repo, event, action string, sender *account, members object) {
	for _, app := range h.apps {
		for _, i := range h.installations(app) {
			if i.sees(r) && !i.suspended && app.subscribes(event) {
				h.emitTo(i, event, action, sender, r, members)
			}
		}
	}
}

// emitTo tells an installation's App. What all events have is added: the
// action, who did it, where, and the installation.
func (h *Hub) emitTo(i *Installation, event, action string, sender *account, r *Repo, members object) {
	if i.app.hook.URL == "" {
		return
	}
	payload := object{"sender": sender.show()}
	maps.Copy(payload, members)
	if action != "" {
		payload["action"] = action
	}
	payload["installation"] = object{"id": i.ID, "node_id": ""}
	if strings.HasPrefix(event, "installation") {
		payload["installation"] = i.show()
	}
	if r != nil {
		repository := r.show()
		if event == "push" { // which has a number there, as no other event
			repository["pushed_at"] = r.pushedAt.Unix()
		}
		payload["repository"] = repository
		if r.owner.organization {
			payload["organization"] = object{"id": r.owner.id, "login": r.owner.login}
		}
	}
	body := h.describe(event, action, payload)
	if len(body) > maxPayload {
		return
	}
	h.queue(i.app.newDelivery(Message{Event: event, Payload: body}))
}

// describe completes a payload and holds it against its description.
func (h *Hub) describe(event, action string, payload object) []byte {
	id := strings.ReplaceAll(event, "_", "-")
	if action != "" {
		id += "/" + strings.ReplaceAll(action, "_", "-")
	}
	if event == "repository_dispatch" { // its action is the caller's
		id = "repository-dispatch/sample.collected"
	}
	op := h.spec[id]
	if op == nil {
		h.problem(event, true, fmt.Sprintf("GitHub's description has no event %s", id))
		return nil
	}
	body := h.complete(payload, op.CompleteEvent)
	if h.config.Unchecked {
		return body
	}
	if err := op.CheckEvent(body); err != nil {
		h.problem(event, true, err.Error())
	}
	return body
}

// pushed tells of commits that came to a branch or tag; after nil: it is gone.
func (h *Hub) pushed(r *Repo, by *account, ref string, before, after *commit) {
	const none = "0000000000000000000000000000000000000000"
	r.pushedAt = h.now()
	shown := object{"ref": ref, "before": none, "after": none, "created": before == nil, "deleted": after == nil, "forced": false, "head_commit": nil,
		"pusher": object{"name": by.login, "email": by.login + "@users.noreply.github.example"}, "commits": []object{}, "compare": h.URL + "/" + r.FullName + "/compare"}
	if before != nil {
		shown["before"] = before.sha
	}
	if before != nil && after != nil {
		shown["forced"] = mergeBase(before, after) != before
	}
	if after != nil {
		shown["after"], shown["head_commit"] = after.sha, r.pushedCommit(after)
	}
	commits := []object{}
	for _, c := range arrived(before, after) {
		commits = append(commits, r.pushedCommit(c))
	}
	shown["commits"] = commits
	h.emit(r, "push", "", by, shown)
	if after == nil || !strings.HasPrefix(ref, "refs/heads/") {
		return
	}
	for _, app := range h.apps {
		h.askForChecks(r, app, by, after.sha)
	}
}

// arrived lists the commits of a push: of a new branch its head only.
func arrived(before, after *commit) []*commit {
	switch {
	case after == nil:
		return nil
	case before == nil:
		return []*commit{after}
	}
	return between(before, after)
}

// askForChecks makes a check suite for a commit that was pushed, as every App
// has one that may write checks
// (https://docs.github.com/rest/guides/using-the-rest-api-to-interact-with-checks).
func (h *Hub) askForChecks(r *Repo, app *App, by *account, sha string) {
	for _, i := range h.installations(app) {
		if !i.sees(r) || i.suspended || !i.permissions.allows("checks:write") {
			continue
		}
		s := r.suiteOf(app, sha)
		if app.subscribes("check_suite") {
			h.emitTo(i, "check_suite", "requested", by, r, object{"check_suite": r.showSuite(s)})
		}
	}
}

func (r *Repo) pushedCommit(c *commit) object {
	var parent *commit
	if len(c.parents) > 0 {
		parent = c.parents[0]
	}
	paths := map[string][]string{"added": {}, "modified": {}, "removed": {}}
	for path, change := range diff(parent, c) {
		paths[change] = append(paths[change], path)
	}
	return object{"id": c.sha, "tree_id": blobSHA(c.sha), "message": c.message, "timestamp": stamp(c.at), "url": r.hub.URL + "/" + r.FullName + "/commit/" + c.sha,
		"author": c.who(), "committer": c.who(), "distinct": true, "added": paths["added"], "modified": paths["modified"], "removed": paths["removed"]}
}
