package fakehub

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"
)

// registration is a token with which runners and scale sets are registered in
// a repository or an organisation.
type registration struct {
	where   any
	expires time.Time
}

// createRegistration is POST …/actions/runners/registration-token.
func (c *call) createRegistration() (any, error) {
	value := rand.Text()
	r := registration{c.where(), c.hub.now().Add(time.Hour).Truncate(time.Second)}
	c.hub.scales.registrations[value] = r
	return object{"token": value, "expires_at": stamp(r.expires)}, nil
}

// group is a runner group of an organisation.
type group struct {
	id    int64
	name  string
	owner *account
}

// defaultGroup is the one that everybody has.
const defaultGroup = 1

// RunnerGroup makes a runner group of an organisation.
func (h *Hub) RunnerGroup(organization, name string) (id int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	g := group{h.next(), name, h.owner(organization)}
	h.scales.groups = append(h.scales.groups, g)
	return g.id
}

// groupsOf are the groups of a repository or an organisation.
func (h *Hub) groupsOf(where any) []group {
	all := []group{{id: defaultGroup, name: "Default"}}
	for _, g := range h.scales.groups {
		if g.owner == where {
			all = append(all, g)
		}
	}
	return all
}

func (c *call) listGroups() (any, error) {
	return list(c, "runner_groups", c.hub.groupsOf(c.owner), func(g group) object {
		return object{"id": g.id, "name": g.name, "visibility": "all", "default": g.id == defaultGroup, "inherited": false, "allows_public_repositories": false}
	})
}

// register is POST /actions/runner-registration, which GitHub does not
// describe: it trades a registration token for the URL of the Actions service
// and a token for it.
func (s *scaleCall) register() (int, any) {
	scheme, value, _ := strings.Cut(s.request.Header.Get("Authorization"), " ")
	given, there := s.hub.scales.registrations[value]
	var in struct {
		URL   string `json:"url"`
		Event string `json:"runner_event"`
	}
	if !s.read(&in) {
		return s.wrong("the body is not as it has to be")
	}
	switch {
	case scheme != "RemoteAuth" || !there || !s.hub.now().Before(given.expires):
		return http.StatusUnauthorized, object{"message": "Bad credentials"}
	case in.URL != s.hub.URL+"/"+nameOf(given.where) || in.Event != "register":
		return http.StatusNotFound, object{"message": "Not Found"}
	}
	tenant := rand.Text()
	s.hub.scales.tenants[tenant] = given.where
	return http.StatusOK, object{"url": s.hub.URL + servicePath + tenant + "/", "token": s.hub.adminToken(tenant)}
}

// nameOf is what people call a repository or an organisation.
func nameOf(where any) string {
	if r, ok := where.(*Repo); ok {
		return r.FullName
	}
	return where.(*account).login
}

// adminToken is an administrator's JSON Web Token of the Actions service: clients
// read in it when it ends.
func (h *Hub) adminToken(tenant string) string {
	part := func(v any) string {
		encoded, _ := json.Marshal(v) // strings and numbers
		return base64.RawURLEncoding.EncodeToString(encoded)
	}
	signed := part(object{"alg": "HS256", "typ": "JWT"}) + "." + part(object{"sub": tenant, "exp": h.now().Add(time.Hour).Unix()})
	return signed + "." + h.seal(signed)
}

func (h *Hub) seal(signed string) string {
	mac := hmac.New(sha256.New, []byte(h.URL))
	mac.Write([]byte(signed))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// administers says whether a token is an administrator's of a tenant.
func (h *Hub) administers(token, tenant string) bool {
	signed, sum, _ := cutLast(token, ".")
	_, payload, _ := strings.Cut(signed, ".")
	var claims struct {
		Subject string `json:"sub"`
		Expires int64  `json:"exp"`
	}
	return hmac.Equal([]byte(sum), []byte(h.seal(signed))) && decodePart(payload, &claims) && claims.Subject == tenant && h.now().Before(time.Unix(claims.Expires, 0))
}

// within says whether all labels of a job are among those of its runners, in
// whatever case.
func within(job, runner []string) bool {
	for _, label := range job {
		if !slices.ContainsFunc(runner, func(l string) bool { return strings.EqualFold(l, label) }) {
			return false
		}
	}
	return len(job) > 0
}
