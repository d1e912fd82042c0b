package spec

import "slices"

// Permits reports whether a request's permissions may have one: "checks",
// "write".
func (op *Operation) Permits(name, level string) bool {
	permissions := op.request().Properties["permissions"]
	if permissions == nil || permissions.Value.Properties[name] == nil {
		return false
	}
	return slices.Contains(permissions.Value.Properties[name].Value.Enum, any(level))
}
