package rules_test

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs/rules"
)

func TestParseValueFrom(t *testing.T) {
	for _, tt := range []struct {
		text string
		want rules.ValueFrom
		arn  string
	}{
		{"token", rules.ValueFrom{Service: rules.ParameterStore, Name: "token"}, "arn:aws:ssm:eu-west-1:444455556666:parameter/token"},
		{"/shop/token", rules.ValueFrom{Service: rules.ParameterStore, Name: "/shop/token"}, "arn:aws:ssm:eu-west-1:444455556666:parameter/shop/token"},
		{"/shop/token:3", rules.ValueFrom{Service: rules.ParameterStore, Name: "/shop/token:3"}, "arn:aws:ssm:eu-west-1:444455556666:parameter/shop/token"},
		{"arn:aws-cn:ssm:cn-north-1:111122223333:parameter/shop/token",
			rules.ValueFrom{Service: rules.ParameterStore, Partition: "aws-cn", Region: "cn-north-1", Account: "111122223333", Name: "shop/token"},
			"arn:aws-cn:ssm:cn-north-1:111122223333:parameter/shop/token"},
		{secretARN, rules.ValueFrom{Service: rules.SecretsManager, Partition: "aws", Region: "eu-west-1", Account: "111122223333", Name: "registry-AbCdEf"}, secretARN},
		{secretARN + ":password::v-1", rules.ValueFrom{Service: rules.SecretsManager, Partition: "aws", Region: "eu-west-1", Account: "111122223333",
			Name: "registry-AbCdEf", Key: "password", Version: "v-1"}, secretARN},
	} {
		got, err := rules.ParseValueFrom(tt.text)
		if err != nil || got != tt.want {
			t.Errorf("%s: %+v, %v", tt.text, got, err)
		}
		if arn := got.ARN("aws", "eu-west-1", "444455556666"); arn != tt.arn {
			t.Errorf("%s: %s, want %s", tt.text, arn, tt.arn)
		}
	}
	for _, text := range []string{"", ":", "a:", "a b", "arn:", "arn:aws:ssm:eu-west-1:1:parameter/a", "arn:aws:ssm::111122223333:parameter/a", "arn:aws:ssm:eu-west-1:111122223333:parameter/",
		"arn:aws:kms:eu-west-1:111122223333:key/a", "arn:aws:secretsmanager:eu-west-1:111122223333:a", "arn:aws:secretsmanager:eu-west-1:111122223333:secret:", secretARN + ":", secretARN + "::", secretARN + "::::"} {
		if got, err := rules.ParseValueFrom(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

func TestParseRole(t *testing.T) {
	for text, want := range map[string]rules.Role{
		"ecs":                                    {Name: "ecs"},
		"arn:aws:iam::111122223333:role/ecs":     {Partition: "aws", Account: "111122223333", Name: "ecs"},
		"arn:aws:iam::111122223333:role/a/b/ecs": {Partition: "aws", Account: "111122223333", Name: "ecs"},
	} {
		if got, err := rules.ParseRole(text); err != nil || got != want {
			t.Errorf("%s: %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "a/b", "arn:aws:iam::111122223333:role/", "arn:aws:sts::111122223333:assumed-role/a/b", "arn:aws:iam::1:role/a", strings.Repeat("x", 65)} {
		if got, err := rules.ParseRole(text); err == nil {
			t.Errorf("%q: %+v", text, got)
		}
	}
}

// FuzzParseValueFrom: what is read is an ARN, and reading that gives the same.
func FuzzParseValueFrom(f *testing.F) {
	for _, seed := range []string{"token", "/a/b:3", secretARN, secretARN + ":a:b:", "arn:aws:ssm:eu-west-1:111122223333:parameter/a", "arn:::::"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		v, err := rules.ParseValueFrom(text)
		if err != nil {
			return
		}
		arn := v.ARN("aws", "eu-west-1", "444455556666")
		again, err := rules.ParseValueFrom(arn)
		if err != nil || again.ARN("", "", "") != arn {
			t.Errorf("%q becomes %q, which is %+v, %v", text, arn, again, err)
		}
	})
}
