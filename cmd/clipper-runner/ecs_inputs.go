package main

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/action"
	"github.com/clipperregistry/runner/runnerimage"
)

// form is how an input is written.
type form int

const (
	word    form = iota // one value
	lines               // a value in each line
	yes                 // true for the flag, false for none
	no                  // false for --no-…, true for none
	operand             // no flag: what the command is about
	array               // a JSON array of words, behind the operand
	setting             // a variable of the command's environment
	written             // where the step writes
)

// ecsInputs are the inputs of ecs/action.yml: flags of the ecs commands under
// their own names, and which commands take them. TestECSManifest compares.
var ecsInputs = []struct {
	name string
	form form
	of   []string
}{
	{"task-definition", operand, defining},
	{"env", lines, all},
	{"credentials", lines, defining},
	{"container", lines, all},
	{"runner-image", word, defining},
	{"store", word, defining},
	{"health-check", yes, defining},
	{"resolve", no, all},
	{"pull-rate", word, defining},
	{"allow", lines, defining},
	{"output", written, []string{"render", "deploy"}},
	{"accept", lines, []string{"verify", "deploy"}},
	{"read-credentials", yes, []string{"verify"}},
	{"region", word, all},
	{"cluster", word, []string{"deploy", "run"}},
	{"service", word, []string{"deploy"}},
	{"service-file", word, []string{"deploy"}},
	{"desired-count", word, []string{"deploy"}},
	{"force", yes, []string{"deploy"}},
	{"verify", no, []string{"deploy"}},
	{"rollback", yes, []string{"deploy"}},
	{"rollback-on-cancel", yes, []string{"deploy"}},
	{"give-up", word, []string{"deploy"}},
	{"on-pause", word, []string{"deploy"}},
	{"wait", no, []string{"deploy", "run"}},
	{"timeout", word, []string{"deploy", "run"}},
	{"poll", word, []string{"deploy", "run"}},
	{"family", operand, []string{"run"}},
	{"image", word, []string{"run"}},
	{"args", array, []string{"run"}},
	{"token", word, []string{"run"}},
	{"like", word, []string{"run"}},
	{"launch-type", word, []string{"run"}},
	{"subnet", lines, []string{"run"}},
	{"security-group", lines, []string{"run"}},
	{"public-ip", yes, []string{"run"}},
	{"save", written, []string{"run"}},
	{"registry-credentials", setting, all},
	{"registry", setting, all},
}

var (
	defining = []string{"render", "verify", "deploy"}
	all      = []string{"render", "verify", "deploy", "run"}
)

// ecsOrder is what the inputs of a step ask for.
type ecsOrder struct {
	command string
	values  map[string]string
}

// parseECSInputs reads the inputs from the step's environment.
func parseECSInputs(job map[string]string) (ecsOrder, error) {
	o := ecsOrder{command: strings.TrimSpace(action.Input(job, "command")), values: map[string]string{}}
	if !slices.Contains(all, o.command) {
		return o, fmt.Errorf("%w: input command: %.80q is none of %s", runnerimage.ErrSettings, o.command, strings.Join(all, ", "))
	}
	for _, in := range ecsInputs {
		value := action.Input(job, in.name)
		if value == "" {
			continue
		}
		if !slices.Contains(in.of, o.command) {
			return o, fmt.Errorf("%w: input %s: it is for %s, and not for %s", runnerimage.ErrSettings, in.name, strings.Join(in.of, ", "), o.command)
		}
		if in.form == yes || in.form == no {
			if value = strings.ToLower(strings.TrimSpace(value)); value != "true" && value != "false" {
				return o, fmt.Errorf("%w: input %s: %.80q is neither true nor false", runnerimage.ErrSettings, in.name, value)
			}
		}
		o.values[in.name] = value
	}
	return o, o.complete()
}

// complete finds what is missing.
func (o ecsOrder) complete() error {
	for _, need := range []struct{ command, name string }{
		{"render", "task-definition"}, {"verify", "task-definition"}, {"deploy", "task-definition"}, {"deploy", "service"}, {"run", "family"},
	} {
		if need.command == o.command && o.values[need.name] == "" {
			return fmt.Errorf("%w: input %s: %s needs it", runnerimage.ErrSettings, need.name, o.command)
		}
	}
	return nil
}

// flags are those of the inputs that a command takes.
func (o ecsOrder) flags(command string) []string {
	var flags []string
	for _, in := range ecsInputs {
		value := o.values[in.name]
		if value == "" || !slices.Contains(in.of, command) {
			continue
		}
		switch in.form {
		case word:
			flags = append(flags, "--"+in.name+"="+strings.TrimSpace(value))
		case lines:
			for line := range strings.Lines(value) {
				if line = strings.TrimSpace(line); line != "" {
					flags = append(flags, "--"+in.name+"="+line)
				}
			}
		case yes:
			if value == "true" {
				flags = append(flags, "--"+in.name)
			}
		case no:
			if value == "false" {
				flags = append(flags, "--no-"+in.name)
			}
		}
	}
	return flags
}

// args is the input args.
func (o ecsOrder) args() (args []string, err error) {
	if text := o.values["args"]; text != "" {
		if json.Unmarshal([]byte(text), &args) != nil || len(args) == 0 {
			return nil, fmt.Errorf(`%w: input args is not a JSON array of strings such as ["./migrate", "up"]`, runnerimage.ErrSettings)
		}
	}
	return args, nil
}

// environ is the environment of the commands: the step's, without the inputs,
// and with what registries are asked with.
func (o ecsOrder) environ() []string {
	env := slices.DeleteFunc(os.Environ(), func(entry string) bool { return strings.HasPrefix(entry, "INPUT_") })
	for name, variable := range map[string]string{"registry-credentials": "CLIPPER_CREDENTIALS", "registry": "CLIPPER_CREDENTIALS_REGISTRY"} {
		if value := strings.TrimSpace(o.values[name]); value != "" {
			env = append(env, variable+"="+value)
		}
	}
	return append(env, "CLIPPER_LOG=text") // its errors are read
}
