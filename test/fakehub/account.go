package fakehub

import "strings"

// account is a person, an organisation, or the bot that an App acts as.
type account struct {
	id           int64
	login        string
	organization bool
	bot          bool
}

// User makes a person; there may be one already.
func (h *Hub) User(login string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.account(login)
}

// account finds a person, or makes one.
func (h *Hub) account(login string) *account {
	a := h.accounts[strings.ToLower(login)]
	if a == nil {
		a = &account{id: h.next(), login: login, bot: strings.HasSuffix(login, "[bot]")}
		h.accounts[strings.ToLower(login)] = a
	}
	return a
}

func (a *account) kind() string {
	switch {
	case a.organization:
		return "Organization"
	case a.bot:
		return "Bot"
	}
	return "User"
}

func (a *account) show() object {
	return object{"id": a.id, "login": a.login, "type": a.kind()}
}
