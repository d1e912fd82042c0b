package ecs

import (
	"bytes"
	"cmp"
	"encoding/json"
	"math"
	"slices"
	"strconv"
	"strings"
)

// normal is what a definition means to ECS, in one form: members by their
// names, lists whose order means nothing by what tells their entries apart,
// and without what ECS fills in by itself or takes for missing: nulls, empty
// lists and objects, defaults of the table, tags of AWS's own, and LabelSource.
func (d *Definition) normal() *Object {
	root, _ := schema.normal(d.root).(*Object)
	if root == nil {
		return NewObject()
	}
	normalUnits(root, "cpu", "vcpu", 1024)
	normalUnits(root, "memory", "gb", 1024)
	normalPorts(root)
	normalTags(root)
	return root
}

// normal is nil for what counts as missing.
func (s *shape) normal(value any) any {
	switch value := value.(type) {
	case *Object:
		o := NewObject()
		for _, m := range value.Members() {
			member := s.member(m.Name)
			if inner := member.normal(m.Value); inner != nil && !member.dropped(m.Name, inner) {
				o.members = append(o.members, Member{m.Name, inner})
			}
		}
		if len(o.members) == 0 {
			return nil
		}
		slices.SortStableFunc(o.members, func(a, b Member) int { return cmp.Compare(a.Name, b.Name) })
		return o
	case []any:
		return s.normalList(value)
	}
	return value
}

// dropped says whether a member is what ECS fills in.
func (s *shape) dropped(name string, value any) bool {
	return name == LabelSource || s != nil && s.standard != nil && s.standard == value
}

func (s *shape) normalList(value []any) any {
	var list []any
	for _, item := range value {
		if inner := s.item().normal(item); inner != nil {
			list = append(list, inner)
		}
	}
	if list == nil {
		return nil
	}
	if s != nil && s.key != "" {
		slices.SortStableFunc(list, func(a, b any) int { return cmp.Compare(s.entryKey(a), s.entryKey(b)) })
	}
	return list
}

// entryKey tells an entry of the list from the others: "web", "80,tcp".
func (s *shape) entryKey(entry any) string {
	o, ok := entry.(*Object)
	if !ok || s.key == "*" {
		return encoded(entry)
	}
	var parts []string
	for name := range strings.FieldsSeq(s.key) {
		value, there := o.Get(name)
		if !there {
			value = s.members[name].standard
		}
		if text, ok := value.(string); ok {
			parts = append(parts, text)
		} else if value != nil {
			parts = append(parts, encoded(value))
		}
	}
	return strings.Join(parts, ",")
}

// normalUnits brings "1 vCPU" and "2 GB" to the numbers that ECS makes of them.
func normalUnits(root *Object, member, unit string, factor float64) {
	amount, ok := strings.CutSuffix(strings.ToLower(root.Text(member)), unit)
	if !ok {
		return
	}
	if n, err := strconv.ParseFloat(strings.TrimSpace(amount), 64); err == nil && n > 0 && n < 1<<20 {
		root.Set(member, strconv.FormatInt(int64(math.Round(n*factor)), 10))
	}
}

// normalPorts drops the host port that ECS fills in: the container's own where
// the container has the network of its task or host, else one that is chosen.
func normalPorts(root *Object) {
	mode := root.Text("networkMode")
	for _, c := range root.Objects("containerDefinitions") {
		for _, port := range c.Objects("portMappings") {
			host, _ := port.Get("hostPort")
			container, _ := port.Get("containerPort")
			if host == json.Number("0") || same(host, container) && (mode == "awsvpc" || mode == "host") {
				port.Delete("hostPort")
			}
		}
	}
}

// normalTags drops the tags that nobody but AWS sets.
func normalTags(root *Object) {
	tags := slices.DeleteFunc(root.List("tags"), func(tag any) bool {
		o, _ := tag.(*Object)
		return strings.HasPrefix(o.Text("key"), "aws:")
	})
	if len(tags) == 0 {
		root.Delete("tags")
		return
	}
	root.Set("tags", tags)
}

func encoded(value any) string {
	var b bytes.Buffer
	encode(&b, value, "")
	return b.String()
}
