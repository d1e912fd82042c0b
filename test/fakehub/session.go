package fakehub

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// session is how one client hears of a set's jobs. A set has one at a time.
type session struct {
	id      string
	set     *scaleSet
	owner   string
	token   string
	expires time.Time // the token
	polling int
	seen    time.Time
}

// tokenLife is how long a session's token is good; its client gets another.
const tokenLife = 30 * time.Minute

// scaleMessage is what a poll was answered with, until it is deleted.
type scaleMessage struct {
	id   int64
	body string
}

// mostNews is how much a message tells.
const mostNews = 50

// session finds the one that a token is of.
func (s *scaleCall) session(token string) *session {
	for _, set := range s.hub.scales.sets {
		if set.session != nil && set.session.token == token && s.hub.now().Before(set.session.expires) {
			return set.session
		}
	}
	return nil
}

// dead says whether nobody has asked for long: then another may have one.
func (h *Hub) dead(s *session) bool {
	return s == nil || s.polling == 0 && h.now().Sub(s.seen) > h.config.SessionLife
}

func (s *scaleCall) createSession() (int, any) {
	var in struct {
		ID    string `json:"sessionId"`
		Owner string `json:"ownerName"`
	}
	if !s.read(&in) || in.Owner == "" {
		return s.wrong("the body is not as it has to be")
	}
	if !s.hub.dead(s.set.session) {
		return exception(http.StatusConflict, "TaskAgentSessionConflictException", "The actions runner scale set "+s.set.name+" already has an active session for owner "+s.set.session.owner+".")
	}
	id := make([]byte, 16)
	_, _ = rand.Read(id) // it never fails
	s.set.session = &session{id: fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), set: s.set, owner: in.Owner}
	// What the session before was told, and did not take on, is told again.
	s.hub.eachJob(func(j *Job) {
		if j.scale.set == s.set && !j.scale.acquired {
			j.scale.offered = false
		}
	})
	return s.renew()
}

// renew gives the session a token.
func (s *scaleCall) renew() (int, any) {
	at := s.set.session
	at.token, at.expires, at.seen = rand.Text(), s.hub.now().Add(tokenLife), s.hub.now()
	return http.StatusOK, object{"sessionId": at.id, "ownerName": at.owner, "runnerScaleSet": s.hub.showSet(s.set), "statistics": s.hub.statistics(s.set),
		"messageQueueUrl": s.hub.URL + messagesPath + at.id, "messageQueueAccessToken": at.token}
}

func (s *scaleCall) own() bool {
	return len(s.rest) == 3 && s.set.session != nil && s.set.session.id == s.rest[2]
}

func (s *scaleCall) refreshSession() (int, any) {
	if !s.own() {
		return exception(http.StatusNotFound, "TaskAgentSessionExpiredException", "there is no such session")
	}
	return s.renew()
}

func (s *scaleCall) deleteSession() (int, any) {
	if s.own() {
		s.set.session = nil
		s.hub.scales.stir()
	}
	return http.StatusNoContent, nil
}

// messages answers the long poll, and deletes what it answered.
func (h *Hub) messages(w http.ResponseWriter, r *http.Request) {
	id, message, deletes := strings.Cut(strings.TrimPrefix(r.URL.Path, messagesPath), "/")
	h.mu.Lock()
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	s := &scaleCall{hub: h, request: r}
	at := s.session(token)
	if at == nil || at.id != id {
		h.mu.Unlock()
		http.Error(w, `{"message":"the token has expired"}`, http.StatusUnauthorized)
		return
	}
	h.mu.Unlock()
	if !deletes {
		h.poll(w, r, at)
		return
	}
	h.scaleServe(w, r, func(s *scaleCall) (int, any) {
		return s.named("delete-message", http.MethodDelete, func() (int, any) {
			number, _ := strconv.ParseInt(message, 10, 64)
			at.set.messages = slices.DeleteFunc(at.set.messages, func(m *scaleMessage) bool { return m.id == number })
			return http.StatusNoContent, nil
		})
	})
}

// poll waits for a message.
func (h *Hub) poll(w http.ResponseWriter, r *http.Request, at *session) {
	h.mu.Lock()
	s := &scaleCall{hub: h, request: r, set: at.set}
	capacity, err := strconv.Atoi(r.Header.Get("X-ScaleSetMaxCapacity"))
	if err != nil || r.Method != http.MethodGet || r.Header.Get("Accept") != "application/json; api-version="+apiVersion {
		status, value := s.wrong("it is no poll of the client's")
		h.mu.Unlock()
		out := encodeScale(status, value)
		w.WriteHeader(out.status)
		_, _ = w.Write(out.body)
		return
	}
	fault, failing := h.arrives("scalesets/get-message")
	if failing && !fault.Committed && fault.acts() {
		h.mu.Unlock()
		h.fail(w, r, fault, answer{})
		return
	}
	last, _ := strconv.ParseInt(r.URL.Query().Get("lastMessageId"), 10, 64)
	end := time.NewTimer(h.config.Poll)
	defer end.Stop()
	at.polling++
	out := answer{status: http.StatusAccepted}
	for waiting := true; waiting; {
		if at.set.session != at {
			out = answer{status: http.StatusUnauthorized, body: []byte(`{"message":"the session has ended"}`)}
			break
		}
		if m := h.message(at.set, last, capacity); m != nil {
			out = encodeScale(http.StatusOK, object{"messageId": m.id, "messageType": "RunnerScaleSetJobMessages", "body": m.body, "statistics": h.statistics(at.set)})
			break
		}
		changed := h.scales.changed
		h.mu.Unlock()
		select {
		case <-changed:
		case <-end.C:
			waiting = false
		case <-r.Context().Done():
			waiting = false
		case <-h.life.Done():
			waiting = false
		}
		h.mu.Lock()
	}
	at.polling--
	at.seen = h.now()
	h.mu.Unlock()
	w.Header().Set("Content-Type", jsonType)
	if failing && fault.acts() {
		h.fail(w, r, fault, out)
		return
	}
	w.WriteHeader(out.status)
	_, _ = w.Write(out.body)
}

// message is the next one after the last that the client has: one that was not
// deleted, or one of what is new. Jobs are offered as far as the client has
// room for them.
func (h *Hub) message(set *scaleSet, last int64, capacity int) *scaleMessage {
	for _, m := range set.messages {
		if m.id > last {
			return m
		}
	}
	taken := 0
	h.eachJob(func(j *Job) {
		if j.scale.set == set && j.state != "completed" && (j.scale.acquired || j.scale.offered) {
			taken++
		}
	})
	h.eachJob(func(j *Job) {
		if j.scale.set == set && j.state == "queued" && !j.scale.offered && !j.scale.acquired && taken < capacity {
			j.scale.offered = true
			taken++
			set.news = append(set.news, j.news("JobAvailable", object{"acquireJobUrl": h.URL + servicePath}))
		}
	})
	if len(set.news) == 0 {
		return nil
	}
	n := min(len(set.news), mostNews)
	body, _ := json.Marshal(set.news[:n]) // strings and numbers
	set.news = set.news[n:]
	set.last++
	m := &scaleMessage{set.last, string(body)}
	set.messages = append(set.messages, m)
	return m
}
