// Package policy decides as IAM does: policies and a request come in, allowed
// or not comes out, with the statement that decided
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_evaluation-logic.html:
// "By default, all requests are implicitly denied", "An explicit deny in any
// of these policies overrides the allow"). It knows identity policies and trust
// policies; a condition operator it does not know is an error, never a guess.
package policy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Document is a policy as it is written.
type Document struct {
	Version   string
	ID        string `json:"Id"`
	Statement oneOrMany[Statement]
}

// Statement is one of a policy.
type Statement struct {
	Sid          string
	Effect       string
	Principal    Principal
	Action       oneOrMany[string]
	NotAction    oneOrMany[string]
	Resource     oneOrMany[string]
	NotResource  oneOrMany[string]
	Condition    map[string]map[string]oneOrMany[string]
	NotPrincipal *Principal
}

// Principal names who a trust policy trusts, by kind: "AWS", "Service",
// "Federated"; "*" stands for everybody, whatever the kind.
type Principal map[string]oneOrMany[string]

// UnmarshalJSON reads an object or "*".
func (p *Principal) UnmarshalJSON(data []byte) error {
	if string(data) == `"*"` {
		*p = Principal{"*": {"*"}}
		return nil
	}
	var kinds map[string]oneOrMany[string]
	if err := json.Unmarshal(data, &kinds); err != nil {
		return err
	}
	*p = kinds
	return nil
}

// oneOrMany is a list that may be written without brackets if it has one item.
type oneOrMany[T any] []T

func (l *oneOrMany[T]) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '[' {
		return json.Unmarshal(data, (*[]T)(l))
	}
	var one T
	if err := json.Unmarshal(data, &one); err != nil {
		return err
	}
	*l = oneOrMany[T]{one}
	return nil
}

// Parse reads a policy and refuses what IAM would not keep.
func Parse(text string) (*Document, error) {
	var d Document
	dec := json.NewDecoder(strings.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&d); err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	if len(d.Statement) == 0 {
		return nil, fmt.Errorf("policy: no statement")
	}
	for i, s := range d.Statement {
		switch {
		case s.Effect != "Allow" && s.Effect != "Deny":
			return nil, fmt.Errorf("policy: statement %d: effect %q", i+1, s.Effect)
		case (len(s.Action) == 0) == (len(s.NotAction) == 0):
			return nil, fmt.Errorf("policy: statement %d: one of Action and NotAction is needed", i+1)
		case s.NotPrincipal != nil:
			return nil, fmt.Errorf("policy: statement %d: NotPrincipal is not known here", i+1)
		}
		for operator := range s.Condition {
			if _, _, err := comparison(operator); err != nil {
				return nil, fmt.Errorf("policy: statement %d: %w", i+1, err)
			}
		}
	}
	return &d, nil
}

// Request is what somebody wants to do.
type Request struct {
	Action   string // "ssm:GetParameters"
	Resource string // an ARN, or "*" for actions without resources
	// Context are the condition keys, e.g. "iam:PassedToService".
	Context map[string]string
}

// Decision is the answer, in the words of iam:SimulatePrincipalPolicy.
type Decision string

// The decisions.
const (
	Allowed      Decision = "allowed"
	ImplicitDeny Decision = "implicitDeny"
	ExplicitDeny Decision = "explicitDeny"
)

// Evaluate asks identity policies.
func Evaluate(documents []*Document, r Request) Decision {
	decision := ImplicitDeny
	for _, d := range documents {
		for _, s := range d.Statement {
			if !s.matches(r) {
				continue
			}
			if s.Effect == "Deny" {
				return ExplicitDeny
			}
			decision = Allowed
		}
	}
	return decision
}

// Trusts asks a trust policy whether it lets a principal assume the role.
func Trusts(d *Document, kind, principal string, r Request) bool {
	trusted := false
	for _, s := range d.Statement {
		named := slices.Contains(s.Principal["*"], "*") || slices.ContainsFunc(s.Principal[kind], func(pattern string) bool {
			return pattern == principal || pattern == "*" || kind == "AWS" && sameAccount(pattern, principal)
		})
		if !named || !s.names(r.Action) || !s.holds(r.Context) {
			continue
		}
		if s.Effect == "Deny" {
			return false
		}
		trusted = true
	}
	return trusted
}

// sameAccount knows that a bare account, or its root, stands for all of it.
func sameAccount(pattern, arn string) bool {
	parts := strings.SplitN(arn, ":", 6)
	return len(parts) == 6 && (pattern == parts[4] || strings.HasPrefix(pattern, "arn:") && strings.HasSuffix(pattern, ":iam::"+parts[4]+":root"))
}

func (s Statement) names(action string) bool {
	like := func(pattern string) bool { return Like(strings.ToLower(pattern), strings.ToLower(action)) }
	if len(s.Action) > 0 {
		return slices.ContainsFunc(s.Action, like)
	}
	return !slices.ContainsFunc(s.NotAction, like)
}

func (s Statement) matches(r Request) bool {
	like := func(pattern string) bool { return Like(pattern, r.Resource) }
	about := slices.ContainsFunc(s.Resource, like)
	if len(s.NotResource) > 0 {
		about = !slices.ContainsFunc(s.NotResource, like)
	}
	return about && s.names(r.Action) && s.holds(r.Context)
}

// Like matches IAM's wildcards: * any characters, ? one.
func Like(pattern, s string) bool {
	for pattern != "" {
		switch pattern[0] {
		case '*':
			for i := range len(s) + 1 {
				if Like(pattern[1:], s[i:]) {
					return true
				}
			}
			return false
		case '?':
			if s == "" {
				return false
			}
		default:
			if s == "" || s[0] != pattern[0] {
				return false
			}
		}
		pattern, s = pattern[1:], s[1:]
	}
	return s == ""
}
