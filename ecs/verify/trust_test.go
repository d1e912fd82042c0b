package verify_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs/verify"
)

const tasks = "ecs-tasks.amazonaws.com"

func TestTrusts(t *testing.T) {
	for text, want := range map[string]bool{
		trustOf(`{"Service": "ecs-tasks.amazonaws.com"}`):                        true,
		trustOf(`{"Service": ["ec2.amazonaws.com", "ecs-tasks.amazonaws.com"]}`): true,
		trustOf(`"*"`): true,
		trustOf(`{"Service": "ecs.amazonaws.com"}`):          false,
		trustOf(`{"AWS": "arn:aws:iam::123456789012:root"}`): false,
		`{"Statement": {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": ["sts:TagSession", "sts:AssumeRole"], "Condition": {"StringEquals": {"aws:SourceAccount": "1"}}}}`: true,
		`{"Statement": {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:TagSession"}}`:                                                                                false,
		`{"Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:*"}, {"Effect": "Deny", "Principal": "*", "Action": "sts:AssumeRole"}]}`:                     false,
		`{}`: false,
	} {
		if got, err := verify.Trusts(strings.ReplaceAll(url.QueryEscape(text), "+", "%20"), tasks); err != nil || got != want {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "%zz", "[]", `{"Statement": {"Principal": 1}}`} {
		if got, err := verify.Trusts(text, tasks); err == nil {
			t.Errorf("%q: %v", text, got)
		}
	}
}

// FuzzTrusts: whatever IAM returns, nobody is trusted by mistake: the service's
// name is in what trusts it, or a star is.
func FuzzTrusts(f *testing.F) {
	for _, seed := range []string{trustOf(`{"Service": "ecs-tasks.amazonaws.com"}`), trustOf(`"*"`), "%7B%7D", `{"Statement":[{}]}`, `{"Statement":null}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		trusted, err := verify.Trusts(text, "service.example")
		plain, _ := url.PathUnescape(text)
		if trusted && (err != nil || !strings.ContainsAny(plain, `*\`) && !strings.Contains(plain, "service.example")) {
			t.Errorf("%q trusts, %v", text, err)
		}
	})
}
