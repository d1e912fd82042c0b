package fakehub

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// The Actions service is not a part of GitHub's described API. What it speaks
// here is what github.com/actions/scaleset v0.4.0 speaks with it: nothing that
// this does not ask for is there, and a request that it would not make is a
// Problem of the caller's.
const (
	servicePath  = "/_actions/"  // and the tenant: the administrator's part
	messagesPath = "/_messages/" // and the session: the long poll
	apiVersion   = "6.0-preview"
)

// scales is what the Actions service knows.
type scales struct {
	registrations map[string]registration
	tenants       map[string]any // repositories and organisations
	groups        []group
	sets          []*scaleSet
	changed       chan struct{} // is closed at the next change
}

func newScales() scales {
	return scales{registrations: map[string]registration{}, tenants: map[string]any{}, changed: make(chan struct{})}
}

// stir wakes all who wait for something to change.
func (s *scales) stir() {
	close(s.changed)
	s.changed = make(chan struct{})
}

// scaleSet is a set of runners that GitHub gives jobs to by its labels.
type scaleSet struct {
	id      int64
	name    string
	group   int64
	labels  []string
	setting object
	where   any
	created time.Time

	session  *session
	news     []object        // that no message has told yet
	messages []*scaleMessage // that were not deleted
	last     int64           // message
}

// ScaleSet is what tests see of one.
type ScaleSet struct {
	Name                                  string
	Labels                                []string
	Available, Assigned, Running, Runners int
}

// ScaleSets lists the scale sets of the hub.
func (h *Hub) ScaleSets() []ScaleSet {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []ScaleSet
	for _, set := range h.scales.sets {
		n := h.statistics(set)
		all = append(all, ScaleSet{set.name, slices.Clone(set.labels), n["totalAvailableJobs"].(int), n["totalAssignedJobs"].(int), n["totalRunningJobs"].(int), n["totalRegisteredRunners"].(int)})
	}
	return all
}

// scaleCall is a call of the Actions service.
type scaleCall struct {
	hub     *Hub
	id      string // as the operations of the described API have one
	request *http.Request
	body    []byte
	where   any
	rest    []string // of the path
	set     *scaleSet
}

// scaleSets answers what is for the Actions service, and says whether it was.
func (h *Hub) scaleSets(w http.ResponseWriter, r *http.Request) bool {
	path := r.URL.Path
	switch {
	case path == h.prefix()+"/actions/runner-registration" || path == enterprise+"/actions/runner-registration":
		h.scaleServe(w, r, func(s *scaleCall) (int, any) { return s.named("register", http.MethodPost, s.register) })
	case strings.HasPrefix(path, servicePath):
		h.scaleServe(w, r, (*scaleCall).service)
	case strings.HasPrefix(path, messagesPath):
		h.messages(w, r)
	default:
		return false
	}
	return true
}

// scaleServe answers a call that does not wait.
func (h *Hub) scaleServe(w http.ResponseWriter, r *http.Request, do func(*scaleCall) (int, any)) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		http.Error(w, err.Error(), http.StatusRequestEntityTooLarge)
		return
	}
	// Which operation it is shows on the way. A fault that lets nothing be done
	// has it find that out in vain.
	s := &scaleCall{hub: h, request: r, body: body}
	h.mu.Lock()
	status, value := do(s)
	var out answer
	var fault Fault
	failing := false
	if e, ok := value.(*broken); ok {
		fault, failing, out = e.fault, true, e.out
	} else {
		out = encodeScale(status, value)
	}
	h.mu.Unlock()
	if fault.Delay > 0 {
		h.pause(r, fault.Delay)
	}
	w.Header().Set("Content-Type", jsonType)
	if failing && fault.acts() {
		h.fail(w, r, fault, out)
		return
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body)
}

// broken is an answer that a fault has its way with.
type broken struct {
	fault Fault
	out   answer
}

func encodeScale(status int, value any) answer {
	out := answer{status: status}
	if value != nil {
		out.body, _ = json.Marshal(value) // the fake's own words
	}
	return out
}

// named does an operation, or what the faults want.
func (s *scaleCall) named(id, method string, do func() (int, any)) (int, any) {
	s.id = "scalesets/" + id
	if s.request.Method != method {
		return s.wrong("it has the method " + s.request.Method)
	}
	fault, failing := s.hub.arrives(s.id)
	if failing && !fault.Committed && fault.acts() {
		return 0, &broken{fault: fault}
	}
	status, value := do()
	if failing {
		return 0, &broken{fault, encodeScale(status, value)}
	}
	return status, value
}

// wrong notes a request that the real client would not make.
func (s *scaleCall) wrong(text string) (int, any) {
	s.hub.problem(s.request.Method+" "+s.request.URL.Path, false, text)
	return http.StatusBadRequest, object{"typeName": "BadRequest", "message": text}
}

// exception is an error in the service's form.
func exception(status int, name, text string) (int, any) {
	return status, object{"typeName": "GitHub.DistributedTask.WebApi." + name + ", GitHub.DistributedTask.WebApi", "message": text}
}

// read decodes the body, which has to have no other members.
func (s *scaleCall) read(into any) bool {
	d := json.NewDecoder(bytes.NewReader(s.body))
	d.DisallowUnknownFields()
	return strings.HasPrefix(s.request.Header.Get("Content-Type"), "application/json") && d.Decode(into) == nil
}

// service routes a call of the administrator's part.
func (s *scaleCall) service() (int, any) {
	tenant, rest, _ := strings.Cut(strings.TrimPrefix(s.request.URL.Path, servicePath), "/")
	where, there := s.hub.scales.tenants[tenant]
	token, bearer := strings.CutPrefix(s.request.Header.Get("Authorization"), "Bearer ")
	if !there || !bearer || !s.hub.administers(token, tenant) && s.session(token) == nil {
		return http.StatusUnauthorized, object{"typeName": "VssUnauthorizedException", "message": "The user is not authorized"}
	}
	if v := s.request.URL.Query().Get("api-version"); v != apiVersion {
		return s.wrong(fmt.Sprintf("it has the version %q", v))
	}
	s.where = where
	if rest == "_apis/runtime/runnergroups/" || rest == "_apis/runtime/runnergroups" {
		return s.named("get-group", http.MethodGet, s.getGroup)
	}
	if agents, ok := strings.CutPrefix(rest, "_apis/distributedtask/pools/0/agents"); ok {
		return s.agents(strings.TrimPrefix(agents, "/"))
	}
	sets, ok := strings.CutPrefix(rest, "_apis/runtime/runnerscalesets")
	if !ok {
		return s.wrong("there is no such operation")
	}
	s.rest = strings.Split(strings.Trim(sets, "/"), "/")
	if s.rest[0] == "" {
		if s.request.Method == http.MethodGet {
			return s.named("get", http.MethodGet, s.findSet)
		}
		return s.named("create", http.MethodPost, s.createSet)
	}
	id, _ := strconv.ParseInt(s.rest[0], 10, 64)
	i := slices.IndexFunc(s.hub.scales.sets, func(set *scaleSet) bool { return set.id == id && set.where == where })
	if i < 0 {
		return exception(http.StatusNotFound, "RunnerScaleSetNotFoundException", "No runner scale set found with identifier "+s.rest[0]+".")
	}
	s.set = s.hub.scales.sets[i]
	return s.ofSet(token)
}

// ofSet routes what is about one scale set.
func (s *scaleCall) ofSet(token string) (int, any) {
	method := s.request.Method
	switch strings.Join(append([]string{method}, s.rest[1:min(2, len(s.rest))]...), " ") {
	case "GET":
		return s.named("get-by-id", method, func() (int, any) { return http.StatusOK, s.hub.showSet(s.set) })
	case "PATCH":
		return s.named("update", method, s.updateSet)
	case "DELETE":
		return s.named("delete", method, s.deleteSet)
	case "POST generatejitconfig":
		return s.named("jitconfig", method, s.createJIT)
	case "POST acquirejobs":
		return s.named("acquire-jobs", method, func() (int, any) { return s.acquire(token) })
	case "POST sessions":
		return s.named("create-session", method, s.createSession)
	case "PATCH sessions":
		return s.named("refresh-session", method, s.refreshSession)
	case "DELETE sessions":
		return s.named("delete-session", method, s.deleteSession)
	}
	return s.wrong("there is no such operation")
}

func (s *scaleCall) getGroup() (int, any) {
	found := []object{}
	for _, g := range s.hub.groupsOf(s.where) {
		if strings.EqualFold(g.name, s.request.URL.Query().Get("groupName")) {
			found = append(found, object{"id": g.id, "name": g.name, "isDefaultGroup": g.id == defaultGroup})
		}
	}
	return http.StatusOK, object{"count": len(found), "value": found}
}

// findSet answers those of a name in a group.
func (s *scaleCall) findSet() (int, any) {
	q, found := s.request.URL.Query(), []object{}
	for _, set := range s.hub.scales.sets {
		if set.where == s.where && set.name == q.Get("name") && strconv.FormatInt(set.group, 10) == q.Get("runnerGroupId") {
			found = append(found, s.hub.showSet(set))
		}
	}
	return http.StatusOK, object{"count": len(found), "value": found}
}

// scaleSetBody is a scale set as the client writes it.
type scaleSetBody struct {
	ID        int64  `json:"id"`
	Name      string `json:"name"`
	Group     int64  `json:"runnerGroupId"`
	GroupName string `json:"runnerGroupName"`
	Labels    []struct {
		Type string `json:"type"`
		Name string `json:"name"`
	} `json:"labels"`
	Setting    object    `json:"RunnerSetting"`
	CreatedOn  time.Time `json:"createdOn"`
	JIT        string    `json:"runnerJitConfigUrl"`
	Statistics any       `json:"statistics"`
}

func (s *scaleCall) createSet() (int, any) {
	var in scaleSetBody
	if !s.read(&in) || in.Name == "" || len(in.Labels) == 0 {
		return s.wrong("the body is not as it has to be")
	}
	set := &scaleSet{id: s.hub.next(), name: in.Name, group: in.Group, where: s.where, created: s.hub.now(), setting: in.Setting}
	if !slices.ContainsFunc(s.hub.groupsOf(s.where), func(g group) bool { return g.id == in.Group }) {
		return exception(http.StatusNotFound, "RunnerGroupNotFoundException", "there is no such group")
	}
	if slices.ContainsFunc(s.hub.scales.sets, func(o *scaleSet) bool { return o.where == s.where && o.group == in.Group && o.name == in.Name }) {
		return exception(http.StatusConflict, "RunnerScaleSetExistsException", "Runner scale set "+in.Name+" already exists.")
	}
	set.relabel(in)
	s.hub.scales.sets = append(s.hub.scales.sets, set)
	s.hub.offerAll()
	return http.StatusOK, s.hub.showSet(set)
}

func (set *scaleSet) relabel(in scaleSetBody) {
	set.labels = nil
	for _, l := range in.Labels {
		set.labels = append(set.labels, l.Name)
	}
}

func (s *scaleCall) updateSet() (int, any) {
	var in scaleSetBody
	if !s.read(&in) || in.Name != "" && in.Name != s.set.name {
		return s.wrong("the body is not as it has to be")
	}
	if len(in.Labels) > 0 {
		s.set.relabel(in)
	}
	if in.Setting != nil {
		s.set.setting = in.Setting
	}
	s.hub.offerAll()
	return http.StatusOK, s.hub.showSet(s.set)
}

func (s *scaleCall) deleteSet() (int, any) {
	s.hub.scales.sets = slices.DeleteFunc(s.hub.scales.sets, func(o *scaleSet) bool { return o == s.set })
	s.hub.eachJob(func(j *Job) {
		if j.scale.set == s.set {
			j.scale = scaled{}
		}
	})
	s.hub.scales.stir()
	return http.StatusNoContent, nil
}

func (h *Hub) showSet(set *scaleSet) object {
	labels := []object{}
	for _, name := range set.labels {
		labels = append(labels, object{"type": "System", "name": name})
	}
	shown := object{"id": set.id, "name": set.name, "runnerGroupId": set.group, "labels": labels, "RunnerSetting": set.setting, "createdOn": stamp(set.created)}
	if !h.config.Silent {
		shown["statistics"] = h.statistics(set)
	}
	return shown
}

// DeleteScaleSet deletes a scale set, as a person can.
func (h *Hub) DeleteScaleSet(name string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, set := range slices.Clone(h.scales.sets) {
		if set.name == name {
			_, _ = (&scaleCall{hub: h, set: set}).deleteSet() // it has no refusal
		}
	}
}
