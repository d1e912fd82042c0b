package ecs

import "bytes"

// setEnv gives a variable in environment a value. It says whether that is new.
func (m *move) setEnv(name, value string) bool {
	if old, ok := m.Env(name); ok && old == value {
		return false
	}
	for _, entry := range m.Objects("environment") {
		if entry.Text("name") == name {
			entry.Set("value", value)
			return true
		}
	}
	m.appendTo("environment", NewObject(Member{"name", name}, Member{"value", value}))
	return true
}

// setSecret does the same in secrets.
func (m *move) setSecret(name, valueFrom string) bool {
	if old, ok := m.Secret(name); ok && old == valueFrom {
		return false
	}
	for _, entry := range m.Objects("secrets") {
		if entry.Text("name") == name {
			entry.Set("valueFrom", valueFrom)
			return true
		}
	}
	m.appendTo("secrets", NewObject(Member{"name", name}, Member{"valueFrom", valueFrom}))
	return true
}

// setLabel does the same in dockerLabels.
func (m *move) setLabel(name, value string) bool {
	labels := m.Object.Object("dockerLabels")
	if labels == nil {
		labels = NewObject()
		m.Set("dockerLabels", labels)
	}
	if old, ok := labels.Get(name); ok && old == value {
		return false
	}
	labels.Set(name, value)
	return true
}

func (m *move) deleteLabel(name string) {
	if labels := m.Object.Object("dockerLabels"); labels != nil {
		labels.Delete(name)
	}
}

// appendTo appends to a member that is a list.
func (o *Object) appendTo(name string, value any) {
	o.Set(name, append(o.List(name), value))
}

// in says whether an object has the member at all.
func (o *Object) in(name string) bool { return o.index(name) >= 0 }

// same says whether two values are the same JSON.
func same(a, b any) bool {
	var left, right bytes.Buffer
	encode(&left, a, "")
	encode(&right, b, "")
	return bytes.Equal(left.Bytes(), right.Bytes())
}

// deleteEmpty deletes a list or object that was emptied.
func deleteEmpty(o *Object, name string) {
	if len(o.List(name)) == 0 && len(o.Object(name).Members()) == 0 {
		o.Delete(name)
	}
}
