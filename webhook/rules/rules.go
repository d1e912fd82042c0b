// Package rules decides. In goes what a repository wants
// (.github/clipper.yml), what its organisation wants by default, what the
// operator of the service lets them have (a policy), an event, and the facts
// that the event lacks. Out comes, for every rule, whether a run follows, of
// what, and why.
//
// Nothing here asks anybody or looks at a clock: the same input gives the same
// decisions, so that a decision can be made again after a crash, and explained
// to a person long after. Where a fact is missing, a decision names it instead
// of guessing.
//
// A configuration is written by people who are not the operator, perhaps by
// strangers. It is small, has no regular expressions, and of an event it can
// reach the fields of a list; what it asks for is cut to the policy. Mistakes
// are told as problems with a line and a column, so that they can be shown
// where they were made.
package rules
