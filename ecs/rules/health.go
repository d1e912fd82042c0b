package rules

import "github.com/clipperregistry/runner/ecs"

const (
	healthDoc  = api + "HealthCheck.html"
	healthPath = "containerDefinitions[].healthCheck."
)

// healthRules are about health checks.
var healthRules = []Rule{
	{ID: "health-check-command", Severity: Error, Stage: Register, Doc: healthDoc, check: checkHealthCommand,
		Quote:  "The string array must start with CMD to run the command arguments directly, or CMD-SHELL to run the command with the container's default shell.",
		Remedy: `begin it with "CMD" or "CMD-SHELL"`},
	{ID: "health-check-interval", Severity: Error, Stage: Register, Doc: healthDoc, check: between(healthPath+"interval", 5, 300),
		Quote:  "The time period in seconds between each health check execution. You may specify between 5 and 300 seconds.",
		Remedy: "set 5 to 300"},
	{ID: "health-check-timeout", Severity: Error, Stage: Register, Doc: healthDoc, check: between(healthPath+"timeout", 2, 60),
		Quote:  "You may specify between 2 and 60 seconds.",
		Remedy: "set 2 to 60"},
	{ID: "health-check-retries", Severity: Error, Stage: Register, Doc: healthDoc, check: between(healthPath+"retries", 1, 10),
		Quote:  "You may specify between 1 and 10 retries.",
		Remedy: "set 1 to 10"},
	{ID: "health-check-start", Severity: Error, Stage: Register, Doc: healthDoc, check: between(healthPath+"startPeriod", 0, 300),
		Quote:  "You can specify between 0 and 300 seconds.",
		Remedy: "set at most 300; more time comes from retries and interval"},
}

func checkHealthCommand(def *ecs.Definition, tell tell) {
	each(def, "containerDefinitions[].healthCheck", func(path string, value any) {
		check, ok := value.(*ecs.Object)
		if !ok {
			return
		}
		command := check.Texts("command")
		switch {
		case len(command) == 0:
			tell(path+".command", "there is none")
		case command[0] == "NONE":
		case command[0] != "CMD" && command[0] != "CMD-SHELL":
			tell(path+".command", "it begins with something else")
		case len(command) == 1:
			tell(path+".command", "%s is followed by no command", command[0])
		}
	})
}
