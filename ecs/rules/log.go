package rules

import (
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/ecs/types"

	"github.com/clipperregistry/runner/ecs"
)

const logDoc = api + "LogConfiguration.html"

// logRules are about where containers log to.
var logRules = []Rule{
	{ID: "log-driver", Severity: Error, Stage: Register, Doc: logDoc, check: checkLogDrivers,
		Quote:  "For tasks on Fargate, the supported log drivers are awslogs , splunk , and awsfirelens .",
		Remedy: "choose a driver that the capacity has"},
	{ID: "log-options", Severity: Error, Stage: Register, Doc: logDoc, check: checkLogOptions,
		Quote:  "awslogs-stream-prefix Required: Yes, when using Fargate.Optional when using EC2.",
		Remedy: "set awslogs-group, awslogs-region and awslogs-stream-prefix"},
	{ID: "log-prefix", Severity: Warning, Stage: Run, Doc: logDoc, check: checkLogPrefix,
		Quote:  "Because it's difficult to trace logs back to the container that sent them with just the Docker container ID (which is only available on the container instance), we recommend that you specify a prefix with this option.",
		Remedy: "set awslogs-stream-prefix: without it `ecs run` and `ecs logs` cannot find the logs of a task"},
	{ID: "log-router", Severity: Error, Stage: Register, Doc: api + "FirelensConfiguration.html", check: checkLogRouter,
		Quote:  "The log router to use. The valid values are fluentd or fluentbit .",
		Remedy: "give one container, and no more, a firelensConfiguration"},
}

var fargateDrivers = []string{"awslogs", "splunk", "awsfirelens"}

func checkLogDrivers(def *ecs.Definition, tell tell) {
	eachText(def, "containerDefinitions[].logConfiguration.logDriver", func(path, driver string) {
		switch {
		case !slices.Contains(words(types.LogDriver("").Values()), driver):
			tell(path, "ECS has no driver %q", driver)
		case fargate(def) && !slices.Contains(fargateDrivers, driver):
			tell(path, "Fargate has no driver %s, only %s", driver, strings.Join(fargateDrivers, ", "))
		}
	})
}

// eachLog visits the options of containers that log to CloudWatch.
func eachLog(def *ecs.Definition, visit func(path string, options *ecs.Object)) {
	for _, c := range def.Containers() {
		if logs := c.Object.Object("logConfiguration"); logs.Text("logDriver") == "awslogs" {
			visit(c.Path+".logConfiguration.options", logs.Object("options"))
		}
	}
}

func checkLogOptions(def *ecs.Definition, tell tell) {
	needed := []string{"awslogs-group", "awslogs-region"}
	if fargate(def) {
		needed = append(needed, "awslogs-stream-prefix")
	}
	eachLog(def, func(path string, options *ecs.Object) {
		for _, name := range needed {
			if options.Text(name) == "" {
				tell(path, "%s is missing", name)
			}
		}
	})
}

func checkLogPrefix(def *ecs.Definition, tell tell) {
	eachLog(def, func(path string, options *ecs.Object) {
		if !fargate(def) && options.Text("awslogs-stream-prefix") == "" {
			tell(path, "nobody can tell which stream is a task's")
		}
	})
}

func checkLogRouter(def *ecs.Definition, tell tell) {
	routers := 0
	for _, c := range def.Containers() {
		router := c.Object.Object("firelensConfiguration")
		if router == nil {
			continue
		}
		if kind := router.Text("type"); kind != "fluentd" && kind != "fluentbit" {
			tell(c.Path+".firelensConfiguration.type", "%q is neither", kind)
		}
		if routers++; routers == 2 {
			tell(c.Path+".firelensConfiguration", "it is the second log router of the task")
		}
	}
	for _, c := range def.Containers() {
		if c.Object.Object("logConfiguration").Text("logDriver") == "awsfirelens" && routers == 0 {
			tell(c.Path+".logConfiguration", "no container of the task is a log router")
		}
	}
}
