package action

import (
	"fmt"
	"slices"
	"strings"

	"github.com/clipperregistry/runner/runnerimage/process"
)

// Plan is what makes an image's environment that of the job's later steps, as
// far as it can be that.
type Plan struct {
	// Path are the lines for GITHUB_PATH, in the order to write them: the runner
	// puts each in front of those before it.
	Path []string
	// Env are the variables for GITHUB_ENV, in the image's order.
	Env []Pair
	// Kept are variables of the image that the workflow has set otherwise.
	Kept []string
	// Filtered are variables that steps must not get from an image, Warned are
	// those that steps would want and cannot be given.
	Filtered, Warned []Notice
}

// Notice names a variable that is not passed on, and says why and what to do.
type Notice struct{ Name, Reason string }

const (
	// maxEntry bounds a variable. The runner hands it to the host's docker
	// command, and the kernel executes nothing with one of 128 KiB: every later
	// step would fail.
	maxEntry = 120 << 10
	// maxEnv bounds all of an image's variables together, for the same reason:
	// the kernel's limit of 2 MiB must hold the job's own as well.
	maxEnv = 1 << 20
)

// NewPlan decides which of image, the image's ENV ("NAME=value"), reaches later
// steps, and how. job is the environment of this step: what it holds already is
// the workflow's and stays as it is, since GITHUB_ENV would win over it, and an
// image's ENV never does.
func NewPlan(image []string, job map[string]string) Plan {
	var p Plan
	var total int
	for _, v := range variables(image) {
		given, isGiven := job[v.Name]
		size := len(v.Name) + len("=") + len(v.Value) + len("\x00")
		r := ruleFor(v.Name)
		switch {
		case v.Name == "PATH":
			p.path(v.Value, job["PATH"])
		case r.verdict == silent:
		case isGiven:
			if given != v.Value && r.verdict == pass {
				p.Kept = append(p.Kept, v.Name)
			}
		case r.verdict == filter:
			p.Filtered = append(p.Filtered, Notice{v.Name, r.reason})
		case r.verdict == warn:
			p.Warned = append(p.Warned, Notice{v.Name, r.reason})
		case unfit(v) != "":
			p.Warned = append(p.Warned, Notice{fmt.Sprintf("%.80q", v.Name), unfit(v)})
		case size > maxEntry:
			p.Warned = append(p.Warned, Notice{v.Name, fmt.Sprintf("its %d bytes are more than a step can be started with; set it inside the step's script", size)})
		case total+size > maxEnv:
			p.Warned = append(p.Warned, Notice{v.Name, "the image's variables together are more than a step can be started with; set it inside the step's script"})
		default:
			total += size
			p.Env = append(p.Env, v)
		}
	}
	if value := job[envCredentials]; value != "" && value != noCredentials {
		// A token given to the container is in the environment of every step.
		p.Env = append(p.Env, Pair{envCredentials, noCredentials})
	}
	return p
}

const (
	envCredentials = "CLIPPER_CREDENTIALS"
	noCredentials  = "-"
)

// variables splits an image's ENV. Of duplicates the last value counts, at the
// place of the first; an entry without "=" sets nothing.
func variables(image []string) []Pair {
	var list []Pair
	for _, entry := range image {
		name, value, ok := strings.Cut(entry, "=")
		if !ok {
			continue
		}
		if i := slices.IndexFunc(list, func(v Pair) bool { return v.Name == name }); i >= 0 {
			list[i].Value = value
			continue
		}
		list = append(list, Pair{name, value})
	}
	return list
}

// path plans GITHUB_PATH, so that steps get the PATH of a container of the
// image itself: what steps before this one have put in front, the image's own,
// and last the runner image's. It must not be GITHUB_ENV: the runner drops a
// PATH from there as soon as anybody uses GITHUB_PATH, and a step that is a
// container action of its own would get the image's.
func (p *Plan) path(image, job string) {
	var own []string
	for _, dir := range strings.Split(image, ":") {
		switch {
		case dir == "" || slices.Contains(own, dir):
		case unfitLine(dir) != "":
			p.Warned = append(p.Warned, Notice{fmt.Sprintf("directory %.80q of PATH", dir), unfitLine(dir)})
		default:
			own = append(own, dir)
		}
	}
	front, baked := strings.CutSuffix(":"+job, ":"+process.BakedPath)
	if !baked {
		if job != image {
			p.Kept = append(p.Kept, "PATH")
		}
		return
	}
	before := strings.Split(strings.TrimPrefix(front, ":"), ":")
	if front == "" {
		before = nil
	}
	// A step that ran before, or Docker's default, may have said it all.
	if startsWith(strings.Split(process.BakedPath, ":"), own) || endsWith(before, own) {
		return
	}
	for _, dir := range before {
		if dir != "" && !slices.Contains(own, dir) {
			p.Path = append(p.Path, dir)
		}
	}
	p.Path = append(p.Path, own...)
	slices.Reverse(p.Path)
}

func startsWith(list, part []string) bool {
	return len(list) >= len(part) && slices.Equal(list[:len(part)], part)
}

func endsWith(list, part []string) bool {
	return len(list) >= len(part) && slices.Equal(list[len(list)-len(part):], part)
}

// UserNotice warns where the image asks for another user than steps have:
// docker exec, by which GitHub starts them, knows the runner image's only. user
// is the image's USER, wants its uid, and uid that of this step.
func UserNotice(user string, wants, uid int) (Notice, bool) {
	if user == "" || wants == uid {
		return Notice{}, false
	}
	return Notice{"USER", fmt.Sprintf("the image's user is %.80q (%d), and steps run as %d; give the job's container \"options: --user %[2]d\" to run them as the image's", user, wants, uid)}, true
}
