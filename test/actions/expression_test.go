package actions

import (
	"strings"
	"testing"
)

func testScope() scope {
	return scope{
		contexts: map[string]any{
			"env":    envContext{"A": "one", "EMPTY": ""},
			"steps":  map[string]any{"pull": map[string]any{"outputs": map[string]any{"bytes-pulled": "12"}, "outcome": "success"}},
			"matrix": map[string]any{"n": 2.0, "flag": true, "list": []any{"x", "y"}},
		},
		status: func(function string) bool { return function == "always" || function == "failure" },
	}
}

func TestExpand(t *testing.T) {
	for text, want := range map[string]string{
		"no expression":                                        "no expression",
		"<${{ env.A }}>${{env.EMPTY}}":                         "<one>",
		"${{ env.a }}":                                         "", // names of variables have a case
		"${{ ENV.A }}":                                         "one",
		"${{ steps.pull.outputs.bytes-pulled }}":               "12",
		"${{ steps['pull'].outputs['BYTES-PULLED'] }}":         "12",
		"${{ steps.none.outputs.x }}":                          "", // null
		"${{ matrix.n }} ${{ matrix.flag }}":                   "2 true",
		"${{ matrix.list[1] }}":                                "y",
		"${{ 'it''s }} here' }}":                               "it's }} here",
		"${{ env.EMPTY || 'default' }}":                        "default",
		"${{ matrix.flag && 'yes' || 'no' }}":                  "yes",
		"${{ env.A == 'ONE' }}":                                "true",
		"${{ env.A != 'two' && !env.EMPTY }}":                  "true",
		"${{ '12' == 12 }} ${{ '' == 0 }} ${{ null == '' }}":   "true true true",
		"${{ (1 == 2) == false }}":                             "true",
		"${{ format('{0}/{1} {{}}', env.A, 3) }}":              "one/3 {}",
		"${{ toJSON(env) }}":                                   "{\n  \"A\": \"one\",\n  \"EMPTY\": \"\"\n}",
		"${{ toJSON('<&>') }}":                                 `"<&>"`,
		"${{ startsWith('Debian', 'deb') }}":                   "true",
		"${{ fromJSON('{\"a\": [1, 2]}').a[1] }}":              "2",
		"${{ contains('abc', 'B') && endsWith('abc', 'bc') }}": "true",
	} {
		if got, err := testScope().expand(text); err != nil || got != want {
			t.Errorf("%s is %q (%v), want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"${{ github.ref }}":          "Unrecognized named-value: 'github'",
		"${{ hashFiles('go.sum') }}": "Unrecognized function: 'hashfiles'",
		"${{ env.A":                  "not closed",
		"${{ }}":                     "Unexpected end",
		"${{ env.A env.A }}":         "Unexpected symbol",
		"${{ matrix.* }}":            "Unexpected symbol",
		"${{ 1 < 2 }}":               "does not compare",
		"${{ 'open }}":               "not closed",
		"${{ format('{1}', 'x') }}":  "names no argument",
		"${{ (env.A }}":              "is expected",
		"${{ \"double quotes\" }}":   "Unexpected symbol",
		"${{ env.A == }}":            "Unexpected end",
	} {
		if got, err := testScope().expand(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is %q (%v), want the error %q", text, got, err, want)
		}
	}
}

func TestCondition(t *testing.T) {
	for text, want := range map[string]bool{
		"":                            false, // success()
		"true":                        false,
		"env.A == 'one'":              false,
		"always()":                    true,
		"${{ always() }}":             true,
		"failure() && env.A == 'one'": true,
		"!success()":                  true,
		"failure() && env.A == 'two'": false,
	} {
		if got, err := testScope().condition(text); err != nil || got != want {
			t.Errorf("if: %q is %v (%v), want %v", text, got, err, want)
		}
	}
}

func FuzzExpand(f *testing.F) {
	f.Add("${{ env.A || matrix.list[0] }}")
	f.Add("${{ format('{0}', (1)) }}")
	f.Fuzz(func(t *testing.T, text string) {
		if got, err := testScope().expand(text); err == nil && !strings.Contains(text, "${{") && got != text {
			t.Errorf("%q became %q", text, got)
		}
	})
}
