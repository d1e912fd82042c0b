package policy

import "testing"

func parse(t *testing.T, text string) *Document {
	t.Helper()
	d, err := Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestEvaluate(t *testing.T) {
	const read = `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"ssm:GetParameters","Resource":"arn:aws:ssm:*:1:parameter/app/*"}}`
	const pass = `{"Statement":[{"Effect":"Allow","Action":["iam:Pass*"],"Resource":"*","Condition":{"StringEquals":{"iam:PassedToService":["x","ecs-tasks.amazonaws.com"]}}}]}`
	for _, tt := range []struct {
		name     string
		policies []string
		request  Request
		want     Decision
	}{
		{"nothing is allowed by itself", nil, Request{Action: "ssm:GetParameters", Resource: "*"}, ImplicitDeny},
		{"a name beneath", []string{read}, Request{Action: "ssm:GetParameters", Resource: "arn:aws:ssm:eu-west-1:1:parameter/app/a/b"}, Allowed},
		{"actions have no case", []string{read}, Request{Action: "SSM:getparameters", Resource: "arn:aws:ssm:eu-west-1:1:parameter/app/a"}, Allowed},
		{"the singular is another action", []string{read}, Request{Action: "ssm:GetParameter", Resource: "arn:aws:ssm:eu-west-1:1:parameter/app/a"}, ImplicitDeny},
		{"another account", []string{read}, Request{Action: "ssm:GetParameters", Resource: "arn:aws:ssm:eu-west-1:2:parameter/app/a"}, ImplicitDeny},
		{"deny wins", []string{read, `{"Statement":[{"Effect":"Deny","NotAction":"s3:*","Resource":"*"}]}`},
			Request{Action: "ssm:GetParameters", Resource: "arn:aws:ssm:eu-west-1:1:parameter/app/a"}, ExplicitDeny},
		{"all but a resource", []string{`{"Statement":[{"Effect":"Allow","Action":"*","NotResource":"arn:?"}]}`}, Request{Action: "a:B", Resource: "arn:x"}, ImplicitDeny},
		{"a condition", []string{pass}, Request{Action: "iam:PassRole", Resource: "arn", Context: map[string]string{"IAM:PassedToService": "ecs-tasks.amazonaws.com"}}, Allowed},
		{"a condition's key is absent", []string{pass}, Request{Action: "iam:PassRole", Resource: "arn"}, ImplicitDeny},
		{"one of two that must not be", []string{`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"StringNotEquals":{"k":["a","b"]}}}]}`},
			Request{Action: "a:B", Resource: "*", Context: map[string]string{"k": "b"}}, ImplicitDeny},
	} {
		var documents []*Document
		for _, text := range tt.policies {
			documents = append(documents, parse(t, text))
		}
		if got := Evaluate(documents, tt.request); got != tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
}

func TestTrusts(t *testing.T) {
	for _, tt := range []struct {
		name, trust, kind, principal string
		want                         bool
	}{
		{"a service", `{"Statement":{"Effect":"Allow","Principal":{"Service":"ecs-tasks.amazonaws.com"},"Action":"sts:AssumeRole"}}`, "Service", "ecs-tasks.amazonaws.com", true},
		{"one of several services", `{"Statement":{"Effect":"Allow","Principal":{"Service":["lambda.amazonaws.com","ecs-tasks.amazonaws.com"]},"Action":"sts:*"}}`, "Service", "ecs-tasks.amazonaws.com", true},
		{"another service", `{"Statement":{"Effect":"Allow","Principal":{"Service":"ecs.amazonaws.com"},"Action":"sts:AssumeRole"}}`, "Service", "ecs-tasks.amazonaws.com", false},
		{"the account", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"arn:aws:iam::1:root"},"Action":"sts:AssumeRole"}}`, "AWS", "arn:aws:iam::1:user/u", true},
		{"another account", `{"Statement":{"Effect":"Allow","Principal":{"AWS":"2"},"Action":"sts:AssumeRole"}}`, "AWS", "arn:aws:iam::1:user/u", false},
		{"everybody", `{"Statement":{"Effect":"Allow","Principal":"*","Action":"sts:AssumeRole"}}`, "Service", "x", true},
	} {
		if got := Trusts(parse(t, tt.trust), tt.kind, tt.principal, Request{Action: "sts:AssumeRole"}); got != tt.want {
			t.Errorf("%s: %t", tt.name, got)
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, text := range []string{
		"", "{}", `{"Statement":[{"Effect":"allow","Action":"*","Resource":"*"}]}`, `{"Statement":[{"Effect":"Allow","Resource":"*"}]}`,
		`{"Statement":[{"Effect":"Allow","Action":"*","Resource":"*","Condition":{"DateLessThan":{"k":"v"}}}]}`, `{"Statements":[]}`,
	} {
		if _, err := Parse(text); err == nil {
			t.Errorf("Parse(%s) succeeded", text)
		}
	}
}
