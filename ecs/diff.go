package ecs

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Difference is a member that two definitions have differently. Old and New
// are the values as JSON, "" where the member is missing.
type Difference struct {
	// Path as in Change; entries of lists by what tells them apart.
	Path string `json:"path"`
	Old  string `json:"old,omitempty"`
	New  string `json:"new,omitempty"`
}

// String is a line: "+" for what is added, "-" for what is removed, "~" for
// what is another.
func (d Difference) String() string {
	switch {
	case d.Old == "":
		return fmt.Sprintf("+ %s: %s", d.Path, d.New)
	case d.New == "":
		return fmt.Sprintf("- %s: %s", d.Path, d.Old)
	}
	return fmt.Sprintf("~ %s: %s → %s", d.Path, d.Old, d.New)
}

// Diff lists how what def means to ECS differs from what old means. The order
// of lists whose order means nothing, empty lists and what ECS fills in by
// itself make no difference, nor do LabelSource and tags of AWS's own.
func Diff(old, def *Definition) []Difference {
	var found []Difference
	schema.diff(old.normal(), def.normal(), "", func(d Difference) { found = append(found, d) })
	return found
}

// Digest is "sha256:…" of what the definition means to ECS, LabelSource left
// out: two definitions without a Diff have the same.
func (d *Definition) Digest() string {
	digest := sha256.Sum256([]byte(encoded(d.normal())))
	return "sha256:" + hex.EncodeToString(digest[:])
}

// diff compares two normal values; nil stands for a missing one.
func (s *shape) diff(old, value any, path string, report func(Difference)) {
	if same(old, value) {
		return
	}
	left, leftIs := old.(*Object)
	right, rightIs := value.(*Object)
	if leftIs && rightIs {
		s.diffMembers(left, right, path, report)
		return
	}
	before, beforeIs := old.([]any)
	after, afterIs := value.([]any)
	if s.is(objects) && s.key != "" && (beforeIs || old == nil) && (afterIs || value == nil) {
		// Entries that cannot be told apart are compared with the whole list.
		left, right := s.byKey(before), s.byKey(after)
		if len(left) == len(before) && len(right) == len(after) {
			s.diffEntries(before, after, left, right, path, report)
			return
		}
	}
	report(Difference{path, valueText(old), valueText(value)})
}

// diffMembers compares what both have, then lists what is new.
func (s *shape) diffMembers(old, value *Object, path string, report func(Difference)) {
	for _, m := range old.Members() {
		other, _ := value.Get(m.Name)
		s.member(m.Name).diff(m.Value, other, join(path, m.Name), report)
	}
	for _, m := range value.Members() {
		if _, both := old.Get(m.Name); !both {
			s.member(m.Name).diff(nil, m.Value, join(path, m.Name), report)
		}
	}
}

// diffEntries does the same with the entries of a list that have keys.
func (s *shape) diffEntries(old, value []any, before, after map[string]any, path string, report func(Difference)) {
	for _, entry := range old {
		key := s.entryKey(entry)
		s.item().diff(entry, after[key], path+"["+key+"]", report)
	}
	for _, entry := range value {
		if key := s.entryKey(entry); before[key] == nil {
			s.item().diff(nil, entry, path+"["+key+"]", report)
		}
	}
}

func (s *shape) byKey(list []any) map[string]any {
	entries := map[string]any{}
	for _, entry := range list {
		entries[s.entryKey(entry)] = entry
	}
	return entries
}

func valueText(value any) string {
	if value == nil {
		return ""
	}
	return encoded(value)
}
