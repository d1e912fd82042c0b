package rules_test

import (
	"strings"
	"testing"

	"github.com/clipperregistry/runner/webhook/rules"
)

// TestCode: what strangers choose is a value, and never code.
func TestCode(t *testing.T) {
	for _, tt := range []struct {
		ecs string
		bad bool
	}{
		{`image: a, command: [sh, -c, "echo ${{ event.pull_request.title }}"]`, true},
		{`image: a, command: [bash, -euc, "git switch ${{ event.ref_name || 'main' }}"]`, true},
		{`image: a, command: [sh, -cx, "echo ${{ event.pull_request.title }}"]`, true},
		{`image: a, command: [bash, -c, --, "echo ${{ event.pull_request.title }}"]`, true},
		{`image: a, command: [bash, -O, extglob, -c, -e, "${{ event.ref }}"]`, true},
		{`image: a, command: [/usr/bin/env, -i, /bin/bash5.2, script.sh, "${{ event.ref }}"]`, true},
		{`image: a, command: [timeout, "60", dash, "-c${{ event.ref }}"]`, true},
		{`image: a, command: [node, --eval, "${{ event.label }}"]`, true},
		{`image: a, command: [node, "--eval=${{ event.label }}"]`, true},
		{`image: a, command: [node, -p, "${{ event.label }}"]`, true},
		{`image: a, command: [perl, -E, "${{ event.label }}"]`, true},
		{`image: a, command: [php8.3, -r, "${{ event.label }}"]`, true},
		{`image: a, command: [python3.12, -Ic, "${{ event.label }}"]`, true},
		{`image: a, command: [awk, "${{ event.label }}", file]`, true},
		{`image: a, command: [make, test, "REF=${{ event.ref }}"]`, true},
		{`image: a, command: [/tool, -c, --, "${{ event.ref }}"]`, true},
		{`image: a, command: ["${{ event.ref }}"], entrypoint: [sh, -c]`, true},
		{`image: a, command: [x, "${{ event.ref }}"], entrypoint: [/bin/sh, -cx]`, true},
		{`image: a, command: ["${{ event.ref }}"]`, true},
		{`image: node, command: [--print, "${{ event.ref }}"]`, true},
		{`image: a, services: { db: { image: b, command: [sh, -c, "${{ event.ref }}"] } }`, true},
		{`image: a, services: { db: { image: b, command: [-c, "${{ event.ref }}"] } }`, true},
		{`image: a, command: [sh, -c, "git switch ${{ event.head_sha }}"]`, false},
		{`image: a, command: [sh, -c, "echo $TITLE"], env: { TITLE: "${{ event.pull_request.title }}" }`, false},
		{`image: a, command: [/bench, --ref, "${{ event.ref }}"]`, false},
		{`image: a, command: [/bench, "--ref=${{ event.ref }}", -v]`, false},
		{`image: a, command: [--ref, "${{ event.ref }}"], entrypoint: [/bench]`, false},
		{`image: a, command: [/push, "${{ event.ref }}", --shell, sh]`, false},
	} {
		_, problems := rules.ParseConfig([]byte(rule(onPush + "  run: { ecs: { " + tt.ecs + " } }")))
		if bad := strings.Contains(problems.Error(), "strangers choose what is in"); bad != tt.bad {
			t.Errorf("%s: %v", tt.ecs, problems)
		}
	}
}
