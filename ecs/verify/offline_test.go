package verify_test

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/ecs/verify"
)

// large is a definition of nearly 64 KiB, rendered.
func large(tb testing.TB) *ecs.Definition {
	tb.Helper()
	var b strings.Builder
	b.WriteString(`{"family": "large", "requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "1024", "memory": "2048", "executionRoleArn": "arn:aws:iam::123456789012:role/e", "containerDefinitions": [`)
	for i := range 10 {
		if i > 0 {
			b.WriteString(",")
		}
		b.WriteString(`{"name": "c` + string(rune('0'+i)) + `", "image": "acme/web:1", "healthCheck": {"command": ["CMD", "true"]}, "environment": [`)
		for j := range 85 {
			if j > 0 {
				b.WriteString(",")
			}
			b.WriteString(`{"name": "VARIABLE_` + strings.Repeat("X", j) + `", "value": "a"}`)
		}
		b.WriteString("]}")
	}
	b.WriteString("]}")
	def, err := ecs.Parse([]byte(b.String()))
	if err != nil {
		tb.Fatal(err)
	}
	rendered, _, err := ecs.Render(tb.Context(), def, ecs.Options{Containers: []string{"c0", "c1"}})
	if err != nil {
		tb.Fatal(err)
	}
	if text, err := rendered.MarshalJSON(); err != nil || len(text) < 60<<10 || len(text) > ecs.MaxSize {
		tb.Fatalf("%d bytes, %v", len(text), err)
	}
	return rendered
}

func TestLarge(t *testing.T) {
	report, err := verify.Verify(t.Context(), large(t), verify.Options{})
	if err != nil || rules.Worst(report.Findings) == rules.Error {
		t.Errorf("%v, %s", err, report.Text())
	}
}

// BenchmarkOffline verifies a definition as large as ECS takes, without asking
// anybody.
func BenchmarkOffline(b *testing.B) {
	def := large(b)
	for b.Loop() {
		if _, err := verify.Verify(b.Context(), def, verify.Options{}); err != nil {
			b.Fatal(err)
		}
	}
}
