package verify_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/ecs/verify"
	"github.com/clipperregistry/runner/test/moto"
)

// expectation is one finding that a case is about.
type expectation struct {
	rule     string
	severity rules.Severity
	path     string
	text     string // a part of it
}

// scenario is a world and a definition in it.
type scenario struct {
	name string
	// world changes what is there, definition what is verified, options how.
	world      func(w *world)
	definition func(w *world, def *ecs.Definition)
	options    func(w *world, o *verify.Options)
	want       []expectation // none: nothing at all is found
	// policed: it takes an account in which policies say what callers may do.
	policed bool
}

// scenarios have one thing wrong each.
var scenarios = []scenario{
	{name: "all is well"},
	{name: "without consent", options: func(_ *world, o *verify.Options) { o.ReadCredentials = false },
		want: []expectation{{"image-access", rules.Unchecked, "containerDefinitions[web].environment", "the task's credentials were not used"}}},

	{name: "a bad image", definition: func(w *world, def *ecs.Definition) { setEnv(def, ecs.EnvImage, w.private+"/nothing:1") },
		want: []expectation{{"image-exists", rules.Error, "containerDefinitions[web].environment", "not found"}}},
	{name: "no runner image", definition: func(w *world, def *ecs.Definition) { replaceRunner(def, w.open+"/runner:2") },
		want: []expectation{{"image-exists", rules.Error, "containerDefinitions[web].image", "not found"}}},
	{name: "an image for another platform", definition: func(_ *world, def *ecs.Definition) {
		def.Root().Set("runtimePlatform", ecs.NewObject(ecs.Member{Name: "cpuArchitecture", Value: "ARM64"}))
	}, want: []expectation{{"image-platform", rules.Error, "containerDefinitions[web].environment", "arm64"}}},
	{name: "credentials that are refused", world: func(w *world) { w.putParameter("/shop/registry", "robot:another-password", "") },
		want: []expectation{{"image-access", rules.Error, "containerDefinitions[web].environment", "denied"}}},
	{name: "credentials of no form", world: func(w *world) { w.putParameter("/shop/registry", `{"username": "`+password+`"`, "") },
		want: []expectation{{"image-credentials", rules.Error, "containerDefinitions[web].environment", ""}}},
	{name: "credentials for another registry", world: func(w *world) {
		w.putParameter("/shop/registry", `{"auths": {"ghcr.io": {"username": "robot", "password": "`+password+`"}}}`, "")
	}, want: []expectation{{"image-credentials", rules.Warning, "containerDefinitions[web].environment", "nothing for"}, {"image-access", rules.Error, "containerDefinitions[web].environment", "denied"}}},
	{name: "a private image without credentials", definition: func(_ *world, def *ecs.Definition) { web(def).Delete("secrets") },
		want: []expectation{{"image-access", rules.Error, "containerDefinitions[web].environment", "denied"}}},

	{name: "too little disk", definition: func(w *world, def *ecs.Definition) { setEnv(def, ecs.EnvImage, w.pinned("huge")) },
		want: []expectation{{"storage", rules.Error, "ephemeralStorage.sizeInGiB", "it has to be changed: 37,"}, {"health-check", rules.Error, "containerDefinitions[web].healthCheck.retries", "10,"}}},
	{name: "a health check that starves", definition: func(w *world, def *ecs.Definition) { setEnv(def, ecs.EnvImage, w.pinned("big")) },
		want: []expectation{{"health-check", rules.Error, "containerDefinitions[web].healthCheck.startPeriod", "pull and start need about 230 s"}}},
	{name: "unknown fields", definition: func(_ *world, def *ecs.Definition) { web(def).Set("imgae", "x") },
		want: []expectation{{"unknown-member", rules.Error, "containerDefinitions[web].imgae", "no such member"}}},
	{name: "an error that is accepted", definition: func(w *world, def *ecs.Definition) { setEnv(def, ecs.EnvImage, w.pinned("huge")) },
		options: func(_ *world, o *verify.Options) { o.Accept = []string{"storage", "health-check"} },
		want:    []expectation{{"storage", rules.Warning, "ephemeralStorage.sizeInGiB", ""}}},

	{name: "a missing parameter", world: func(w *world) { w.deleteParameter("/shop/registry") },
		want: []expectation{{"parameter-exists", rules.Error, "containerDefinitions[web].secrets[CLIPPER_CREDENTIALS].valueFrom", "there is no parameter /shop/registry in eu-central-1"}}},
	{name: "a parameter elsewhere", definition: func(_ *world, def *ecs.Definition) {
		setSecret(def, "DATABASE", "arn:aws:ssm:us-east-1:123456789012:parameter/shop/database")
	}, want: []expectation{{"parameter-exists", rules.Error, "containerDefinitions[web].secrets[DATABASE].valueFrom", "in us-east-1"}}},
	{name: "a parameter of others", definition: func(_ *world, def *ecs.Definition) {
		setSecret(def, "DATABASE", "arn:aws:ssm:eu-central-1:999999999999:parameter/shop/database")
	}, want: []expectation{{"parameter-exists", rules.Unchecked, "containerDefinitions[web].secrets[DATABASE].valueFrom", "999999999999"}, {"role-reads-secret", rules.Error, "containerDefinitions[web].secrets[DATABASE].valueFrom", ""}}},
	{name: "a parameter whose name is its only level", world: func(w *world) { w.putParameter("/database", "to-the-database", "") }, definition: func(_ *world, def *ecs.Definition) {
		setSecret(def, "DATABASE", "arn:aws:ssm:eu-central-1:123456789012:parameter/database")
	}, want: []expectation{{"role-reads-secret", rules.Error, "containerDefinitions[web].secrets[DATABASE].valueFrom", "parameter/database"}}},
	{name: "a version of a parameter", definition: func(_ *world, def *ecs.Definition) { setSecret(def, "DATABASE", "/shop/registry:9") },
		want: []expectation{{"secret-version", rules.Error, "containerDefinitions[web].secrets[DATABASE].valueFrom", "no version 9"}}},
	{name: "a missing secret", definition: func(w *world, def *ecs.Definition) { setSecret(def, "TOKEN", w.secret+"x") },
		want: []expectation{{"secret-exists", rules.Error, "containerDefinitions[web].secrets[TOKEN].valueFrom", "there is no secret"}}},
	{name: "a secret that is to be deleted", world: func(w *world) { w.deleteSecret() }, definition: func(w *world, def *ecs.Definition) { setSecret(def, "TOKEN", w.secret) },
		want: []expectation{{"secret-exists", rules.Error, "containerDefinitions[web].secrets[TOKEN].valueFrom", "marked for deletion"}}},
	{name: "a secret's stage", definition: func(w *world, def *ecs.Definition) { setSecret(def, "TOKEN", w.secret+"::NEXT:") },
		want: []expectation{{"secret-version", rules.Error, "containerDefinitions[web].secrets[TOKEN].valueFrom", "staged as NEXT"}}},
	{name: "a secret's version", definition: func(w *world, def *ecs.Definition) { setSecret(def, "TOKEN", w.secret+":::v9") },
		want: []expectation{{"secret-version", rules.Error, "containerDefinitions[web].secrets[TOKEN].valueFrom", "no version v9"}}},
	{name: "a secret's member", definition: func(w *world, def *ecs.Definition) { setSecret(def, ecs.EnvCredentials, w.secret+":nothing::") },
		want: []expectation{{"image-credentials", rules.Error, "containerDefinitions[web].secrets[CLIPPER_CREDENTIALS].valueFrom", "no member nothing"}}},
	{name: "an empty member", definition: func(w *world, def *ecs.Definition) { setSecret(def, ecs.EnvCredentials, w.secret+":empty::") },
		want: []expectation{{"image-credentials", rules.Error, "containerDefinitions[web].secrets[CLIPPER_CREDENTIALS].valueFrom", "the value is empty"}}},
	{name: "credentials in a secret", definition: func(w *world, def *ecs.Definition) { setSecret(def, ecs.EnvCredentials, w.secret) }},
	{name: "credentials in a secret's member", definition: func(w *world, def *ecs.Definition) { setSecret(def, ecs.EnvCredentials, w.secret+":both::") }},

	{name: "a role that may not read it", world: func(w *world) { w.policy("execution", "read", nothing) },
		want: []expectation{{"role-reads-secret", rules.Error, "containerDefinitions[web].secrets[CLIPPER_CREDENTIALS].valueFrom", "may not ssm:GetParameters on arn:aws:ssm:eu-central-1:123456789012:parameter/shop/registry"}}},
	{name: "a role that may not decrypt it", world: func(w *world) { w.putParameter("/shop/registry", "robot:"+password, "1234-abcd") },
		want: []expectation{{"role-decrypts", rules.Error, "containerDefinitions[web].secrets[CLIPPER_CREDENTIALS].valueFrom", "kms:Decrypt on arn:aws:kms:eu-central-1:123456789012:key/1234-abcd"}}},
	{name: "a key of unknown ARN", world: func(w *world) { w.putParameter("/shop/registry", "robot:"+password, "alias/shop") },
		want: []expectation{{"role-decrypts", rules.Unchecked, "containerDefinitions[web].secrets[CLIPPER_CREDENTIALS].valueFrom", "alias/shop"}}},
	{name: "a role that may not log", world: func(w *world) { w.policy("execution", "logs", nothing) },
		want: []expectation{{"role-logs", rules.Error, "containerDefinitions[web].logConfiguration", "logs:PutLogEvents"}, {"role-logs", rules.Error, "containerDefinitions[web].logConfiguration", "logs:CreateLogStream"}}},
	{name: "a missing role", definition: func(_ *world, def *ecs.Definition) { def.Root().Set("executionRoleArn", roleARN("missing")) },
		want: []expectation{{"role-exists", rules.Error, "executionRoleArn", "there is no role missing"}}},
	{name: "a role's wrong path", definition: func(_ *world, def *ecs.Definition) { def.Root().Set("executionRoleArn", roleARN("ecs/execution")) },
		want: []expectation{{"role-exists", rules.Error, "executionRoleArn", "the role is " + roleARN("execution")}}},
	{name: "a role of others", definition: func(_ *world, def *ecs.Definition) {
		def.Root().Set("executionRoleArn", "arn:aws:iam::999999999999:role/execution")
	}, want: []expectation{{"pass-role", rules.Error, "executionRoleArn", "within its account alone"}}},
	{name: "a role for others", world: func(w *world) { w.trust("execution", `{"Service": ["ec2.amazonaws.com"]}`) },
		want: []expectation{{"role-trust", rules.Error, "executionRoleArn", "ecs-tasks.amazonaws.com may not assume"}}},
	{name: "a role by its name", definition: func(_ *world, def *ecs.Definition) { def.Root().Set("executionRoleArn", "execution") }},
	{name: "a caller who may not pass it", options: func(w *world, o *verify.Options) { o.AWS = w.as("deployer") },
		want: []expectation{{"pass-role", rules.Error, "executionRoleArn", roleARN("ci/deployer") + " may not pass"}}},
	{name: "ECR without a task role", definition: func(_ *world, def *ecs.Definition) {
		web(def).Delete("secrets")
		setEnv(def, ecs.EnvImage, "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop")
	}, options: func(_ *world, o *verify.Options) { o.Resolve, o.ReadCredentials = nil, false },
		want: []expectation{{"task-role-pulls", rules.Error, "containerDefinitions[web].environment", "neither credentials for it nor a task role"},
			{"image", rules.Warning, "containerDefinitions[web].environment", "not pinned"}}},
	{name: "ECR with a weak task role", definition: func(_ *world, def *ecs.Definition) {
		web(def).Delete("secrets")
		def.Root().Set("taskRoleArn", roleARN("ci/deployer"))
		setEnv(def, ecs.EnvImage, "123456789012.dkr.ecr.eu-central-1.amazonaws.com/shop")
	}, options: func(_ *world, o *verify.Options) { o.Resolve, o.ReadCredentials = nil, false },
		want: []expectation{{"task-role-pulls", rules.Error, "containerDefinitions[web].environment", "ecr:BatchGetImage on arn:aws:ecr:eu-central-1:123456789012:repository/shop"}}},
	{name: "a weak role for ECR", definition: func(_ *world, def *ecs.Definition) {
		replaceRunner(def, "123456789012.dkr.ecr.eu-central-1.amazonaws.com/runner:1")
	}, options: func(_ *world, o *verify.Options) { o.Resolve, o.ReadCredentials = nil, false },
		want: []expectation{{"role-pulls", rules.Error, "containerDefinitions[web].image", "ecr:GetAuthorizationToken on *"}}},
	{name: "a caller who may nothing", policed: true, options: func(w *world, o *verify.Options) { o.AWS, o.ReadCredentials = w.as("nobody"), false },
		want: []expectation{
			{"parameter-exists", rules.Unchecked, "containerDefinitions[web].secrets[CLIPPER_CREDENTIALS].valueFrom", "AccessDenied"},
			{"role-exists", rules.Unchecked, "executionRoleArn", "AccessDenied"},
			{"role-reads-secret", rules.Unchecked, "containerDefinitions[web].secrets[CLIPPER_CREDENTIALS].valueFrom", "AccessDenied"},
			{"role-logs", rules.Unchecked, "containerDefinitions[web].logConfiguration", "AccessDenied"},
			{"pass-role", rules.Unchecked, "executionRoleArn", "AccessDenied"},
			{"image-access", rules.Unchecked, "containerDefinitions[web].environment", ""}}},
}

// verify verifies the scenario's definition in a world that is as new.
func (s scenario) verify(t *testing.T, w *world) *verify.Report {
	t.Helper()
	def := w.definition()
	options := verify.Options{AWS: verify.FromConfig(w.Config()), Resolve: w.resolve, ReadCredentials: true}
	if s.world != nil {
		s.world(w)
	}
	if s.definition != nil {
		s.definition(w, def)
	}
	if s.options != nil {
		s.options(w, &options)
	}
	report, err := verify.Verify(t.Context(), def, options)
	if err != nil {
		t.Fatal(err)
	}
	keepsSecrets(t, report)
	return report
}

// unexpected are the findings that the scenario is not about: errors, and
// where nothing is wrong, any.
func (s scenario) unexpected(report *verify.Report) []rules.Finding {
	return slices.DeleteFunc(slices.Clone(report.Findings), func(f rules.Finding) bool {
		return f.Severity != rules.Error && s.want != nil || slices.ContainsFunc(s.want, func(e expectation) bool { return e.rule == f.Rule })
	})
}

// meets says whether a finding is the one that is expected.
func (e expectation) meets(f rules.Finding) bool {
	return f.Rule == e.rule && f.Severity == e.severity && f.Path == e.path && strings.Contains(f.Text, e.text)
}

// TestVerify climbs the ladder in a world where one thing is wrong, and finds
// that. Nothing that it prints has a secret in it.
func TestVerify(t *testing.T) {
	shared := newImages(t)
	for _, s := range scenarios {
		t.Run(s.name, func(t *testing.T) {
			report := s.verify(t, newFakeWorld(t, shared).world)
			for _, want := range s.want {
				if !slices.ContainsFunc(report.Findings, want.meets) {
					t.Errorf("%+v is not found", want)
				}
			}
			for _, f := range s.unexpected(report) {
				t.Errorf("%s %s is not expected", f.Severity, f)
			}
			refused := slices.ContainsFunc(s.want, func(e expectation) bool { return e.severity == rules.Error })
			if report.Refused() != refused || (report.Err() != nil) != refused {
				t.Errorf("refused: %v, %v", report.Refused(), report.Err())
			}
			if t.Failed() {
				t.Log(report.Text())
			}
		})
	}
}

// simulatedRules are those that IAM's simulation answers.
var simulatedRules = []string{"role-reads-secret", "role-decrypts", "role-logs", "role-pulls", "task-role-pulls", "pass-role"}

// TestSecondWitness climbs the ladder in another imitation of AWS, and finds
// the same. It has no simulation of policies: what that would have said is
// unchecked there, and only that.
func TestSecondWitness(t *testing.T) {
	shared := newImages(t)
	server := moto.Start(t, "../..")
	for _, s := range scenarios {
		if s.policed {
			continue
		}
		t.Run(s.name, func(t *testing.T) {
			if err := server.Reset(t.Context()); err != nil {
				t.Fatal(err)
			}
			report := s.verify(t, newWorld(t, server, shared))
			for _, want := range s.want {
				unsimulated := expectation{want.rule, rules.Unchecked, want.path, "IAM did not say whether"}
				if !slices.ContainsFunc(report.Findings, want.meets) && !(slices.Contains(simulatedRules, want.rule) && slices.ContainsFunc(report.Findings, unsimulated.meets)) {
					t.Errorf("%+v is not found", want)
				}
			}
			for _, f := range s.unexpected(report) {
				if f.Severity != rules.Unchecked || !slices.Contains(simulatedRules, f.Rule) {
					t.Errorf("%s %s is not expected", f.Severity, f)
				}
			}
			if t.Failed() {
				t.Log(report.Text())
			}
		})
	}
}

// keepsSecrets looks for secrets in all that is printed.
func keepsSecrets(t *testing.T, report *verify.Report) {
	t.Helper()
	text, err := json.Marshal(report)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range secrets {
		if all := string(text) + report.Text() + report.Markdown(); strings.Contains(all, secret) {
			t.Errorf("%s is printed: %s", secret, all)
		}
	}
}

// TestEveryRule: every rule that asks somebody is broken by a case, or names
// why nobody can be asked.
func TestEveryRule(t *testing.T) {
	for _, r := range verify.Table() {
		if !strings.HasPrefix(r.Doc, "https://docs.aws.amazon.com/") || r.Quote == "" || r.Remedy == "" || r.Severity == "" || r.Stage == "" {
			t.Errorf("%s is not complete: %+v", r.ID, r)
		}
		found := r.ID == "caller" // TestNobody
		for _, tt := range scenarios {
			found = found || slices.ContainsFunc(tt.want, func(e expectation) bool { return e.rule == r.ID && e.severity == rules.Error })
		}
		if !found {
			t.Errorf("no case breaks %s", r.ID)
		}
	}
}
