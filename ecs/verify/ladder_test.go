package verify_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/ecs/verify"
	"github.com/clipperregistry/runner/test/ecsfake"
)

// TestCalls: no call is made more often than needed, whatever the number of
// secrets, and without consent no value is read.
func TestCalls(t *testing.T) {
	w := newFakeWorld(t, newImages(t))
	def := w.definition()
	for i := range 60 {
		name := fmt.Sprintf("/shop/%d", i)
		w.putParameter(name, "to-the-database", "")
		setSecret(def, fmt.Sprintf("VALUE_%d", i), name)
		setSecret(def, fmt.Sprintf("AGAIN_%d", i), name)
	}
	setSecret(def, "USER", w.secret+":username::")
	setSecret(def, "PASSWORD", w.secret+":password::")
	calls := func(consent bool) map[string]int {
		w.ResetCounts()
		asked := map[string]int{}
		report, err := verify.Verify(t.Context(), def, verify.Options{AWS: verify.FromConfig(w.Config()), ReadCredentials: consent,
			Resolve: func(ctx context.Context, q verify.Question) (ecs.Image, error) {
				asked[q.Reference.String()]++
				return w.resolve(ctx, q)
			}})
		if err != nil || report.Refused() {
			t.Fatalf("%v %v", err, report)
		}
		for image, n := range asked {
			if n != 1 {
				t.Errorf("%s was asked for %d times", image, n)
			}
		}
		return w.Counts()
	}
	want := map[string]int{"sts:GetCallerIdentity": 1, "ssm:DescribeParameters": 2, "secretsmanager:DescribeSecret": 1, "iam:GetRole": 1, "iam:SimulatePrincipalPolicy": 5}
	if got := calls(false); !maps.Equal(got, want) {
		t.Errorf("without consent: %v, want %v", got, want)
	}
	want["ssm:GetParameters"] = 1
	if got := calls(true); !maps.Equal(got, want) {
		t.Errorf("with consent: %v, want %v", got, want)
	}
}

// TestNobody: where AWS or the registries are out of reach, nothing is refused.
func TestNobody(t *testing.T) {
	w := newFakeWorld(t, newImages(t))
	w.Inject(ecsfake.Fault{Operation: "sts:*", Times: -1, Code: "AccessDenied", Message: "no"})
	report, err := verify.Verify(t.Context(), w.definition(), verify.Options{AWS: verify.FromConfig(w.Config()), Resolve: func(context.Context, verify.Question) (ecs.Image, error) {
		return ecs.Image{}, errors.New("no route to\nhost")
	}})
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range report.Findings {
		found = append(found, f.Rule)
		if f.Severity != rules.Unchecked || strings.Contains(f.Text, "\n") {
			t.Errorf("%s %q", f.Severity, f)
		}
	}
	if want := []string{"caller", "image-exists", "image-exists"}; !slices.Equal(found, want) {
		t.Errorf("found %v, want %v", found, want)
	}
}

// TestHidden: what a registry says may have secrets in it, and the report has
// none.
func TestHidden(t *testing.T) {
	w := newFakeWorld(t, newImages(t))
	report, err := verify.Verify(t.Context(), w.definition(), verify.Options{AWS: verify.FromConfig(w.Config()), ReadCredentials: true,
		Resolve: func(_ context.Context, q verify.Question) (ecs.Image, error) {
			return ecs.Image{}, fmt.Errorf("sent %s, %s and %s", q.Credentials, password, secrets[len(secrets)-1])
		}})
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(report.Text(), "sent ***") {
		t.Errorf("%s", report.Text())
	}
	keepsSecrets(t, report)
}

// TestOptions: options that cannot be meant are refused, and a context's end is
// an error, not a finding.
func TestOptions(t *testing.T) {
	w := newFakeWorld(t, newImages(t))
	for _, options := range []verify.Options{{Accept: []string{"storrage"}}, {ReadCredentials: true}} {
		if _, err := verify.Verify(t.Context(), w.definition(), options); !errors.Is(err, ecs.ErrOptions) {
			t.Errorf("%+v: %v", options, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	def := w.definition()
	cancel()
	if _, err := verify.Verify(ctx, def, verify.Options{AWS: verify.FromConfig(w.Config()), Resolve: w.resolve}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// simulated is an IAM that answers as it does since a result has the name of a
// kind of resources, page by page.
type simulated struct {
	verify.Roles
	denied string
}

func (s simulated) SimulatePrincipalPolicy(_ context.Context, in *iam.SimulatePrincipalPolicyInput, _ ...func(*iam.Options)) (*iam.SimulatePrincipalPolicyOutput, error) {
	if in.Marker == nil {
		return &iam.SimulatePrincipalPolicyOutput{IsTruncated: true, Marker: aws.String("next")}, nil
	}
	result := types.EvaluationResult{EvalActionName: &in.ActionNames[0], EvalResourceName: aws.String("arn:${Partition}:of:a:kind"), EvalDecision: types.PolicyEvaluationDecisionTypeAllowed}
	for _, arn := range in.ResourceArns {
		specific := types.ResourceSpecificResult{EvalResourceName: &arn, EvalResourceDecision: types.PolicyEvaluationDecisionTypeAllowed}
		if arn == s.denied {
			specific.EvalResourceDecision, result.EvalDecision = types.PolicyEvaluationDecisionTypeExplicitDeny, types.PolicyEvaluationDecisionTypeExplicitDeny
		}
		result.ResourceSpecificResults = append(result.ResourceSpecificResults, specific)
	}
	return &iam.SimulatePrincipalPolicyOutput{EvaluationResults: []types.EvaluationResult{result}}, nil
}

// TestSimulation: of several resources the one that is denied is told.
func TestSimulation(t *testing.T) {
	w := newFakeWorld(t, newImages(t))
	w.putParameter("/shop/database", "to-the-database", "")
	def := w.definition()
	setSecret(def, "DATABASE", "/shop/database")
	account := verify.FromConfig(w.Config())
	account.Roles = simulated{account.Roles, "arn:aws:ssm:eu-central-1:123456789012:parameter/shop/database"}
	report, err := verify.Verify(t.Context(), def, verify.Options{AWS: account})
	if err != nil {
		t.Fatal(err)
	}
	if f := report.Findings; len(f) != 1 || f[0].Rule != "role-reads-secret" || f[0].Path != "containerDefinitions[web].secrets[DATABASE].valueFrom" || !strings.Contains(f[0].Text, "(explicitDeny)") {
		t.Errorf("%s", report.Text())
	}
}
