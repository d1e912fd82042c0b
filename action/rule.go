package action

import (
	"slices"
	"strings"

	"github.com/clipperregistry/runner/action/oidc"
	"github.com/clipperregistry/runner/runnerimage"
)

// verdict says what becomes of a variable of an image.
type verdict uint8

const (
	pass   verdict = iota
	silent         // as in any container: nobody misses it
	filter         // steps must not get it from an image
	warn           // steps want it, and GitHub refuses it
)

// rule is a row of the table below: a name, or all that begin with a prefix.
type rule struct {
	names    []string
	prefixes []string
	anyCase  bool
	verdict  verdict
	reason   string
}

const (
	reasonRunner = "GitHub's runner sets it"
	reasonOwn    = "it is a setting of the runner image, and an image must not choose where credentials go"
	// Everything in GITHUB_ENV is in the environment of the docker command by
	// which the runner starts every later step, on the host.
	reasonDocker = "it would change the docker command on the host that starts every later step; set it inside the script of the step that needs it"
	reasonNode   = "GitHub refuses it for all steps; give it to the step that needs it, by env:"
)

var rules = []rule{
	{names: []string{"HOME", "HOSTNAME", "PWD", "OLDPWD", "SHLVL", "_"}, verdict: silent},
	{names: []string{"NODE_OPTIONS"}, anyCase: true, verdict: warn, reason: reasonNode},
	{names: []string{"CI"}, prefixes: []string{"GITHUB_", "RUNNER_", "ACTIONS_", "INPUT_", "STATE_"}, verdict: filter, reason: reasonRunner},
	{names: slices.Concat(runnerimage.OwnNames(), oidc.Names()), verdict: filter, reason: reasonOwn},
	{prefixes: []string{"DOCKER_"}, verdict: filter, reason: reasonDocker},
	// The docker command is a Go program.
	{names: []string{"GOMEMLIMIT", "GOGC", "GODEBUG", "GOTRACEBACK", "GOMAXPROCS"}, verdict: filter, reason: reasonDocker},
	{names: []string{"LD_PRELOAD", "LD_AUDIT"}, verdict: filter, reason: reasonDocker},
	{names: []string{"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "ALL_PROXY", "FTP_PROXY"}, anyCase: true, verdict: filter, reason: reasonDocker},
	{prefixes: []string{"OTEL_"}, verdict: filter, reason: reasonDocker},
}

// ruleFor finds the row that a name meets, the zero rule if there is none.
func ruleFor(name string) rule {
	for _, r := range rules {
		n := name
		if r.anyCase {
			n = strings.ToUpper(name)
		}
		if slices.Contains(r.names, n) || slices.ContainsFunc(r.prefixes, func(p string) bool { return strings.HasPrefix(n, p) }) {
			return r
		}
	}
	return rule{}
}
