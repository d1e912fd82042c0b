// Package verify says whether a task definition would work, before anything
// is registered. In goes a rendered definition, out come findings, each with
// its rule and what to do.
//
// It climbs a ladder, and every step asks for less than the next:
//
//  1. nobody: the rules of ecs/rules, and whether the definition is still as
//     Render would make it;
//  2. who calls (sts:GetCallerIdentity, which needs no permission);
//  3. whether parameters and secrets exist, without their values
//     (ssm:DescribeParameters, secretsmanager:DescribeSecret);
//  4. whether ECS may assume the roles (iam:GetRole);
//  5. whether the roles may read what the task needs and the caller may pass
//     them (iam:SimulatePrincipalPolicy);
//  6. the registries: whether the images exist for the platform and how big
//     they are; whether there is room and time for them.
//
// With consent alone (Options.ReadCredentials) the values of CLIPPER_CREDENTIALS
// are read, and the registries are asked with the very credentials of the task.
// No value that was read is in any finding.
//
// A step that may not be taken is told as unchecked, and is no reason to refuse.
package verify

import (
	"context"
	"fmt"
	"slices"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

// Options say how far to go.
type Options struct {
	// AWS is asked about roles and secrets. Default: nobody is.
	AWS *AWS
	// Resolve asks the registry of an image. Default: nobody is asked.
	Resolve func(ctx context.Context, q Question) (ecs.Image, error)
	// ReadCredentials is the consent to read the values of CLIPPER_CREDENTIALS.
	// It needs AWS.
	ReadCredentials bool
	// PullRate is as in ecs.Options.
	PullRate int64
	// Accept are the names of rules that are warnings where they are errors.
	Accept []string
}

// Question is what a registry is asked.
type Question struct {
	Reference oci.Reference
	Platform  oci.Platform
	// Credentials are those of the task, and Registry the host that they are
	// for. Without, the caller's own are meant.
	Credentials, Registry string
}

// Verify checks a definition. The error is that of the context, or one of the
// options; what is wrong with the definition, or could not be asked, is in the
// report.
func Verify(ctx context.Context, def *ecs.Definition, options Options) (*Report, error) {
	if err := options.check(); err != nil {
		return nil, err
	}
	v := &verification{Options: options, def: def, values: map[string]string{}}
	v.found = rules.Check(def)
	if v.AWS != nil {
		v.askAWS(ctx)
	}
	images := v.askRegistries(ctx)
	stale, err := rules.Rendered(ctx, def, ecs.Options{Resolve: images, PullRate: options.PullRate})
	if err != nil {
		return nil, err
	}
	v.found = append(v.found, stale...)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	return v.report(), nil
}

func (o Options) check() error {
	known := RuleNames()
	for _, name := range o.Accept {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%w: there is no rule %q", ecs.ErrOptions, name)
		}
	}
	if o.ReadCredentials && (o.AWS == nil || o.Resolve == nil) {
		return fmt.Errorf("%w: credentials are read from AWS, to ask registries with them", ecs.ErrOptions)
	}
	return nil
}

// verification is one call of Verify.
type verification struct {
	Options
	def    *ecs.Definition
	found  []rules.Finding
	caller caller
	// values are the credentials that were read, by their valueFrom.
	values map[string]string
	// hidden are the secrets that no finding may have.
	hidden []string
}

// tell adds a finding.
func (v *verification) tell(r rules.Rule, path, format string, args ...any) {
	v.found = append(v.found, r.Finding(path, format, args...))
}

// unchecked adds what nobody could tell.
func (v *verification) unchecked(r rules.Rule, path, format string, args ...any) {
	f := r.Finding(path, format, args...)
	f.Severity = rules.Unchecked
	v.found = append(v.found, f)
}
