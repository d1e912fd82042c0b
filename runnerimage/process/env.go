package process

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strings"
)

const (
	// BakedPath is the one variable that the runner image's config sets. A
	// PATH of just this value is not the user's.
	BakedPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/.clipper-runner/bin"
	// BakedHome is root's home in the runner image's passwd. A HOME of just
	// this value was set by the engine.
	BakedHome = "/.clipper-runner/home"

	// defaultPath is what Docker gives to an image without a PATH.
	defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
	// engineTerm is what engines set with a terminal.
	engineTerm = "xterm"
)

// GivenEnv is the environment this process was started with, for
// Overrides.Env. os.Environ is not: in a set-uid program Go puts
// GOTRACEBACK=none into it.
func GivenEnv() ([]string, error) {
	block, err := os.ReadFile("/proc/self/environ")
	if err != nil {
		return nil, fmt.Errorf("read own environment: %w", err)
	}
	var env []string
	for kv := range bytes.SplitSeq(block, []byte{0}) {
		if len(kv) > 0 {
			env = append(env, string(kv))
		}
	}
	return env, nil
}

// Environment is the environment of the image's program: image holds the
// image's ENV, home the home in its passwd of the user the program runs as.
// Of o it uses Env, Own and Hostname.
//
// What the user gave wins over the image, the image over what the engine set
// by itself. An engine's value cannot be told from the same value given by a
// user: PATH of BakedPath, HOSTNAME of the actual hostname, TERM=xterm and HOME
// of BakedHome, "/" or "" are taken as the engine's.
//
// The order is Docker's: PATH, the variables given in their order, the image's
// others, HOME last if nobody set it. Of duplicates the last value counts, at
// the place of the first. The result never contains /.clipper-runner/bin by
// itself: PATH is exactly what Docker would give.
func Environment(image []string, o Overrides, home string) []string {
	var env environment
	env.set("PATH", defaultPath)
	engine := map[string]bool{"PATH": true}
	for _, kv := range o.Env {
		name, value, ok := strings.Cut(kv, "=")
		switch {
		case !ok || slices.Contains(o.Own, name):
			continue
		case name == "PATH" && value == BakedPath, name == "HOME" && engineHome(value):
			continue
		}
		env.set(name, value)
		engine[name] = name == "HOSTNAME" && value == o.Hostname || name == "TERM" && value == engineTerm
	}

	given := make(map[string]bool, len(env.index))
	for name := range env.index {
		given[name] = !engine[name]
	}
	for _, kv := range image {
		name, value, ok := strings.Cut(kv, "=")
		switch {
		case given[name]:
		case ok:
			env.set(name, value)
		default: // A name alone takes the engine's value away.
			env.unset(name)
		}
	}

	if value, _ := env.get("HOME"); value == "" {
		env.set("HOME", home)
	}
	return env.list
}

func engineHome(value string) bool {
	return value == BakedHome || value == "/" || value == ""
}

// environment is a list of KEY=VALUE without duplicates.
type environment struct {
	list  []string
	index map[string]int
}

func (e *environment) get(name string) (string, bool) {
	i, ok := e.index[name]
	if !ok {
		return "", false
	}
	return e.list[i][len(name)+1:], true
}

func (e *environment) set(name, value string) {
	kv := name + "=" + value
	if i, ok := e.index[name]; ok {
		e.list[i] = kv
		return
	}
	if e.index == nil {
		e.index = map[string]int{}
	}
	e.index[name] = len(e.list)
	e.list = append(e.list, kv)
}

func (e *environment) unset(name string) {
	i, ok := e.index[name]
	if !ok {
		return
	}
	e.list = slices.Delete(e.list, i, i+1)
	delete(e.index, name)
	for other, j := range e.index {
		if j > i {
			e.index[other] = j - 1
		}
	}
}

// lookupEnv finds the value of a name in a list without duplicates.
func lookupEnv(env []string, name string) (string, bool) {
	for _, kv := range env {
		if value, ok := strings.CutPrefix(kv, name+"="); ok {
			return value, true
		}
	}
	return "", false
}
