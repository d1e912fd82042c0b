package runners

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/clipperregistry/runner/webhook/hub"
	"github.com/clipperregistry/runner/webhook/task"
)

// member is a runner of a set: the start that is meant to be its task, the
// task, and the runner that GitHub has, as far as they are there.
//
// It has a slot for as long as it is there, of which the set has as many as it
// may have runners: the parameter that its secret is in is the slot's.
type member struct {
	Name string    `json:"name"`
	Slot int       `json:"slot"`
	At   time.Time `json:"at"`            // when it was begun
	ARN  string    `json:"arn,omitempty"` // of the task, once that is known

	truth  task.Truth
	runner *hub.Runner
	met    bool      // the runner was registered
	alone  time.Time // since when it is not; zero is never
	leaves bool      // the service has sent it away
}

// prefix begins the names of all runners.
const prefix = "clipper-"

// newName is one that no other runner has: clipper-SET-SLOT-SERIAL.
func (s *set) newName(slot int) string {
	return fmt.Sprintf("%s%s-%d-%s", prefix, s.Name, slot, strings.ToLower(rand.Text()[:8]))
}

// slotOf says which slot a name of the set's has, and whether it is one.
func (s *set) slotOf(name string) (slot int, ours bool) {
	rest, serial := cutLast(name)
	rest, number := cutLast(rest)
	slot, err := strconv.Atoi(number)
	return slot, err == nil && slot >= 0 && serial != "" && strings.EqualFold(rest, prefix+s.Name)
}

func cutLast(name string) (before, last string) {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return "", name
	}
	return name[:i], name[i+1:]
}

// recent is how long the database remembers what was begun: ECS lists the task
// by then.
const recent = 10 * time.Minute

// encode is what the database keeps of the members.
func (s *set) encode() (string, error) {
	var kept []*member
	for _, m := range s.members {
		if m.ARN == "" || s.config.Now().Sub(m.At) < recent {
			kept = append(kept, m)
		}
	}
	text, err := json.Marshal(kept)
	return string(text), err
}

// decode reads it back.
func (s *set) decode(text string) (map[string]*member, error) {
	var kept []*member
	if text != "" {
		if err := json.Unmarshal([]byte(text), &kept); err != nil {
			return nil, fmt.Errorf("what was begun: %w", err)
		}
	}
	members := map[string]*member{}
	for _, m := range kept {
		if _, ours := s.slotOf(m.Name); ours {
			members[m.Name] = m
		}
	}
	return members, nil
}
