package ecs

import (
	"encoding/json"
	"slices"
	"strconv"
)

// Object is a JSON object that keeps the order of its members. The value of a
// member is nil, a bool, a json.Number, a string, a []any of values or an
// *Object. All methods that read take a nil Object for an empty one.
type Object struct {
	members []Member
}

// Member is one member of an Object.
type Member struct {
	Name  string
	Value any
}

// NewObject is an object of these members; no name may come twice.
func NewObject(members ...Member) *Object { return &Object{members} }

// Members are the members in their order. The slice is the object's own.
func (o *Object) Members() []Member {
	if o == nil {
		return nil
	}
	return o.members
}

func (o *Object) index(name string) int {
	return slices.IndexFunc(o.Members(), func(m Member) bool { return m.Name == name })
}

// Get is the value of a member. A member that is null counts as missing, as
// it does in ECS.
func (o *Object) Get(name string) (any, bool) {
	i := o.index(name)
	if i < 0 || o.members[i].Value == nil {
		return nil, false
	}
	return o.members[i].Value, true
}

// Text is a member that is a string, "" if it is missing or something else.
func (o *Object) Text(name string) string {
	value, _ := o.Get(name)
	text, _ := value.(string)
	return text
}

// Int is a member that is an integer; not ok if it is missing or something
// else.
func (o *Object) Int(name string) (int64, bool) {
	value, _ := o.Get(name)
	number, _ := value.(json.Number)
	n, err := strconv.ParseInt(number.String(), 10, 64)
	return n, err == nil
}

// Truth is a member that is true.
func (o *Object) Truth(name string) bool {
	value, _ := o.Get(name)
	return value == true
}

// Object is a member that is an object, nil if it is missing or something
// else.
func (o *Object) Object(name string) *Object {
	value, _ := o.Get(name)
	object, _ := value.(*Object)
	return object
}

// List is a member that is a list.
func (o *Object) List(name string) []any {
	value, _ := o.Get(name)
	list, _ := value.([]any)
	return list
}

// Objects are the objects in a member that is a list, at their indexes; what
// is no object is nil.
func (o *Object) Objects(name string) []*Object {
	list := o.List(name)
	objects := make([]*Object, len(list))
	for i, value := range list {
		objects[i], _ = value.(*Object)
	}
	return objects
}

// Texts are the strings in a member that is a list.
func (o *Object) Texts(name string) []string {
	var texts []string
	for _, value := range o.List(name) {
		if text, ok := value.(string); ok {
			texts = append(texts, text)
		}
	}
	return texts
}

// Set gives a member a value, in its place or at the end.
func (o *Object) Set(name string, value any) {
	if i := o.index(name); i >= 0 {
		o.members[i].Value = value
		return
	}
	o.members = append(o.members, Member{name, value})
}

// Delete removes a member, if it is there.
func (o *Object) Delete(name string) {
	o.members = slices.DeleteFunc(o.members, func(m Member) bool { return m.Name == name })
}

// number is an integer as a value of a member.
func number(n int64) json.Number { return json.Number(strconv.FormatInt(n, 10)) }

// stringList is a list of strings as a value of a member.
func stringList(words ...string) []any {
	list := make([]any, len(words))
	for i, word := range words {
		list[i] = word
	}
	return list
}

// clone copies a value and all beneath it.
func clone(value any) any {
	switch value := value.(type) {
	case *Object:
		if value == nil {
			return value
		}
		members := make([]Member, len(value.members))
		for i, m := range value.members {
			members[i] = Member{m.Name, clone(m.Value)}
		}
		return &Object{members}
	case []any:
		list := make([]any, len(value))
		for i, item := range value {
			list[i] = clone(item)
		}
		return list
	}
	return value
}
