package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/clipperregistry/runner/runnerimage"
	"github.com/clipperregistry/runner/webhook"
	"github.com/clipperregistry/runner/webhook/rules"
)

type webhookConfig struct {
	Lint    configLint    `cmd:"" help:"Tell what is wrong with a configuration: webhook config lint .github/clipper.yml"`
	Explain configExplain `cmd:"" help:"Say which rules an event matches, and why: webhook config explain event.json"`
	Schema  configSchema  `cmd:"" help:"Print the JSON Schema for editors: webhook config schema >clipper.schema.json"`
}

type configLint struct {
	Policy  bool `xor:"kind" help:"FILE is an operator's policy."`
	Runners bool `xor:"kind" help:"FILE is an operator's file of runners."`
	JSON    bool `help:"Print one JSON object."`

	File string `arg:"" optional:"" default:".github/clipper.yml" help:"Configuration; - for standard input."`
}

// linted is what lint tells; its JSON is for machines.
type linted struct {
	File     string         `json:"file"`
	Problems rules.Problems `json:"problems"`
}

func (c *configLint) Run(exit *int) error {
	text, err := readInput(c.File, mostBody)
	if err != nil {
		return err
	}
	_, problems := rules.ParseConfig(text)
	if c.Policy {
		_, problems = rules.ParsePolicy(text)
	}
	if c.Runners {
		_, problems = rules.ParseFleet(text)
	}
	if len(problems) > 0 {
		*exit = 1
	}
	if c.JSON {
		return printJSON(linted{c.File, append(rules.Problems{}, problems...)})
	}
	for _, p := range problems {
		fmt.Printf("%s:%s\n", c.File, p)
	}
	return nil
}

type configSchema struct {
	Policy  bool `xor:"kind" help:"Print that of policies."`
	Runners bool `xor:"kind" help:"Print that of files of runners."`
}

func (c *configSchema) Run(*int) error {
	schema := rules.Schema
	if c.Policy {
		schema = rules.PolicySchema
	}
	if c.Runners {
		schema = rules.FleetSchema
	}
	_, err := os.Stdout.Write(schema)
	return err
}

type configExplain struct {
	Config       string   `default:".github/clipper.yml" placeholder:"FILE" help:"Configuration of the repository; default: .github/clipper.yml."`
	Organisation string   `placeholder:"FILE" help:"Configuration of its organisation, which it replaces rule by rule."`
	Policy       string   `placeholder:"FILE" help:"The operator's policy; default: one that lets everything be."`
	Event        string   `placeholder:"NAME" help:"Name of the event, as in X-GitHub-Event; default: what the body has the form of."`
	Path         []string `placeholder:"PATH" sep:"none" help:"Path that the event changes; default: those of a push's commits."`
	Permission   string   `placeholder:"NAME" help:"What the sender may do in the repository: read, triage, write, maintain or admin."`
	PullRequest  string   `placeholder:"FILE" help:"The pull request that a comment is on, as GitHub's API tells it."`
	Commit       string   `placeholder:"SHA" help:"Commit of the ref, for events that name none."`
	ApprovedBy   string   `placeholder:"LOGIN" help:"Who approved the commit of a fork."`
	Bot          string   `placeholder:"LOGIN" help:"Login of the App's own user, as in clipper[bot]."`
	JSON         bool     `help:"Print one JSON object a rule."`

	Body string `arg:"" name:"event.json" help:"Body of the delivery; - for standard input."`
}

func (c *configExplain) Run(*int) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	policy := rules.OpenPolicy(config)
	if c.Policy != "" {
		if policy, err = parsed(c.Policy, rules.ParsePolicy); err != nil {
			return err
		}
	}
	e, err := c.event()
	if err != nil {
		return err
	}
	facts, err := c.facts()
	if err != nil {
		return err
	}
	if len(e.Commits) > 0 && !facts.PathsKnown {
		facts.Paths, facts.PathsKnown = e.Touched(), true
	}
	decisions := rules.Decide(config, policy, e, facts)
	if !c.JSON {
		_, err := os.Stdout.WriteString(rules.Explain(e, decisions))
		return err
	}
	for _, d := range decisions {
		if err := printJSON(d); err != nil {
			return err
		}
	}
	return nil
}

// config is the repository's over its organisation's.
func (c *configExplain) config() (*rules.Config, error) {
	config, err := parsed(c.Config, rules.ParseConfig)
	if err != nil || c.Organisation == "" {
		return config, err
	}
	organisation, err := parsed(c.Organisation, rules.ParseConfig)
	return rules.Merge(organisation, config), err
}

// event is what the body says.
func (c *configExplain) event() (*webhook.Event, error) {
	body, err := readInput(c.Body, mostBody)
	if err != nil {
		return nil, err
	}
	name := c.Event
	if name == "" {
		names := webhook.NamesOf(body)
		if len(names) != 1 {
			return nil, fmt.Errorf("%w: %s has the form of no event that rules know; say which it is with --event", runnerimage.ErrSettings, c.Body)
		}
		name = names[0]
	}
	e, err := webhook.ParseEvent(name, body)
	if errors.Is(err, webhook.ErrEvent) {
		err = badArguments{fmt.Errorf("%s: %w", c.Body, err)}
	}
	return e, err
}

// facts are those that the flags tell.
func (c *configExplain) facts() (rules.Facts, error) {
	facts := rules.Facts{Bot: c.Bot, Paths: c.Path, PathsKnown: len(c.Path) > 0, Permission: rules.Permission(c.Permission), Commit: c.Commit, ApprovedBy: c.ApprovedBy}
	if c.PullRequest == "" {
		return facts, nil
	}
	text, err := readInput(c.PullRequest, mostBody)
	if err != nil {
		return facts, err
	}
	if err := json.Unmarshal(text, &facts.PullRequest); err != nil {
		return facts, fmt.Errorf("%w: %s: %w", runnerimage.ErrSettings, c.PullRequest, err)
	}
	return facts, nil
}

// parsed reads a file of the rules room.
func parsed[T any](file string, parse func([]byte) (*T, rules.Problems)) (*T, error) {
	text, err := readInput(file, mostBody)
	if err != nil {
		return nil, err
	}
	value, problems := parse(text)
	if len(problems) > 0 {
		return nil, badArguments{fmt.Errorf("%s:%s", file, strings.ReplaceAll(problems.Error(), "\n", "\n"+file+":"))}
	}
	return value, nil
}

// mostBody bounds what is read: GitHub sends no larger body.
const mostBody = 25 << 20
