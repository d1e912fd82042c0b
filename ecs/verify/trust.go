package verify

import (
	"encoding/json"
	"net/url"
	"slices"
	"strings"
)

// trustPolicy is as much of a trust policy as says who is trusted
// (https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_policies_grammar.html).
type trustPolicy struct {
	Statement oneOrMore[struct {
		Effect    string
		Principal principals
		Action    oneOrMore[string]
	}]
}

// oneOrMore is a list that is written without brackets if it has one entry.
type oneOrMore[T any] []T

func (l *oneOrMore[T]) UnmarshalJSON(text []byte) error {
	if text[0] == '[' {
		return json.Unmarshal(text, (*[]T)(l))
	}
	var one T
	err := json.Unmarshal(text, &one)
	*l = oneOrMore[T]{one}
	return err
}

// principals are the services of a Principal; "*" is everybody.
type principals []string

func (p *principals) UnmarshalJSON(text []byte) error {
	if text[0] == '"' {
		var all string
		err := json.Unmarshal(text, &all)
		*p = principals{all}
		return err
	}
	var kinds map[string]oneOrMore[string]
	err := json.Unmarshal(text, &kinds)
	*p = principals(kinds["Service"])
	return err
}

// trusts says whether a trust policy, encoded as IAM returns it, lets a service
// assume the role. Conditions (aws:SourceAccount, aws:SourceArn) are taken as
// met.
func trusts(document, service string) (bool, error) {
	text, err := url.PathUnescape(document)
	if err != nil {
		return false, err
	}
	var policy trustPolicy
	if err := json.Unmarshal([]byte(text), &policy); err != nil {
		return false, err
	}
	allowed := false
	for _, s := range policy.Statement {
		assume := slices.ContainsFunc(s.Action, func(action string) bool {
			return strings.EqualFold(action, "sts:AssumeRole") || action == "*" || strings.EqualFold(action, "sts:*")
		})
		if !assume || !slices.Contains(s.Principal, service) && !slices.Contains(s.Principal, "*") {
			continue
		}
		if s.Effect == "Deny" {
			return false, nil
		}
		allowed = allowed || s.Effect == "Allow"
	}
	return allowed, nil
}
