package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/clipperregistry/runner/action"
	"github.com/clipperregistry/runner/ecs"
	"github.com/clipperregistry/runner/ecs/rules"
	"github.com/clipperregistry/runner/ecs/verify"
	"github.com/clipperregistry/runner/ecs/watch"
	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/runnerimage/credentials"
	"github.com/clipperregistry/runner/runnerimage/oci"
)

// ecsAction is the action of ecs/action.yml. It calls the other ecs commands,
// with flags that a person might give, and tells GitHub what they say: no line
// of theirs, nor of a task's log, is a command to it.
type ecsAction struct{}

func (ecsAction) Run(exit *int) error {
	job := action.Environ(os.Environ())
	s := &ecsStep{log: action.NewLog(os.Stdout), temp: job["RUNNER_TEMP"]}
	code, err := s.run(job)
	if told := action.NewFiles(job).SetOutputs(s.outputs...); err == nil {
		err = told
	}
	if err != nil {
		s.log.Error(err.Error())
		code = runnerimage.ExitCode(err)
	}
	*exit = code
	return nil
}

// ecsOutputs are the names of all outputs.
var ecsOutputs = []string{
	"task-definition", "task-definition-arn", "image", "digest", "service-deployment-arn", "status",
	"task-arn", "task", "exit-code", "bytes-pulled", "bytes-reused", "duration-ms",
}

// ecsStep is a step while it runs.
type ecsStep struct {
	ecsOrder
	log     *action.Log
	temp    string
	outputs []action.Pair
}

// run does what the inputs ask for and returns the step's exit code.
func (s *ecsStep) run(job map[string]string) (code int, err error) {
	if s.ecsOrder, err = parseECSInputs(job); err != nil {
		return 0, err
	}
	s.mask()
	switch s.command {
	case "render":
		_, code, err = s.render()
	case "verify":
		code, err = s.verify()
	case "deploy":
		code, err = s.deploy()
	case "run":
		code, err = s.runTask()
	}
	return code, err
}

// mask has the credentials for registries masked, and every part and form of
// them that is a secret: a mask of the whole would not cover those.
func (s *ecsStep) mask() {
	value := s.values["registry-credentials"]
	s.log.Mask(value)
	// What may be wrong with them, the command tells that is to use them.
	_, _ = credentials.New(credentials.Settings{Value: value, Registry: s.values["registry"], Mask: s.log.Mask})
}

func (s *ecsStep) set(name, value string) {
	if value != "" {
		s.outputs = append(s.outputs, action.Pair{Name: name, Value: value})
	}
}

// render renders the task definition into a file.
func (s *ecsStep) render() (rendered string, code int, err error) {
	report, err := s.file("clipper-report-*.json")
	if err != nil {
		return "", 0, err
	}
	defer os.Remove(report)
	args := append(s.flags("render"), "--report="+report, "--", s.values["task-definition"])
	text, code, err := s.call("render", args)
	if told := s.tellChanges(report); err == nil {
		err = told
	}
	if err != nil || code != 0 {
		return "", code, err
	}
	if rendered = s.values["output"]; rendered == "" {
		if rendered, err = s.file("task-definition-*.json"); err != nil {
			return "", 0, err
		}
	}
	if err := os.WriteFile(rendered, text, 0o644); err != nil {
		return "", 0, err
	}
	s.set("task-definition", rendered)
	return rendered, 0, s.setImage(text)
}

// file makes an empty file that later steps find.
func (s *ecsStep) file(pattern string) (string, error) {
	f, err := os.CreateTemp(s.temp, pattern)
	if err != nil {
		return "", err
	}
	return f.Name(), f.Close()
}

// tellChanges tells what rendering changed; what a person should know beside
// the job.
func (s *ecsStep) tellChanges(file string) error {
	text, err := os.ReadFile(file)
	if err != nil || len(text) == 0 {
		return err // it never came to a report
	}
	var report ecs.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	for _, c := range report.Changes {
		switch c.Verb {
		case ecs.Reject:
			s.log.Error(c.String())
		case ecs.Warn:
			s.log.Warning(c.String())
		default:
			s.print(fmt.Sprintf("%-6s  %s\n", c.Verb, c))
		}
	}
	return nil
}

// setImage sets what the first container with the runner runs.
func (s *ecsStep) setImage(definition []byte) error {
	def, err := ecs.Parse(definition)
	if err != nil {
		return err
	}
	for _, c := range def.Containers() {
		image, _ := c.Env(ecs.EnvImage)
		ref, err := oci.ParseReference(image)
		if err != nil || !c.Moved() {
			continue
		}
		s.set("image", image)
		digest, _ := ref.Digest()
		s.set("digest", digest.String())
		break
	}
	return nil
}

func (s *ecsStep) verify() (int, error) {
	text, code, err := s.call("verify", append(s.flags("verify"), "--json", "--", s.values["task-definition"]))
	if err != nil || len(text) == 0 {
		return code, err
	}
	var report verify.Report
	if err := json.Unmarshal(text, &report); err != nil {
		return 0, fmt.Errorf("verify: %w", err)
	}
	for _, f := range report.Findings {
		switch f.Severity {
		case rules.Error:
			s.log.Error(f.String() + ". " + f.Remedy)
		case rules.Warning:
			s.log.Warning(f.String() + ". " + f.Remedy)
		}
	}
	s.print(report.Text())
	return code, nil
}

// deploy renders and deploys: of what was rendered, the deployment renders
// nothing.
func (s *ecsStep) deploy() (int, error) {
	rendered, code, err := s.render()
	if err != nil || code != 0 {
		return code, err
	}
	text, code, err := s.call("deploy", append(s.flags("deploy"), "--json", "--", rendered))
	if err != nil || len(text) == 0 {
		return code, err
	}
	var result watch.Outcome
	if err := json.Unmarshal(text, &result); err != nil {
		return 0, fmt.Errorf("deploy: %w", err)
	}
	s.set("task-definition-arn", result.Definition)
	s.set("service-deployment-arn", result.Deployment)
	s.set("status", string(result.Status))
	s.setTimes(result.Tasks, watch.Healthy)
	s.print(fmt.Sprintf("service %s: %s: %s\n", result.Service, result.Definition, result.Status))
	return code, nil
}

func (s *ecsStep) runTask() (int, error) {
	args, err := s.args()
	if err != nil {
		return 0, err
	}
	saved := s.values["save"]
	if saved == "" {
		if saved, err = s.file("task-*.json"); err != nil {
			return 0, err
		}
	}
	args = append(append(s.flags("run"), "--json", "--save="+saved, "--", s.values["family"]), args...)
	text, code, err := s.call("run", args)
	if err != nil || len(text) == 0 {
		return code, err
	}
	var result struct {
		Task     string `json:"task"`
		ExitCode int    `json:"exit_code"`
		Timing   watch.Timing
	}
	var task struct {
		Definition string `json:"taskDefinitionArn"`
		Status     string `json:"lastStatus"`
	}
	described, err := os.ReadFile(saved)
	if err := errors.Join(err, json.Unmarshal(text, &result), json.Unmarshal(described, &task)); err != nil {
		return 0, fmt.Errorf("run: %w", err)
	}
	s.set("task-arn", result.Task)
	s.set("task", saved)
	s.set("task-definition-arn", task.Definition)
	s.set("status", task.Status)
	if task.Status == "STOPPED" {
		s.set("exit-code", strconv.Itoa(result.ExitCode))
	}
	if started := result.Timing.Containers; len(started) > 0 {
		s.set("image", started[0].Image)
		s.set("digest", started[0].Digest)
	}
	s.setTimes([]watch.Timing{result.Timing}, watch.Total)
	if code == result.ExitCode && code != 0 {
		s.log.Error(fmt.Sprintf("The task ended with exit code %d: %s", code, result.Timing.Ending))
	}
	return code, nil
}

// setTimes sets what the tasks pulled and how long the longest took to a phase.
func (s *ecsStep) setTimes(tasks []watch.Timing, phase watch.Phase) {
	var pulled, reused, longest int64
	started := false
	for _, t := range tasks {
		s.print(t.Text())
		longest = max(longest, t.Milliseconds[phase])
		for _, c := range t.Containers {
			started = true
			pulled += c.BytesPulled
			reused += c.BytesReused
		}
	}
	if started {
		s.set("bytes-pulled", strconv.FormatInt(pulled, 10))
		s.set("bytes-reused", strconv.FormatInt(reused, 10))
	}
	if longest > 0 {
		s.set("duration-ms", strconv.FormatInt(longest, 10))
	}
}

func (s *ecsStep) print(text string) {
	for line := range strings.Lines(text) {
		fmt.Fprint(s.log.Text(), line)
	}
}
