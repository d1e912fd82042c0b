package web

import (
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/webhook/database"
	"github.com/clipperregistry/runner/webhook/rules"
)

// repositories lists what the person can read.
func (s *Server) repositories(v *visit) error {
	list := slices.SortedFunc(maps.Values(v.view), func(a, b repo) int { return strings.Compare(a.FullName, b.FullName) })
	return v.show("repositories", "Repositories", list)
}

// repositoryPage is one with its rules and what they had to decide about.
type repositoryPage struct {
	Repo   repo
	Rules  Rules
	Mute   bool
	Starts map[string]startForm // by the rule's id: those that the person may start by hand
	Recent []database.Record
}

// startForm is that of a rule's button. The address has a nonce of its own, and
// the token is for the address: sent twice, it is one wish.
type startForm struct{ Address, Token string }

// findRepository is the page's repository, if the person can read it.
func (v *visit) findRepository() (repo, error) {
	id, err := strconv.ParseInt(v.r.PathValue("id"), 10, 64)
	at, ok := v.view[id]
	if err != nil || !ok {
		return repo{}, errNoPage
	}
	return at, nil
}

func (s *Server) repository(v *visit) error {
	at, err := v.findRepository()
	if err != nil {
		return err
	}
	p := repositoryPage{Repo: at}
	if p.Rules, err = s.Rulebook.Rules(v.ctx(), at.Installation, at.ID, at.FullName); err != nil {
		s.Log.Warn("read the rules of a repository", "repository", at.FullName, "error", err)
		p.Mute = true
	}
	p.Starts = v.starts(at, p.Rules.Config)
	if p.Recent, _, err = v.deliveries(v.ctx(), search{Repository: at.FullName}); err != nil {
		return err
	}
	p.Recent = p.Recent[:min(len(p.Recent), 10)]
	return v.show("repository", at.FullName, p)
}

// starts are the forms of the rules that run by hand, for who may write.
func (v *visit) starts(at repo, config *rules.Config) map[string]startForm {
	forms := map[string]startForm{}
	if config == nil || !at.Write {
		return forms
	}
	for _, rule := range config.Rules {
		if rule.On.Manual == nil || rule.Disabled {
			continue
		}
		address := fmt.Sprintf("/repositories/%d/rules/%s/start/%s", at.ID, rule.ID, newID())
		forms[rule.ID] = startForm{address, v.seal.token(v.session.ID, address)}
	}
	return forms
}

// start has a rule run by hand. What the rule wants of the person beside the
// right to write is looked at where it is decided.
func (s *Server) start(v *visit) error {
	at, err := v.findRepository()
	if err != nil {
		return err
	}
	if err := v.mayAsk(at); err != nil {
		return err
	}
	id, err := s.Orders.Start(v.ctx(), Start{
		App: s.App, Installation: at.Installation, Repository: at.ID, FullName: at.FullName,
		Rule: v.r.PathValue("rule"), By: v.session.Login, Nonce: v.r.PathValue("nonce"),
	})
	if err != nil {
		return err
	}
	s.Log.Info("a rule was started", "repository", at.FullName, "rule", v.r.PathValue("rule"), "run", id, "by", v.session.Login)
	return v.redirect("/runs/" + url.PathEscape(id) + "?said=started")
}
