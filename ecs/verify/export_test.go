package verify

import "github.com/clipperregistry/runner/ecs/rules"

// Table are the rules that ask somebody.
func Table() []rules.Rule { return table }

// Trusts is trusts.
var Trusts = trusts
