package watch

import (
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecs/types"
)

// codes are the runner's own exit codes in words.
var codes = map[int32]string{
	80:  "the runner, or its machine, has a defect",
	81:  "the registry refused the credentials, or wants some",
	82:  "the registry has no such image",
	83:  "the image has no build for this platform",
	84:  "the disk is full: raise ephemeralStorage",
	85:  "the registry cannot be reached from the task's network",
	86:  "bytes of the image are not what their digest says",
	87:  "a setting of the runner is missing or wrong",
	88:  "the image cannot run in this container",
	89:  "the task was stopped before the program started",
	126: "the program is in the image and cannot be executed",
	127: "the program is not in the image",
}

// ExitWords says what an exit code means, "" if it is the program's own.
func (p Part) ExitWords(code int32) string {
	if words := codes[code]; words != "" && p.Moved {
		return words
	}
	switch code {
	case 137:
		return "killed (SIGKILL): out of memory, or slower to stop than stopTimeout"
	case 139:
		return "a segmentation fault (SIGSEGV)"
	case 143:
		return "terminated (SIGTERM)"
	}
	return ""
}

// Ending says why a task stopped: ECS's reason, and what became of every
// container that did not end well, in the runner's own words where there are
// any.
func Ending(task types.Task, parts []Part, seen Seen) string {
	var b strings.Builder
	b.WriteString("stopped")
	if task.StopCode != "" {
		fmt.Fprintf(&b, " (%s)", task.StopCode)
	}
	if reason := aws.ToString(task.StoppedReason); reason != "" {
		fmt.Fprintf(&b, ": %s", reason)
	}
	for _, p := range known(task, parts) {
		if text := p.end(container(task, p.Name), seen); text != "" {
			fmt.Fprintf(&b, "; container %s: %s", p.Name, text)
		}
	}
	return b.String()
}

// failedTask says whether a task stopped though its service wanted it: neither
// a person nor ECS, which scales in with a reason of its own, had it stopped
// (https://docs.aws.amazon.com/AmazonECS/latest/developerguide/stopped-task-error-codes.html).
func failedTask(task types.Task) bool {
	switch task.StopCode {
	case types.TaskStopCodeTaskFailedToStart, types.TaskStopCodeEssentialContainerExited:
		return stopped(task)
	case types.TaskStopCodeServiceSchedulerInitiated:
		return stopped(task) && !strings.HasPrefix(aws.ToString(task.StoppedReason), "Scaling activity initiated by")
	}
	return false
}

// failed says whether the container of a task ended as a runner does that could
// not start the program.
func (p Part) failed(task types.Task, seen Seen) bool {
	code := container(task, p.Name).ExitCode
	return stopped(task) && p.Moved && !seen.began(p.Name) && code != nil && *code != interrupted && codes[*code] != ""
}

// interrupted is the exit code of a runner that was told to stop.
const interrupted = 89

// end is what became of a container, "" if nothing is wrong with it.
func (p Part) end(c types.Container, seen Seen) string {
	var said []string
	p.Moved = p.Moved && !seen.began(p.Name)
	if reason := aws.ToString(c.Reason); reason != "" {
		said = append(said, reason)
	}
	if c.ExitCode != nil && *c.ExitCode != 0 {
		said = append(said, fmt.Sprintf("exit code %d", *c.ExitCode))
		if words := p.ExitWords(*c.ExitCode); words != "" {
			said = append(said, words)
		}
		if f := seen.Failures[p.Name]; f.ExitCode == *c.ExitCode {
			said = append(said, f.Text)
		}
	}
	return strings.Join(said, ": ")
}

// known are the parts, or what the task itself tells of them.
func known(task types.Task, parts []Part) []Part {
	if len(parts) > 0 {
		return parts
	}
	for _, c := range task.Containers {
		parts = append(parts, Part{Name: aws.ToString(c.Name), Essential: true})
	}
	return parts
}

// ExitCode is the exit code of a stopped task: that of the first essential
// container, in the definition's order, that failed. When one has ended well,
// ECS ends the others by SIGTERM and SIGKILL: that is no failure. It is 1 if
// the task failed and no container says how.
func ExitCode(task types.Task, parts []Part) int {
	well, killed := false, 0
	for _, p := range known(task, parts) {
		c := container(task, p.Name)
		switch {
		case !p.Essential || c.ExitCode == nil:
		case *c.ExitCode == 0:
			well = true
		case aws.ToString(c.Reason) == "" && (*c.ExitCode == 137 || *c.ExitCode == 143):
			if killed == 0 {
				killed = int(*c.ExitCode)
			}
		default:
			return int(*c.ExitCode)
		}
	}
	switch {
	case well && task.StopCode == types.TaskStopCodeEssentialContainerExited:
		return 0
	case killed != 0:
		return killed
	}
	return 1
}
