package task_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/ssm"

	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/test/ecsfake"
	"github.com/clipperregistry/runner/webhook/task"
)

// TestSecretsAreHidden: what a program prints of its secrets is in no log.
func TestSecretsAreHidden(t *testing.T) {
	w := newWorld(t)
	name, value := "deploy", `{"key": "open+sesame/42", "user": "ali-baba"}`
	created, err := secretsmanager.NewFromConfig(w.Config()).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
	w.role = w.trusted(t, "reader", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["ssm:GetParameters", "secretsmanager:GetSecretValue", "logs:*"], "Resource": "*"}}`)
	described := w.task(`echo "key $KEY"; echo "token $TOKEN"; printf "x%s" "$KEY" | base64; echo "?q=open%2Bsesame%2F42"; echo done`)
	described.Secrets = map[string]string{"KEY": *created.ARN + ":key::", "TOKEN": w.parameter(t, "/token", "let-me-in")}
	j := task.Of(run("hidden"), described)
	arn := w.start(t, j)
	w.ends(t, arn, j)

	const want = "\nrun: key ***\nrun: token ***\nrun: eG***\nrun: ?q=***\nrun: done"
	if got := w.lines(t, arn, j); !strings.HasSuffix(got, want) {
		t.Errorf("the log is\n%s", got)
	}
	var followed []string
	if err := w.Follow(t.Context(), arn, j, time.Time{}, func(l watch.Line) { followed = append(followed, l.Container+": "+l.Text) }); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(followed, "\n"); !strings.HasSuffix(got, want) {
		t.Errorf("followed, it is\n%s", got)
	}
	if n := w.Calls("secretsmanager:GetSecretValue"); n > 2 {
		t.Errorf("the secret was read %d times", n)
	}
}

// TestSecretsUnread: a log is not shown while a secret that may be in it cannot
// be read, and says so itself if that will stay.
func TestSecretsUnread(t *testing.T) {
	w := newWorld(t)
	described := w.task(`echo "token $TOKEN"; echo "and again $TOKEN"`)
	described.Secrets = map[string]string{"TOKEN": w.parameter(t, "/token", "let-me-in")}
	j := task.Of(run("unread"), described)
	arn := w.start(t, j)
	w.ends(t, arn, j)

	w.Inject(ecsfake.Fault{Operation: "ssm:GetParameter", Code: "InternalServerError", Status: 500, Times: 100})
	if lines, err := w.Tail(t.Context(), arn, j, 10); err == nil {
		t.Errorf("shown: %v", lines)
	}
	w.Heal()
	stranger, err := w.ConfigAs(w.trusted(t, "stranger", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "logs:*", "Resource": "*"}}`))
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	w.Tasks.Log = slog.New(slog.NewTextHandler(&log, nil))
	w.Parameters = func(string) task.Parameters { return ssm.NewFromConfig(stranger) }
	const want = "run: clipper-runner: the log is withheld: the secret in TOKEN could not be hidden in it, since the service's role lacks ssm:GetParameter for it"
	if got := w.lines(t, arn, j); got != want {
		t.Errorf("the log is\n%s", got)
	}
	for since, want := range map[time.Time]string{{}: want, time.Now(): ""} {
		var followed []string
		if err := w.Follow(t.Context(), arn, j, since, func(l watch.Line) { followed = append(followed, l.Container+": "+l.Text) }); err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(followed, "\n"); got != want {
			t.Errorf("followed since %v, it is\n%s", since, got)
		}
	}
	if !strings.Contains(log.String(), "AccessDenied") || !strings.Contains(log.String(), "/token") || strings.Contains(log.String(), "let-me-in") {
		t.Errorf("the service's log is %s", log.String())
	}
	if n := strings.Count(log.String(), "\n"); n != 1 {
		t.Errorf("it was told %d times", n)
	}
}

// TestNumbersAreHidden: a secret that is a member of another and no string is
// hidden as ECS gives it to the program.
func TestNumbersAreHidden(t *testing.T) {
	w := newWorld(t)
	name, value := "numbers", `{"pin": 48151623}`
	created, err := secretsmanager.NewFromConfig(w.Config()).CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: &name, SecretString: &value})
	if err != nil {
		t.Fatal(err)
	}
	w.role = w.trusted(t, "reader", `{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue", "logs:*"], "Resource": "*"}}`)
	described := w.task(`echo "pin $PIN"`)
	described.Secrets = map[string]string{"PIN": *created.ARN + ":pin::"}
	j := task.Of(run("numbers"), described)
	arn := w.start(t, j)
	w.ends(t, arn, j)
	if got := w.lines(t, arn, j); !strings.HasSuffix(got, "\nrun: pin ***") {
		t.Errorf("the log is\n%s", got)
	}
}

// TestSecretsGone: what a secret was that is deleted is not known either.
func TestSecretsGone(t *testing.T) {
	w := newWorld(t)
	described := w.task(`echo "token $TOKEN"`)
	described.Secrets = map[string]string{"TOKEN": w.parameter(t, "/gone", "let-me-in")}
	j := task.Of(run("gone"), described)
	arn := w.start(t, j)
	w.ends(t, arn, j)
	name := "/gone"
	if _, err := ssm.NewFromConfig(w.Config()).DeleteParameter(t.Context(), &ssm.DeleteParameterInput{Name: &name}); err != nil {
		t.Fatal(err)
	}
	if got := w.lines(t, arn, j); !strings.HasSuffix(got, "since it is not there any more") || strings.Contains(got, "let-me-in") {
		t.Errorf("the log is\n%s", got)
	}
}
