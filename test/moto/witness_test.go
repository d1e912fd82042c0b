// Package moto_test asks ecsfake and moto the same questions.
package moto_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/cloudwatchlogs"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/test/moto"
)

// clients are the SDK's, of one server.
type clients struct {
	*recorder
	ssm     *ssm.Client
	secrets *secretsmanager.Client
	sts     *sts.Client
	iam     *iam.Client
	ecr     *ecr.Client
	logs    *cloudwatchlogs.Client
}

func newClients(cfg aws.Config) *clients {
	r := &recorder{}
	cfg.HTTPClient, cfg.RetryMaxAttempts = r, 1
	return &clients{r, ssm.NewFromConfig(cfg), secretsmanager.NewFromConfig(cfg), sts.NewFromConfig(cfg), iam.NewFromConfig(cfg), ecr.NewFromConfig(cfg), cloudwatchlogs.NewFromConfig(cfg)}
}

// startFake starts the first witness.
func startFake(t *testing.T) *ecsfake.Fake {
	t.Helper()
	fake, err := ecsfake.Start(t.Context(), ecsfake.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := fake.Close(); err != nil {
			t.Error(err)
		}
	})
	return fake
}

// knownMoto is the version that differences are of.
const knownMoto = "5.2.4"

// differences are where the two do not say the same, each with who is right.
// One that is no more fails the test, unless moto has become another.
var differences = map[string]string{
	"a managed policy: AttachRolePolicy: the fake answers 200, moto answers 404 NoSuchEntity":                withoutManaged,
	"ListAttachedRolePolicies: moto has no AttachedPolicies.member.PolicyArn: string":                        withoutManaged,
	"ListAttachedRolePolicies: moto has no AttachedPolicies.member.PolicyName: string":                       withoutManaged,
	"a parameter that is too long: PutParameter: the fake answers 400 ValidationException, moto answers 200": "AWS limits the standard tier to 4 KB",
	"a role without a policy: CreateRole: the fake answers 400 MalformedPolicyDocument, moto answers 200":    "AWS parses the document",
	"ResourceNotFoundException: the fake answers 400, moto answers 404":                                      "Secrets Manager documents 400",
	"DescribeParameters: moto has no Parameters[].ARN: string":                                               "AWS has it",
	"DescribeParameters: moto has no NextToken: string":                                                      "moto has pages of ten, whatever MaxResults says",
	"DescribeParameters: the fake has no Parameters[].KeyId: string":                                         "moto's page is longer",
	"DescribeSecret: the fake has no SecretVersionsToStages.*: list":                                         "the SDK knows no such member",
	"DescribeSecret: the fake has no SecretVersionsToStages.*[]: string":                                     "the SDK knows no such member",
	"FilterLogEvents: the fake has no searchedLogStreams: list":                                              unread,
	"FilterLogEvents: the fake has no searchedLogStreams[].logStreamName: string":                            unread,
	"FilterLogEvents: the fake has no searchedLogStreams[].searchedCompletely: bool":                         unread,
	"AssumeRole: the fake has no PackedPolicySize: string":                                                   unread,
	"CreateRepository: the fake has no repository.encryptionConfiguration.encryptionType: string":            unread,
	"CreateRepository: the fake has no repository.imageScanningConfiguration.scanOnPush: bool":               unread,
	"CreateRepository: the fake has no repository.imageTagMutability: string":                                unread,
	"CreateRole: the fake has no Role.MaxSessionDuration: string":                                            unread,
	"DescribeLogGroups: the fake has no logGroups[].logGroupArn: string":                                     unread,
	"DescribeLogGroups: the fake has no logGroups[].metricFilterCount: float64":                              unread,
	"DescribeLogGroups: the fake has no logGroups[].storedBytes: float64":                                    unread,
	"DescribeLogStreams: the fake has no logStreams[].creationTime: float64":                                 unread,
	"DescribeLogStreams: the fake has no logStreams[].lastIngestionTime: float64":                            unread,
	"DescribeLogStreams: the fake has no logStreams[].storedBytes: float64":                                  unread,
	"DescribeLogStreams: the fake has no logStreams[].uploadSequenceToken: string":                           unread,
	"DescribeParameters: the fake has no Parameters[].LastModifiedUser: string":                              unread,
	"DescribeRepositories: the fake has no repositories[].encryptionConfiguration.encryptionType: string":    unread,
	"DescribeRepositories: the fake has no repositories[].imageScanningConfiguration.scanOnPush: bool":       unread,
	"DescribeRepositories: the fake has no repositories[].imageTagMutability: string":                        unread,
	"GetRole: the fake has no Role.MaxSessionDuration: string":                                               unread,
}

const (
	unread         = "AWS has it, and nobody here reads it"
	withoutManaged = "moto reads AWS's own policies at every reset if asked to, and is not: it takes seconds"
)

// TestWitness sends both the same calls: they take and refuse the same, with
// the same errors, and speak of the same members.
func TestWitness(t *testing.T) {
	fake := startFake(t)
	server := moto.Start(t, "../..")
	first, second := newClients(fake.Config()), newClients(server.Config())
	seen := map[string]bool{}
	tell := func(difference string) {
		seen[difference] = true
		if differences[difference] == "" {
			t.Errorf("%s (moto %s)", difference, server.Version)
		}
	}
	for _, call := range calls {
		for _, c := range []*clients{first, second} {
			c.answers = nil
			call.do(t, c)
		}
		if len(first.answers) != len(second.answers) {
			t.Fatalf("%s: %d answers of the fake, %d of moto", call.name, len(first.answers), len(second.answers))
		}
		for i, ours := range first.answers {
			compare(call.name, ours, second.answers[i], tell)
		}
	}
	for difference := range differences {
		if !seen[difference] && server.Version == knownMoto {
			t.Errorf("they agree by now: %s", difference)
		}
	}
	counts := fake.Counts()
	for _, operation := range fake.Operations() {
		service, _, _ := strings.Cut(operation, ":")
		if slices.Contains([]string{"ssm", "secretsmanager", "sts", "iam", "ecr", "logs"}, service) && counts[operation] == 0 && operation != "iam:SimulatePrincipalPolicy" {
			t.Errorf("nobody asked for %s", operation)
		}
	}
}

// compare tells where two answers differ.
func compare(name string, ours, theirs answer, tell func(string)) {
	name += ": " + ours.operation + ": "
	if ours.operation != theirs.operation {
		tell(name + "moto was asked for " + theirs.operation)
		return
	}
	if ours.status/100 != theirs.status/100 {
		tell(name + said("the fake", ours) + ", " + said("moto", theirs))
		return
	}
	switch {
	case ours.code != theirs.code:
		tell(name + said("the fake", ours) + ", " + said("moto", theirs))
	case ours.status != theirs.status:
		tell(fmt.Sprintf("%s: the fake answers %d, moto answers %d", ours.code, ours.status, theirs.status))
	}
	for _, member := range ours.members {
		if !slices.Contains(theirs.members, member) {
			tell(ours.operation + ": moto has no " + member)
		}
	}
	for _, member := range theirs.members {
		if !slices.Contains(ours.members, member) {
			tell(ours.operation + ": the fake has no " + member)
		}
	}
}

func said(who string, a answer) string {
	return strings.TrimSpace(fmt.Sprintf("%s answers %d %s", who, a.status, a.code))
}
