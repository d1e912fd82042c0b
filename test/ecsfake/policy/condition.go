package policy

import (
	"fmt"
	"slices"
	"strings"
)

// comparison finds what an operator of a condition compares
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_elements_condition_operators.html)
// and whether a key that the request lacks passes: with …IfExists, "If the
// condition key is not present, evaluate the condition element as true", and
// with negated operators.
func comparison(operator string) (holds func(pattern, value string) bool, absent bool, err error) {
	name, ifExists := strings.CutSuffix(operator, "IfExists")
	// The keys of this world have one value each, for which the set operators
	// say the same.
	name = strings.TrimPrefix(strings.TrimPrefix(name, "ForAnyValue:"), "ForAllValues:")
	positive, negated := name, false
	if rest, ok := strings.CutPrefix(name, "StringNot"); ok {
		positive, negated = "String"+rest, true
	} else if rest, ok := strings.CutPrefix(name, "ArnNot"); ok {
		positive, negated = "Arn"+rest, true
	}
	switch positive {
	case "StringEquals":
		holds = func(pattern, value string) bool { return pattern == value }
	case "StringEqualsIgnoreCase", "Bool":
		holds = strings.EqualFold
	case "StringLike", "ArnLike", "ArnEquals":
		holds = Like
	default:
		return nil, false, fmt.Errorf("condition operator %q is not known here", operator)
	}
	if negated {
		equal := holds
		holds = func(pattern, value string) bool { return !equal(pattern, value) }
	}
	return holds, ifExists || negated, nil
}

// holds reports whether all conditions of a statement do: values of one key
// are alternatives, except that a negated operator wants none of them.
func (s Statement) holds(context map[string]string) bool {
	for operator, keys := range s.Condition {
		compare, absent, err := comparison(operator)
		if err != nil {
			return false // Parse has refused it
		}
		for key, patterns := range keys {
			value, ok := lookup(context, key)
			if !ok {
				if !absent {
					return false
				}
				continue
			}
			matches := func(pattern string) bool { return compare(pattern, value) }
			if strings.Contains(operator, "Not") {
				if slices.ContainsFunc(patterns, func(p string) bool { return !matches(p) }) {
					return false
				}
			} else if !slices.ContainsFunc(patterns, matches) {
				return false
			}
		}
	}
	return true
}

// lookup finds a condition key, whose name has no case.
func lookup(context map[string]string, key string) (string, bool) {
	for name, value := range context {
		if strings.EqualFold(name, key) {
			return value, true
		}
	}
	return "", false
}
